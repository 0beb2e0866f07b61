"""Changes of the store's control keys: each is one transaction, and is made anew if others change them."""

import json
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.client import Pipeline

from dawnlist.store import builds, versions
from dawnlist.store.client import connect_store
from dawnlist.store.layout import StoreKeys
from dawnlist.store.toplists import TopLists
from tests.test_store import ANN_AND_BOB, active, keys, numbers, publish
from tests.test_store_bounds import put_build

NAMES = StoreKeys("shop")


Change = Callable[[Pipeline], Any]


@pytest.fixture
def around_transactions(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """Puts a function around each change of a transaction: it is called with the change and the pipe."""

    def put_around(wrapper: Callable[[Change, Pipeline], Any]) -> None:
        original = builds.run_transaction

        def run(client: Any, names: StoreKeys, change: Change) -> Any:
            return original(client, names, partial(wrapper, change))

        for module in (builds, versions):
            monkeypatch.setattr(module, "run_transaction", run)

    return put_around


def test_every_change_of_control_keys_is_a_transaction(
    valkey: str, tmp_path: Path, around_transactions: Any
) -> None:
    """Without MULTI each command would take effect at once, whatever others changed meanwhile."""
    changes: set[str] = set()

    def check(change: Change, pipe: Pipeline) -> Any:
        result = change(pipe)
        assert pipe.explicit_transaction, change.__qualname__
        changes.add(change.__qualname__.partition(".")[0])
        return result

    around_transactions(check)
    ANN_AND_BOB.save(tmp_path)
    lists = TopLists.load(tmp_path)

    def fail(report: Any) -> None:
        raise ConnectionError("the registry is gone")

    for day in (1, 2, 3, 4, 5):
        publish(valkey, day=day, lists=lists)
    with pytest.raises(ConnectionError):
        publish(valkey, day=6, lists=lists, announce=fail)
    with connect_store(valkey) as client:
        client.delete(NAMES.active)
        assert publish(valkey, day=5, lists=lists)["version"] == 5
        versions.roll_back_version(client, "shop")
        put_build(client, 12, run="run-7", digest="other")
        assert publish(valkey, day=7, lists=lists)["published"] is False
        versions.release_hold(client, "shop")
    assert publish(valkey, day=7, lists=lists)["published"]
    assert changes == {
        "begin_or_resume_build",
        "checkpoint_build",
        "drop_leftovers",
        "drop_old_versions",
        "abandon_build",
        "_switch_version",
        "_repeat_lost_switch",
        "roll_back_version",
    }


def test_a_version_that_is_resumed_meanwhile_is_not_dropped(
    valkey: str, around_transactions: Any
) -> None:
    """The first look finds it dead; before the entry is changed its publisher has come back."""
    looks: list[str] = []

    def meddle(change: Change, pipe: Pipeline) -> Any:
        result = change(pipe)
        if not looks:
            looks.append("meddled")
            with connect_store(valkey) as other:
                put_build(other, 13, at=time.time())
        return result

    around_transactions(meddle)
    with connect_store(valkey) as client:
        put_build(client, 13, at=0)
        client.set("dawnlist:shop:13-abc:p", "x")
        builds.drop_leftovers(client, NAMES, "own", "own")
        assert client.exists("dawnlist:shop:13-abc:p", NAMES.building) == 2
        entry = json.loads(client.hget(NAMES.building, "13") or b"")
    assert (entry["owner"], looks) == ("somebody", ["meddled"])


def test_a_version_that_becomes_active_meanwhile_is_not_dropped(
    valkey: str, around_transactions: Any
) -> None:
    first = publish(valkey, day=1)
    publish(valkey, day=2)
    looks: list[str] = []

    def meddle(change: Change, pipe: Pipeline) -> Any:
        result = change(pipe)
        if not looks:
            looks.append("meddled")
            with connect_store(valkey) as other:
                other.set(NAMES.active, first["token"])
        return result

    around_transactions(meddle)
    with connect_store(valkey) as client:
        assert builds.drop_old_versions(client, NAMES, 0)
    assert (active(valkey), numbers(valkey), len(keys(valkey, "*:1-*"))) == (1, [1], 5)


def test_two_publishers_at_once_get_two_numbers(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta = {"buckets": 1, "chunks": {"c": 1, "f": 1}}
    moment = datetime(2026, 3, 6, 3, tzinfo=UTC)
    draw = secrets.token_hex
    draws: list[int] = []

    def draw_after_another(size: int) -> str:
        draws.append(size)
        if len(draws) == 2:
            with connect_store(valkey) as other:
                put_build(other, 1)
        return draw(size)

    monkeypatch.setattr(secrets, "token_hex", draw_after_another)
    with connect_store(valkey) as client:
        build = builds.begin_or_resume_build(client, NAMES, "own", moment, "", meta)
        assert (build.version, client.get(NAMES.counter)) == (2, b"2")
        assert sorted(client.hkeys(NAMES.building)) == [b"1", b"2"]
