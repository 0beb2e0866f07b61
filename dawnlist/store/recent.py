"""A user's recent events: what the model has not learnt from yet, written as it happens and read with each answer.

One string of the store for each user, `dawnlist:SHOP:r:HASH` with HASH the id's blake2b of 16 bytes in hex, so that no
user's text is in a key and one MGET reads it with everything else. It holds a line an event, oldest first, each a JSON
array: [seconds since 1970, event type, item id].
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from dawnlist.namespace import check_namespace
from dawnlist.store.client import StoreClient

MAX_RECENT_EVENTS: Final = 50
RECENT_EVENTS_TTL_SECONDS: Final = 2 * 86_400
"""After the last event; by then a daily run has learnt from it."""
MAX_EVENT_BYTES: Final = 1_000

# Append, keep the newest, and put the end off: one command, so that of two events at once none is lost.
APPEND_SCRIPT: Final = """
local lines = (redis.call('GET', KEYS[1]) or '') .. ARGV[1]
local _, count = string.gsub(lines, '\\n', '')
local begin = 1
for _ = 1, count - tonumber(ARGV[2]) do begin = string.find(lines, '\\n', begin, true) + 1 end
redis.call('SET', KEYS[1], string.sub(lines, begin), 'EX', ARGV[3])
return math.min(count, tonumber(ARGV[2]))
"""


@dataclass(frozen=True, slots=True)
class RecentEvent:
    """Something that a user did."""

    item_id: str
    event_type: str
    time: float
    """Seconds since 1970, UTC."""


def build_recent_key(namespace: str, user_id: str) -> str:
    """Where a user's recent events are."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=16).hexdigest()
    return f"dawnlist:{check_namespace(namespace)}:r:{digest}"


def build_record_command(namespace: str, user_id: str, event: RecentEvent) -> tuple[Any, ...]:
    """The command that records an event, for a client of any kind; ValueError for one of over a thousand bytes."""
    line = (
        json.dumps(
            [event.time, event.event_type, event.item_id], ensure_ascii=False, allow_nan=False
        )
        + "\n"
    )
    if len(line.encode()) > MAX_EVENT_BYTES:
        raise ValueError(
            f"an event of {len(line.encode()):,} bytes, {event.item_id[:40]!r} …: at most {MAX_EVENT_BYTES:,} are kept"
        )
    return (
        "EVAL",
        APPEND_SCRIPT,
        1,
        build_recent_key(namespace, user_id),
        line,
        MAX_RECENT_EVENTS,
        RECENT_EVENTS_TTL_SECONDS,
    )


def record_event(
    client: StoreClient, namespace: str, user_id: str, item_id: str, event_type: str, time: float
) -> int:
    """Keep an event for two days, and with it the newest 50 of its user; returns how many there are."""
    asked: Any = client
    return int(
        asked.execute_command(
            *build_record_command(namespace, user_id, RecentEvent(item_id, event_type, time))
        )
    )


def parse_recent_events(value: bytes) -> list[RecentEvent]:
    """The events of a user's key, oldest first; ValueError when it is not what was written."""
    rows = (json.loads(line) for line in value.splitlines())
    return [RecentEvent(item_id, event_type, time) for time, event_type, item_id in rows]
