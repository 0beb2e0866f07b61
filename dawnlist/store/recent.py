"""A user's recent events: what the model has not learnt from yet, written as it happens and read with each answer.

One string of the store for each user, `dawnlist:SHOP:r:HASH` with HASH the id's blake2b of 16 bytes in hex, so that no
user's text is in a key and one MGET reads it with everything else. It holds a line an event, oldest first, each a JSON
array: [seconds since 1970, event type, item id].
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from dawnlist.namespace import checked_namespace
from dawnlist.store.client import Client

EVENTS: Final = 50
SECONDS: Final = 2 * 86_400
"""After the last event; by then a daily run has learnt from it."""
LINE_BYTES: Final = 1_000

# Append, keep the newest, and put the end off: one command, so that of two events at once none is lost.
RECORD: Final = """
local lines = (redis.call('GET', KEYS[1]) or '') .. ARGV[1]
local _, count = string.gsub(lines, '\\n', '')
local begin = 1
for _ = 1, count - tonumber(ARGV[2]) do begin = string.find(lines, '\\n', begin, true) + 1 end
redis.call('SET', KEYS[1], string.sub(lines, begin), 'EX', ARGV[3])
return math.min(count, tonumber(ARGV[2]))
"""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a user did."""

    item_id: str
    event_type: str
    time: float
    """Seconds since 1970, UTC."""


def key(namespace: str, user_id: str) -> str:
    """Where a user's recent events are."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=16).hexdigest()
    return f"dawnlist:{checked_namespace(namespace)}:r:{digest}"


def command(namespace: str, user_id: str, event: Event) -> tuple[Any, ...]:
    """The command that records an event, for a client of any kind; ValueError for one of over a thousand bytes."""
    line = json.dumps([event.time, event.event_type, event.item_id], ensure_ascii=False, allow_nan=False) + "\n"
    if len(line.encode()) > LINE_BYTES:
        raise ValueError(
            f"an event of {len(line.encode()):,} bytes, {event.item_id[:40]!r} …: at most {LINE_BYTES:,} are kept"
        )
    return "EVAL", RECORD, 1, key(namespace, user_id), line, EVENTS, SECONDS


def record(client: Client, namespace: str, user_id: str, item_id: str, event_type: str, time: float) -> int:
    """Keep an event for two days, and with it the newest 50 of its user; returns how many there are."""
    asked: Any = client
    return int(asked.execute_command(*command(namespace, user_id, Event(item_id, event_type, time))))


def parse(value: bytes) -> list[Event]:
    """The events of a user's key, oldest first; ValueError when it is not what was written."""
    rows = (json.loads(line) for line in value.splitlines())
    return [Event(item_id, event_type, time) for time, event_type, item_id in rows]
