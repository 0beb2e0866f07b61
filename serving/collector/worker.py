"""Enrich the stream of accepted events: any number of workers of one consumer group.

An event is moved to the enriched stream by one command of the store, which also acknowledges it;
so a worker that is killed at any point leaves it moved once, or for another worker to take.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
import redis

from dawnlist.events.stream_keys import ENTRY_FIELD, WORKER_GROUP, EventKeys
from dawnlist.serving.collector.acceptance import Record
from dawnlist.serving.collector.enrich.enrichment import Enricher
from dawnlist.serving.collector.enrich.moods import MoodTable
from dawnlist.serving.collector.enrich.people import (
    add_known_users,
    add_visits,
    remember_aliases,
)
from dawnlist.serving.collector.recent_writer import RecentWriter
from dawnlist.settings import Settings

BATCH_EVENTS: Final = 500
BLOCK_MILLISECONDS: Final = 500
CLAIM_IDLE_MILLISECONDS: Final = 15_000
"""A worker that has held an event for this long has died, or can't process it."""
LOOK_SECONDS: Final = 5.0
"""Seconds between two looks for such events."""
MAX_TRIES: Final = 5
"""An event that was given to workers this often goes to the dead letters."""

MOVE_SCRIPT: Final = """
local moved = {}
for i = 2, #ARGV, 2 do
  moved[#moved + 1] = redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  if moved[#moved] == 1 then redis.call('XADD', KEYS[2], '*', 'e', ARGV[i + 1]) end
end
return moved
"""
"""Moves each event that is still this group's to do; of two workers with one event one moves it."""

BURY_SCRIPT: Final = """
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 1 then
  redis.call('XADD', KEYS[2], '*', 'e', ARGV[3], 'reason', ARGV[4])
end
"""
"""Moves an event to the dead letters."""

STORE_ERRORS: Final = (redis.RedisError, OSError)
worker_log = logging.getLogger("dawnlist.collector")


def do_nothing() -> None:
    """Show no life, in tests."""


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """An entry of the stream of accepted events."""

    id: bytes
    record: Record


