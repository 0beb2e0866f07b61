from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from deltalake import write_deltalake

from dawnlist.components.dataset.periods import choose_cuts, count_known_users
from dawnlist.components.dataset.repeat_gap import measure_repeat_gap
from dawnlist.components.dataset.split_pairs import build_splits
from dawnlist.components.dataset.traffic import measure_traffic
from dawnlist.cuts import Cuts, format_iso
from dawnlist.lake.lake import Lake
from dawnlist.model.repeats import DEFAULT_GAP, RepeatMode
from dawnlist.model.splits import Splits
from dawnlist.records import registry
from dawnlist.schema import EVENTS_SCHEMA, ITEMS_SCHEMA, VERDICTS_SCHEMA
from dawnlist.store.version_reports import VersionReport
from tests.support.literal import AS_OF, CUTS, NO_VERDICTS, interactions, write_interactions

ROWS = (
    ("ann", "tea", 100.0),  # before the validation cut, twice
    ("ann", "tea", 60.0),
    ("ann", "jam", 30.0),  # in validation
    ("ann", "tea", 5.0),  # in the holdout again: a repeat
    ("ann", "oat", 4.0),  # in the holdout, new
    ("bob", "jam", 50.0),
    ("bob", "tea", 3.0),
    ("eve", "oat", 2.0),  # a user who is new in the holdout
    ("old", "tea", 24 * 40.0),  # outside a window of 30 days
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    found = Lake.open(str(tmp_path), "shop")
    write_interactions(found, *ROWS)
    return found


def test_pairs_are_cut_in_time(lake: Lake) -> None:
    splits, report = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    assert splits.user_ids.ids.to_pylist() == ["ann", "bob", "eve"]
    assert splits.item_ids.ids.to_pylist() == ["jam", "oat", "tea"]
    assert splits.user_items("tune").weight.toarray().tolist() == [[0, 0, 2], [1, 0, 0], [0, 0, 0]]
    assert splits.user_items("train").weight.toarray().tolist() == [[1, 0, 2], [1, 0, 0], [0, 0, 0]]
    assert splits.user_items("refit").weight.toarray().tolist() == [[1, 1, 3], [1, 0, 1], [0, 1, 0]]
    assert splits.truth("validation").toarray().tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert splits.truth("holdout").toarray().tolist() == [[0, 1, 1], [0, 0, 1], [0, 1, 0]]
    assert splits.judged("validation").tolist() == [0]
    assert splits.judged("holdout").tolist() == [0, 1]  # eve has no history
    assert splits.repeat_share("holdout") == 1 / 4
    assert (report["pairs"], report["holdout_users"], report["train_pairs"]) == (6, 2, 3)


@pytest.mark.parametrize(
    ("user", "item", "hours", "validation_truth", "holdout_truth"),
    [
        # ann met jam 30 hours before the end, in the validation, and oat 4 hours before it.
        ("ann", "jam", 29.0, [0, 0, 0], [0, 1, 1]),
        ("ann", "jam", 31.0, [1, 0, 0], [0, 1, 1]),  # she met it again after the dislike
        ("ann", "jam", 23.0, [1, 0, 0], [0, 1, 1]),  # a dislike of the holdout is not known yet
        ("ann", "oat", 3.0, [1, 0, 0], [0, 0, 1]),
        ("ann", "oat", 4.0, [1, 0, 0], [0, 0, 1]),  # at the same time the dislike counts
        ("ann", "oat", 5.0, [1, 0, 0], [0, 1, 1]),
        ("ann", "oat", 0.0, [1, 0, 0], [0, 1, 1]),  # a dislike of the next day
        ("bob", "oat", 3.0, [1, 0, 0], [0, 1, 1]),  # somebody else's
    ],
)
def test_an_item_that_its_user_then_disliked_is_no_truth(
    lake: Lake,
    tmp_path: Path,
    user: str,
    item: str,
    hours: float,
    validation_truth: list[int],
    holdout_truth: list[int],
) -> None:
    time = AS_OF - timedelta(hours=hours)
    row = {
        "event_id": "e", "event_type": "dislike", "user_id": user, "item_id": item, "event_time": time,
        "event_date": time.date(), "received_time": time, "is_program": False, "stream_id": "1-0",
    }  # fmt: skip
    write_deltalake(lake.table_uri("events"), pa.Table.from_pylist([row], EVENTS_SCHEMA))
    splits, report = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    assert splits.truth("validation").toarray()[0].tolist() == validation_truth
    assert splits.truth("holdout").toarray()[0].tolist() == holdout_truth
    assert report["disliked_pairs"] == 2 - sum(holdout_truth)
    # What people met trains all the same, and a file keeps the marks.
    assert splits.user_items("refit").weight.toarray().tolist() == [[1, 1, 3], [1, 0, 1], [0, 1, 0]]
    splits.save(tmp_path / "splits")
    loaded = Splits.load(tmp_path / "splits")
    assert loaded.truth("holdout").toarray()[0].tolist() == holdout_truth
    assert loaded.holdout_fingerprint == splits.holdout_fingerprint == report_fingerprint(splits)


def report_fingerprint(splits: Splits) -> str:
    """The fingerprint that was recorded when the splits were cut."""
    fingerprint: str = splits.about["holdout"]
    return fingerprint


@pytest.mark.parametrize("mode", ["auto", "on", "off"])
def test_repeats_are_truth_unless_the_settings_turn_them_off(lake: Lake, mode: RepeatMode) -> None:
    splits, report = build_splits(lake, 0, NO_VERDICTS, AS_OF, 30, repeats=mode)
    ann = {"auto": [0, 1, 1], "on": [0, 1, 1], "off": [0, 1, 0]}[mode]
    assert splits.truth("holdout").toarray().tolist() == [ann, [0, 0, 1], [0, 1, 0]]
    assert splits.counts_repeats == (mode != "off")
    assert splits.is_repeat("holdout").sum() == 1  # ann's tea
    assert splits.repeat_share("holdout") == report["holdout_repeat_share"] == 1 / 4
    assert report["repeats"] == splits.about["repeats"] == mode


def test_whoever_only_comes_back_to_items_is_judged_where_repeats_count(tmp_path: Path) -> None:
    found = Lake.open(str(tmp_path), "shop")
    write_interactions(
        found,
        ("ann", "tea", 100.0),
        ("ann", "tea", 5.0),
        ("bob", "jam", 100.0),
        ("bob", "tea", 5.0),
    )
    for mode, judged in (("auto", [0, 1]), ("off", [1])):
        splits, report = build_splits(found, 0, NO_VERDICTS, AS_OF, 30, repeats=mode)  # type: ignore[arg-type]
        assert splits.judged("holdout").tolist() == judged
        assert report["holdout_users"] == len(judged)
        del splits.about["repeats"]  # of an older release
        assert splits.judged("holdout").tolist() == [1]


def measure_gap(*rows: tuple[str, str, float], pairs: int = 1) -> float:
    return measure_repeat_gap(pads.dataset(interactions(*rows)), AS_OF, pairs)


def test_the_gap_is_the_median_of_days_between_meetings() -> None:
    ann = [("ann", "tea", 12.0 + 24 * day) for day in (0, 2, 6)]
    assert measure_gap(*ann) == 3  # 2 and 4 days
    assert measure_gap(*ann, ("bob", "jam", 12.0), ("bob", "jam", 24 * 30.0)) == 4
    # Another user's and another item's meetings are none of this pair's.
    assert measure_gap(*ann, ("bob", "tea", 12.0), ("ann", "jam", 12.0)) == 3


def test_meetings_of_one_day_are_one() -> None:
    assert measure_gap(("ann", "tea", 1.0), ("ann", "tea", 23.0)) == DEFAULT_GAP
    # Two days in UTC, though less than an hour apart.
    assert measure_gap(("ann", "tea", 23.9), ("ann", "tea", 24.1)) == 1
    assert measure_gap(("ann", "tea", 1.0), ("ann", "tea", 2.0), ("ann", "tea", 24 * 5 + 1)) == 5


def test_without_repeats_the_gap_is_the_default() -> None:
    assert measure_gap(("ann", "tea", 1.0), ("ann", "jam", 99.0), ("bob", "tea", 50.0)) == 1
    assert measure_repeat_gap(pads.dataset(interactions()), AS_OF, 0) == DEFAULT_GAP == 1


def test_the_gap_knows_nothing_from_the_end_on(lake: Lake) -> None:
    rows = pads.dataset(interactions(("ann", "tea", 100.0), ("ann", "tea", 48.0)))
    assert measure_repeat_gap(rows, AS_OF - timedelta(hours=48), 1) == DEFAULT_GAP
    assert measure_repeat_gap(rows, AS_OF - timedelta(hours=47), 1) == 3
    splits, report = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    assert (splits.repeat_gap, report["repeat_gap_days"]) == (2, 2)  # ann's tea before validation


def test_with_too_many_pairs_some_users_alone_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dawnlist.components.dataset.repeat_gap.MAX_PAIRS", 10)
    names = [f"u{number}" for number in range(40)]
    query = "SELECT name FROM (SELECT unnest($names) AS name) WHERE hash(name) % 2 = 0"
    sampled = {row[0] for row in duckdb.execute(query, {"names": names}).fetchall()}
    some, others = sorted(sampled)[:3], sorted(set(names) - sampled)[:5]
    rows = []
    for user, days in [(user, 3) for user in some] + [(user, 8) for user in others]:
        rows += [(user, "tea", 12.0), (user, "tea", 12.0 + 24 * days)]
    assert measure_gap(*rows, pairs=10) == 8
    assert measure_gap(*rows, pairs=11) == 3


def test_ages_run_from_the_last_event_to_the_cut(lake: Lake) -> None:
    splits, _ = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    np.testing.assert_allclose(splits.user_items("tune").age * 24, [60 - 48, 50 - 48], atol=1e-4)
    np.testing.assert_allclose(splits.user_items("refit").age * 24, [30, 4, 5, 50, 3, 2], atol=1e-4)


def test_dropped_users_and_events_are_left_out_and_shadow_ones_are_not(lake: Lake) -> None:
    verdicts = pa.Table.from_pylist(
        [
            {
                "user_id": "bob",
                "event_id": None,
                "rule": "r",
                "evidence": "",
                "action": "drop",
                "shadow": False,
            },
            {
                "user_id": None,
                "event_id": "e0",
                "rule": "r",
                "evidence": "",
                "action": "drop",
                "shadow": False,
            },
            {
                "user_id": "ann",
                "event_id": None,
                "rule": "r",
                "evidence": "",
                "action": "drop",
                "shadow": True,
            },
            {
                "user_id": "eve",
                "event_id": None,
                "rule": "r",
                "evidence": "",
                "action": "keep",
                "shadow": False,
            },
        ],
        schema=VERDICTS_SCHEMA,
    )
    splits, _ = build_splits(lake, 0, verdicts, AS_OF, window_days=30)
    assert splits.user_ids.ids.to_pylist() == ["ann", "eve"]
    assert splits.user_items("tune").weight.sum() == 1


def test_splits_survive_the_disk(lake: Lake, tmp_path: Path) -> None:
    splits, _ = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    splits.save(tmp_path / "splits")
    loaded = Splits.load(tmp_path / "splits")
    np.testing.assert_array_equal(loaded.weight, splits.weight)
    np.testing.assert_array_equal(loaded.last, splits.last)
    assert (loaded.cuts, loaded.about) == (splits.cuts, splits.about)


def test_the_traffic_of_the_last_day_and_of_those_before(tmp_path: Path) -> None:
    """Days are 24 hours back from as_of: the first hour of the last one counts, 28 earlier ones, and no quiet start."""
    found = Lake.open(str(tmp_path), "shop")
    hours = (0.5, 24.0, 24.1, 48.0, 72.5, 24 * 5.0, 24 * 29.0, 24 * 29.1)
    write_interactions(found, *(("ann" if hour < 30 else "bob", "tea", hour) for hour in hours))
    splits, _ = build_splits(found, 0, NO_VERDICTS, AS_OF, window_days=40)
    before = [2, 0, 1, 1] + [0] * 23 + [1]
    mixes = {"mix": {"view": 1.0}, "mix_before": {"view": 1.0}}
    assert splits.about["traffic"] == {
        "events": 2, "dropped": 0, "known_items": 1.0, "before": before, **mixes,
    }  # fmt: skip
    short, _ = build_splits(found, 0, NO_VERDICTS, AS_OF, window_days=4)
    assert short.about["traffic"]["before"] == [2, 0, 1]
    drop = {
        "user_id": "bob",
        "event_id": None,
        "rule": "r",
        "evidence": "",
        "action": "drop",
        "shadow": False,
    }
    without, _ = build_splits(
        found, 0, pa.Table.from_pylist([drop], schema=VERDICTS_SCHEMA), AS_OF, window_days=40
    )
    assert (without.about["traffic"]["events"], without.about["traffic"]["before"]) == (2, [1])
    assert without.about["traffic"]["dropped"] == 0  # bob came on other days
    drop["user_id"] = "ann"
    verdicts = pa.Table.from_pylist([drop], schema=VERDICTS_SCHEMA)
    nobody = build_splits(found, 0, verdicts, AS_OF, window_days=40)[0].about["traffic"]
    assert (nobody["events"], nobody["dropped"]) == (0, 2)


def test_a_day_of_other_events() -> None:
    rows = interactions(
        ("ann", "tea", 1.0), ("ann", "jam", 2.0), ("bob", "tea", 30.0), ("bob", "jam", 100.0)
    )
    kinds = pa.array(["view", "cart", "view", "like"], pa.string())
    told = rows.set_column(
        rows.schema.get_field_index("event_type"), rows.schema.field("event_type"), kinds
    )
    found = measure_traffic(pads.dataset(told), AS_OF)
    assert (found["mix"], found["mix_before"]) == (
        {"cart": 0.5, "view": 0.5},
        {"like": 0.5, "view": 0.5},
    )
    assert measure_traffic(pads.dataset(told.slice(0, 0)), AS_OF) == {
        "events": 0,
        "dropped": 0,
        "known_items": None,
        "before": [],
        "mix": {},
        "mix_before": {},
    }


def test_how_much_of_the_last_day_is_of_items_that_were_there_before() -> None:
    """The last day begins at its first moment: 24 hours before the end belongs to it."""
    rows = interactions(
        ("ann", "tea", 24.0), ("bob", "new", 24.0), ("bob", "new", 2.0), ("eve", "oat", 1.0),
        ("ann", "tea", 24.1), ("ann", "jam", 90.0),
    )  # fmt: skip
    assert measure_traffic(pads.dataset(rows), AS_OF)["known_items"] == 0.25
    first_day = interactions(("ann", "tea", 3.0))
    assert measure_traffic(pads.dataset(first_day), AS_OF)["known_items"] is None


def test_the_incumbent_is_recorded_and_changes_no_cut(lake: Lake) -> None:
    before, _ = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    assert (before.cuts, before.about["incumbent"]) == (CUTS, None)
    six_hours_ago = AS_OF - timedelta(hours=6)
    report = VersionReport(version=1, run="run-1", token="1-a", as_of=format_iso(six_hours_ago))
    registry.record_publication(lake, report, {"model": "m", "winner": "challenger", "metrics": {}})
    registry.set_champion(lake, report)
    after, _ = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    assert (after.cuts, after.about["incumbent"]) == (CUTS, registry.find_incumbent(lake, AS_OF))
    assert after.about["incumbent"]["version"] == 1


def known_users(*rows: tuple[str, str, float]) -> list[int]:
    """Who can be judged in the last day, the last two days, ... before AS_OF."""
    return [int(users) for users in count_known_users(pads.dataset(interactions(*rows)), AS_OF)]


def test_users_who_can_be_judged_have_a_past_and_meet_something_new() -> None:
    assert (
        known_users(
            ("ann", "tea", 24 * 4.0),  # has a past up to four days before the end, where it begins
            ("ann", "jam", 24 * 1.0),  # met in the last day, at its first moment
            ("bob", "tea", 24 * 3.0),
            ("bob", "tea", 5.0),  # a repeat
            ("eve", "tea", 5.0),  # no past
            ("dan", "tea", 24 * 9.0),
            ("dan", "jam", 24 * 1.0 + 0.1),
        )
        == [1, 2, 2, 1, 1, 1, 1, 1] + [0] * 20
    )


TRICKLE = [
    (f"user-{number}", item, 24.0 * day + 1)
    for number in range(10)
    for item, day in (("tea", 27), ("jam", number))
]
"""Ten users of whom one a day meets something new."""


@pytest.mark.parametrize(
    ("min_users", "days"),
    [(0, (1, 1)), (1, (1, 1)), (3, (3, 3)), (5, (5, 5)), (6, (6, 1)), (10, (10, 1)), (11, (1, 1))],
)
def test_periods_go_back_as_far_as_it_takes(min_users: int, days: tuple[int, int]) -> None:
    """Six days of holdout leave four users for validation: too few for six, so that it has a day."""
    cuts = choose_cuts(pads.dataset(interactions(*TRICKLE)), AS_OF, min_users, False)
    assert cuts == Cuts.from_as_of(AS_OF, *days)


def test_the_splits_have_the_cuts_that_enough_users_need(lake: Lake) -> None:
    splits, report = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30, min_users=2)
    assert splits.cuts == CUTS  # ann and bob in the holdout, and ann alone in any validation
    assert (report["holdout_days"], report["validation_days"]) == (1, 1)
    write_interactions(other := Lake.open(lake.uri, "other"), *TRICKLE)
    splits, report = build_splits(other, 0, NO_VERDICTS, AS_OF, window_days=30, min_users=5)
    assert splits.cuts == Cuts.from_as_of(AS_OF, 5, 5)
    assert (report["holdout_days"], report["validation_days"]) == (5, 5)
    assert (report["holdout_users"], report["validation_users"]) == (5, 5)


