"""The store: its layout, one switch, rollback, and two shops side by side; against a real Valkey."""

import asyncio
import re
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import redis

from components import store, store_content
from components.schema import CATALOGUE
from components.store_content import unpack
from components.store_layout import Keys, connect
from components.store_reader import Reader, Snapshot, connect_reader
from components.toplists import TopLists

ANN_AND_BOB = TopLists(
    user_ids=np.array(["ann", "b*b\r\n", "new"], dtype=object),
    item_index=np.array([[2, 0], [1, 0], [0, 0]], dtype=np.uint32),
    score=np.array([[0.5, 0.25], [1.5, 0.0], [0.0, 0.0]], dtype=np.float32),
    lengths=np.array([2, 1, 0]),
    catalogue=pa.table([["a", "b", "c"], ["Alien", None, "<b>"], [None, None, None]], schema=CATALOGUE),
    popular_index=np.array([1], dtype=np.uint32),
    popular_score=np.array([9.0], dtype=np.float32),
    meta={"k": 2, "winner": "challenger", "model": "m", "metrics": {}},
)


def publish(url: str, day: int, namespace: str = "shop", run: str = "", **more: Any) -> dict[str, Any]:
    with connect(url) as client:
        as_of = f"2026-03-{day:02d}T03:00:00Z"
        return store.publish(client, namespace, ANN_AND_BOB, run or f"run-{day}", as_of, **more)


def keys(url: str, pattern: str = "*") -> list[bytes]:
    with connect(url) as client:
        return sorted(client.scan_iter(match=pattern))


def numbers(url: str, namespace: str = "shop") -> list[int]:
    with connect(url) as client:
        return [version["version"] for version in store.versions(client, namespace)]


def active(url: str, namespace: str = "shop") -> int | None:
    with connect(url) as client:
        meta = store.active(client, namespace)
        return meta["version"] if meta else None


def read(url: str, *user_ids: str, namespace: str = "shop") -> tuple[Snapshot, list[bytes | None]]:
    async def ask() -> tuple[Snapshot, list[bytes | None]]:
        async with connect_reader(url) as client:
            return await Reader(client, namespace).lists(user_ids)

    return asyncio.run(ask())


def test_the_report_and_the_bytes(valkey: str) -> None:
    report = publish(valkey, day=1)
    assert report.pop("seconds") < 5
    assert report.pop("bytes") > 8 * (2 + 1 + 1)
    assert re.fullmatch("1-[0-9a-f]{8}", report.pop("token"))
    assert report == {
        "published": True,
        "version": 1,
        "run": "run-1",
        "as_of": "2026-03-01T03:00:00Z",
        "winner": "challenger",
        "users": 2,  # the third has an empty list
        "items": 3,
        "previous": None,
    }
    assert keys(valkey) == [
        b"dawnlist:shop:active",
        b"dawnlist:shop:counter",
        b"dawnlist:shop:v:1:catalogue:0",
        b"dawnlist:shop:v:1:popular",
        b"dawnlist:shop:v:1:u:ann",
        b"dawnlist:shop:v:1:u:b*b\r\n",
        b"dawnlist:shop:versions",
    ]
    with connect(valkey) as client:
        assert client.get("dawnlist:shop:v:1:u:ann") == struct.pack("<2I2f", 2, 0, 0.5, 0.25)
        assert client.get("dawnlist:shop:v:1:u:b*b\r\n") == struct.pack("<1I1f", 1, 1.5)
        assert client.get("dawnlist:shop:v:1:popular") == struct.pack("<1I1f", 1, 9.0)


def test_what_was_published_reads_back(valkey: str) -> None:
    publish(valkey, day=1)
    snapshot, packed = read(valkey, "ann", "b*b\r\n", "new", "nobody")
    assert (snapshot.version, snapshot.as_of, snapshot.k) == (1, "2026-03-01T03:00:00Z", 2)
    assert (snapshot.item_ids, snapshot.titles) == (["a", "b", "c"], ["Alien", None, "<b>"])
    unpacked = [[column.tolist() for column in unpack(one)] if one else None for one in packed]
    assert unpacked == [[[2, 0], [0.5, 0.25]], [[1], [1.5]], None, None]


