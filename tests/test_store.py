"""The store: its layout, one switch, rollback and hold, and two shops side by side; against a real Valkey."""

import json
import re
import struct
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from dawnlist.dataclass_json import to_json
from dawnlist.model.user_items import UserItems
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.store import builds, content, item_chunks, versions
from dawnlist.store import histories as store_histories
from dawnlist.store import user_buckets as store_rows
from dawnlist.store.client import StoreClient, connect_store
from dawnlist.store.item_chunks import unpack_catalogue, unpack_factors, unpack_popular
from dawnlist.store.layout import StoreKeys, verify_checksum
from dawnlist.store.toplists import TopLists
from dawnlist.store.user_buckets import locate_user
from dawnlist.store.version_reports import VersionReport
from tests.support.top_lists import bare, of_many

ANN_AND_BOB = bare(
    user_ids=np.array(["ann", "b*b\r\n", "new"], dtype=object),
    item_index=np.array([[2, 0], [1, 0], [0, 0]], dtype=np.uint32),
    score=np.array([[0.5, 0.25], [1.5, 0.0], [0.0, 0.0]], dtype=np.float32),
    lengths=np.array([2, 1, 0]),
    catalogue=pa.table(
        [["a", "b", "c"], ["Alien", None, "<b>"], [["Horror"], None, None]], schema=CATALOGUE_SCHEMA
    ),
    popular_index=np.array([1], dtype=np.uint32),
    popular_score=np.array([9.0], dtype=np.float32),
    segments={
        "device=mobile": (np.array([2, 0], dtype=np.uint32), np.array([4.0, 3.0], dtype=np.float32))
    },
    vectors=np.array([[5.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], dtype=np.float32),
    item_factors=np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]], dtype=np.float32),
    item_bias=np.array([0.1, 0.2, 0.3], dtype=np.float32),
    item_content=np.array([[1.0], [0.0], [-1.0]], dtype=np.float32),
    histories=UserItems(
        csr_matrix(np.array([[0, 5, 0], [1, 0, 2], [0, 0, 0]], dtype=np.float32)),
        np.array([0.5, 1.0, 2.0], dtype=np.float32),
    ),
    meta={
        "k": 2,
        "winner": "challenger",
        "model": "m",
        "metrics": {"ndcg@20": 0.5},
        "config": {"factors": 2},
    },
)


def publish(
    url: str, day: int, namespace: str = "shop", run: str = "", **more: Any
) -> dict[str, Any]:
    with connect_store(url) as client:
        as_of = datetime(2026, 3, day, 3, tzinfo=UTC)
        lists = more.pop("lists", ANN_AND_BOB)
        report = versions.publish_version(
            client, namespace, lists, run or f"run-{day}", as_of, **more
        )
    return report.as_dict()


def keys(url: str, pattern: str = "*") -> list[bytes]:
    with connect_store(url) as client:
        return sorted(client.scan_iter(match=pattern))


def numbers(url: str, namespace: str = "shop") -> list[int]:
    with connect_store(url) as client:
        return [version.version for version in versions.list_versions(client, namespace)]


def active(url: str, namespace: str = "shop") -> int | None:
    with connect_store(url) as client:
        meta = versions.read_active_version(client, namespace)
        return meta.version if meta else None


def read(
    client: Any, user_id: str, namespace: str = "shop"
) -> tuple[store_rows.StoredUser | None, Any]:
    """What the active version knows of a user: list and vector, and history."""
    token = client.get(StoreKeys(namespace).active).decode()
    meta = json.loads(client.hget(StoreKeys(namespace).versions, token.split("-")[0]))
    bucket, fingerprint = locate_user(user_id, bytes.fromhex(meta["salt"]), meta["buckets"])
    body = verify_checksum(client.get(StoreKeys(namespace).users(token, bucket)))
    met = verify_checksum(client.get(StoreKeys(namespace).histories(token, bucket)))
    user = store_rows.find_user(body, fingerprint, store_rows.build_version_dtype(meta))
    return user, store_histories.find_history(met, fingerprint)


