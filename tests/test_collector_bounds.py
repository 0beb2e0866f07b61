"""The collector's bounds and constants: the exact value, and the nearest one beyond it."""

import asyncio
import inspect
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
import redis
from starlette.requests import ClientDisconnect

from dawnlist.components.fetch.collected.collected_events import CollectedEvents
from dawnlist.events.event_schema import explain_invalid_event
from dawnlist.events.event_table import build_event_rows
from dawnlist.lake.commits import append_rows
from dawnlist.lake.lake import Lake
from dawnlist.schema import EVENTS_SCHEMA
from dawnlist.serving.collector.background import run_children
from dawnlist.serving.collector.bodies import BodyError, read_body
from dawnlist.serving.collector.enrich.moods import USUAL_MOODS
from dawnlist.serving.collector.event_writer import EventGroup, EventWriter
from dawnlist.serving.collector.firehose import LAND_SECONDS, Firehose
from dawnlist.serving.collector.worker import BATCH_EVENTS, Worker
from dawnlist.settings import Settings, SourceSettings
from dawnlist.store.endpoint import ServerEndpoint
from dawnlist.store.recent import build_recent_key
from tests.support.collecting import KEYS, collector
from tests.support.servers import NOBODY

DAY = datetime(2026, 1, 15, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def store(valkey: str) -> Iterator[Any]:
    with redis.from_url(valkey) as client:
        yield client


@pytest.mark.parametrize(
    ("field", "longest"),
    [
        ("session", 128),
        ("page", 2048),
        ("placement", 128),
        ("recommendation", 128),
        ("mood", 64),
        ("user", 512),
        ("anonymous", 512),
        ("item", 512),
        ("id", 128),
    ],
)
def test_texts_of_an_event_have_a_longest_length(field: str, longest: int) -> None:
    event = {"type": "view", "user": "u1", "item": "i1"}
    assert explain_invalid_event({**event, field: "x" * longest}) is None
    reason = explain_invalid_event({**event, field: "x" * (longest + 1)})
    assert reason is not None and reason.startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [
        ("quantity", [0.001, 1_000_000], [0, 1_000_001]),
        ("rating", [0, 1_000_000], [-0.001, 1_000_001]),
        ("position", [0, 10_000], [-1, 10_001, 0.5]),
    ],
)
def test_numbers_of_an_event_have_a_range(
    field: str, allowed: list[float], refused: list[float]
) -> None:
    event = {"type": "view", "user": "u1", "item": "i1"}
    for value in allowed:
        assert explain_invalid_event({**event, field: value}) is None
    for value in refused:
        assert explain_invalid_event({**event, field: value}) is not None


def test_the_usual_moods_have_these_weights() -> None:
    by_weight: dict[float, str] = {}
    for mood, weight in USUAL_MOODS.items():
        by_weight[weight] = f"{by_weight.get(weight, '')} {mood}".strip()
    assert by_weight == {
        3.0: "love 😍 🥰 🤩 ❤ 💯",
        2.0: "like laugh 🔥 👍 👏 😂 🤣 🎉",
        1.0: "wow 😀 😄 😊 🙂 😮",
        0.0: "neutral 😐 🤔",
        -1.0: "bored 😕 🥱 😴",
        -2.0: "dislike angry 👎 😒 😠",
        -3.0: "😡 🤢 🤮 💩",
    }


def test_a_worker_takes_five_hundred_events_at_once(store: Any) -> None:
    assert BATCH_EVENTS == 500
    worker = Worker(store, "shop", Settings())
    worker.ensure_group()
    event = {"type": "view", "user": "u1", "item": "i1", "time": 1.0, "received": 1.0}
    for number in range(501):
        store.xadd(KEYS.accepted, {"e": orjson.dumps({**event, "id": f"e{number}"})})
    assert [worker.work_once(), worker.work_once()] == [500, 1]


