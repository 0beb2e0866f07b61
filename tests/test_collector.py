"""The collector with a real store: what each event is answered with, and what is kept of it."""

import asyncio
import gzip
import importlib
import random
import resource
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from dawnlist.lake.lake import Lake
from dawnlist.serving.collector.bodies import MAX_BODY_BYTES
from dawnlist.serving.collector.event_writer import EventWriter
from dawnlist.serving.collector.senders import RateLimiter, Senders
from dawnlist.serving.collector.server import CLUSTER_ADVICE
from dawnlist.serving.collector.watch import check_durability, compute_memory_share
from dawnlist.store.client import open_async_client
from dawnlist.urls import COLLECTOR_KEYS
from tests.support.collecting import KEYS, collector, count_entries, read_stream, send, statuses
from tests.support.stores import valkey_of

VIEW = {"type": "view", "user": "u1", "item": "i1"}
ORIGIN = "https://shop.example"
collector_hostile = importlib.import_module("benchmarks.collector_hostile")


def test_each_event_is_answered_and_accounted_for(valkey: str) -> None:
    with collector(valkey) as client:
        answer = send(client, {**VIEW, "id": "a"}, {**VIEW, "id": "a"}, {"type": "No"}, VIEW)
        assert answer.status_code == 202
        assert statuses(answer) == ["ok", "duplicate", "dropped", "ok"]
        first, second, third, fourth = answer.json()["events"]
        assert first == {"status": "ok", "id": "a"} and second["id"] == "a"
        assert third["reason"].startswith("type: ") and "id" not in third
        assert len(fourth["id"]) == 32
        metrics = client.get("/metrics").text
    assert [record["id"] for record in read_stream(valkey, KEYS.accepted)] == ["a", fourth["id"]]
    assert read_stream(valkey, KEYS.dead) == [{"type": "No"}]
    assert 'dawnlist_collector_events_total{shop="shop",status="ok"} 2.0' in metrics


def test_an_id_that_is_used_again_for_another_event_is_no_duplicate(valkey: str) -> None:
    with collector(valkey) as client:
        other_user = {**VIEW, "id": "1", "user": "u2"}
        other_item = {**VIEW, "id": "1", "item": "i2"}
        other_type = {**VIEW, "id": "1", "type": "cart"}
        answer = send(client, {**VIEW, "id": "1"}, other_user, other_item, other_type)
        assert statuses(answer) == ["ok"] * 4
        assert statuses(send(client, {**VIEW, "id": "1"}, other_user)) == ["duplicate"] * 2


