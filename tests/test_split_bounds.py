"""The cuts of training, validation and holdout: an event exactly on each, and a microsecond beside it."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from deltalake import write_deltalake

from dawnlist.components.dataset.periods import choose_cuts, count_known_users
from dawnlist.components.dataset.repeat_gap import measure_repeat_gap
from dawnlist.components.dataset.split_pairs import build_splits
from dawnlist.components.dataset.traffic import measure_traffic
from dawnlist.cuts import Cuts
from dawnlist.lake.interactions import filter_time_range, scan_interactions
from dawnlist.lake.lake import Lake
from dawnlist.lake.manifest import write_manifest
from dawnlist.model.content import ItemFeatures
from dawnlist.model.ids import IdMap
from dawnlist.model.splits import Splits
from dawnlist.schema import ITEMS_SCHEMA
from tests.support.literal import AS_OF, CUTS, NO_VERDICTS, interactions, write_interactions

MICROSECOND = 1 / 3.6e9
"""A microsecond in hours, in which `interactions` counts."""
SOON_AFTER = -MICROSECOND
DAY = 24.0


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path), "shop")


def test_an_event_on_a_cut_belongs_to_the_period_that_begins_there(lake: Lake) -> None:
    """Periods are [start, end): each user has one event, on a cut or a microsecond before it."""
    write_interactions(
        lake,
        ("a before validation", "tea", 2 * DAY + MICROSECOND),
        ("b on validation", "tea", 2 * DAY),
        ("c before the holdout", "tea", DAY + MICROSECOND),
        ("d on the holdout", "tea", DAY),
        ("e before the end", "tea", MICROSECOND),
        ("f on the end", "tea", 0.0),
        ("g after the end", "tea", SOON_AFTER),
        ("h at the start", "tea", 30 * DAY),
        ("i before the start", "tea", 30 * DAY + MICROSECOND),
    )
    splits, report = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    users = splits.user_ids.ids.to_pylist()
    assert [user[0] for user in users] == ["a", "b", "c", "d", "e", "h"]
    period = {user[0]: int(np.flatnonzero(splits.last[:, n])[0]) for n, user in enumerate(users)}
    assert period == {"a": 0, "b": 1, "c": 1, "d": 2, "e": 2, "h": 0}
    assert (report["users"], report["items"], report["pairs"]) == (6, 1, 6)
    assert report["train_pairs"] == 4
    for stage, known in (("tune", "ah"), ("train", "abch"), ("refit", "abcdeh")):
        matrix = splits.user_items(stage).weight  # type: ignore[arg-type]
        assert "".join(users[row][0] for row in np.flatnonzero(np.diff(matrix.indptr))) == known
    for split, met in (("validation", "bc"), ("holdout", "de")):
        truth = splits.truth(split)  # type: ignore[arg-type]
        assert "".join(users[row][0] for row in np.flatnonzero(np.diff(truth.indptr))) == met


def test_a_run_at_noon_has_the_morning_of_its_day(lake: Lake) -> None:
    noon = AS_OF + timedelta(hours=12)
    rows = pads.dataset(interactions(("ann", "a", -11.99), ("ann", "b", -12.0), ("ann", "c", 12.0)))
    found = filter_time_range(rows, noon - timedelta(days=1), noon).to_table()
    assert found["item_id"].to_pylist() == ["a", "c"]
    assert filter_time_range(rows, noon, noon + timedelta(days=1)).to_table().num_rows == 1


def test_ages_are_zero_for_an_event_a_microsecond_before_the_end(lake: Lake) -> None:
    write_interactions(lake, ("ann", "tea", MICROSECOND), ("ann", "jam", 3 * DAY))
    splits, _ = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    np.testing.assert_allclose(splits.user_items("refit").age, [3.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(splits.user_items("tune").age, [1.0], atol=1e-6)


def test_only_events_of_the_holdout_are_nothing_to_train_on(lake: Lake) -> None:
    write_interactions(lake, ("ann", "tea", DAY), ("bob", "tea", MICROSECOND))
    with pytest.raises(ValueError, match="nothing to train on"):
        build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    other = Lake.open(lake.uri, "other")
    write_interactions(other, ("ann", "tea", DAY + MICROSECOND), ("bob", "tea", MICROSECOND))
    assert build_splits(other, 0, NO_VERDICTS, AS_OF, window_days=30)[1]["train_pairs"] == 1


def test_the_weights_of_a_pair_are_added_up_in_each_period(lake: Lake) -> None:
    hours = (3 * DAY, 4 * DAY, 1.5 * DAY, 0.5 * DAY, 0.6 * DAY, 0.7 * DAY)
    write_interactions(lake, *(("ann", "tea", hour) for hour in hours))
    splits, _ = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    assert splits.weight.tolist() == [[2.0], [1.0], [3.0]]
    newest = [CUTS.as_of - timedelta(hours=hour) for hour in (3 * DAY, 1.5 * DAY, 0.5 * DAY)]
    assert splits.last.tolist() == [[int(moment.timestamp() * 1e6)] for moment in newest]


def test_a_known_user_has_a_past_before_the_period_and_not_on_its_first_moment() -> None:
    def count(*hours: float) -> list[int]:
        rows = interactions(*(("ann", f"i{n}", hour) for n, hour in enumerate(hours)))
        return [int(users) for users in count_known_users(pads.dataset(rows), AS_OF)]

    on_the_cut = count(DAY, MICROSECOND)
    assert on_the_cut[0] == 0 and sum(on_the_cut) == 0
    assert count(DAY + MICROSECOND, MICROSECOND) == [1] + [0] * 27
    assert count(28 * DAY + MICROSECOND, MICROSECOND) == [1] * 28
    assert count(28 * DAY, MICROSECOND) == [1] * 27 + [0]
    assert count(2 * DAY, 0.0) == [0] * 28  # what happens at the end is not in the period


def test_as_many_users_as_wanted_are_enough() -> None:
    rows = interactions(
        ("ann", "a", 5 * DAY), ("ann", "b", 1.0), ("bob", "a", 5 * DAY), ("bob", "b", 30.0)
    )
    found = pads.dataset(rows)
    assert choose_cuts(found, AS_OF, 1, False).train_end == AS_OF - timedelta(days=1)
    assert choose_cuts(found, AS_OF, 2, False).train_end == AS_OF - timedelta(days=2)
    assert choose_cuts(found, AS_OF, 3, False) == Cuts.from_as_of(AS_OF)


def test_traffic_is_of_four_weeks_and_a_day() -> None:
    rows = interactions(
        ("ann", "tea", 0.0),
        ("ann", "tea", MICROSECOND),
        ("ann", "tea", DAY),
        ("ann", "tea", DAY + MICROSECOND),
        ("ann", "old", 29 * DAY),
        ("ann", "older", 29 * DAY + MICROSECOND),
    )
    found = measure_traffic(pads.dataset(rows), AS_OF)
    assert (found["events"], found["before"]) == (2, [1] + [0] * 26 + [1])
    assert found["known_items"] == 1.0


def test_shares_of_event_types_have_six_digits() -> None:
    rows = interactions(
        ("ann", "tea", 1.0), ("ann", "tea", 2.0), ("ann", "jam", 3.0), ("ann", "tea", 30.0)
    )
    kinds = pa.array(["view", "cart", "cart", "view"])
    position = rows.schema.get_field_index("event_type")
    told = rows.set_column(position, rows.schema.field("event_type"), kinds)
    found = measure_traffic(pads.dataset(told), AS_OF)
    assert found["mix"] == {"view": 0.333333, "cart": 0.666667}
    assert found["known_items"] == 0.666667


def test_dropped_events_are_those_of_the_last_day() -> None:
    rows = interactions(("ann", "tea", DAY), ("bot", "tea", DAY), ("bot", "tea", DAY + MICROSECOND))
    people = pads.dataset(rows.slice(0, 1))
    assert measure_traffic(people, AS_OF, pads.dataset(rows))["dropped"] == 1


def test_the_gap_of_repeats_is_of_whole_days_of_one_pair() -> None:
    rows = interactions(
        ("ann", "tea", 5 * DAY + 1), ("ann", "tea", 2 * DAY + 1), ("ann", "jam", DAY)
    )
    found = pads.dataset(rows)
    assert measure_repeat_gap(found, AS_OF, 0) == 3
    assert measure_repeat_gap(found, AS_OF - timedelta(hours=2 * DAY + 1), 3) == 1
    just_after = AS_OF - timedelta(hours=2 * DAY + 1) + timedelta(microseconds=1)
    assert measure_repeat_gap(found, just_after, 3) == 3


# new items


def build_at(lake: Lake, moment: datetime) -> Splits:
    return build_splits(lake, 0, NO_VERDICTS, moment, window_days=60)[0]


def write_items(lake: Lake, *titles: str) -> None:
    rows: list[dict[str, Any]] = [
        {"item_id": title, "title": title, "genres": [], "text": None} for title in titles
    ]
    table = pa.Table.from_pylist(rows, schema=ITEMS_SCHEMA)
    write_deltalake(lake.table_uri("items"), table, mode="overwrite")


def test_an_item_is_new_for_exactly_four_weeks(lake: Lake) -> None:
    write_interactions(lake, ("ann", "red tea", 30.0), ("bob", "green jam", 30.0))
    write_items(lake, "red tea", "green jam")
    build_at(lake, AS_OF)
    write_items(lake, "red tea", "green jam", "red jam hat")
    seen = AS_OF + timedelta(days=1)
    assert build_at(lake, seen).met_item_count == 2
    last_moment = build_at(lake, seen + timedelta(days=28) - timedelta(microseconds=1))
    assert last_moment.item_ids.ids.to_pylist() == ["green jam", "red tea", "red jam hat"]
    over = build_at(lake, seen + timedelta(days=28))
    assert over.item_ids.ids.to_pylist() == ["green jam", "red tea"]


@pytest.mark.parametrize(
    ("first_seen", "is_new"),
    [
        (0, (False, False, False)),  # not in the items table
        (1, (True, True, True)),
        (int(CUTS.validation_start.timestamp() * 1e6), (True, True, True)),
        (int(CUTS.validation_start.timestamp() * 1e6) + 1, (False, True, True)),
        (int(CUTS.train_end.timestamp() * 1e6) + 1, (False, False, True)),
        (int(CUTS.as_of.timestamp() * 1e6), (False, False, True)),
        (int(CUTS.as_of.timestamp() * 1e6) + 1, (False, False, False)),
        (
            int(CUTS.as_of.timestamp() * 1e6) + 9,
            (True, True, True),
        ),  # of the first run: of unknown age
    ],
)
def test_an_item_counts_as_new_from_the_cut_at_which_it_was_seen(
    first_seen: int, is_new: tuple[bool, ...]
) -> None:
    splits = Splits(
        user_ids=IdMap(pa.array(["ann"])),
        item_ids=IdMap(pa.array(["met", "new", "bare"])),
        user_index=np.array([0], np.int32),
        item_index=np.array([0], np.int32),
        weight=np.array([[0.0], [1.0], [0.0]], np.float32),
        last=np.array([[0], [5], [0]], np.int64),
        cuts=CUTS,
        about={},
        stock=ItemFeatures(
            content=np.array([[1.0], [1.0], [0.0]], np.float32),
            first_seen=np.array([first_seen] * 3, np.int64),
            since=int(CUTS.as_of.timestamp() * 1e6) + 9,
            unmet=2,
        ),
    )
    stages = ("tune", "train", "refit")
    assert tuple(bool(splits.new_items(stage)[1]) for stage in stages) == is_new  # type: ignore[arg-type]
    assert not any(splits.new_items(stage)[2] for stage in stages)  # type: ignore[arg-type]
    # What somebody has met before the stage's cut is not new.
    met = tuple(bool(splits.new_items(stage)[0]) for stage in stages)  # type: ignore[arg-type]
    assert met == (is_new[0], False, False)
    assert splits.drop_unmet_items().item_ids.ids.to_pylist() == ["met"]
    assert (splits.met_item_count, splits.shape) == (1, (1, 3))


def test_splits_without_a_table_of_items_have_nothing_to_drop(lake: Lake) -> None:
    write_interactions(lake, ("ann", "tea", 60.0), ("ann", "jam", 1.0))
    splits, report = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    assert splits.drop_unmet_items() is splits
    assert not splits.new_items("refit").any() and splits.new_items("refit").shape == (2,)
    assert (report["new_items"], report["holdout_repeat_share"], report["users"]) == (0, 0.0, 1)
    assert splits.repeat_share("validation") == 0


def test_events_of_validation_alone_are_enough_to_train_on(lake: Lake) -> None:
    write_interactions(lake, ("ann", "tea", 1.5 * DAY))
    _, report = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    assert (report["train_pairs"], report["holdout_users"]) == (1, 0)


def test_a_single_repeat_is_all_of_the_holdout(lake: Lake) -> None:
    write_interactions(lake, ("ann", "tea", 60.0), ("ann", "tea", 1.0))
    splits, _ = build_splits(lake, 0, NO_VERDICTS, AS_OF, window_days=30)
    assert splits.repeat_share("holdout") == 1


def test_a_lake_without_interactions_says_what_to_run(lake: Lake) -> None:
    with pytest.raises(
        ValueError, match=r"there is no interactions table in .*: run the clean step"
    ):
        scan_interactions(lake, 0, AS_OF, 30)


def test_the_digest_of_the_settings_comes_from_the_verdicts(lake: Lake) -> None:
    write_interactions(lake, ("ann", "tea", 60.0))
    verdicts = NO_VERDICTS.replace_schema_metadata({"settings": "abc"})
    assert build_splits(lake, 0, verdicts, AS_OF, 30)[0].about["settings"] == "abc"
    assert build_splits(lake, 0, NO_VERDICTS, AS_OF, 30)[0].about["settings"] is None


def test_the_fingerprint_of_the_holdout_follows_its_catalogue_users_and_truth(
    tmp_path: Path,
) -> None:
    def fingerprint(name: str, *rows: tuple[str, str, float]) -> str:
        shop = Lake.open(str(tmp_path), name)
        write_interactions(shop, *rows)
        return build_splits(shop, 0, NO_VERDICTS, AS_OF, 30)[0].holdout_fingerprint

    past, truth = ("ann", "tea", 60.0), ("ann", "jam", 1.0)
    known = fingerprint("known", past, truth)
    assert len(known) == 16
    assert fingerprint("same", past, truth, ("ann", "tea", 70.0)) == known
    others = [
        fingerprint("catalogue", past, truth, ("bob", "oat", 60.0)),
        fingerprint("users", past, truth, ("bob", "jam", 1.0)),
        fingerprint("truth", past, ("ann", "jam", 60.0), ("ann", "tea", 1.0)),
        fingerprint("history", truth, ("bob", "tea", 60.0)),
        fingerprint("name", ("ann", "tee", 60.0), truth),
    ]
    assert len({known, *others}) == 6


def test_splits_with_items_survive_the_disk_twice_and_damage_is_noticed(
    lake: Lake, tmp_path: Path
) -> None:
    write_interactions(lake, ("ann", "red tea", 60.0), ("bob", "green jam", 30.0))
    write_items(lake, "red tea", "green jam", "red jam hat")
    splits = build_at(lake, AS_OF)
    folder = tmp_path / "deep" / "splits"
    for _ in range(2):
        splits.save(folder)
    loaded = Splits.load(folder)
    assert loaded.stock is not None and splits.stock is not None
    assert loaded.stock.digest == splits.stock.digest
    assert (loaded.stock.unmet, loaded.met_item_count) == (1, 2)
    assert loaded.holdout_fingerprint == splits.holdout_fingerprint
    assert splits.drop_unmet_items().met_item_count == 2
    np.testing.assert_array_equal(loaded.user_index, splits.user_index)
    for name in ("pairs.npz", "stock.npz", "about.json", "item_ids.parquet", "user_ids.parquet"):
        splits.save(folder)
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)
        with pytest.raises(ValueError, match=f"{name} is not the file that MANIFEST names"):
            Splits.load(folder)


@pytest.mark.parametrize("name", ["pairs.npz", "stock.npz"])
def test_pickled_objects_are_never_loaded(lake: Lake, tmp_path: Path, name: str) -> None:
    write_interactions(lake, ("ann", "red tea", 60.0), ("bob", "green jam", 30.0))
    write_items(lake, "red tea", "green jam")
    build_at(lake, AS_OF).save(tmp_path / "splits")
    with np.load(tmp_path / "splits" / name) as arrays:
        pickled = {key: arrays[key].astype(object) for key in arrays}
    np.savez(tmp_path / "splits" / name, **pickled)
    write_manifest(tmp_path / "splits")
    with pytest.raises(ValueError, match="allow_pickle"):
        Splits.load(tmp_path / "splits")