def test_the_report_and_the_keys(valkey: str) -> None:
    report = publish(valkey, day=1)
    assert report.pop("seconds") >= 0
    assert report.pop("bytes") > 3 * (7 + 8 + 4 + 2 + 4 + 2)
    assert report.pop("memory")["free"] > 1e6
    token = report.pop("token")
    assert re.fullmatch("1-[0-9a-f]{8}", token)
    assert report == {
        "published": True,
        "version": 1,
        "run": "run-1",
        "as_of": "2026-03-01T03:00:00Z",
        "winner": "challenger",
        "users": 3,
        "items": 3,
        "history_bytes": 4
        + 2
        + 3 * 10
        + 3 * 2
        + 3 * 5,  # checksum, count, users, their counts, pairs
        "resumed": 0,
        "previous": None,
        "model": "m",
        "metrics": {"ndcg@20": 0.5},
    }
    data = [f"dawnlist:shop:{token}:{name}" for name in ("c:0", "f:0", "h:0", "p", "u:0")]
    control = [f"dawnlist:{{shop}}:{name}" for name in ("active", "counter", "versions")]
    assert [key.decode() for key in keys(valkey)] == [*data, *control]


def test_the_bytes(valkey: str) -> None:
    """The example of docs/STORE.md."""
    token = publish(valkey, day=1)["token"]
    with connect_store(valkey) as client:
        value = client.get(f"dawnlist:shop:{token}:u:0")
        salt = bytes.fromhex(json.loads(client.hget("dawnlist:{shop}:versions", "1"))["salt"])
        history = client.get(f"dawnlist:shop:{token}:h:0")
    assert salt.hex() == "7e68bfc7a73248c5"
    fingerprints = {user: locate_user(user, salt, 1)[1] for user in ("ann", "b*b\r\n", "new")}
    users = {
        "ann": struct.pack("<BffHHBBfbb", 2, 0.5, 0.25, 2, 0, 255, 0, 5, 127, 0),
        "b*b\r\n": struct.pack("<BffHHBBfbb", 1, 1.5, 1.5, 1, 0, 0, 0, 1, -127, 0),
        "new": struct.pack("<BffHHBBfbb", 0, 0, 0, 0, 0, 0, 0, 1, 127, 0),
    }
    order = sorted(users, key=lambda user: int.from_bytes(fingerprints[user], "little"))
    assert order == ["ann", "b*b\r\n", "new"]
    body = b"".join(fingerprints[user] + users[user] for user in order)
    assert value == zlib.crc32(body).to_bytes(4, "little") + body
    one, two, five = (struct.pack("<e", number) for number in (1, 2, 5))
    rows = [
        bytes([1, 0]) + five + (32).to_bytes(2, "little") + bytes([1]),
        bytes([2, 0])
        + one
        + two
        + (64).to_bytes(2, "little")
        + (128).to_bytes(2, "little")
        + bytes([0, 2]),
        bytes([0, 0]),
    ]
    ends = struct.pack("<III", len(rows[0]), len(rows[0] + rows[1]), len(b"".join(rows)))
    body = (
        struct.pack("<H", 3)
        + b"".join(fingerprints[user] for user in order)
        + ends
        + b"".join(rows)
    )
    assert history == zlib.crc32(body).to_bytes(4, "little") + body


def test_the_page_shows_the_bytes(valkey: str) -> None:
    """docs/STORE.md, of four values; the last one is shown in part."""
    token = publish(valkey, day=1)["token"]
    [example] = re.findall(
        "(?s)\n(u:0 .*?)…\n```", (Path(__file__).parents[1] / "docs/STORE.md").read_text()
    )
    shown: dict[str, str] = {}
    for line in example.splitlines():
        if line[:6].strip():
            name = line[:6].strip()
        shown[name] = (
            shown.get(name, "") + re.split(" {3,}", line[6:])[0]
        )  # a remark is three blanks away
    assert list(shown) == ["u:0", "h:0", "p", "f:0"]
    with connect_store(valkey) as client:
        found = {name: client.get(f"dawnlist:shop:{token}:{name}") for name in shown}
    found["f:0"] = found["f:0"][: 4 + 16]
    assert {name: bytes.fromhex(text) for name, text in shown.items()} == found


