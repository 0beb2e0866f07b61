"""Send events to the collector from a server in Python.

    client = EventClient("https://collector.example", key="...")
    client.send("purchase", user="17850", item="22423", quantity=2)
    ...
    client.close()

`send` only puts the event into a queue; a thread sends batches. It needs nothing but the standard
library.
"""

import atexit
import contextlib
import os
import random
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from dawnlist.clients.event_requests import EventRequest, Reply, post_events

MAX_BATCH_EVENTS: Final = 500
"""Events in one request; the collector takes 1,000."""
FIRST_BACKOFF_SECONDS: Final = 0.5
MAX_BACKOFF_SECONDS: Final = 30.0

Event = dict[str, Any]
DropCallback = Callable[[Event, str], None]
"""Called with an event that is lost and the reason, from the thread that sends."""


@dataclass(frozen=True)
class EventCounts:
    """What became of the events: `sent` is the sum of the others."""

    sent: int = 0
    """Events that were given to `send`."""
    ok: int = 0
    """Events that the collector has kept."""
    duplicate: int = 0
    """Events that the collector had kept before, from a request whose answer was lost."""
    dropped: int = 0
    """Events that the collector refused, and those that are no JSON."""
    given_up: int = 0
    """Events that did not fit into the queue, or that waited when the client was closed."""
    waiting: int = 0
    """Events in the queue, and those that are on their way."""


def ignore_drop(event: Event, reason: str) -> None:
    """Do nothing about an event that is lost."""


