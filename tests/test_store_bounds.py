"""The bounds of the store: ages of unfinished versions, the sample, memory, sizes; on a real Valkey."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from dawnlist.cuts import format_iso
from dawnlist.store import builds, content, memory, recent, versions
from dawnlist.store import user_buckets as store_rows
from dawnlist.store.builds import OvertakenError
from dawnlist.store.client import connect_store
from dawnlist.store.content import VersionContent
from dawnlist.store.control_values import (
    ControlValueError,
    parse_build_entry,
    parse_version_meta,
    parse_version_number,
    quote_value,
    read_given_numbers,
)
from dawnlist.store.layout import StoreKeys, add_checksum, verify_checksum
from dawnlist.store.memory import check_room, estimate_memory
from dawnlist.store.toplists import TopLists
from dawnlist.store.version_reports import parse_hold
from tests.test_store import ANN_AND_BOB, active, keys, numbers, publish

NAMES = StoreKeys("shop")
NOW = 1_772_600_000.0


def put_build(client: Any, version: int, **changes: Any) -> None:
    """Write an entry of an unfinished version, of a day later than the active one's."""
    entry = {
        "run": "another",
        "as_of": "2026-03-06T03:00:00Z",
        "digest": "d",
        "token": f"{version}-abc",
        "owner": "somebody",
        "done": 0,
        "buckets": 1,
        "chunks": {"c": 0, "f": 0},
        "at": NOW,
        **changes,
    }
    client.hset(NAMES.building, str(version), json.dumps(entry))


