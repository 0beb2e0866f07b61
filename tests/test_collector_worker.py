"""The workers: what an event becomes, exactly once, and what the predictor reads of it."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import redis

from dawnlist.events.stream_keys import WORKER_GROUP
from dawnlist.events.stream_views import list_dead_events, measure_lags, replay_dead_events
from dawnlist.lake.lake import Lake
from dawnlist.serving.collector import worker as worker_module
from dawnlist.serving.collector.stream_trim import trim_accepted_stream
from dawnlist.serving.collector.worker import Worker
from dawnlist.settings import Settings
from dawnlist.store.recent import build_recent_key, parse_recent_events
from tests.support.collecting import KEYS, read_stream

NOW = 1_767_225_600.0


@pytest.fixture
def store(valkey: str) -> Iterator[Any]:
    with redis.from_url(valkey) as client:
        yield client


def put(store: Any, **fields: Any) -> bytes:
    record = {
        "id": "e1",
        "type": "view",
        "user": "u1",
        "item": "i1",
        "time": NOW,
        "received": NOW,
        **fields,
    }
    entry: bytes = store.xadd(
        KEYS.accepted, {"e": orjson.dumps({k: v for k, v in record.items() if v is not None})}
    )
    return entry


def make_worker(store: Any, **settings: Any) -> Worker:
    made = Worker(store, "shop", Settings.model_validate(settings))
    made.ensure_group()
    return made


def recent(store: Any, person: str) -> list[tuple[str, str]]:
    value = store.get(build_recent_key("shop", person)) or b""
    return [(event.event_type, event.item_id) for event in parse_recent_events(value)]


def enriched(valkey: str) -> list[dict[str, Any]]:
    return read_stream(valkey, KEYS.enriched)


def test_an_event_is_enriched_and_in_the_recent_events(store: Any, valkey: str) -> None:
    put(store, mood="\U0001f44d\U0001f3fd", type="mood", agent="curl/8.0")
    put(store, id="e2", agent="Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/130.0")
    assert make_worker(store).work_once() == 2
    first, second = enriched(valkey)
    assert (first["mood"], first["emoji"], first["mood_weight"]) == ("thumbs_up", "\U0001f44d", 2.0)
    assert first["is_program"] is True
    assert (second["device"], second["system"], second["app"]) == ("desktop", "Linux", "Firefox")
    assert recent(store, "u1") == [
        ("view", "i1")
    ]  # a program's event is marked, and not answered with
    assert store.xpending(KEYS.accepted, WORKER_GROUP)["pending"] == 0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": "purchase"}, [("purchase", "i1")]),
        ({"type": "addtocart"}, [("cart", "i1")]),  # by source.events of the settings
        ({"type": "mood", "mood": "\U0001f60d"}, [("like", "i1")]),
        ({"type": "mood", "mood": "\U0001f621"}, [("dislike", "i1")]),
        ({"type": "dislike"}, [("dislike", "i1")]),
        ({"type": "mood", "mood": "\U0001f610"}, []),  # neither: its weight is 0
        ({"type": "impression"}, []),
        ({"type": "view", "item": None}, []),
    ],
)
def test_only_what_a_model_learns_from_is_recent(
    store: Any, fields: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    put(store, **fields)
    make_worker(store, source={"events": {"addtocart": "cart"}}).work_once()
    assert recent(store, "u1") == expected


def test_an_anonymous_id_becomes_the_user_at_the_login(store: Any, valkey: str) -> None:
    worker = make_worker(store)
    put(store, user=None, anonymous="b1", item="i1")
    worker.work_once()
    assert recent(store, "b1") == [("view", "i1")]
    put(store, type="alias", user="u1", anonymous="b1", item=None)
    put(store, id="e3", user=None, anonymous="b1", item="i2")
    put(store, id="e4", user=None, anonymous="b2", item="i3")
    worker.work_once()
    assert recent(store, "u1") == [("view", "i1"), ("view", "i2")]
    assert recent(store, "b1") == [] and recent(store, "b2") == [("view", "i3")]
    assert [record.get("user") for record in enriched(valkey)] == [None, "u1", "u1", None]


def test_a_visit_ends_after_the_time_without_an_event(store: Any, valkey: str) -> None:
    worker = make_worker(store, collector={"session_minutes": 30})
    for number, (user, second) in enumerate([("u1", 0), ("u2", 0), ("u1", 1800), ("u1", 3601)]):
        put(store, id=str(number), user=user, time=NOW + second)
    put(store, id="own", session="mine")
    worker.work_once()
    first, other, same, later, own = (record["session"] for record in enriched(valkey))
    assert first == same != later and other not in (first, later) and own == "mine"
    put(store, id="next", time=NOW + 3602)
    worker.work_once()
    assert enriched(valkey)[-1]["session"] == later


def test_of_two_workers_with_one_event_one_moves_it(store: Any, valkey: str) -> None:
    put(store)
    slow, quick = make_worker(store), make_worker(store)
    answer = store.xreadgroup(WORKER_GROUP, slow._name, {KEYS.accepted: ">"})
    store.xclaim(
        KEYS.accepted, WORKER_GROUP, "quick", 0, [worker_module._list_entries(answer)[0][0]]
    )
    for worker in (quick, slow):
        worker._process(worker_module._list_entries(answer))
    assert len(enriched(valkey)) == 1 and recent(store, "u1") == [("view", "i1")]


def test_what_a_dead_worker_held_is_taken_over(
    store: Any, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store)
    worker = make_worker(store)
    store.xreadgroup(WORKER_GROUP, "dead", {KEYS.accepted: ">"})
    assert worker.take_over() == 0  # it may still be at work
    monkeypatch.setattr(worker_module, "CLAIM_IDLE_MILLISECONDS", 0)
    assert worker.take_over() == 1
    assert len(enriched(valkey)) == 1


def test_what_a_dead_worker_held_is_taken_over_while_events_come_without_a_pause(
    store: Any, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "CLAIM_IDLE_MILLISECONDS", 0)
    worker = make_worker(store)
    put(store, id="held")
    store.xreadgroup(WORKER_GROUP, "dead", {KEYS.accepted: ">"})
    stop = threading.Event()
    turns = [0]

    def come_without_a_pause() -> None:
        put(store, id=str(turns[0]))
        turns[0] += 1
        if turns[0] == 3:
            stop.set()

    worker.run(stop, come_without_a_pause)
    assert "held" in {record["id"] for record in enriched(valkey)}


def test_an_event_that_no_worker_can_process_is_a_dead_letter_after_five_tries(
    store: Any, valkey: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(worker_module, "CLAIM_IDLE_MILLISECONDS", 0)
    put(store, mood=5, type="mood")  # the schema never lets a number through
    put(store, id="e2")
    worker = make_worker(store)
    worker.work_once()
    assert [record["id"] for record in enriched(valkey)] == ["e2"]
    for attempt in range(2, 6):
        assert worker.take_over() == 1, attempt
        assert not read_stream(valkey, KEYS.dead)
    assert worker.take_over() == 1
    [dead] = list_dead_events(store, Lake.open(str(tmp_path), "shop"), "shop", 10)
    assert "could not process" in dead["reason"]
    assert worker.take_over() == 0
    # The fault is mended: the event is given to the workers again, and only this one.
    store.xadd(KEYS.dead, {"e": b'{"type": "No"}', "reason": "type: wrong"})
    assert replay_dead_events(store, "shop", "other reason") == (0, 2)
    assert replay_dead_events(store, "shop", "could not process") == (1, 1)
    assert store.xpending(KEYS.accepted, WORKER_GROUP)["pending"] == 0
    assert read_stream(valkey, KEYS.accepted)[-1]["mood"] == 5


def test_what_is_no_record_is_a_dead_letter_at_once(store: Any, valkey: str) -> None:
    worker = make_worker(store)
    for data in (b"{", b"[]", b"{}", b'{"type": "view", "time": "now"}'):
        store.xadd(KEYS.accepted, {"e": data})
    store.xadd(KEYS.accepted, {"other": "field"})
    put(store)
    worker.work_once()
    assert store.xlen(KEYS.dead) == 5 and len(enriched(valkey)) == 1


def test_the_stream_is_trimmed_up_to_what_every_group_has_done(store: Any) -> None:
    worker = make_worker(store)
    for number in range(3):
        put(store, id=str(number))
    assert trim_accepted_stream(store, KEYS) == 0  # nobody has read them
    store.xreadgroup(WORKER_GROUP, "slow", {KEYS.accepted: ">"}, count=1)
    worker.work_once()
    assert trim_accepted_stream(store, KEYS) == 0  # the first one is still at work
    entries = store.xpending_range(KEYS.accepted, WORKER_GROUP, "-", "+", 9)
    store.xack(KEYS.accepted, WORKER_GROUP, entries[0]["message_id"])
    store.xgroup_create(KEYS.accepted, "other", id="0")
    assert trim_accepted_stream(store, KEYS) == 0  # another group has read none
    store.xgroup_destroy(KEYS.accepted, "other")
    assert trim_accepted_stream(store, KEYS) == 3


def test_lags_are_measured(store: Any) -> None:
    assert [lag["events"] for lag in measure_lags(store, "shop")] == [0, 0, 0, 0]
    put(store)
    accepted = measure_lags(store, "shop")[0]
    assert (accepted["stream"], accepted["events"]) == ("accepted", 1)
    assert accepted["oldest_seconds"] >= 0 and accepted["bytes"] > 0


def test_a_worker_goes_on_after_the_store_lost_its_group(store: Any, valkey: str) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=make_worker(store).run, args=(stop,))
    thread.start()
    try:
        store.flushall()
        put(store)
        deadline = time.monotonic() + 60
        while not enriched(valkey) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(enriched(valkey)) == 1
    finally:
        stop.set()
        thread.join()


def test_a_record_that_stops_the_batch_stops_no_other(
    store: Any,
    valkey: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No collector writes an alias without its ids; whatever writes one must not stop the workers."""
    monkeypatch.setattr(worker_module, "CLAIM_IDLE_MILLISECONDS", 0)
    entry = put(store, id="bad", type="alias", user=None)
    put(store, id="good", mood="😍", type="mood")
    worker = make_worker(store)
    worker.work_once()
    assert f"event {entry!r} could not be enriched" in caplog.messages  # the log has no content
    [record] = enriched(valkey)
    assert (record["id"], record["emoji"], recent(store, "u1")) == ("good", "😍", [("like", "i1")])
    for _ in range(5):
        assert worker.take_over() == 1
    [dead] = read_stream(valkey, KEYS.dead)
    assert dead["id"] == "bad"