def test_what_was_published_reads_back(valkey: str) -> None:
    token = publish(valkey, day=1)["token"]
    with connect_store(valkey) as client:
        users = [read(client, user_id)[0] for user_id in ("ann", "b*b\r\n", "new", "nobody")]
        histories = [read(client, user_id)[1] for user_id in ("ann", "b*b\r\n", "new", "nobody")]
        chunks: Any = [client.get(f"dawnlist:shop:{token}:{name}") for name in ("c:0", "f:0", "p")]
    assert [user and user.item_index.tolist() for user in users] == [[2, 0], [1], [], None]
    assert [user and user.score.tolist() for user in users] == [[0.5, 0.25], [1.5], [], None]
    assert [user and user.vector.round(6).tolist() for user in users] == [
        [5, 0],
        [-1, 0],
        [1, 0],
        None,
    ]
    assert [met and met.item_index.tolist() for met in histories] == [[1], [0, 2], [], None]
    assert [met and (met.weight.tolist(), met.age.tolist()) for met in histories[:2]] == [
        ([5], [0.5]),
        ([1, 2], [1, 2]),
    ]
    assert unpack_catalogue(chunks[0]).to_pylist() == ANN_AND_BOB.catalogue.to_pylist()
    expected = [[1, 0, 0.1, 1], [0.5, 0.5, 0.2, 0], [0, 1, 0.3, -1]]
    assert unpack_factors(chunks[1], 4).tolist() == np.array(expected, np.float32).tolist()
    popular = {
        name: [column.tolist() for column in found]
        for name, found in unpack_popular(chunks[2]).items()
    }
    assert popular == {"": [[1], [9]], "device=mobile": [[2, 0], [4, 3]]}


def test_what_was_damaged_is_told(valkey: str) -> None:
    token = publish(valkey, day=1)["token"]
    with connect_store(valkey) as client:
        client.setrange(f"dawnlist:shop:{token}:u:0", 9, b"?")
        with pytest.raises(ValueError, match="has another checksum than it was written with"):
            read(client, "ann")


def test_a_run_that_is_repeated_changes_nothing(valkey: str) -> None:
    first = publish(valkey, day=1)
    before = keys(valkey)
    assert publish(valkey, day=1) == first
    assert keys(valkey) == before
    publish(valkey, day=2)
    assert publish(valkey, day=1) == {
        "published": False,
        "reason": "run 'run-1' was published as version 1 before, and version 2 of 2026-03-02T03:00:00Z "
        "(run 'run-2') is live now; `dawnlist rollback 1` goes back to the run's version",
    }
    assert (active(valkey), len(keys(valkey, f"*:{first['token']}:*"))) == (2, len(before) - 3)


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