def test_an_alias_is_remembered_for_its_days_and_moves_what_there_is(
    store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(store, "shop", Settings.model_validate({"collector": {"alias_days": 2}}))
    worker.ensure_group()
    alias = {"id": "a", "type": "alias", "anonymous": "b1", "user": "u1", "consent": True}
    store.xadd(KEYS.accepted, {"e": orjson.dumps({**alias, "time": 1.0, "received": 1.0})})
    worker.work_once()  # the anonymous id has no recent events: nothing is moved
    assert store.get(KEYS.alias("b1")) == b"u1"
    assert 2 * 86_400 - 60 < store.ttl(KEYS.alias("b1")) <= 2 * 86_400
    assert store.get(build_recent_key("shop", "u1")) is None
    assert caplog.messages == []


def test_each_picture_takes_a_token(valkey: str) -> None:
    params = {"type": "view", "user": "u1", "item": "i1"}
    with collector(valkey, events_per_second=1) as client:
        answers = [client.get("/v1/event.gif", params=params) for _ in range(20)]
    statuses = [answer.headers["x-event-status"] for answer in answers]
    # Two tokens are there at first; which of the later pictures get one depends on the time.
    assert statuses[:2] == ["ok", "ok"]
    assert "dropped" in statuses


def test_children_are_ended_with_the_block_that_started_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    popen = subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        started.append(popen([sys.executable, "-c", "import time; time.sleep(600)"], **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    with run_children([["worker"], ["firehose"]]):
        assert [child.poll() for child in started] == [None, None]
    assert [child.poll() for child in started] == [-signal.SIGTERM] * 2
    for child in started:
        assert child.stdin is not None
        child.stdin.close()


@pytest.mark.parametrize(
    ("received", "moment"),
    [
        (DAY, DAY - timedelta(days=366)),  # a file of the oldest day
        (DAY + timedelta(days=1) - MICROSECOND, DAY + timedelta(days=1, seconds=59)),  # of tomorrow
    ],
)
def test_events_of_all_possible_days_are_read(
    tmp_path: Path, received: datetime, moment: datetime
) -> None:
    lake = Lake.open(str(tmp_path), "shop")
    record = {"id": "e", "type": "view", "user": "u", "item": "i"}
    times = {"received": received.timestamp(), "time": moment.timestamp()}
    [row] = build_event_rows(b"1-0", {b"e": orjson.dumps({**record, **times})})
    append_rows(lake, "events", None, pa.Table.from_pylist([row], EVENTS_SCHEMA), {}, {})
    source = CollectedEvents(lake, SourceSettings())
    batches = list(source.interactions(DAY, DAY + timedelta(days=1)))
    assert [batch["event_id"].to_pylist() for batch in batches if batch.num_rows] == [["e"]]


def make_writer() -> EventWriter:
    """A writer that is not connected."""
    return EventWriter(ServerEndpoint.from_url(f"redis://{NOBODY}/0"), KEYS, 60.0)


@pytest.mark.parametrize(
    ("sizes", "commands"),
    [
        ([300, 212, 1], [[300, 212], [1]]),
        ([300, 213, 1], [[300], [213, 1]]),
        ([513, 1], [[513], [1]]),  # a larger group goes alone
        ([512, 1], [[512], [1]]),
    ],
)
def test_a_command_has_at_most_512_events(sizes: list[int], commands: list[list[int]]) -> None:
    async def take_all() -> list[list[int]]:
        writer = make_writer()
        tasks = [asyncio.create_task(writer.append(make_group(size))) for size in sizes]
        await asyncio.sleep(0)
        taken = [writer._take_groups() for _ in commands]
        assert writer._take_groups() == []
        assert writer._waiting_events == 0
        for task in tasks:
            task.cancel()
        return [[group.size for group in groups] for groups in taken]

    assert asyncio.run(take_all()) == commands


def make_group(size: int) -> EventGroup:
    return EventGroup([(b"", b"{}")] * (size - 1), [(b"{}", "a reason")])


def test_twenty_thousand_events_wait_and_the_next_one_is_sent_again() -> None:
    async def fill() -> list[str]:
        writer = make_writer()
        waiting = asyncio.create_task(writer.append(make_group(20_000)))
        await asyncio.sleep(0)
        answer = await writer.append(make_group(1))
        waiting.cancel()
        return [str(status) for status in answer]

    assert asyncio.run(fill()) == ["retry"]


def test_the_salt_of_a_day_is_gone_after_two_days(valkey: str, store: Any) -> None:
    event = {"type": "view", "item": "i1", "consent": False}
    with collector(valkey) as client:
        assert client.post("/v1/events", json={"events": [event]}).status_code == 202
    [key] = store.keys("*salt*")
    assert 2 * 86_400 - 60 < store.ttl(key) <= 2 * 86_400


def test_an_event_that_is_dropped_is_answered_with_its_id(valkey: str) -> None:
    events = [
        {"id": "x" * 129, "type": "view", "user": "u1"},
        {"id": 7, "type": "view", "user": "u1"},
        {"id": "mine", "type": "NO", "user": "u1"},
        ["mine"],
    ]
    with collector(valkey) as client:
        answers = client.post("/v1/events", json={"events": events}).json()["events"]
    assert [answer["status"] for answer in answers] == ["dropped"] * 4
    assert [answer.get("id") for answer in answers] == ["x" * 128, None, "mine", None]


def test_the_firehose_lands_an_entry_after_a_minute() -> None:
    assert LAND_SECONDS == 60.0
    assert inspect.signature(Firehose).parameters["land_seconds"].default == LAND_SECONDS


def test_a_body_that_is_cut_off_is_an_error_of_the_sender() -> None:
    async def give_half() -> AsyncIterator[bytes]:
        yield b"half"
        raise ClientDisconnect

    with pytest.raises(BodyError, match="ended in the middle of the body") as error:
        asyncio.run(read_body(give_half(), ""))
    assert error.value.status == 400
