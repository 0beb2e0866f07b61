"""Export and erase what the collector and the log of answers hold of one person.

A person is a user and the anonymous ids that logins joined to the user. Data of the shop's own
database, the tables made of it and published lists are not touched: they follow their source.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.events.event_table import DEAD_EVENTS_TABLE, EVENTS_TABLE, SHOWN_TABLE
from dawnlist.events.stream_keys import ENTRY_FIELD, WORKER_GROUP, EventKeys
from dawnlist.lake.lake import Lake
from dawnlist.lake.row_deletion import delete_rows
from dawnlist.store.client import StoreClient
from dawnlist.store.recent import build_recent_key, parse_recent_events

READ_ENTRIES: Final = 1_000
MAX_PASSES: Final = 5
"""Passes of an erasure. A worker or a firehose may move an event while one pass is under way."""
PASS_SECONDS: Final = 2.0
"""Seconds between two passes: longer than a batch stays in a worker's memory."""

REMOVE_SCRIPT: Final = """
local removed = redis.call('XDEL', KEYS[1], ARGV[1])
if ARGV[2] ~= '' then redis.call('XACK', KEYS[1], ARGV[2], ARGV[1]) end
if removed == 1 and ARGV[3] ~= '' then redis.call('XADD', KEYS[1], '*', 'e', ARGV[3]) end
return removed
"""
"""Removes an entry, for a worker that holds it too, and adds what is left of it, if anything."""


@dataclass(frozen=True)
class Person:
    """The ids of one person."""

    user: str
    anonymous: frozenset[str] = frozenset()

    @property
    def ids(self) -> list[str]:
        """All ids, the user's first."""
        return [self.user, *sorted(self.anonymous)]

    def owns(self, record: Any) -> bool:
        """Say whether a record of a stream, or a dead letter, is of this person."""
        if not isinstance(record, dict):
            return False
        anonymous = record.get("anonymous")  # of a dead letter it may be anything
        is_anonymous = isinstance(anonymous, str) and anonymous in self.anonymous
        return record.get("user") == self.user or is_anonymous

    @property
    def condition(self) -> pc.Expression:
        """The condition that a row of the table `events` is of this person."""
        is_anonymous = pc.field("anonymous_id").isin(pa.array(sorted(self.anonymous), pa.string()))
        return (pc.field("user_id") == self.user) | is_anonymous


def find_person(client: StoreClient, lake: Lake, namespace: str, user: str) -> Person:
    """Find the anonymous ids that belong to a user, in the lake and in the streams."""
    anonymous: set[str] = set()
    rows = lake.rows(EVENTS_TABLE)
    if rows is not None:
        known = rows.to_table(columns=["anonymous_id"], filter=pc.field("user_id") == user)
        anonymous.update(known["anonymous_id"].drop_null().unique().to_pylist())
    keys = EventKeys(namespace)
    for stream in (keys.accepted, keys.enriched):
        for _, record in _read_records(client, stream):
            if isinstance(record, dict) and record.get("user") == user:
                anonymous_id = record.get("anonymous")
                if isinstance(anonymous_id, str):
                    anonymous.add(anonymous_id)
    return Person(user, frozenset(anonymous))


def iter_person_data(
    client: StoreClient, lake: Lake, namespace: str, user: str
) -> Iterator[dict[str, Any]]:
    """Iterate over everything that is held of a person, each with the place where it is."""
    person = find_person(client, lake, namespace, user)
    for table, condition in _list_table_conditions(lake, person):
        rows = lake.rows(table)
        if rows is not None:
            for batch in rows.to_batches(filter=condition):
                for row in batch.to_pylist():
                    yield {"place": f"table {table}", **row}
    keys = EventKeys(namespace)
    for name in ("accepted", "enriched", "shown", "dead"):
        for _, record in _read_records(client, getattr(keys, name)):
            for part in _list_parts(record):
                if person.owns(part):
                    yield {"place": f"stream {name}", **part}
    untyped_client: Any = client
    for person_id in person.ids:
        value = untyped_client.get(build_recent_key(namespace, person_id))
        for event in parse_recent_events(value or b""):
            described = {"item_id": event.item_id, "event_type": event.event_type}
            yield {"place": "recent events", "id": person_id, **described, "time": event.time}