def test_a_recent_event_that_can_not_be_written_keeps_no_other_back(
    store: Any, valkey: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.set(build_recent_key("shop", "b1"), b"no events")
    store.lpush(build_recent_key("shop", "u2"), "no text")
    put(store, id="1", type="alias", anonymous="b1", item=None)
    put(store, id="2", user="u2")
    put(store, id="3")
    make_worker(store).work_once()
    assert [record["id"] for record in enriched(valkey)] == ["1", "2", "3"]
    assert recent(store, "u1") == [("view", "i1")]
    assert "a recent event could not be written" in caplog.text
    assert "the store refuses a recent event" in caplog.text


def test_a_worker_survives_what_nobody_thought_of(
    store: Any, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, stop = make_worker(store), threading.Event()
    work_once, calls = worker.work_once, [0]

    def fail_at_first() -> int:
        calls[0] += 1
        if calls[0] == 1:
            raise KeyError("user")
        stop.set()
        return work_once()

    monkeypatch.setattr(worker, "work_once", fail_at_first)
    put(store)
    worker.run(stop)
    assert len(enriched(valkey)) == 1


def test_each_dead_letter_is_logged_with_its_reason(
    store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    worker = make_worker(store)
    entry = store.xadd(KEYS.accepted, {"e": b"no JSON"})
    worker.work_once()
    [message] = [text for text in caplog.messages if "went to the dead letters" in text]
    assert message.startswith(f"event {entry!r} went to the dead letters: ")
