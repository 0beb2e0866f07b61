"""A store that lost data, went back to an older state, or has values of others in its control keys."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from dawnlist.pipelines.store.commands import release_command, versions_command
from dawnlist.serving.predictor.client import predict_from_store
from dawnlist.store import bulk, content, versions
from dawnlist.store import user_buckets as store_rows
from dawnlist.store.client import connect_store
from dawnlist.store.control_values import MAX_COUNTER, ControlValueError, read_active_token
from dawnlist.store.damage import Damage, DamagedVersionError, find_damage
from dawnlist.store.layout import NothingPublishedError, StoreKeys
from dawnlist.store.publish_decision import StoreState, find_reference_damage
from tests.test_store import active, keys, numbers, publish, read

NAMES = StoreKeys("shop")
FOREIGN_FIELDS = [b"{nope", b"", b"null", b"[]", b"7", b'{"version": 7}', b"\xff\xfe", b"[" * 5_000]


def change(url: str, *command: Any) -> Any:
    """Run one command of the store, as somebody with redis-cli does."""
    with connect_store(url) as client:
        return client.execute_command(*command)


def count_keys(url: str, version: int) -> int:
    return len(keys(url, f"dawnlist:shop:{version}-*"))


@pytest.mark.parametrize("part", ["*", "u:0", "h:0", "c:0", "f:0", "p"])
def test_the_same_run_writes_a_live_version_again_whose_keys_are_gone(
    valkey: str, part: str
) -> None:
    publish(valkey, day=1)
    publish(valkey, day=2)
    change(valkey, "DEL", *keys(valkey, f"dawnlist:shop:2-*:{part}"))
    report = publish(valkey, day=2)
    assert (report["published"], report["version"], report["previous"]) == (True, 3, 2)
    assert (active(valkey), numbers(valkey)) == (3, [3, 1])
    assert [count_keys(valkey, version) for version in (1, 2, 3)] == [5, 0, 5]
    assert keys(valkey, "*building") == []
    with connect_store(valkey) as client:
        assert read(client, "ann")[0] is not None
    assert publish(valkey, day=2) == report


def test_the_only_version_is_written_again(valkey: str) -> None:
    publish(valkey, day=1)
    change(valkey, "DEL", *keys(valkey, "dawnlist:shop:1-*"))
    with (
        connect_store(valkey) as client,
        pytest.raises(LookupError, match="there is no version before 1, which is active"),
    ):
        versions.roll_back_version(client, "shop")
    assert publish(valkey, day=1)["version"] == 2
    assert (active(valkey), numbers(valkey)) == (2, [2])


def test_a_damaged_bucket_that_no_sample_has_is_written_again(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "BUCKETS_TO_VERIFY", 1)
    monkeypatch.setattr(store_rows, "USERS_PER_BUCKET", 1)
    token = publish(valkey, day=1)["token"]
    assert publish(valkey, day=1)["version"] == 1
    last = len(keys(valkey, f"dawnlist:shop:{token}:u:*")) - 1
    change(valkey, "SETRANGE", NAMES.users(token, last), 9, "?")
    assert publish(valkey, day=1)["version"] == 2


@pytest.mark.parametrize("days_later, version", [(0, 3), (1, 3), (-1, None)])
def test_another_run_replaces_a_damaged_live_version_unless_it_is_older(
    valkey: str, days_later: int, version: int | None
) -> None:
    publish(valkey, day=1)
    publish(valkey, day=3)
    change(valkey, "DEL", *keys(valkey, "dawnlist:shop:2-*:p"))
    report = publish(valkey, day=3 + days_later, run="another")
    assert report.get("version") == version
    if version is None:
        assert report["reason"] == (
            "run 'another' of 2026-03-02T03:00:00Z is not newer than version 2 of 2026-03-03T03:00:00Z, "
            "which is damaged (1 of its 5 keys are gone): a run of 2026-03-03T03:00:00Z or later replaces it, "
            "or `dawnlist rollback` to another version"
        )


def test_a_damaged_version_is_described(valkey: str) -> None:
    token = publish(valkey, day=1)["token"]
    with connect_store(valkey) as client:
        [meta] = [json.loads(text) for text in client.hgetall(NAMES.versions).values()]
        assert find_damage(client, NAMES, meta, read_buckets=True) is None
        client.setrange(NAMES.users(token, 0), 9, b"?")
        assert find_damage(client, NAMES, meta, read_buckets=False) is None
        found = find_damage(client, NAMES, meta, read_buckets=True)
        assert found == Damage(1, token, keys=5, missing=0, corrupt=1)
        assert str(found) == "1 of its 5 values are not what was written"
        bulk.delete_keys(client, [NAMES.popular(token), NAMES.histories(token, 0)])
        assert str(find_damage(client, NAMES, meta, False)) == "2 of its 5 keys are gone"
    with pytest.raises(DamagedVersionError, match="is active and damaged") as told:
        predict_from_store(valkey, "shop", "ann")
    assert "A run of 2026-03-01T03:00:00Z or later replaces it" in str(told.value)


def test_no_rollback_to_a_damaged_version(valkey: str) -> None:
    for day in (1, 2, 3):
        publish(valkey, day=day)
    change(valkey, "DEL", *keys(valkey, "dawnlist:shop:2-*:c:0"))
    with connect_store(valkey) as client:
        with pytest.raises(
            DamagedVersionError,
            match="version 2 can't be made active, since 1 of its 5 keys are gone: choose one of 1, 3, "
            "or run the pipeline for 2026-03-02T03:00:00Z or later",
        ):
            versions.roll_back_version(client, "shop")
        assert (versions.read_hold(client, "shop"), active(valkey)) == (None, 3)
        assert versions.roll_back_version(client, "shop", 1).replaced == 3


def test_a_repeated_publish_after_a_rollback_reports_what_is_live(valkey: str) -> None:
    publish(valkey, day=1)
    publish(valkey, day=2)
    with connect_store(valkey) as client:
        versions.roll_back_version(client, "shop")
        held = publish(valkey, day=2)
        assert (held["published"], held["held"]["version"]) == (False, 1)
        assert publish(valkey, day=1)["version"] == 1
        versions.release_hold(client, "shop")
    assert publish(valkey, day=2) == {
        "published": False,
        "reason": "run 'run-2' was published as version 2 before, and version 1 of 2026-03-01T03:00:00Z "
        "(run 'run-1') is live now; `dawnlist rollback 2` goes back to the run's version",
    }
    assert (active(valkey), numbers(valkey)) == (1, [2, 1])


def test_a_held_version_that_is_damaged_is_written_again_by_its_run_alone(valkey: str) -> None:
    publish(valkey, day=1)
    publish(valkey, day=2)
    with connect_store(valkey) as client:
        versions.roll_back_version(client, "shop")
        since = versions.read_hold(client, "shop").since  # type: ignore[union-attr]
        change(valkey, "DEL", *keys(valkey, "dawnlist:shop:1-*:u:0"))
        assert publish(valkey, day=3)["reason"] == (
            f"version 1 is held since it was rolled back to at {since}, and 1 of its 5 keys are gone: "
            "`dawnlist release`, then run the publish step again"
        )
        assert publish(valkey, day=1)["version"] == 3
        held = versions.read_hold(client, "shop")
        assert held and (held.version, held.replaced, held.since) == (3, 2, since)
    assert publish(valkey, day=3)["published"] is False
    assert (active(valkey), numbers(valkey)) == (3, [3, 2])


def lose_active(url: str, how: str) -> None:
    change(url, "DEL", NAMES.active)
    match how:
        case "garbage":
            change(url, "SET", NAMES.active, b"\xffyes")
        case "other token":
            change(url, "SET", NAMES.active, "2-00000000")
        case "gone version":
            change(url, "SET", NAMES.active, "9-00000000")
        case "other type":
            change(url, "HSET", NAMES.active, "a", "b")


LOSSES = ["deleted", "garbage", "other token", "gone version", "other type"]


@pytest.mark.parametrize("how", LOSSES)
def test_a_rollback_sets_a_lost_active(valkey: str, how: str) -> None:
    publish(valkey, day=1)
    publish(valkey, day=2)
    lose_active(valkey, how)
    with connect_store(valkey) as client:
        with pytest.raises(
            NothingPublishedError,
            match=r"no version is active in namespace shop: .*\{shop\}:active, .* it keeps 1, 2: "
            "`dawnlist rollback 2` makes that one active",
        ):
            versions.roll_back_version(client, "shop")
        with pytest.raises(LookupError, match="there is no version 3: choose one of 1, 2"):
            versions.roll_back_version(client, "shop", 3)
        restored = versions.roll_back_version(client, "shop", 2)
        assert (restored.version, restored.replaced) == (2, None)
        held = versions.release_hold(client, "shop")
        assert held and (held.version, held.replaced) == (2, None)
    assert active(valkey) == 2


@pytest.mark.parametrize("how", LOSSES)
def test_the_last_run_sets_a_lost_active_and_no_other_does(valkey: str, how: str) -> None:
    publish(valkey, day=1)
    report = publish(valkey, day=2)
    lose_active(valkey, how)
    for run, day in (("run-1", 1), ("another", 2), ("another", 1)):
        found = publish(valkey, day=day, run=run)
        assert found["published"] is False
        assert "`dawnlist rollback 2` makes it active" in found["reason"]
        assert active(valkey) is None
    assert publish(valkey, day=2) == report
    assert (active(valkey), numbers(valkey)) == (2, [2, 1])


def test_a_later_run_goes_live_where_active_is_lost(valkey: str) -> None:
    publish(valkey, day=1)
    lose_active(valkey, "deleted")
    assert (publish(valkey, day=2)["version"], active(valkey)) == (2, 2)


def test_a_hold_keeps_a_lost_active_from_another_version(valkey: str) -> None:
    publish(valkey, day=1)
    publish(valkey, day=2)
    with connect_store(valkey) as client:
        versions.roll_back_version(client, "shop")
    lose_active(valkey, "deleted")
    for day in (2, 3):
        found = publish(valkey, day=day)
        assert "and no version is active: `dawnlist rollback 1` sets it again" in found["reason"]
    assert active(valkey) is None


def test_a_last_version_that_is_damaged_and_not_active_is_written_again(valkey: str) -> None:
    publish(valkey, day=1)
    publish(valkey, day=2)
    lose_active(valkey, "deleted")
    change(valkey, "DEL", *keys(valkey, "dawnlist:shop:2-*:u:0"))
    assert publish(valkey, day=2)["version"] == 3
    assert (active(valkey), numbers(valkey)) == (3, [3, 1])


@pytest.mark.parametrize("key", ["versions", "building"])
@pytest.mark.parametrize("field", ["7", "abc", "-1", "0", "07", "1" * 400])
@pytest.mark.parametrize("value", FOREIGN_FIELDS)
def test_a_foreign_field_stops_nobody(valkey: str, key: str, field: str, value: bytes) -> None:
    publish(valkey, day=1)
    change(valkey, "HSET", f"dawnlist:{{shop}}:{key}", field, value)
    report = publish(valkey, day=2)
    assert report["version"] == (8 if field == "7" else 2)
    with connect_store(valkey) as client:
        [line] = versions.list_foreign_values(client, "shop")
        shown = field[:40]
        assert f"remove it with `redis-cli HDEL 'dawnlist:{{shop}}:{key}' '{shown}'`" in line
        assert "\n" not in line and len(line) < 400
        assert versions.roll_back_version(client, "shop").version == 1


def test_an_unreadable_entry_of_the_active_version_is_as_if_active_was_lost(valkey: str) -> None:
    publish(valkey, day=1)
    publish(valkey, day=2)
    change(valkey, "HSET", NAMES.versions, "2", "{nope")
    assert (active(valkey), numbers(valkey)) == (None, [1])
    assert (publish(valkey, day=3)["version"], active(valkey)) == (3, 3)


@pytest.mark.parametrize("key", ["versions", "building", "hold"])
def test_a_key_of_the_wrong_type_is_named(valkey: str, key: str) -> None:
    publish(valkey, day=1)
    name = f"dawnlist:{{shop}}:{key}"
    change(valkey, "DEL", name)
    change(valkey, "RPUSH", name, "x")
    with pytest.raises(ControlValueError) as told:
        publish(valkey, day=2)
    kind = "string" if key == "hold" else "hash"
    assert str(told.value) == (
        f"the store's key {name} is no {kind}, so Dawnlist did not write it: "
        f"remove it with `redis-cli DEL '{name}'` and publish again"
    )
    change(valkey, "DEL", name)
    assert publish(valkey, day=2)["version"] == 2


@pytest.mark.parametrize(
    "hold",
    ["yes", "", "{}", "[]", "null", '{"version": "1", "replaced": 2, "since": "x"}', b"\xff"],
)
def test_a_hold_that_cannot_be_read_is_named_and_released(
    valkey: str, hold: str | bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(valkey, day=1)
    change(valkey, "SET", NAMES.hold, hold)
    with pytest.raises(ControlValueError) as told:
        publish(valkey, day=2)
    line = str(told.value)
    assert line.startswith("the store's key dawnlist:{shop}:hold is no hold that Dawnlist wrote (")
    assert line.endswith("), so nothing goes live: `dawnlist release` removes it")
    versions_command(redis=valkey, namespace="shop", format_="json")
    printed = capsys.readouterr()
    assert (json.loads(printed.out)["hold"], printed.err) == (None, f"{line}\n")
    release_command(redis=valkey, namespace="shop")
    assert "released: the next run that passes goes live" in capsys.readouterr().out
    assert publish(valkey, day=2)["version"] == 2


@pytest.mark.parametrize(
    "counter", ["abc", "", "-5", "1.5", "\u0663", MAX_COUNTER + 1, "9" * 5_000]
)
def test_a_counter_that_is_none_is_written_anew(valkey: str, counter: object) -> None:
    publish(valkey, day=1)
    change(valkey, "SET", NAMES.counter, counter)
    assert publish(valkey, day=2)["version"] == 2
    assert change(valkey, "GET", NAMES.counter) == b"2"


def test_the_largest_counter(valkey: str) -> None:
    publish(valkey, day=1)
    change(valkey, "SET", NAMES.counter, MAX_COUNTER)
    assert publish(valkey, day=2)["version"] == MAX_COUNTER + 1
    assert active(valkey) == MAX_COUNTER + 1
    change(valkey, "DEL", NAMES.counter)
    change(valkey, "LPUSH", NAMES.counter, "x")
    assert publish(valkey, day=3)["version"] == MAX_COUNTER + 2


def test_a_number_above_the_last_one_that_others_remember(valkey: str) -> None:
    assert publish(valkey, day=1, last_number=7)["version"] == 8
    assert publish(valkey, day=2, last_number=7)["version"] == 9
    assert publish(valkey, day=3, last_number=9)["version"] == 10


def test_what_is_no_token_is_no_active_version(valkey: str) -> None:
    for value, token in (("1-abcd0123", "1-abcd0123"), ("1", None), ("x-1", None), ("0-1", None)):
        change(valkey, "SET", NAMES.active, value)
        with connect_store(valkey) as client:
            assert read_active_token(client, NAMES) == token


def test_versions_says_what_is_wrong(valkey: str, capsys: pytest.CaptureFixture[str]) -> None:
    publish(valkey, day=1)
    change(valkey, "HSET", NAMES.versions, "abc", "{}")
    versions_command(redis=valkey, namespace="shop")
    printed = capsys.readouterr()
    assert "active" in printed.out
    assert printed.err == (
        "the field 'abc' of the store's key dawnlist:{shop}:versions is no version that Dawnlist wrote ('{}') "
        "and is ignored: remove it with `redis-cli HDEL 'dawnlist:{shop}:versions' 'abc'`\n"
    )
    lose_active(valkey, "deleted")
    versions_command(redis=valkey, namespace="shop")
    printed = capsys.readouterr()
    assert "`dawnlist rollback 1` makes that one active" in " ".join(printed.out.split())


def test_the_damage_of_the_reference_is_read_only_if_it_may_decide(valkey: str) -> None:
    publish(valkey, day=3)
    change(valkey, "DEL", *keys(valkey, "dawnlist:shop:1-*:p"))
    same, later = (datetime(2026, 3, day, 3, tzinfo=UTC) for day in (3, 4))
    with connect_store(valkey) as client:
        state = StoreState.read(client, NAMES)
        assert find_reference_damage(client, NAMES, state, later) is None
        damage = find_reference_damage(client, NAMES, state, same)
        assert damage is not None and damage.missing == 1
