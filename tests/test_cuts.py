from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from dawnlist import cuts
from dawnlist.cuts import (
    MAX_PERIOD_DAYS,
    Cuts,
    compute_window,
    format_iso,
    format_stamp,
    parse_as_of,
    require_past,
)

DAY = datetime(2026, 1, 31, tzinfo=UTC)


def test_as_of_is_read_in_any_zone_and_shown_in_utc() -> None:
    moment = parse_as_of("2026-01-31T05:30:00+02:30")
    assert (format_iso(moment), format_stamp(moment)) == (
        "2026-01-31T03:00:00Z",
        "20260131T030000Z",
    )


@pytest.mark.parametrize(
    ("text", "what_to_do"),
    [
        (
            "[[ScheduledTime.2006-01-02T15:04:05Z]]",
            "is a macro that Kubeflow Pipelines does not replace",
        ),
        ("yesterday", "is no time: give ISO-8601"),
        ("2026-01-31T03:00:00", "has no zone"),
    ],
)
def test_an_unusable_as_of_is_refused_with_what_to_do(text: str, what_to_do: str) -> None:
    with pytest.raises(ValueError, match=what_to_do):
        parse_as_of(text)


def test_holdout_and_validation_are_whole_days_before_the_end() -> None:
    one_day = timedelta(days=1)
    assert Cuts.from_as_of(DAY) == Cuts(DAY - 2 * one_day, DAY - one_day, DAY)
    assert Cuts.from_as_of(DAY, 28, 3) == Cuts(DAY - 31 * one_day, DAY - 28 * one_day, DAY)


@pytest.mark.parametrize("lengths", [(0, 1), (1, 0), (29, 1), (1, 29)])
def test_a_period_that_is_too_short_or_too_long_is_refused(lengths: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"a period has (0|29) days: give 1 to 28"):
        Cuts.from_as_of(DAY, *lengths)


@pytest.mark.parametrize("days", [1, MAX_PERIOD_DAYS])
def test_a_period_has_a_day_at_least_and_four_weeks_at_most(days: int) -> None:
    found = Cuts.from_as_of(DAY, days, days)
    assert found == Cuts(DAY - timedelta(days=2 * days), DAY - timedelta(days=days), DAY)
    assert MAX_PERIOD_DAYS == 28


def test_a_window_has_three_days_at_least_and_ten_years_at_most() -> None:
    for days in (3, 3660):
        assert compute_window(DAY, days) == (DAY - timedelta(days=days), DAY)
    for days in (2, 3661):
        with pytest.raises(ValueError, match=f"window_days is {days}: give 3 to 3660"):
            compute_window(DAY, days)


def test_as_of_is_past_from_the_very_moment_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class FixedClock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return DAY.astimezone(tz)

    monkeypatch.setattr(cuts, "datetime", FixedClock)
    microsecond, minute = timedelta(microseconds=1), timedelta(minutes=1)
    assert require_past(DAY) == DAY
    assert require_past(DAY + minute, minute) == DAY + minute
    for moment, leeway in ((DAY + microsecond, timedelta(0)), (DAY + minute + microsecond, minute)):
        with pytest.raises(ValueError, match="is in the future"):
            require_past(moment, leeway)


def test_a_time_without_a_fraction_is_shown_without_one() -> None:
    assert format_iso(DAY + timedelta(microseconds=5)) == "2026-01-31T00:00:00.000005Z"
    assert parse_as_of(" 2026-01-31T00:00:00Z ") == DAY