def test_nothing_to_train_on_is_an_error(lake: Lake) -> None:
    early = AS_OF - timedelta(days=100)
    with pytest.raises(ValueError, match="nothing to train on: fetch more days"):
        build_splits(lake, 0, NO_VERDICTS, early, window_days=30)


def test_a_rating_of_nothing_was_seen_all_the_same(lake: Lake) -> None:
    splits, _ = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    splits.weight[:, 0] = 0
    assert splits.user_items("refit").weight.nnz == 6


ITEM_ROWS = (
    ("tea", "Black tea"), ("jam", "Red jam"), ("oat", "Oat cake"), ("mug", "A red mug for tea"), ("hat", "Unlike"),
)  # fmt: skip


def write_items(lake: Lake, *rows: tuple[str, str]) -> None:
    """Replace the lake's items table."""
    found: list[dict[str, Any]] = [
        {"item_id": item, "title": title, "genres": [], "text": None} for item, title in rows
    ]
    write_deltalake(
        lake.table_uri("items"), pa.Table.from_pylist(found, schema=ITEMS_SCHEMA), mode="overwrite"
    )


def built(lake: Lake, days: float = 0.0) -> Splits:
    return build_splits(lake, 0, NO_VERDICTS, AS_OF + timedelta(days=days), window_days=60)[0]