class Worker:
    """Takes events, enriches them, and writes what the predictor reads of them."""

    def __init__(self, client: "redis.Redis", namespace: str, settings: Settings) -> None:
        self._client: Any = client
        self._keys = EventKeys(namespace)
        self._settings = settings.collector
        self._enricher = Enricher(MoodTable(settings.collector.moods))
        self._recent_writer = RecentWriter(client, namespace, settings.source)
        self._name = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"

    def run(self, stop: threading.Event, show_life: Callable[[], None] = do_nothing) -> None:
        """Work until `stop` is set. A store that is away is waited for.

        `show_life` is called in each turn.
        """
        has_group = False
        next_look = 0.0
        while not stop.is_set():
            show_life()
            try:
                if not has_group:
                    self.ensure_group()
                    has_group = True
                self.work_once()
                # Also while events come without a pause: somebody else's may have waited for long.
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + LOOK_SECONDS
                    self.take_over()
            except redis.exceptions.ResponseError as error:
                # The store lost the group, with the stream.
                has_group = False
                worker_log.warning("the store refuses a worker: %s", error)
                stop.wait(1.0)
            except STORE_ERRORS as error:
                worker_log.warning("the store does not answer a worker: %s", error)
                stop.wait(1.0)
            except Exception:
                # A worker that ends would be started with the same events again.
                worker_log.exception("a worker failed")
                stop.wait(1.0)

    def ensure_group(self) -> None:
        """Create the consumer group, from the stream's beginning, unless it is there."""
        try:
            self._client.xgroup_create(self._keys.accepted, WORKER_GROUP, id="0", mkstream=True)
        except redis.exceptions.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def work_once(self, block_milliseconds: int = BLOCK_MILLISECONDS) -> int:
        """Enrich the next batch of events, and return its size."""
        answer = self._client.xreadgroup(
            WORKER_GROUP,
            self._name,
            {self._keys.accepted: ">"},
            count=BATCH_EVENTS,
            block=block_milliseconds,
        )
        if not answer:
            return 0
        entries = _list_entries(answer)
        self._process(entries)
        return len(entries)

    def take_over(self) -> int:
        """Take events that another worker has held for too long, and return their number."""
        pending = self._client.xpending_range(
            self._keys.accepted, WORKER_GROUP, "-", "+", BATCH_EVENTS, idle=CLAIM_IDLE_MILLISECONDS
        )
        if not pending:
            return 0
        tries = {entry["message_id"]: entry["times_delivered"] for entry in pending}
        claimed = self._client.xclaim(
            self._keys.accepted, WORKER_GROUP, self._name, CLAIM_IDLE_MILLISECONDS, list(tries)
        )
        entries = []
        for entry_id, fields in claimed:
            if tries[entry_id] >= MAX_TRIES:
                reason = f"{MAX_TRIES} workers could not process it"
                self._bury(entry_id, fields.get(ENTRY_FIELD.encode(), b""), reason)
            else:
                entries.append((entry_id, fields))
        self._process(entries)
        return len(claimed)

    def _process(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        """Enrich entries and move them. One that fails is left, for the next worker to take."""
        try:
            self._process_together(entries)
        except STORE_ERRORS:
            raise
        except Exception:
            worker_log.exception("events could not be enriched together; each is tried alone")
            self._process_one_by_one(entries)

    def _process_one_by_one(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        """Process each entry alone, so that one that can't be processed does not stop the others."""
        for entry in entries:
            try:
                self._process_together([entry])
            except STORE_ERRORS:
                raise
            except Exception:
                worker_log.exception("event %s could not be enriched", entry[0])

    def _process_together(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        parsed = self._parse_entries(entries)
        records = [entry.record for entry in parsed]
        remember_aliases(self._client, self._keys, records, self._settings)
        add_known_users(self._client, self._keys, records)
        add_visits(self._client, self._keys, records, self._settings.session_minutes * 60)
        agents = self._enricher.read_agents(records)
        enriched = []
        for entry in parsed:
            try:
                self._enricher.enrich(entry.record, agents)
            except Exception:
                worker_log.exception("event %s could not be enriched", entry.id)
            else:
                enriched.append(entry)
        self._move(enriched)

    def _parse_entries(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> list[StreamEntry]:
        """Parse entries. What is no record of ours goes to the dead letters at once."""
        parsed = []
        for entry_id, fields in entries:
            data = fields.get(ENTRY_FIELD.encode(), b"")
            try:
                record = orjson.loads(data)
                is_record = isinstance(record["type"], str) and isinstance(record["time"], float)
            except (ValueError, KeyError, TypeError):
                is_record = False
            if is_record:
                parsed.append(StreamEntry(entry_id, record))
            else:
                self._bury(entry_id, data, "it is no record that a collector wrote")
        return parsed

    def _move(self, entries: list[StreamEntry]) -> None:
        """Move enriched entries, and write the events of those that this worker moved."""
        if not entries:
            return
        arguments: list[Any] = [WORKER_GROUP]
        for entry in entries:
            arguments += (entry.id, orjson.dumps(entry.record))
        keys = (self._keys.accepted, self._keys.enriched)
        moved = self._client.eval(MOVE_SCRIPT, len(keys), *keys, *arguments)
        moved_records = []
        for entry, is_moved in zip(entries, moved, strict=True):
            if is_moved:
                moved_records.append(entry.record)
        self._recent_writer.write(moved_records)

    def _bury(self, entry_id: bytes, data: bytes, reason: str) -> None:
        keys = (self._keys.accepted, self._keys.dead)
        self._client.eval(BURY_SCRIPT, len(keys), *keys, WORKER_GROUP, entry_id, data, reason)
        worker_log.warning("event %s went to the dead letters: %s", entry_id, reason)


def _list_entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """List the entries of an answer to XREADGROUP on one stream, in either protocol of Redis."""
    if isinstance(answer, dict):
        [batches] = answer.values()
        return [entry for batch in batches for entry in batch]
    [[_, entries]] = answer
    return list(entries)
