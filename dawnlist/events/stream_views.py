"""Look at the streams of events, and give dead letters to the workers once more."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from dawnlist.events.event_table import DEAD_EVENTS_TABLE, build_dead_row, parse_stream_id
from dawnlist.events.stream_keys import ENTRY_FIELD, EventKeys
from dawnlist.lake.lake import Lake
from dawnlist.store.client import StoreClient

FOLLOW_SECONDS: Final = 0.5
REPLAY_BATCH: Final = 500

REPLAY_SCRIPT: Final = """
if redis.call('XDEL', KEYS[1], ARGV[1]) == 1 then
  redis.call('XADD', KEYS[2], '*', 'e', ARGV[2])
  return 1
end
return 0
"""
"""Moves a dead letter back to the stream of accepted events, once."""


def iter_newest_events(
    client: StoreClient, namespace: str, count: int, follow: bool = False
) -> Iterator[dict[str, Any]]:
    """Iterate over the newest enriched events that are in the stream, the oldest of them first.

    With `follow` it goes on with each new event, for ever.
    """
    untyped_client: Any = client
    stream = EventKeys(namespace).enriched
    entries = untyped_client.xrevrange(stream, count=count)
    last_id = b"0-0"
    for entry_id, fields in reversed(entries):
        last_id = entry_id
        yield _parse_entry(fields)
    while follow:
        for entry_id, fields in untyped_client.xrange(stream, min=b"(" + last_id):
            last_id = entry_id
            yield _parse_entry(fields)
        time.sleep(FOLLOW_SECONDS)


def _parse_entry(fields: dict[bytes, bytes]) -> dict[str, Any]:
    record: dict[str, Any] = orjson.loads(fields[ENTRY_FIELD.encode()])
    return record


def measure_lags(client: StoreClient, namespace: str) -> list[dict[str, Any]]:
    """Measure each stream: its events, the age of the oldest in seconds, and its bytes."""
    untyped_client: Any = client
    keys = EventKeys(namespace)
    lags = []
    for name in ("accepted", "enriched", "shown", "dead"):
        stream = getattr(keys, name)
        oldest = untyped_client.xrange(stream, count=1)
        age = None
        if oldest:
            milliseconds, _ = parse_stream_id(oldest[0][0])
            age = max(0.0, time.time() - milliseconds / 1000)
        lag = {
            "stream": name,
            "events": int(untyped_client.xlen(stream)),
            "oldest_seconds": age,
            "bytes": int(untyped_client.memory_usage(stream) or 0),
        }
        lags.append(lag)
    return lags


def list_dead_events(
    client: StoreClient, lake: Lake, namespace: str, count: int
) -> list[dict[str, str]]:
    """List the newest dead letters of the stream and of the lake, the newest first."""
    untyped_client: Any = client
    entries = untyped_client.xrevrange(EventKeys(namespace).dead, count=count)
    rows = [build_dead_row(entry_id, fields) for entry_id, fields in entries]
    dataset = lake.rows(DEAD_EVENTS_TABLE)
    if dataset is not None and len(rows) < count:
        landed = dataset.to_table().sort_by([("received_time", "descending")])
        rows += landed.slice(0, count - len(rows)).to_pylist()
    dead_events = []
    for row in rows:
        received = row["received_time"].astimezone(UTC)
        dead_event = {
            "received": datetime.strftime(received, "%Y-%m-%dT%H:%M:%SZ"),
            "reason": row["reason"],
            "event": row["event"],
        }
        dead_events.append(dead_event)
    return dead_events


def replay_dead_events(client: StoreClient, namespace: str, reason: str = "") -> tuple[int, int]:
    """Move dead letters that a collector had accepted back to the workers.

    Args:
        client: The store.
        namespace: The shop.
        reason: Only dead letters whose reason contains this text are moved.

    Returns:
        The number of events that were moved, and of dead letters that stay in the stream.
    """
    untyped_client: Any = client
    keys = EventKeys(namespace)
    replayed = kept = 0
    start = b"-"
    while entries := untyped_client.xrange(keys.dead, min=start, count=REPLAY_BATCH):
        for entry_id, fields in entries:
            start = b"(" + entry_id
            row = build_dead_row(entry_id, fields)
            if reason not in row["reason"] or not _is_record(row["event"]):
                kept += 1
                continue
            arguments = (entry_id, fields[ENTRY_FIELD.encode()])
            replayed += untyped_client.eval(REPLAY_SCRIPT, 2, keys.dead, keys.accepted, *arguments)
    return replayed, kept


def _is_record(text: str) -> bool:
    """Say whether a dead letter holds a record that a collector built."""
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(record, dict) and {"id", "type", "time", "received"} <= record.keys()
