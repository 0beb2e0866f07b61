"""Write accepted events to the stream in the store: many requests' events with one command.

While a command is on its way the events of other requests wait, and go out together with the next
one. So a store that writes its file to the disk for each command does it once for many requests.
"""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from dawnlist.events.stream_keys import ENTRY_FIELD, REASON_FIELD, EventKeys
from dawnlist.store.endpoint import ServerEndpoint, pack_command
from dawnlist.store.wire import ServerLink

collector_log = logging.getLogger("dawnlist.collector")

MAX_GROUP_EVENTS: Final = 512
"""Events in one command; more would hold up the store's other clients for milliseconds."""
STORE_TIMEOUT_SECONDS: Final = 5.0
MAX_WAITING_EVENTS: Final = 20_000
"""Events that wait for the store; a request that would exceed it is told to try again."""

APPEND_SCRIPT: Final = """
local answers = {}
for i = 2, #ARGV, 2 do
  local digest, entry = ARGV[i], ARGV[i + 1]
  if digest ~= '' and (redis.call('SISMEMBER', KEYS[3], digest) == 1
      or redis.call('SADD', KEYS[2], digest) == 0) then
    answers[#answers + 1] = 0
  else
    redis.call('XADD', KEYS[1], '*', 'e', entry)
    answers[#answers + 1] = 1
  end
end
redis.call('EXPIRE', KEYS[2], ARGV[1])
return answers
"""
"""Appends each event whose digest was not seen in this period or the one before.

A store that is out of memory refuses the first write of the script, so that nothing is half done.
"""


class EventStatus(StrEnum):
    """What became of an event."""

    OK = "ok"
    DUPLICATE = "duplicate"
    DROPPED = "dropped"
    RETRY = "retry"


@dataclass(slots=True)
class EventGroup:
    """The events of one request that wait for the store."""

    entries: list[tuple[bytes, bytes]]
    """Digest and record of each event; the digest is empty for an event without an id."""
    dead_letters: list[tuple[bytes, str]]
    """Events that were dropped, and the reasons."""
    answer: "asyncio.Future[list[EventStatus]]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    """The statuses of the entries and then of the dead letters."""

    @property
    def size(self) -> int:
        """The number of events."""
        return len(self.entries) + len(self.dead_letters)


class EventWriter:
    """Appends events to the streams of one shop."""

    def __init__(self, server: ServerEndpoint, keys: EventKeys, duplicate_seconds: float) -> None:
        self._link = ServerLink(server, SilentListener(), STORE_TIMEOUT_SECONDS)
        self._keys = keys
        self._period_seconds = max(1, round(duplicate_seconds))
        self._waiting: deque[EventGroup] = deque()
        self._waiting_events = 0
        self._wakeup = asyncio.Event()
        self.is_full = False
        """Whether the store has no room for events; set by the watch over its memory."""

    async def append(self, group: EventGroup) -> list[EventStatus]:
        """Append the events of a request, and return what became of each."""
        if not group.size:
            return []  # the store would never answer to no command
        if self.is_full or self._waiting_events + group.size > MAX_WAITING_EVENTS:
            return [EventStatus.RETRY] * group.size
        self._waiting.append(group)
        self._waiting_events += group.size
        self._wakeup.set()
        return await group.answer

    async def run(self) -> None:
        """Write groups, until the task is cancelled."""
        try:
            while True:
                await self._wakeup.wait()
                groups = self._take_groups()
                if not groups:
                    self._wakeup.clear()
                    continue
                try:
                    await self._write_groups(groups)
                except Exception:
                    # Otherwise these requests and all later ones would wait for ever.
                    collector_log.exception("events could not be written")
                    _answer_all(groups, EventStatus.RETRY)
        finally:
            self._link.close()

    def _take_groups(self) -> list[EventGroup]:
        """Take the waiting groups that fit into one command; a larger group goes alone."""
        groups: list[EventGroup] = []
        events = 0
        while self._waiting and (not groups or events + self._waiting[0].size <= MAX_GROUP_EVENTS):
            group = self._waiting.popleft()
            groups.append(group)
            events += group.size
        self._waiting_events -= events
        return groups

    async def _write_groups(self, groups: list[EventGroup]) -> None:
        commands = self._pack_commands(groups)
        replies = await self._link.execute(b"".join(commands), len(commands))
        if replies is None:
            _answer_all(groups, EventStatus.RETRY)
            return
        entries = sum(len(group.entries) for group in groups)
        stored: list[int | None] = []
        if entries:
            reply = replies.pop(0)
            # A store that refuses the script, as for lack of memory, has stored none.
            stored = reply if isinstance(reply, list) else [None] * entries
        _answer_groups(groups, stored, replies)

    def _pack_commands(self, groups: list[EventGroup]) -> list[bytes]:
        """Pack the command that appends all entries, and one for each dead letter."""
        arguments: list[Any] = []
        dead_letters = []
        for group in groups:
            for digest, record in group.entries:
                arguments += (digest, record)
            for event, reason in group.dead_letters:
                words = ("XADD", self._keys.dead, "*", ENTRY_FIELD, event, REASON_FIELD, reason)
                dead_letters.append(pack_command(words))
        if not arguments:
            return dead_letters
        period = int(time.time()) // self._period_seconds
        keys = (self._keys.accepted, self._keys.seen(period), self._keys.seen(period - 1))
        words = ("EVAL", APPEND_SCRIPT, len(keys), *keys, 2 * self._period_seconds, *arguments)
        return [pack_command(words), *dead_letters]


class SilentListener:
    """Is told about failures of the store; the statuses of events say them already."""

    def report_store_error(self, kind: str) -> None:
        """See FailureListener."""

    def report_breaker(self, is_open: bool) -> None:
        """See FailureListener."""


def _answer_groups(groups: list[EventGroup], stored: list[int | None], dead: list[Any]) -> None:
    """Give each group its statuses.

    Args:
        groups: The groups that were written.
        stored: For each entry 1 if it was appended, 0 for a duplicate, None if the store refused.
        dead: For each dead letter the store's answer, or its error.
    """
    statuses = {1: EventStatus.OK, 0: EventStatus.DUPLICATE, None: EventStatus.RETRY}
    stored_answers, dead_answers = iter(stored), iter(dead)
    for group in groups:
        answers = [statuses[next(stored_answers)] for _ in group.entries]
        for _ in group.dead_letters:
            status = EventStatus.DROPPED
            if isinstance(next(dead_answers), Exception):
                status = EventStatus.RETRY
            answers.append(status)
        if not group.answer.done():
            group.answer.set_result(answers)


def _answer_all(groups: list[EventGroup], status: EventStatus) -> None:
    for group in groups:
        if not group.answer.done():
            group.answer.set_result([status] * group.size)