@pytest.fixture
def overtaken(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes something happen once, after the next version is written and before it is verified."""

    def by(act: Any) -> None:
        verify = content.verify_content

        def first(*arguments: Any) -> None:
            monkeypatch.setattr(content, "verify_content", verify)
            act()
            verify(*arguments)

        monkeypatch.setattr(content, "verify_content", first)

    return by


def test_a_newer_version_that_appears_during_the_writing_wins(valkey: str, overtaken: Any) -> None:
    overtaken(lambda: publish(valkey, day=3))
    report = publish(valkey, day=2)
    assert report["published"] is False and "is not newer than version 2" in report["reason"]
    assert (active(valkey), keys(valkey, "*:1-*"), keys(valkey, "*building")) == (2, [], [])


def test_a_hold_that_is_set_during_the_writing_holds(valkey: str, overtaken: Any) -> None:
    publish(valkey, day=1)
    publish(valkey, day=2)

    def roll() -> None:
        with connect_store(valkey) as client:
            versions.roll_back_version(client, "shop")

    overtaken(roll)
    report = publish(valkey, day=3)
    assert (report["published"], report["held"]["version"]) == (False, 1)
    assert (active(valkey), keys(valkey, "*:3-*"), keys(valkey, "*building")) == (1, [], [])


def test_the_same_run_twice_at_once_publishes_one_version(
    valkey: str, overtaken: Any, tmp_path: Any
) -> None:
    ANN_AND_BOB.save(tmp_path)
    lists = TopLists.load(tmp_path)
    overtaken(lambda: publish(valkey, day=1, lists=lists))
    assert publish(valkey, day=1, lists=lists)["version"] == 1
    assert (
        active(valkey),
        numbers(valkey),
        len(keys(valkey, "*:1-*")),
        keys(valkey, "*building"),
    ) == (1, [1], 5, [])


def test_the_same_run_with_other_lists_takes_its_place(valkey: str, overtaken: Any) -> None:
    other = replace(ANN_AND_BOB, score=ANN_AND_BOB.score + 1)
    overtaken(lambda: publish(valkey, day=1, lists=other))
    with pytest.raises(RuntimeError, match="does not read back"):
        publish(valkey, day=1)
    assert (active(valkey), numbers(valkey), keys(valkey, "*:1-*"), keys(valkey, "*building")) == (
        2,
        [2],
        [],
        [],
    )


def test_a_publisher_that_was_overtaken_stops_and_leaves_the_other_ones_version(
    valkey: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first writes its second batch, the same run, started again, goes on with the version and switches."""
    monkeypatch.setattr(content, "BUCKETS_PER_BATCH", 1)
    monkeypatch.setattr(store_rows, "USERS_PER_BUCKET", 1)
    ANN_AND_BOB.save(tmp_path)
    lists, write = TopLists.load(tmp_path), builds.checkpoint_build

    def interrupted(
        client: StoreClient, names: StoreKeys, build: builds.Build, buckets: int
    ) -> None:
        if buckets == 2:
            monkeypatch.setattr(builds, "checkpoint_build", write)
            assert publish(valkey, day=1, lists=lists)["resumed"] == 1
        write(client, names, build, buckets)

    monkeypatch.setattr(builds, "checkpoint_build", interrupted)
    with pytest.raises(RuntimeError, match="another publisher took version 1 over"):
        publish(valkey, day=1, lists=lists)
    assert (active(valkey), len(keys(valkey, "*:1-*")), keys(valkey, "*building")) == (1, 9, [])


def test_what_was_evicted_is_not_switched_to(valkey: str, overtaken: Any) -> None:
    publish(valkey, day=1)

    def evict() -> None:
        with connect_store(valkey) as client:
            client.delete(*keys(valkey, "*:2-*:h:0"))

    overtaken(evict)
    with pytest.raises(RuntimeError, match=r"4 of 5 keys are there.*maxmemory-policy"):
        publish(valkey, day=2)
    assert (active(valkey), keys(valkey, "*:2-*"), keys(valkey, "*building")) == (1, [], [])


def test_a_number_is_not_given_out_again_when_the_counter_was_evicted(valkey: str) -> None:
    """Version 1 would have been written over version 1: its keys would have lain about, and no rollback led there."""
    publish(valkey, day=1)
    publish(valkey, day=2)
    with connect_store(valkey) as client:
        assert client.delete(*keys(valkey, "*:counter")) == 1
    publish(valkey, day=3)
    assert (active(valkey), len(keys(valkey, "*:1-*:u:0")), len(keys(valkey, "*:3-*:u:0"))) == (
        3,
        1,
        1,
    )


@pytest.mark.parametrize("what", ["u:0", "h:0", "c:0", "f:0", "p"])
def test_what_was_damaged_on_the_way_is_not_switched_to(
    valkey: str, overtaken: Any, what: str
) -> None:
    def damage() -> None:
        with connect_store(valkey) as client:
            [key] = keys(valkey, f"*:1-*:{what}")
            client.setrange(key, 6, b"?")

    overtaken(damage)
    with pytest.raises(RuntimeError, match=r"5 of 5 keys are there, 1 of 5 values read differ"):
        publish(valkey, day=1)
    assert (active(valkey), keys(valkey, "*:1-*"), keys(valkey, "*building")) == (None, [], [])


def test_chunks_of_items_are_read_back_one_at_a_time(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """25 of them, of 4 MB each, held other clients of a Redis 6.2 up for 136 ms."""
    monkeypatch.setattr(item_chunks, "FACTOR_CHUNK_BYTES", 1)
    with connect_store(valkey) as client:
        client.config_resetstat()
        publish(valkey, day=1)
        assert len(keys(valkey, "*:f:*")) == 3
        assert (
            client.info("commandstats")["cmdstat_mget"]["calls"] == 1 + 5
        )  # users' buckets; then factors, c and p


def test_what_is_announced_is_what_goes_live_and_may_stop_it(valkey: str) -> None:
    announced: list[VersionReport] = []

    def refuse(report: VersionReport) -> None:
        raise OSError("no lake")

    report = publish(valkey, day=1, announce=announced.append)
    assert [{**to_json(found), "published": True} for found in announced] == [report]
    with pytest.raises(OSError, match="no lake"):
        publish(valkey, day=2, announce=refuse)
    assert (active(valkey), keys(valkey, "*:2-*"), keys(valkey, "*building")) == (1, [], [])


def test_the_newest_versions_are_kept_and_the_others_gone(valkey: str) -> None:
    for day in range(1, 6):
        publish(valkey, day=day, keep=3)
    assert numbers(valkey) == [5, 4, 3]
    assert [keys(valkey, f"*:{version}-*") == [] for version in (1, 2, 3)] == [True, True, False]
    assert keys(valkey, "*building") == []


def test_a_deletion_that_was_cut_short_is_finished_by_the_next(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(valkey, day=1)
    with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
        cut.setattr(content, "delete_content", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        publish(valkey, day=2, keep=1)
    assert (active(valkey), numbers(valkey), len(keys(valkey, "*:1-*"))) == (2, [2], 5)
    publish(valkey, day=3)
    assert (keys(valkey, "*:1-*"), keys(valkey, "*building")) == ([], [])


def test_rollback_holds_until_released(valkey: str) -> None:
    for day in (1, 2, 3):
        publish(valkey, day=day)
    with connect_store(valkey) as client:
        report = versions.roll_back_version(client, "shop")
        assert (report.version, report.as_of, report.replaced) == (
            2,
            "2026-03-02T03:00:00Z",
            3,
        )
        assert [version.active for version in versions.list_versions(client, "shop")] == [
            False,
            True,
            False,
        ]
        held = versions.read_hold(client, "shop")
        assert held and (held.version, held.replaced) == (2, 3)
        before = keys(valkey)
        assert publish(valkey, day=4) == {
            "published": False,
            "held": to_json(held),
            "reason": f"version 2 is held since it was rolled back to at {held.since}; to let the next run go live: "
            "`dawnlist release`",
        }
        assert keys(valkey) == before
        assert (
            versions.release_hold(client, "shop"),
            versions.release_hold(client, "shop"),
            versions.read_hold(client, "shop"),
        ) == (
            held,
            None,
            None,
        )
    assert publish(valkey, day=4)["previous"] == 2


def test_rollback_and_forward_again(valkey: str) -> None:
    for day in (1, 2, 3):
        publish(valkey, day=day)
    with connect_store(valkey) as client:
        assert [versions.roll_back_version(client, "shop").version for _ in range(2)] == [2, 1]
        with pytest.raises(LookupError, match="there is no version before 1"):
            versions.roll_back_version(client, "shop")
        with pytest.raises(LookupError, match="there is no version 9: choose one of 1, 2, 3"):
            versions.roll_back_version(client, "shop", 9)
        assert versions.roll_back_version(client, "shop", 3).version == 3
        with pytest.raises(LookupError, match="nothing has been published yet in namespace other"):
            versions.roll_back_version(client, "other")
    assert active(valkey) == 3


def test_the_active_version_is_never_dropped(valkey: str) -> None:
    for day in (1, 2, 3):
        publish(valkey, day=day)
    with connect_store(valkey) as client:
        versions.roll_back_version(client, "shop", 1)
        versions.release_hold(client, "shop")
    publish(valkey, day=4, keep=1)
    assert numbers(valkey) == [4]
    assert publish(valkey, day=5, keep=2)["previous"] == 4


def test_two_shops_in_one_store(valkey: str) -> None:
    publish(valkey, day=5, namespace="shop")
    first = publish(valkey, day=1, namespace="shop-2")
    publish(valkey, day=2, namespace="shop-2", keep=1)
    assert (active(valkey, "shop"), active(valkey, "shop-2")) == (1, 2)
    assert keys(valkey, f"dawnlist:shop-2:{first['token']}:*") == []
    assert len(keys(valkey, "dawnlist:shop:1-*")) == 5


@pytest.mark.parametrize("namespace", ["", "Shop", "a:b", "*", "-a", "a" * 41, "a\n"])
def test_a_namespace_that_would_break_out_of_its_prefix_is_refused(namespace: str) -> None:
    with pytest.raises(ValueError, match="is not usable in paths and keys"):
        StoreKeys(namespace)


def test_no_users_at_all(valkey: str) -> None:
    """The one bucket is there and empty: whoever asks is unknown, and the popular list answers."""
    assert publish(valkey, day=1, lists=of_many(ANN_AND_BOB, 0))["users"] == 0
    with connect_store(valkey) as client:
        assert read(client, "ann") == (None, None)
        assert [len(client.get(key) or b"") for key in keys(valkey, "*:[uh]:0")] == [6, 4]


def test_many_users(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one batch and more than one chunk of the catalogue; every list is right."""
    monkeypatch.setattr(content, "BUCKETS_PER_BATCH", 64)
    n = 2_500
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n, 2)).astype(np.float32)
    many = of_many(ANN_AND_BOB, n, lengths=np.arange(n) % 2 + 1, vectors=vectors)
    assert publish(valkey, day=1, lists=many)["users"] == n
    assert len(keys(valkey, "*:u:*")) == len(keys(valkey, "*:h:*")) == 157
    with connect_store(valkey) as client:
        for number in range(0, n, 50):
            user, _ = read(client, f"u{number}")
            assert user is not None and user.item_index.tolist() == [2, 0][: number % 2 + 1]
            assert np.abs(user.vector - many.vectors[number]).max() < 0.02