def test_which_unfinished_versions_are_dropped(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publisher is dead after more than 900 s; a version of the active one's as_of can't go live."""
    publish(valkey, day=5)
    monkeypatch.setattr(time, "time", lambda: NOW)
    with connect_store(valkey) as client:
        put_build(client, 11)
        put_build(client, 12, at=NOW - 900)
        put_build(client, 13, at=NOW - 900.001)
        put_build(client, 14, as_of="2026-03-05T03:00:00Z")
        put_build(client, 15, as_of="2026-03-05T03:00:00.000001Z")
        put_build(client, 16, owner=None)
        put_build(client, 17, run="own")
        put_build(client, 18, run="own", digest="own")
        put_build(client, 19, as_of="2026-03-04T03:00:00Z")
        builds.drop_leftovers(client, NAMES, "own", "own")
        assert sorted(map(int, client.hkeys(NAMES.building))) == [11, 12, 15, 18]
    assert active(valkey) == 1


def test_without_an_active_version_no_day_is_too_old(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    with connect_store(valkey) as client:
        put_build(client, 1, as_of="1999-01-01T00:00:00Z")
        builds.drop_leftovers(client, NAMES, "own", "own")
        assert client.hkeys(NAMES.building) == [b"1"]


def test_the_data_of_a_dropped_version_goes_with_its_entry(valkey: str) -> None:
    with connect_store(valkey) as client:
        put_build(client, 4, owner=None, chunks={"c": 1, "f": 1})
        for name in ("u:0", "h:0", "c:0", "f:0", "p", "u:1"):
            client.set(f"dawnlist:shop:4-abc:{name}", "x")
        builds.drop_leftovers(client, NAMES, "own", "own")
    assert keys(valkey) == [b"dawnlist:shop:4-abc:u:1"]  # it has one bucket


@pytest.mark.parametrize(
    ("changes", "written"),
    [
        ({}, 7),
        ({"digest": "other"}, 0),
        ({"run": "other"}, 0),
        ({"owner": None}, 0),
        ({"owner": ""}, 0),
    ],
)
def test_only_the_same_run_with_the_same_content_is_resumed(
    valkey: str, changes: dict[str, Any], written: int
) -> None:
    with connect_store(valkey) as client:
        put_build(client, 3, **{"run": "own", "digest": "d", "done": 7, **changes})
        assert builds.count_written_buckets(client, NAMES, "own", "d") == written
        assert builds.count_written_buckets(client, NAMES, "own", "") == 0
        meta = {"buckets": 9, "chunks": {"c": 1, "f": 1}}
        moment = datetime(2026, 3, 6, 3, tzinfo=UTC)
        build = builds.begin_or_resume_build(client, NAMES, "own", moment, "d", meta)
        assert (build.version, build.resumed_buckets) == ((3, 7) if written else (4, 0))
        assert client.get(NAMES.counter) == (None if written else b"4")
        owned = builds.read_owned_entry(client, NAMES, build)
        assert (owned["owner"], owned["done"]) == (build.owner, written)


def test_content_without_a_digest_is_never_resumed(valkey: str) -> None:
    with connect_store(valkey) as client:
        put_build(client, 3, run="own", digest="", done=7)
        assert builds.count_written_buckets(client, NAMES, "own", "") == 0


def test_a_number_is_above_all_that_were_given_out(valkey: str) -> None:
    meta = {"buckets": 1, "chunks": {"c": 1, "f": 1}}
    moment = datetime(2026, 3, 6, 3, tzinfo=UTC)

    def begin(client: Any, last_number: int) -> int:
        build = builds.begin_or_resume_build(client, NAMES, "r", moment, "", meta, last_number)
        return build.version

    with connect_store(valkey) as client:
        assert begin(client, 0) == 1
        client.delete(NAMES.building)
        assert begin(client, 1) == 2
        client.set(NAMES.counter, 10**12)
        assert begin(client, 5) == 10**12 + 1
        client.delete(NAMES.building)
        client.set(NAMES.counter, 10**12 + 1)
        assert read_given_numbers(client, NAMES) == []
        assert begin(client, 5) == 6
        client.hset(NAMES.versions, "8", "not ours")
        client.hset(NAMES.building, "07", "no number")
        assert begin(client, 5) == 9


def test_a_publisher_that_is_overtaken_at_the_very_end_does_not_switch(valkey: str) -> None:
    """The fence is asked in the switch itself: after the announcement nobody looks any more."""
    publish(valkey, day=1)

    def overtake(report: Any) -> None:
        with connect_store(valkey) as client:
            entry = json.loads(client.hget(NAMES.building, "2") or b"")
            client.hset(NAMES.building, "2", json.dumps({**entry, "owner": "another"}))

    with pytest.raises(OvertakenError, match="another publisher took version 2 over"):
        publish(valkey, day=2, announce=overtake)
    assert active(valkey) == 1
    assert len(keys(valkey, "*:2-*")) == 5  # it belongs to the other publisher now


def test_a_checkpoint_is_refused_to_one_that_is_overtaken(valkey: str) -> None:
    meta = {"buckets": 1, "chunks": {"c": 1, "f": 1}}
    moment = datetime(2026, 3, 6, 3, tzinfo=UTC)
    with connect_store(valkey) as client:
        build = builds.begin_or_resume_build(client, NAMES, "own", moment, "", meta)
        before = time.time()
        builds.checkpoint_build(client, NAMES, build, 5)
        entry = builds.read_owned_entry(client, NAMES, build)
        assert entry["done"] == 5 and entry["at"] >= before
        client.hset(NAMES.building, "1", json.dumps({**entry, "owner": "another"}))
        with pytest.raises(OvertakenError):
            builds.checkpoint_build(client, NAMES, build, 6)
        assert json.loads(client.hget(NAMES.building, "1") or b"")["done"] == 5
        client.delete(NAMES.building)
        with pytest.raises(OvertakenError):
            builds.checkpoint_build(client, NAMES, build, 6)


@pytest.mark.parametrize(("owner", "is_deleted"), [("own", True), (None, True), ("another", False)])
def test_a_version_is_abandoned_unless_it_belongs_to_another(
    valkey: str, owner: str | None, is_deleted: bool
) -> None:
    meta = {"buckets": 1, "chunks": {"c": 0, "f": 0}}
    build = builds.Build(1, "1-abc", "own", 0)
    with connect_store(valkey) as client:
        put_build(client, 1, owner=owner)
        client.set(NAMES.popular("1-abc"), "x")
        builds.abandon_build(client, NAMES, build, meta)
        assert client.exists(NAMES.popular("1-abc"), NAMES.building) == (0 if is_deleted else 2)


def test_a_version_that_another_one_made_active_is_not_abandoned(valkey: str) -> None:
    token = publish(valkey, day=1)["token"]
    meta = {"buckets": 1, "chunks": {"c": 1, "f": 1}}
    with connect_store(valkey) as client:
        builds.abandon_build(client, NAMES, builds.Build(1, token, "own", 0), meta)
        assert len(keys(valkey, f"*:{token}:*")) == 5
        client.set("dawnlist:shop:1-other:p", "x")
        builds.abandon_build(client, NAMES, builds.Build(1, "1-other", "own", 0), meta)
        assert client.get("dawnlist:shop:1-other:p") is None  # of an emptied store


@pytest.mark.parametrize("keep", [0, -1])
def test_one_version_has_to_be_kept(valkey: str, keep: int) -> None:
    with pytest.raises(ValueError, match=rf"keep = {keep}: at least one version"):
        publish(valkey, day=1, keep=keep)
    assert keys(valkey) == []


@pytest.mark.parametrize(("keep", "kept"), [(1, [4]), (2, [4, 3]), (4, [4, 3, 2, 1])])
def test_as_many_versions_are_kept_as_wanted(valkey: str, keep: int, kept: list[int]) -> None:
    for day in (1, 2, 3, 4):
        publish(valkey, day=day, keep=keep)
    assert numbers(valkey) == kept
    assert len(keys(valkey, "dawnlist:shop:*:p")) == keep


def test_without_others_to_drop_nothing_was_dropped(valkey: str) -> None:
    publish(valkey, day=1)
    publish(valkey, day=2)
    with connect_store(valkey) as client:
        assert not builds.drop_old_versions(client, NAMES, 1)
        assert builds.drop_old_versions(client, NAMES, 0)
    assert (numbers(valkey), active(valkey)) == ([2], 2)


# what is read back


def test_a_bucket_outside_the_sample_that_was_evicted_is_noticed(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "BUCKETS_TO_VERIFY", 1)
    monkeypatch.setattr(store_rows, "USERS_PER_BUCKET", 1)
    token = publish(valkey, day=1)["token"]
    lists = VersionContent.from_lists(ANN_AND_BOB, "shop")
    last = lists.placed.buckets - 1
    sample = content._pack_sample(lists, NAMES, token)
    assert [key for key, _ in sample] == [NAMES.users(token, 0), NAMES.histories(token, 0)]
    with connect_store(valkey) as client:
        content.verify_content(client, NAMES, token, lists)
        for key in (NAMES.users(token, last), NAMES.histories(token, last)):
            value = client.get(key) or b""
            client.delete(key)
            with pytest.raises(RuntimeError, match="8 of 9 keys are there, 0 of"):
                content.verify_content(client, NAMES, token, lists)
            client.set(key, value)


@pytest.mark.parametrize(("wanted", "sampled"), [(1, 1), (2, 3), (3, 3), (200, 3)])
def test_the_sample_is_spread_over_all_buckets(
    monkeypatch: pytest.MonkeyPatch, wanted: int, sampled: int
) -> None:
    monkeypatch.setattr(content, "BUCKETS_TO_VERIFY", wanted)
    monkeypatch.setattr(store_rows, "USERS_PER_BUCKET", 1)
    lists = VersionContent.from_lists(ANN_AND_BOB, "shop")
    names = [key for key, _ in content._pack_sample(lists, NAMES, "1-a")]
    step = max(1, lists.placed.buckets // wanted)
    buckets = range(0, lists.placed.buckets, step)
    assert lists.placed.buckets == 3 and len(buckets) == sampled
    assert [name for name in names if ":u:" in name] == [NAMES.users("1-a", b) for b in buckets]


@pytest.mark.parametrize("per_batch", [1, 2, 3, 4])
def test_batches_have_all_buckets_once(monkeypatch: pytest.MonkeyPatch, per_batch: int) -> None:
    monkeypatch.setattr(content, "BUCKETS_PER_BATCH", per_batch)
    monkeypatch.setattr(store_rows, "USERS_PER_BUCKET", 1)
    lists = VersionContent.from_lists(ANN_AND_BOB, "shop")
    for first in range(4):
        batches = list(content._pack_batches(lists, NAMES, "1-a", first))
        written = [name for _, values in batches for name, _ in values if ":u:" in name]
        assert written == [NAMES.users("1-a", bucket) for bucket in range(first, 3)]
        ends = [end for end, _ in batches]
        assert ends == [min(3, end) for end in range(first + per_batch, 3 + per_batch, per_batch)]


def test_what_was_written_is_skipped(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "BUCKETS_PER_BATCH", 1)
    monkeypatch.setattr(store_rows, "USERS_PER_BUCKET", 1)
    lists = VersionContent.from_lists(ANN_AND_BOB, "shop")
    checkpoints: list[int] = []
    with connect_store(valkey) as client:
        content.write_content(client, NAMES, "1-a", lists, 1, checkpoints.append)
        assert checkpoints == [2, 3]
        written = {key.decode().split("1-a:")[1] for key in keys(valkey)}
        assert written == {"u:1", "u:2", "h:1", "h:2"}
        content.write_content(client, NAMES, "1-a", lists, 0, checkpoints.append)
        assert checkpoints == [2, 3, 1, 2, 3]
        assert len(keys(valkey)) == 9


def test_a_checksum_needs_its_four_bytes() -> None:
    assert bytes(verify_checksum(add_checksum(b""))) == b""
    assert add_checksum(b"") == b"\0\0\0\0"
    for value in (b"", b"\0\0\0", b"\0\0\0\1", b"\0\0\0\0\0"):
        with pytest.raises(ValueError, match="another checksum"):
            verify_checksum(value)
    assert not content.is_intact(None) and content.is_intact(add_checksum(b"x"))


# memory


@pytest.mark.parametrize(
    ("size", "block"),
    [(0, 16), (6, 16), (7, 24), (54, 64), (55, 80), (70, 80), (71, 96), (118, 128), (119, 160), (1_014, 1_024)],
)  # fmt: skip
def test_a_value_takes_the_next_larger_block_of_the_allocator(size: int, block: int) -> None:
    assert estimate_memory(np.array([size])) == block + 120
    assert estimate_memory(np.array([size, size])) == 2 * (block + 120)
    assert estimate_memory(np.array([], dtype=np.int64)) == 0


def test_a_version_that_fits_exactly_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    client = redis.Redis()
    monkeypatch.setattr(memory, "_read_free_memory", lambda client: 1_000)
    assert check_room(client, 1_000, 7) == memory.MemoryFigures(1_000, 1_000)
    with pytest.raises(RuntimeError, match="a version of 7 users takes about"):
        check_room(client, 1_001, 7)
    monkeypatch.setattr(memory, "_read_free_memory", lambda client: None)
    assert check_room(client, 10**15, 7).free is None


def test_free_memory_is_what_the_limit_leaves(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"used_memory": 300, "maxmemory": 1_000, "total_system_memory": 5_000}
    with connect_store(valkey) as client:
        for changes, free in (
            ({}, 700),
            ({"maxmemory": 0}, 4_700),
            ({"used_memory": 1_001}, 0),
            ({"maxmemory": 0, "total_system_memory": 0}, None),
        ):
            monkeypatch.setattr(
                memory, "_read_memory_info", lambda c, f={**figures, **changes}: [f]
            )
            assert memory._read_free_memory(client) == free
        two = [figures, {**figures, "used_memory": 100}]
        monkeypatch.setattr(memory, "_read_memory_info", lambda client: two)
        assert (memory._read_free_memory(client), memory.read_used_memory(client)) == (1_600, 400)
        monkeypatch.setattr(memory, "_read_memory_info", lambda client: [])
        assert (memory._read_free_memory(client), memory.read_used_memory(client)) == (None, None)


def test_what_is_written_already_needs_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_rows, "USERS_PER_BUCKET", 1)
    lists = VersionContent.from_lists(ANN_AND_BOB, "shop")
    users, histories, others = (lists.sizes[kind] for kind in ("users", "histories", "others"))
    everything = np.concatenate([users, histories, others])
    assert lists.estimate_memory() == estimate_memory(everything)
    rest = np.concatenate([users[1:], histories[1:]])
    assert lists.estimate_memory(1) == estimate_memory(rest)


def test_room_is_made_by_dropping_what_the_switch_would_drop(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (1, 2, 3):
        publish(valkey, day=day)
    free = [0]
    monkeypatch.setattr(memory, "_read_free_memory", lambda client: free[0])

    def publish_last(keep: int) -> list[int]:
        with pytest.raises(RuntimeError, match="nothing was written"):
            publish(valkey, day=4, keep=keep)
        return numbers(valkey)

    assert publish_last(keep=4) == [3, 2, 1]
    assert publish_last(keep=3) == [3, 2]
    assert publish_last(keep=1) == [3]


# sizes and values


def test_an_event_of_a_thousand_bytes_is_kept() -> None:
    def build(length: int) -> Any:
        event = recent.RecentEvent("x" * length, "view", 1.0)
        return recent.build_record_command("shop", "ann", event)

    frame = len('[1.0, "view", ""]\n')
    line = build(1_000 - frame)[4]
    assert len(line) == recent.MAX_EVENT_BYTES == 1_000
    with pytest.raises(ValueError, match="an event of 1,001 bytes"):
        build(1_001 - frame)
    assert build(5)[5:] == (50, 172_800)


@pytest.mark.parametrize(
    ("changes", "is_ours"),
    [
        ({}, True),
        ({"buckets": 0}, True),
        ({"buckets": -1}, False),
        ({"buckets": "1"}, False),
        ({"version": 8}, False),
        ({"token": "70-a"}, False),
        ({"token": "7"}, False),
        ({"as_of": "yesterday"}, False),
        ({"chunks": {"c": 1}}, False),
        ({"chunks": {"c": 1, "f": "1"}}, False),
        ({"users": 0}, True),
        ({"users": "0"}, False),
        ({"run": 5}, False),
    ],
)
def test_which_metas_are_ours(changes: dict[str, Any], is_ours: bool) -> None:
    meta = {
        "version": 7,
        "token": "7-a",
        "run": "r",
        "as_of": "2026-03-06T03:00:00Z",
        "buckets": 1,
        "chunks": {"c": 1, "f": 1},
        **changes,
    }
    text = json.dumps(meta).encode()
    assert parse_version_meta(b"7", text) == (meta if is_ours else None)


@pytest.mark.parametrize("field", ["0", "07", "-7", "7 ", "+7", "1" * 16, "x", ""])
def test_a_field_that_is_no_number_of_ours_is_no_version(field: str) -> None:
    meta = {
        "version": int(field) if field.strip().lstrip("+-").isdigit() else 7,
        "token": f"{field}-a",
        "run": "r",
        "as_of": "2026-03-06T03:00:00Z",
        "buckets": 1,
        "chunks": {"c": 1, "f": 1},
    }
    text = json.dumps(meta).encode()
    assert parse_version_meta(field.encode(), text) is None
    assert parse_build_entry(field.encode(), text) is None


@pytest.mark.parametrize(
    ("changes", "is_ours"),
    [
        ({}, True),
        ({"at": 5}, True),
        ({"at": "5"}, False),
        ({"done": 1.5}, False),
        ({"as_of": ""}, False),
        ({"owner": None, "at": "5"}, True),
    ],
)
def test_which_entries_of_builds_are_ours(changes: dict[str, Any], is_ours: bool) -> None:
    entry = {
        "token": "7-a",
        "buckets": 1,
        "chunks": {"c": 1, "f": 1},
        "run": "r",
        "as_of": "2026-03-06T03:00:00Z",
        "digest": "",
        "done": 0,
        "at": 5.5,
        "owner": "somebody",
        **changes,
    }
    assert parse_build_entry(b"7", json.dumps(entry).encode()) == (entry if is_ours else None)


@pytest.mark.parametrize(
    ("token", "number"),
    [("1-a", 1), ("999999999999999-Z9", 999_999_999_999_999), ("7-" + "a" * 64, 7)],
)
def test_a_token_names_its_version(token: str, number: int) -> None:
    assert parse_version_number(token) == number


@pytest.mark.parametrize("token", ["0-a", "1-", "1", "-a", "1" * 16 + "-a", "7-" + "a" * 65, "7-é"])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(ControlValueError, match="which is no version"):
        parse_version_number(token)


def test_a_hold_is_of_a_version_from_one_on() -> None:
    def parse(version: object) -> Any:
        value = {"version": version, "replaced": None, "since": "2026-03-06T03:00:00Z"}
        return parse_hold("k", json.dumps(value).encode())

    assert parse(1).version == 1
    assert parse_hold("k", None) is None
    for version in (0, -1, "1", None):
        with pytest.raises(ControlValueError, match="is no hold that Dawnlist wrote"):
            parse(version)


def test_a_rollback_goes_to_the_newest_version_below(valkey: str) -> None:
    for day in (1, 2, 3):
        publish(valkey, day=day)
    with connect_store(valkey) as client:
        before = datetime.now(UTC).replace(microsecond=0)
        assert versions.roll_back_version(client, "shop").version == 2
        hold = versions.read_hold(client, "shop")
        assert hold is not None and (hold.version, hold.replaced) == (2, 3)
        assert hold.since >= format_iso(before) and "." not in hold.since
        assert versions.roll_back_version(client, "shop").version == 1
        with pytest.raises(LookupError, match="there is no version before 1"):
            versions.roll_back_version(client, "shop")
        with pytest.raises(LookupError, match="there is no version 4: choose one of 1, 2, 3"):
            versions.roll_back_version(client, "shop", 4)
        assert versions.roll_back_version(client, "shop", 3).version == 3
        listed = versions.list_versions(client, "shop")
        assert [(version.version, version.active) for version in listed] == [
            (3, True),
            (2, False),
            (1, False),
        ]


def test_a_publish_of_other_lists_resumes_nothing(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lists that differ in their meta alone differ, too."""
    ANN_AND_BOB.save(tmp_path)
    lists = TopLists.load(tmp_path)
    described = versions._describe_content(lists, VersionContent.from_lists(lists, "shop"))
    digest = versions._compute_digest(lists, described)
    assert len(digest) == 16
    assert versions._compute_digest(lists, {**described, "winner": "popularity"}) != digest
    assert versions._compute_digest(ANN_AND_BOB, described) == ""


def test_the_sizes_of_a_version_are_those_of_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_rows, "USERS_PER_BUCKET", 1)
    lists = VersionContent.from_lists(ANN_AND_BOB, "shop")
    others = [len(value) for _, value in lists.items(NAMES, "1-a")]
    assert sorted(lists.sizes["others"].tolist()) == sorted(others)
    values = [len(value) for _, value in lists.buckets(NAMES, "1-a", range(3))]
    assert lists.sizes["users"].tolist() == values[:3]
    assert lists.sizes["histories"].tolist() == values[3:]
    about = lists.about()
    assert about["bytes"] == sum(values[:3]) + sum(others)
    assert about["history_bytes"] == sum(values[3:])
    assert (about["users"], about["items"], about["factors"], about["content"]) == (3, 3, 2, 1)
    assert (about["k"], about["buckets"], about["chunks"]) == (2, 3, {"c": 1, "f": 1})


def test_a_message_quotes_forty_bytes_of_a_value() -> None:
    assert quote_value(b"x" * 40) == repr("x" * 40)
    assert quote_value(b"x" * 41) == repr("x" * 40)