def test_a_long_catalogue_is_cut_into_chunks(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_content, "CATALOGUE_ROWS", 2)
    publish(valkey, day=1)
    assert len(keys(valkey, "*catalogue*")) == 2
    assert read(valkey)[0].item_ids == ["a", "b", "c"]


def test_a_run_that_is_repeated_changes_nothing(valkey: str) -> None:
    first = publish(valkey, day=1)
    before = keys(valkey)
    assert publish(valkey, day=1) == first
    publish(valkey, day=2)
    assert publish(valkey, day=1) == first
    assert (active(valkey), len(keys(valkey, "*:v:1:*"))) == (2, len(before) - 3)


def test_what_is_not_newer_than_the_active_version_is_not_published(valkey: str) -> None:
    publish(valkey, day=2)
    before = keys(valkey)
    for day in (1, 2):
        assert publish(valkey, day=day, run="another") == {
            "published": False,
            "reason": f"run 'another' of 2026-03-0{day}T03:00:00Z is not newer than version 1 of 2026-03-02T03:00:00Z, "
            "which is active; roll back to an older version first if it is meant to go live",
        }
    assert (active(valkey), keys(valkey)) == (1, before)


def test_a_newer_version_that_appears_during_the_writing_wins(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    verify = store_content.verify

    def overtaken(*arguments: Any) -> None:
        monkeypatch.setattr(store_content, "verify", verify)
        publish(valkey, day=3)
        verify(*arguments)

    monkeypatch.setattr(store_content, "verify", overtaken)
    report = publish(valkey, day=2)
    assert report["published"] is False and "is not newer than version 2" in report["reason"]
    assert (active(valkey), keys(valkey, "*:v:1:*"), keys(valkey, "*building")) == (2, [], [])


def test_the_same_run_twice_at_once_publishes_one_version(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    verify = store_content.verify

    def overtaken(*arguments: Any) -> None:
        monkeypatch.setattr(store_content, "verify", verify)
        publish(valkey, day=1)
        verify(*arguments)

    monkeypatch.setattr(store_content, "verify", overtaken)
    with pytest.raises(RuntimeError, match="does not read back"):  # the other one has dropped it
        publish(valkey, day=1)
    assert (active(valkey), numbers(valkey), keys(valkey, "*:v:1:*")) == (2, [2], [])


def test_what_does_not_read_back_is_not_switched_to(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(valkey, day=1)
    write = store_content.write

    def evicted(client: "redis.Redis", names: Keys, version: int, lists: TopLists) -> dict[str, Any]:
        written = write(client, names, version, lists)
        client.delete(names.user(version, "ann"))
        return written

    monkeypatch.setattr(store_content, "write", evicted)
    with pytest.raises(RuntimeError, match=r"1 of 2 lists are there.*maxmemory-policy"):
        publish(valkey, day=2)
    assert (active(valkey), keys(valkey, "*:v:2:*"), keys(valkey, "*building")) == (1, [], [])


def test_what_is_announced_is_what_goes_live_and_may_stop_it(valkey: str) -> None:
    announced: list[dict[str, Any]] = []

    def refuse(report: dict[str, Any]) -> None:
        raise OSError("no lake")

    report = publish(valkey, day=1, announce=announced.append)
    assert [{**found, "published": True, "previous": None} for found in announced] == [report]
    with pytest.raises(OSError, match="no lake"):
        publish(valkey, day=2, announce=refuse)
    assert (active(valkey), keys(valkey, "*:v:2:*"), keys(valkey, "*building")) == (1, [], [])


def test_the_newest_versions_are_kept_and_the_others_gone(valkey: str) -> None:
    for day in range(1, 6):
        publish(valkey, day=day, keep=3)
    assert numbers(valkey) == [5, 4, 3]
    assert [keys(valkey, f"*:v:{version}:*") == [] for version in (1, 2, 3)] == [True, True, False]
    assert keys(valkey, "*building") == []


def test_rollback_and_forward_again(valkey: str) -> None:
    for day in (1, 2, 3):
        publish(valkey, day=day)
    with connect(valkey) as client:
        report = store.rollback(client, "shop")
        assert (report["version"], report["as_of"], report["replaced"]) == (2, "2026-03-02T03:00:00Z", 3)
        assert [version["active"] for version in store.versions(client, "shop")] == [False, True, False]
        assert store.rollback(client, "shop")["version"] == 1
        with pytest.raises(LookupError, match="there is no version before 1"):
            store.rollback(client, "shop")
        with pytest.raises(LookupError, match="there is no version 9: choose one of 1, 2, 3"):
            store.rollback(client, "shop", 9)
        assert store.rollback(client, "shop", 3)["version"] == 3
        with pytest.raises(LookupError, match="nothing has been published yet in namespace other"):
            store.rollback(client, "other")
    assert read(valkey)[0].version == 3


def test_the_active_version_is_never_dropped(valkey: str) -> None:
    for day in (1, 2, 3):
        publish(valkey, day=day)
    with connect(valkey) as client:
        store.rollback(client, "shop", 1)
    publish(valkey, day=4, keep=1)
    assert numbers(valkey) == [4]
    assert publish(valkey, day=5, keep=2)["previous"] == 4


def test_two_shops_in_one_store(valkey: str) -> None:
    publish(valkey, day=5, namespace="shop")
    publish(valkey, day=1, namespace="shop-2")
    publish(valkey, day=2, namespace="shop-2", keep=1)
    assert (active(valkey, "shop"), active(valkey, "shop-2")) == (1, 2)
    assert keys(valkey, "dawnlist:shop-2:v:1:*") == []
    assert len(keys(valkey, "dawnlist:shop:v:1:*")) == 4


@pytest.mark.parametrize("namespace", ["", "Shop", "a:b", "*", "-a", "a" * 41, "a\n"])
def test_a_namespace_that_would_break_out_of_its_prefix_is_refused(namespace: str) -> None:
    with pytest.raises(ValueError, match="is not usable in paths and keys"):
        Keys(namespace)


def test_urls(monkeypatch: pytest.MonkeyPatch, valkey: str) -> None:
    with pytest.raises(ValueError, match="is of a kind that can't be used"):
        connect("http://127.0.0.1")
    for url in ("redis://:secret@127.0.0.1/0", "redis://127.0.0.1/0?password=secret"):
        with pytest.raises(ValueError, match="DAWNLIST_REDIS_PASSWORD") as refused:
            connect(url)
        assert "secret" not in str(refused.value)
    with pytest.raises(ConnectionError, match=r"no store answers at redis://127\.0\.0\.1:1/0"):
        connect("redis://127.0.0.1:1/0")
    with pytest.raises(ConnectionError, match="no store answers at unix:///nowhere"):
        connect("unix:///nowhere")
    with connect(valkey) as client:
        client.acl_setuser("default", enabled=True, passwords=["+right"])
    monkeypatch.setenv("DAWNLIST_REDIS_PASSWORD", "wrong")
    try:
        with pytest.raises(ConnectionError, match="refuses the password: set DAWNLIST_REDIS_PASSWORD"):
            connect(valkey)
        monkeypatch.delenv("DAWNLIST_REDIS_PASSWORD")
        with pytest.raises(ConnectionError, match="set DAWNLIST_REDIS_PASSWORD"):
            connect(valkey)
    finally:
        monkeypatch.setenv("DAWNLIST_REDIS_PASSWORD", "right")
        with connect(valkey) as client:
            client.acl_setuser("default", enabled=True, nopass=True)


def test_lists_of_another_layout_are_not_guessed_at(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(store, "LAYOUT", 2)
        publish(valkey, day=1)
    with pytest.raises(RuntimeError, match="version 1 has layout 2, this Dawnlist reads 1: upgrade it"):
        read(valkey)


def test_many_users(valkey: str) -> None:
    """More than one call writes; the count and every list are right."""
    n = 2_500
    many = replace(
        ANN_AND_BOB,
        user_ids=np.array([f"u{i}" for i in range(n)], dtype=object),
        item_index=np.tile(np.array([[2, 0]], dtype=np.uint32), (n, 1)),
        score=np.tile(np.array([[0.5, 0.25]], dtype=np.float32), (n, 1)),
        lengths=np.arange(n) % 2 + 1,
    )
    with connect(valkey) as client:
        report = store.publish(client, "shop", many, "r", "2026-03-01T00:00:00Z")
        assert report["users"] == n == len(list(client.scan_iter(match="*:u:*", count=1000)))
    _, packed = read(valkey, "u0", "u1", "u2499")
    assert [len(one or b"") for one in packed] == [8, 16, 16]
