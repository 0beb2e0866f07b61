from datetime import UTC, datetime, timedelta

import pytest

from dawnlist.cuts import Cuts, format_iso, format_stamp, parse_as_of

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
        ("[[ScheduledTime.2006-01-02T15:04:05Z]]", "was never replaced"),
        ("yesterday", "is no time: give ISO-8601"),
        ("2026-01-31T03:00:00", "has no zone"),
    ],
)
def test_an_unusable_as_of_is_refused_with_what_to_do(text: str, what_to_do: str) -> None:
    with pytest.raises(ValueError, match=what_to_do):
        parse_as_of(text)


def test_without_incumbent_the_holdout_is_the_last_day() -> None:
    assert Cuts.from_as_of(DAY, None) == Cuts(DAY - timedelta(days=2), DAY - timedelta(days=1), DAY)


def test_the_holdout_never_begins_before_the_incumbents_day() -> None:
    six_hours_ago = DAY - timedelta(hours=6)
    assert Cuts.from_as_of(DAY, six_hours_ago) == Cuts(
        DAY - timedelta(hours=30), six_hours_ago, DAY
    )
    assert Cuts.from_as_of(DAY, DAY - timedelta(days=9)) == Cuts.from_as_of(DAY, None)


def test_an_incumbent_from_the_future_is_refused() -> None:
    with pytest.raises(ValueError, match="not older than this run"):
        Cuts.from_as_of(DAY, DAY)