def erase_person(client: StoreClient, lake: Lake, namespace: str, user: str) -> dict[str, int]:
    """Erase everything that is held of a person, and count it by place.

    Passes are made until one finds nothing, since events may be on their way between two places.
    Older versions of the tables keep the rows until housekeeping removes them
    (keep.time_travel_days).

    Raises:
        RuntimeError: events of the person still come. Stop them first.
    """
    person = find_person(client, lake, namespace, user)
    erased: Counter[str] = Counter()
    for number in range(MAX_PASSES):
        counts = _erase_once(client, lake, namespace, person)
        erased.update(counts)
        if not sum(counts.values()):
            return dict(erased)
        if number < MAX_PASSES - 1:
            time.sleep(PASS_SECONDS)
        person = Person(
            user, person.anonymous | find_person(client, lake, namespace, user).anonymous
        )
    raise RuntimeError(
        f"events of the person still come after {MAX_PASSES} passes, {dict(erased)} were erased: "
        "stop them at their source and erase again"
    )


def _erase_once(client: StoreClient, lake: Lake, namespace: str, person: Person) -> dict[str, int]:
    """Erase what is there now, streams first: what leaves them meanwhile is found in the lake."""
    keys = EventKeys(namespace)
    counts: Counter[str] = Counter()
    for name in ("accepted", "enriched", "shown", "dead"):
        counts[f"stream {name}"] = _erase_stream(client, getattr(keys, name), person)
    for table, condition in _list_table_conditions(lake, person):
        counts[f"table {table}"] = delete_rows(lake, table, condition)
    untyped_client: Any = client
    names: list[str] = []
    for person_id in person.ids:
        names += (build_recent_key(namespace, person_id), keys.alias(person_id))
        names.append(keys.visit(person_id))
    counts["keys of the store"] = sum(untyped_client.delete(name) for name in names)
    return dict(counts)


def _erase_stream(client: StoreClient, stream: str, person: Person) -> int:
    """Remove a person's entries of a stream; of an entry of several answers only theirs."""
    untyped_client: Any = client
    erased = 0
    for entry_id, record in _read_records(client, stream):
        parts = _list_parts(record)
        others = [part for part in parts if not person.owns(part)]
        if len(others) == len(parts):
            continue
        rest = b""
        if others:
            rest = orjson.dumps(others)
        if untyped_client.eval(REMOVE_SCRIPT, 1, stream, entry_id, WORKER_GROUP, rest):
            erased += len(parts) - len(others)
    return erased


def _read_records(client: StoreClient, stream: str) -> Iterator[tuple[bytes, Any]]:
    """Iterate over the entries of a stream with what they hold; None for what is no JSON."""
    untyped_client: Any = client
    start = b"-"
    while entries := untyped_client.xrange(stream, min=start, count=READ_ENTRIES):
        for entry_id, fields in entries:
            yield entry_id, _parse_json(fields.get(ENTRY_FIELD.encode(), b""))
        start = b"(" + entries[-1][0]


def _parse_json(data: bytes | str) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _list_parts(record: Any) -> list[Any]:
    """Return the answers that an entry of the stream `shown` holds, or else the one record."""
    if isinstance(record, list):
        return record
    return [record]


def _list_table_conditions(lake: Lake, person: Person) -> list[tuple[str, pc.Expression]]:
    """List the tables with the condition that a row is of this person."""
    dead_ids = pa.array(_find_dead_rows(lake, person), pa.string())
    return [
        (EVENTS_TABLE, person.condition),
        (SHOWN_TABLE, pc.field("user_id") == person.user),
        (DEAD_EVENTS_TABLE, pc.field("stream_id").isin(dead_ids)),
    ]


def _find_dead_rows(lake: Lake, person: Person) -> list[str]:
    """Find the dead letters of a person, as far as they are JSON, and return their stream ids."""
    rows = lake.rows(DEAD_EVENTS_TABLE)
    if rows is None:
        return []
    stream_ids = []
    for batch in rows.to_batches(columns=["stream_id", "event"]):
        for row in batch.to_pylist():
            if person.owns(_parse_json(row["event"])):
                stream_ids.append(row["stream_id"])
    return stream_ids
