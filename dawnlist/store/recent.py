"""Store each user's recent events, which the model has not learnt from yet.

They are written as they happen, and the predictor reads them for each answer. Each user has one
string in the store, `dawnlist:SHOP:r:HASH`. HASH is the blake2b of the user's id (16 bytes, in
hex), so that no id is in a key; one MGET reads the string together with everything else. The string
has one line for each event, the oldest first. A line is a JSON array: [seconds since 1970, event
type, item id].
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from dawnlist.namespace import check_namespace
from dawnlist.store.client import StoreClient
from dawnlist.store.layout import hash_person

MAX_RECENT_EVENTS: Final = 50
"""The number of events of a user that are kept, the newest."""
RECENT_EVENTS_TTL_SECONDS: Final = 2 * 86_400
"""A user's events are deleted this long after the last one. A daily run has used them by then."""
MAX_EVENT_BYTES: Final = 1_000
DISLIKE_TYPE: Final = "dislike"
"""The type of an event after which its item is in no answer, until the user meets it again."""

APPEND_SCRIPT: Final = """
local lines = (redis.call('GET', KEYS[1]) or '') .. ARGV[1]
local _, count = string.gsub(lines, '\\n', '')
local begin = 1
for _ = 1, count - tonumber(ARGV[2]) do begin = string.find(lines, '\\n', begin, true) + 1 end
redis.call('SET', KEYS[1], string.sub(lines, begin), 'EX', ARGV[3])
return math.min(count, tonumber(ARGV[2]))
"""
"""Appends an event, keeps only the newest ones, and sets the time to live anew.

A single command does all three, so that of two events at the same time none is lost.
"""


@dataclass(frozen=True, slots=True)
class RecentEvent:
    """An event of a user."""

    item_id: str
    event_type: str
    time: float
    """Seconds since 1970, UTC."""


def build_recent_key(namespace: str, user_id: str) -> str:
    """Return the key of a user's recent events."""
    return f"dawnlist:{check_namespace(namespace)}:r:{hash_person(user_id)}"


def build_record_command(namespace: str, user_id: str, event: RecentEvent) -> tuple[Any, ...]:
    """Build the command that records an event, for a client of any kind.

    Raises:
        ValueError: the event has more than MAX_EVENT_BYTES bytes.
    """
    fields = [event.time, event.event_type, event.item_id]
    line = json.dumps(fields, ensure_ascii=False, allow_nan=False) + "\n"
    size = len(line.encode())
    if size > MAX_EVENT_BYTES:
        raise ValueError(
            f"an event of {size:,} bytes, {event.item_id[:40]!r} …: "
            f"at most {MAX_EVENT_BYTES:,} are kept"
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
    """Record an event, and return how many recent events the user now has.

    The newest 50 events of a user are kept, until two days after the last one.

    Args:
        time: Seconds since 1970, UTC.

    Raises:
        ValueError: the event has more than MAX_EVENT_BYTES bytes.
    """
    event = RecentEvent(item_id, event_type, time)
    untyped_client: Any = client
    count = untyped_client.execute_command(*build_record_command(namespace, user_id, event))
    return int(count)


def parse_recent_events(value: bytes) -> list[RecentEvent]:
    """Parse the value of a user's key, the oldest event first.

    Raises:
        ValueError: the value is damaged.
    """
    events = []
    for line in value.splitlines():
        time, event_type, item_id = json.loads(line)
        events.append(RecentEvent(item_id, event_type, time))
    return events