def test_new_items_stand_behind_those_that_were_met(lake: Lake) -> None:
    bare = built(lake)
    assert (bare.stock, bare.content.shape, bare.met_item_count) == (None, (3, 0), 3)
    write_items(lake, *ITEM_ROWS)
    splits, report = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=60)
    assert splits.item_ids.ids.to_pylist() == [
        "jam",
        "oat",
        "tea",
        "mug",
    ]  # no word of `hat` is another's
    assert (splits.met_item_count, report["items"], report["new_items"]) == (3, 3, 1)
    assert (len(splits.content), report["content_dimensions"]) == (4, 2)
    assert splits.content.any(axis=1).tolist() == [True, False, True, True]
    assert splits.content[3] @ splits.content[2] > splits.content[0] @ splits.content[2]
    assert splits.new_items("refit").tolist() == [False, False, False, True]
    assert splits.holdout_fingerprint == bare.holdout_fingerprint == splits.about["holdout"]
    for stage in ("tune", "train", "refit"):
        wide, narrow = splits.user_items(stage).weight, bare.user_items(stage).weight
        np.testing.assert_array_equal(wide.toarray()[:, :3], narrow.toarray())


def test_an_item_is_new_for_four_weeks_from_when_it_was_first_seen(lake: Lake) -> None:
    write_items(lake, *ITEM_ROWS[:3])
    built(lake)
    write_items(lake, *ITEM_ROWS)
    day = built(lake, 1)
    assert day.item_ids.ids.to_pylist() == ["jam", "oat", "tea", "mug"]
    assert [bool(day.new_items(stage)[3]) for stage in ("tune", "train", "refit")] == [
        False,
        False,
        True,
    ]
    later = built(lake, 3)
    assert [bool(later.new_items(stage)[3]) for stage in ("tune", "train", "refit")] == [
        True,
        True,
        True,
    ]
    assert built(lake, 28.5).met_item_count == len(built(lake, 28.5).item_ids) - 1
    assert built(lake, 29.5).item_ids.ids.to_pylist() == ["jam", "oat", "tea"]  # nobody wanted it
    assert len(lake.names("items_seen")) == 2  # only a run that sees something new writes


def test_a_rerun_finds_the_same_new_items_and_an_older_day_knows_no_later_one(lake: Lake) -> None:
    write_items(lake, *ITEM_ROWS)
    first, later, again = built(lake), built(lake, 2), built(lake)
    assert first.stock is not None and again.stock is not None and later.stock is not None
    assert first.stock.digest == again.stock.digest
    assert later.stock.since == first.stock.since == int(AS_OF.timestamp() * 1e6)
    backfilled = built(lake, -1)
    assert backfilled.stock is not None and backfilled.stock.since < first.stock.since