class EventClient:
    """Sends events in batches from a thread. It may be used by many threads.

    `send` never blocks and never raises. Each event gets an id once, so that one that is sent again
    after a lost answer is kept once. A process that forks sends its own events only.
    """

    def __init__(
        self,
        url: str,
        key: str = "",
        *,
        max_waiting: int = 10_000,
        batch_seconds: float = 1.0,
        timeout: float = 10.0,
        on_drop: DropCallback = ignore_drop,
    ) -> None:
        """Prepare a client; the first event starts its thread.

        Args:
            url: The collector's address, such as https://collector.example.
            key: The key for servers, if the collector asks for one.
            max_waiting: Events that may wait; more are given up.
            batch_seconds: How long an event waits for others.
            timeout: Seconds that a request may take.
            on_drop: Called for each event that is lost.

        Raises:
            ValueError: the address is not one of http or https.
        """
        self._request = EventRequest(url, key, timeout)
        self._max_waiting = max_waiting
        self._batch_seconds = batch_seconds
        self._on_drop = on_drop
        self._reset()
        _CLIENTS.add(self)

    def _reset(self) -> None:
        """Begin with an empty queue and without a thread, as a child process does after a fork."""
        self._queue: deque[Event] = deque()
        self._counts = EventCounts()
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._is_flushing = False
        self._flushes = 0
        self._on_the_way = 0

    @property
    def counts(self) -> EventCounts:
        """What became of the events so far."""
        with self._condition:
            return replace(self._counts, waiting=len(self._queue) + self._on_the_way)

    def send(self, type: str, **fields: Any) -> str:
        """Queue an event, and return its id.

        Args:
            type: What happened, such as view or purchase.
            fields: user or anonymous, item, and others (docs/COLLECTOR.md). Without a time it is now.
        """
        event: Event = {"id": uuid.uuid4().hex, "time": datetime.now(UTC).isoformat(), "type": type}
        event |= fields
        with self._condition:
            self._count(sent=1)
            is_full = len(self._queue) + self._on_the_way >= self._max_waiting
            if not is_full and not self._is_closed:
                self._queue.append(event)
                self._start_thread()
                self._condition.notify_all()
                return str(event["id"])
            self._count(given_up=1)
        reason = "the client is closed"
        if is_full:
            reason = f"{self._max_waiting:,} events wait already"
        self._tell_drop(event, reason)
        return str(event["id"])

    def flush(self, timeout: float = 10.0) -> bool:
        """Send what waits now, without a pause, and say whether all was answered in time."""
        deadline = time.monotonic() + timeout
        with self._condition:
            self._is_flushing = True
            self._flushes += 1
            self._condition.notify_all()
            try:
                while self._queue or self._on_the_way:
                    if not self._condition.wait(deadline - time.monotonic()):
                        return False
            finally:
                self._is_flushing = False
        return True

    def close(self, timeout: float = 10.0) -> None:
        """Send what waits, give up what is not answered in time, and end the thread."""
        self.flush(timeout)
        with self._condition:
            self._is_closed = True
            lost = list(self._queue)
            self._queue.clear()
            self._count(given_up=len(lost))
            self._condition.notify_all()
        for event in lost:
            self._tell_drop(event, "the client was closed before the collector answered")

    def _count(self, **more: int) -> None:
        """Add to the counts; the caller holds the lock."""
        changed = {name: getattr(self._counts, name) + number for name, number in more.items()}
        self._counts = replace(self._counts, **changed)

    def _tell_drop(self, event: Event, reason: str) -> None:
        with contextlib.suppress(Exception):  # a fault of the callback is not ours to raise
            self._on_drop(event, reason)

    def _start_thread(self) -> None:
        """Start the thread, unless it runs. Without room for a thread the next event tries again."""
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._run, name="dawnlist-events", daemon=True)
        with contextlib.suppress(RuntimeError):
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        """Send batches until the client is closed."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            batch = self._take_batch()
            if not batch:
                return
            flushes = self._flushes
            try:
                reply = post_events(self._request, batch)
            except Exception as error:  # else no later event would be sent
                reply = Reply([("retry", f"the request failed: {error!r}")] * len(batch))
            again = self._settle(batch, reply)
            if not again:
                backoff = FIRST_BACKOFF_SECONDS
                continue
            self._pause(max(reply.retry_seconds, random.uniform(backoff / 2, backoff)), flushes)
            backoff = min(MAX_BACKOFF_SECONDS, 2 * backoff)

    def _take_batch(self) -> list[Event]:
        """Wait for events, and take them; none when the client is closed."""
        with self._condition:
            while not self._queue and not self._is_closed:
                self._condition.wait()
            deadline = time.monotonic() + self._batch_seconds
            while not self._is_batch_due() and self._condition.wait(deadline - time.monotonic()):
                pass
            batch: list[Event] = []
            while self._queue and len(batch) < MAX_BATCH_EVENTS:
                batch.append(self._queue.popleft())
            self._on_the_way = len(batch)
            return batch

    def _is_batch_due(self) -> bool:
        return self._is_flushing or self._is_closed or len(self._queue) >= MAX_BATCH_EVENTS

    def _settle(self, batch: list[Event], reply: Reply) -> int:
        """Count what became of a batch, and queue again what has to be sent again; its number."""
        again = []
        dropped = []
        statuses = {"ok": 0, "duplicate": 0}
        for event, (status, reason) in zip(batch, reply.outcomes, strict=True):
            if status in statuses:
                statuses[status] += 1
            elif status == "retry":
                again.append(event)
            else:
                dropped.append((event, reason))
        with self._condition:
            self._on_the_way = 0
            lost: list[Event] = []
            if self._is_closed:
                lost, again = again, []
            self._queue.extendleft(reversed(again))
            self._count(**statuses, dropped=len(dropped), given_up=len(lost))
            self._condition.notify_all()
        for event, reason in dropped:
            self._tell_drop(event, reason)
        for event in lost:
            self._tell_drop(event, "the client was closed before the collector answered")
        return len(again)

    def _pause(self, seconds: float, flushes: int) -> None:
        """Wait before the next try; not if a flush has begun since there were `flushes` of them."""
        deadline = time.monotonic() + seconds
        with self._condition:
            while not self._is_closed and self._flushes == flushes and time.monotonic() < deadline:
                self._condition.wait(deadline - time.monotonic())


_CLIENTS: "weakref.WeakSet[EventClient]" = weakref.WeakSet()
"""The clients of this process."""


def _close_all() -> None:
    for client in list(_CLIENTS):
        client.close()


def _reset_all() -> None:
    for client in list(_CLIENTS):
        client._reset()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_reset_all)
