"""The log of what answers showed: an id in each answer, an entry for each, and no wait for the store."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest
import redis

from dawnlist.explore.lake_sql import query_lake
from dawnlist.lake.lake import Lake
from dawnlist.serving.collector.firehose import Firehose
from dawnlist.serving.predictor import shown_log as shown_log_module
from dawnlist.serving.predictor.answers.static_catalogue import TextList
from dawnlist.serving.predictor.shown_log import ShownLog
from dawnlist.serving.predictor.watch import logs
from dawnlist.serving.predictor.watch.counts import PredictorMetrics
from tests.support.collecting import KEYS, read_stream
from tests.support.published import publish, shop
from tests.support.servers import running_predictor


def test_each_answer_has_an_id_and_lands_in_the_lake(valkey: str, tmp_path: Path) -> None:
    publish(valkey, shop())
    with (
        running_predictor(valkey, "shop", logs_answers=True) as running,
        httpx.Client(timeout=60) as client,
    ):
        lean = client.get(f"{running.url}/v1/recommendations/ann").json()
        body = {"instances": [{"user_id": "bob"}, {"user_id": "new"}]}
        first, second = client.post(f"{running.url}/v1/models/dawnlist:predict", json=body).json()[
            "predictions"
        ]
        tensor = {"name": "user_id", "shape": [1], "datatype": "BYTES", "data": ["ann"]}
        v2 = client.post(
            f"{running.url}/v2/models/dawnlist/infer", json={"inputs": [tensor]}
        ).json()
        outputs = {output["name"]: output["data"] for output in v2["outputs"]}
        ids = [
            lean["recommendation_id"],
            first["recommendation_id"],
            second["recommendation_id"],
            *outputs["recommendation_id"],
        ]
        assert len(set(ids)) == 4
        deadline = time.monotonic() + 60
        written = 'dawnlist_shown_total{result="written",shop="shop"} 4.0'
        while written not in client.get(f"{running.url}/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    entries: list[dict[str, Any]] = []
    groups: Any = read_stream(valkey, KEYS.shown)
    for records in groups:
        entries.extend(records)
    assert [entry["id"] for entry in entries] == ids
    assert (entries[0]["user"], entries[0]["items"], entries[0]["tier"]) == (
        "ann",
        ["c", "a"],
        lean["tier"],
    )
    assert entries[0]["token"] == lean["token"]
    lake = Lake.open(str(tmp_path), "shop")
    with redis.from_url(valkey) as store:
        Firehose(store, lake, "shop").land_everything()
    rows = query_lake(
        lake, "SELECT recommendation_id, items FROM shown ORDER BY stream_id"
    ).to_pylist()
    assert rows[0] == {"recommendation_id": ids[0], "items": ["c", "a"]} and len(rows) == 4


def make_log(url: str, answers: int) -> tuple[ShownLog, PredictorMetrics]:
    """A log with as many answers in its queue."""
    metrics = PredictorMetrics("shop")
    log = ShownLog(url, "shop", metrics)
    catalogue: Any = SimpleNamespace(item_ids=TextList(["i"]), token="1-a")
    for _ in range(answers):
        question: Any = SimpleNamespace(user_id="u1")
        recommendation: Any = SimpleNamespace(items=[0], tier="list", id="")
        log.add([question], catalogue, [recommendation])
    return log, metrics


async def write(log: ShownLog) -> None:
    await log.write_once()
    await log._client.aclose()


def test_a_full_queue_drops_and_counts(monkeypatch: pytest.MonkeyPatch, valkey: str) -> None:
    monkeypatch.setattr(shown_log_module, "MAX_QUEUE_ANSWERS", 3)
    log, metrics = make_log(valkey, 5)
    assert metrics.shown == {"written": 0, "dropped": 2}
    asyncio.run(write(log))
    assert metrics.shown == {"written": 3, "dropped": 2}
    [records] = read_stream(valkey, KEYS.shown)
    assert len(records) == 3


def test_ids_of_any_letters_are_kept(valkey: str) -> None:
    log, _ = make_log(valkey, 0)
    catalogue: Any = SimpleNamespace(item_ids=TextList(['a"b', "é\n"]), token=None)
    question: Any = SimpleNamespace(user_id='x\r\nSET a\x00"🦊')
    recommendation: Any = SimpleNamespace(items=[1, 0], tier="static", id="")
    log.add([question], catalogue, [recommendation])
    asyncio.run(write(log))
    records: Any = read_stream(valkey, KEYS.shown)
    [[record]] = records
    assert (record["user"], record["items"]) == ('x\r\nSET a\x00"🦊', ["é\n", 'a"b'])
    assert (record["id"], record["token"]) == (recommendation.id, None)


def test_an_entry_has_five_hundred_answers_at_most(valkey: str) -> None:
    log, metrics = make_log(valkey, 501)

    async def write_twice() -> None:
        await log.write_once()
        await write(log)

    asyncio.run(write_twice())
    assert metrics.shown == {"written": 501, "dropped": 0}
    assert [len(records) for records in read_stream(valkey, KEYS.shown)] == [500, 1]


def test_a_store_that_is_away_costs_the_entries_alone(
    unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[Any] = []
    monkeypatch.setattr(logs, "log_event", lambda *line, **fields: lines.append(line))
    monkeypatch.setattr(shown_log_module, "WRITE_ANSWERS", 1)
    log, metrics = make_log(f"redis://127.0.0.1:{unused_port}/0", 2)

    async def write_twice() -> None:
        await log.write_once()
        await write(log)

    asyncio.run(write_twice())
    assert metrics.shown == {"written": 0, "dropped": 2}
    assert len(lines) == 1  # once for an outage


def test_a_cluster_is_refused() -> None:
    with pytest.raises(ValueError, match="is a cluster: answers can't be logged there"):
        ShownLog("redis+cluster://127.0.0.1:6379/0", "shop", PredictorMetrics("shop"))


@pytest.mark.parametrize(("more", "written"), [(0, 0), (1, 1)])
def test_a_stream_that_nobody_lands_does_not_grow_for_ever(
    monkeypatch: pytest.MonkeyPatch, valkey: str, more: int, written: int
) -> None:
    with redis.from_url(valkey) as store:
        store.xadd(KEYS.shown, {"e": orjson.dumps([])})
        limit = store.memory_usage(KEYS.shown) + more
    monkeypatch.setattr(shown_log_module, "MAX_STREAM_BYTES", limit)
    log, metrics = make_log(valkey, 1)
    asyncio.run(write(log))
    assert metrics.shown == {"written": written, "dropped": 1 - written}


@pytest.fixture
def unused_port() -> Any:
    """A port that is bound and listens to nobody."""
    import socket

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