def test_a_repeat_is_known_in_the_period_and_the_next_and_no_longer(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = 60.0 * (time.time() // 60)
    event = {**VIEW, "id": "a"}
    with collector(valkey, duplicate_minutes=1) as client:
        for moment, status in ((0, "ok"), (59, "duplicate"), (119, "duplicate"), (120, "ok")):
            monkeypatch.setattr(time, "time", lambda moment=moment: start + moment)
            assert statuses(send(client, event)) == [status], moment


def test_a_beacon_and_gzip_are_read(valkey: str) -> None:
    body = b'{"events": [{"type": "view", "user": "u1"}], "sent_at": null}'
    with collector(valkey) as client:
        text = client.post("/v1/events", content=body, headers={"content-type": "text/plain"})
        packed = client.post(
            "/v1/events", content=gzip.compress(body), headers={"content-encoding": "gzip"}
        )
    assert statuses(text) == statuses(packed) == ["ok"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "message"),
    [
        (b"", {}, 400, "is not JSON"),
        (b"[]", {}, 400, "is not like"),
        (b'{"events": 3}', {}, 400, "is not like"),
        (b'{"events": [], "event": 1}', {}, 400, "'event' is not known"),
        (b'{"events": [NaN]}', {}, 400, "is not JSON"),
        (b'{"events": ["\\ud800"]}', {}, 400, "is not JSON"),
        (b"[" * 100_000, {}, 400, "is not JSON"),
        (b'{"events": [], "sent_at": "x"}', {}, 400, "sent_at: "),
        (b"x" * (MAX_BODY_BYTES + 1), {}, 413, "more than 1,000,000 bytes"),
        (
            gzip.compress(b"x" * (MAX_BODY_BYTES + 1), mtime=0),
            {"content-encoding": "gzip"},
            413,
            "1,000,000",
        ),
        (gzip.compress(b"{}", mtime=0)[:-9], {"content-encoding": "gzip"}, 400, "in the middle"),
        (b"{}", {"content-encoding": "gzip"}, 400, "not compressed by gzip"),
        (b"{}", {"content-encoding": "br"}, 415, "use gzip"),
        (b'{"events": [' + b"{}," * 1000 + b"{}]}", {}, 413, "1,001 events"),
    ],
)
def test_a_body_that_can_not_be_read_gets_one_clear_error(
    valkey: str, body: bytes, headers: dict[str, str], status: int, message: str
) -> None:
    with collector(valkey) as client:
        answer = client.post("/v1/events", content=body, headers=headers)
        assert answer.status_code == status
        assert message in answer.json()["error"] and "\n" not in answer.json()["error"]
        assert statuses(send(client, VIEW)) == ["ok"]


def test_no_events_are_no_reason_to_wait(valkey: str) -> None:
    with collector(valkey) as client:
        answer = send(client)
        assert (answer.status_code, answer.json()) == (202, {"events": []})
        assert statuses(send(client, VIEW)) == ["ok"]


@pytest.mark.parametrize("depth", [200, 252, 253, 254, 255, 256, 1000])
def test_events_that_are_nested_deeply_are_kept_or_dropped_and_accounted_for(
    valkey: str, depth: int
) -> None:
    """orjson reads deeper values than it writes."""
    nested = b"[" * depth + b"]" * depth
    body = b'{"events": [{"type": "view", "user": "u1", "properties": {"a": %b}}, %b]}' % (
        nested,
        nested,
    )
    with collector(valkey) as client:
        answer = client.post("/v1/events", content=body)
        assert answer.status_code == 202 or (depth == 1000 and answer.status_code == 400)
        if answer.status_code == 202:
            first, second = answer.json()["events"]
            assert first["status"] == "ok" or first["reason"] == "properties: nested too deeply"
            assert second == {"status": "dropped", "reason": "an event is a JSON object"}
            dropped = statuses(answer).count("dropped")
            assert (count_entries(valkey, KEYS.accepted), count_entries(valkey, KEYS.dead)) == (
                2 - dropped,
                dropped,
            )
        assert statuses(send(client, VIEW)) == ["ok"]


def test_a_fault_while_writing_asks_to_send_again_and_the_next_request_is_written(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector(valkey) as client:
        with monkeypatch.context() as patch:
            patch.setattr(EventWriter, "_pack_commands", lambda *_: 1 / 0)
            assert statuses(send(client, VIEW)) == ["retry"]
        assert statuses(send(client, VIEW)) == ["ok"]


def test_a_thousand_events_are_taken_at_once(valkey: str) -> None:
    with collector(valkey) as client:
        answer = send(client, *[{**VIEW, "item": n} for n in range(1000)])
        assert statuses(answer) == ["ok"] * 1000
    assert [record["item"] for record in read_stream(valkey, KEYS.accepted)] == [
        str(n) for n in range(1000)
    ]


def test_a_picture_takes_an_event_and_always_comes(valkey: str) -> None:
    with collector(valkey) as client:
        good = client.get("/v1/event.gif", params={"type": "open", "user": "u1", "other": "x"})
        bad = client.get("/v1/event.gif")
        for answer, status in ((good, "ok"), (bad, "dropped")):
            assert answer.status_code == 200 and answer.headers["content-type"] == "image/gif"
            assert (
                answer.content.startswith(b"GIF89a") and answer.headers["x-event-status"] == status
            )
            assert answer.headers["cache-control"] == "no-store"
    [record] = read_stream(valkey, KEYS.accepted)
    assert (record["type"], record["user"]) == ("open", "u1")


def test_a_browsers_key_is_for_its_pages_and_a_servers_key_for_anybody(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COLLECTOR_KEYS, "secret-1, secret-2")
    with collector(valkey, browser_keys={"pk_shop": [ORIGIN]}) as client:

        def status(key: str, origin: str = "") -> int:
            headers = {"x-api-key": key} if key else {}
            if origin:
                headers["origin"] = origin
            return int(send(client, VIEW, headers=headers).status_code)

        assert status("secret-1") == status("secret-2") == status("pk_shop", ORIGIN) == 202
        assert status("") == status("secret-3") == status("pk_shop") == 401
        assert (
            status("pk_shop", "https://evil.example") == status("pk_shop", ORIGIN + ".evil") == 401
        )
        beacon = client.post(
            "/v1/events", json={"events": [VIEW], "key": "pk_shop"}, headers={"origin": ORIGIN}
        )
        assert beacon.status_code == 202
        assert client.post("/v1/events?key=secret-1", json={"events": [VIEW]}).status_code == 202
        picture = client.get("/v1/event.gif?type=open&user=u1&key=pk_shop")
        stolen = client.get("/v1/event.gif?type=open&user=u1&key=secret-1")
        assert picture.headers["x-event-status"] == "ok"
        assert stolen.headers["x-event-status"] == "dropped"
    senders = [record.get("sender") for record in read_stream(valkey, KEYS.accepted)]
    assert senders == ["server-1", "server-2", "pk_shop", "pk_shop", "server-1", "pk_shop"]


@pytest.mark.parametrize(
    ("value", "reason"), [(" ", "only blanks"), (",", "no key"), (" , ", "no key")]
)
def test_a_variable_of_keys_without_a_key_is_refused(value: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{COLLECTOR_KEYS} is set, but holds {reason}: "):
        Senders.from_environment({COLLECTOR_KEYS: value}, {})


def test_a_browser_may_ask_before_it_sends(valkey: str) -> None:
    with collector(valkey, browser_keys={"pk_shop": [ORIGIN]}) as client:
        allowed = client.options("/v1/events", headers={"origin": ORIGIN})
        refused = client.options("/v1/events", headers={"origin": "https://evil.example"})
        answer = send(client, VIEW, headers={"origin": ORIGIN, "x-api-key": "pk_shop"})
    assert allowed.status_code == 204 and refused.status_code == 403
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_too_many_events_of_a_key_are_told_when_to_come_again(valkey: str) -> None:
    with collector(valkey, events_per_second=10) as client:
        assert send(client, *[VIEW] * 20).status_code == 202
        refused = send(client, *[VIEW] * 20)
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
    assert count_entries(valkey, KEYS.accepted) == 20


def test_a_bucket_fills_at_its_rate_up_to_twice_the_rate() -> None:
    limiter = RateLimiter(10.0)
    assert limiter.take_tokens("a", 20, 0.0) == 0.0
    assert limiter.take_tokens("a", 1, 0.0) == pytest.approx(0.1)
    assert limiter.take_tokens("b", 20, 0.0) == 0.0
    assert limiter.take_tokens("a", 1, 0.1) == 0.0
    assert limiter.take_tokens("a", 20, 100.0) == 0.0
    assert limiter.take_tokens("a", 50, 102.0) == 0.0  # more than it holds: a full bucket will do
    assert limiter.take_tokens("a", 1, 102.0) == pytest.approx(3.1)


def test_a_full_store_asks_to_send_again_and_loses_nothing(valkey: str) -> None:
    with redis.from_url(valkey) as store, collector(valkey, max_memory_share=0.5) as client:
        try:
            store.config_set("maxmemory", store.info("memory")["used_memory"])
            _wait_until(lambda: client.get("/readyz").status_code == 503)
            answer = send(client, VIEW, {"type": "No"})
            assert answer.status_code == 503 and statuses(answer) == ["retry", "retry"]
            assert int(answer.headers["retry-after"]) > 0
            assert "no room" in answer.json()["events"][0]["reason"]
        finally:
            store.config_set("maxmemory", 0)
        _wait_until(lambda: client.get("/readyz").status_code == 200)
        assert statuses(send(client, VIEW)) == ["ok"]
    assert count_entries(valkey, KEYS.accepted) == 1


def test_a_store_without_memory_refuses_the_whole_command(valkey: str) -> None:
    """The watch has not seen it yet: the store itself says that it is out of memory."""
    with redis.from_url(valkey) as store, collector(valkey, max_memory_share=0.999999) as client:
        try:
            store.config_set("maxmemory", 1)
            answer = send(client, {**VIEW, "id": "a"}, {"type": "No"})
        finally:
            store.config_set("maxmemory", 0)
        assert statuses(answer) == ["retry", "retry"]
        _wait_until(lambda: client.get("/readyz").status_code == 200)
        assert statuses(send(client, {**VIEW, "id": "a"})) == ["ok"]


@pytest.mark.parametrize(
    ("memory", "share"),
    [
        ({"used_memory": 50, "maxmemory": 100, "total_system_memory": 1000}, 0.5),
        ({"used_memory": 50, "maxmemory": 0, "total_system_memory": 1000}, 0.05),
        ({"used_memory": 50}, 0.0),
    ],
)
def test_the_share_of_the_memory(memory: dict[str, Any], share: float) -> None:
    assert compute_memory_share(memory) == share


def test_a_store_that_is_away_asks_to_send_again(tmp_path: Path) -> None:
    with valkey_of(tmp_path, "--appendonly", "yes") as port:
        url = f"redis://127.0.0.1:{port}/0"
        with collector(url) as client:
            assert statuses(send(client, VIEW)) == ["ok"]
            with redis.from_url(url) as store:
                store.shutdown(nosave=True)
            answer = send(client, VIEW)
            assert answer.status_code == 503 and statuses(answer) == ["retry"]
            answer = send(client)  # no events need no store
            assert (answer.status_code, answer.json()) == (202, {"events": []})
            _wait_until(lambda: client.get("/readyz").status_code == 503)
            assert client.get("/healthz").status_code == 200


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="files are limited by prlimit")
@pytest.mark.parametrize("durability", ["everysec", "always"])
def test_a_full_disk_asks_to_send_again_and_loses_nothing_that_was_taken(
    tmp_path: Path, durability: str
) -> None:
    """The store's files can't grow meanwhile. With `always` the store ends then, as it has to."""
    options = ("--appendonly", "yes", "--appendfsync", durability)
    taken = 0
    with valkey_of(tmp_path, *options) as port:
        url = f"redis://127.0.0.1:{port}/0"
        with collector(url, durability=durability) as client, redis.from_url(url) as store:
            taken += statuses(send(client, VIEW)).count("ok")
            process = int(store.info("server")["process_id"])
            _, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
            [file] = (tmp_path / "appendonlydir").glob("*.incr.aof")
            resource.prlimit(process, resource.RLIMIT_FSIZE, (file.stat().st_size + 10_000, hard))
            answers = []
            while "retry" not in answers:
                answers = statuses(send(client, *[VIEW] * 50))
                assert set(answers) in ({"ok"}, {"retry"})
                taken += answers.count("ok")
                assert taken < 10_000, "a disk without room takes events"
            if durability == "everysec":
                resource.prlimit(process, resource.RLIMIT_FSIZE, (hard, hard))
                _wait_until(lambda: statuses(send(client, VIEW)) == ["ok"])
                taken += 1
    with valkey_of(tmp_path, *options) as port:  # reads what its disk has
        assert count_entries(f"redis://127.0.0.1:{port}/0", KEYS.accepted) == taken


@pytest.mark.parametrize(
    ("options", "durability", "problem"),
    [
        (("--appendonly", "no"), "everysec", "appendonly is no"),
        (("--appendonly", "yes", "--appendfsync", "no"), "everysec", "appendfsync is no"),
        (("--appendonly", "yes"), "always", "appendfsync is everysec"),
        (
            ("--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"),
            "everysec",
            "maxmemory-policy is allkeys-lru",
        ),
        (("--appendonly", "yes", "--appendfsync", "always"), "always", ""),
        (("--appendonly", "yes", "--maxmemory-policy", "volatile-lru"), "everysec", ""),
    ],
)
def test_a_store_that_keeps_less_than_the_setting_says_is_refused(
    tmp_path: Path, options: tuple[str, ...], durability: str, problem: str
) -> None:
    with valkey_of(tmp_path, *options) as port:
        url = f"redis://127.0.0.1:{port}/0"
        if problem:
            with pytest.raises(ValueError, match=problem):
                asyncio.run(_check_durability(url, durability))
        else:
            assert asyncio.run(_check_durability(url, durability)) == ""


def test_without_consent_no_id_and_no_network_leaves_the_collector(valkey: str) -> None:
    event = {**VIEW, "session": "s1", "consent": False, "properties": {"mail": "a@b.c"}}
    with collector(valkey) as client:
        for agent in ("one", "one", "other"):
            headers = {"user-agent": agent, "origin": ORIGIN}
            assert statuses(send(client, event, headers=headers)) == ["ok"]
        assert statuses(send(client, {**VIEW, "consent": True})) == ["ok"]
    first, again, other, agreed = read_stream(valkey, KEYS.accepted)
    assert first["anonymous"] == again["anonymous"] != other["anonymous"]
    assert first["anonymous"].startswith("unknown-")
    assert not {"user", "session", "network", "properties"} & first.keys()
    assert agreed["user"] == "u1"


def test_the_schema_that_validates_is_published(valkey: str) -> None:
    with collector(valkey) as client:
        document = client.get("/openapi.json").json()
    schema = document["components"]["schemas"]["Event"]
    assert schema["properties"]["type"]["pattern"] and schema["additionalProperties"] is False


async def _check_durability(url: str, durability: str) -> str:
    async with open_async_client(url, 5.0, CLUSTER_ADVICE) as client:
        return await check_durability(client, durability)


def _wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_hostile_events_are_answered_and_accounted_for(valkey: str, tmp_path: Path) -> None:
    """A small run of benchmarks/collector_hostile.py."""
    answered = collector_hostile.send_events(valkey, random.Random(3), 300)
    landed = collector_hostile.land(valkey, Lake.open(str(tmp_path), "shop"))
    assert landed == {"events": answered["ok"], "dead_events": answered["dropped"]}
    assert answered["ok"] > 20 and answered["dropped"] > 100
