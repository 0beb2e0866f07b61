"""Alerts: a service tells people about an error that nobody expected, once an hour for each kind.

This is for processes that answer requests (the predictor, a collector). `Alerts.report` only counts
and puts the error into a queue; a thread sends the messages. An error's text may repeat what a
caller sent. So people are told where the error came from, never its text.
"""

import contextlib
import logging
import math
import platform
import queue
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from dawnlist.cuts import format_iso
from dawnlist.messages.channels import SEND_TIMEOUT_SECONDS, Channel, run_with_timeout
from dawnlist.messages.masking import anonymise_text
from dawnlist.messages.message import Message
from dawnlist.urls import format_error

ALERT_INTERVAL_SECONDS: Final = 3600.0
"""The shortest time between two messages about the same kind of error."""
MAX_QUEUED_ALERTS: Final = 16
"""The number of errors that may wait for their message. Further ones are only counted."""
MAX_DISTINCT_ERRORS: Final = 256
"""The number of kinds of errors that are told apart. All further ones count as one kind."""
NEVER: Final = -math.inf
MAX_TRACE_FRAMES: Final = 12
"""The number of frames of each error that a message shows, the innermost ones."""
ALERT_RETRY_PAUSES: Final = (5.0, 30.0, 120.0)
"""The seconds before each new attempt to send a message that was not accepted."""

ErrorKind = tuple[str, str]
"""An error's class and the place that raised it."""
QueuedAlert = tuple[BaseException, ErrorKind, str, int]
"""The error, its kind, what failed, and how often it occurred since the last message."""

_log = logging.getLogger("dawnlist.alerts")


@dataclass(slots=True)
class _AlertState:
    last_message: float = NEVER
    """When the last message was queued, by the monotonic clock."""
    count_since: int = 0
    """How often the error has occurred since then, without a message."""


class Alerts:
    """Sends messages about errors, from any thread. Without channels it does nothing.

    Args:
        service: The name of the service that fails, for people.
        channels: Where to send the messages.
        interval: The shortest time in seconds between two messages about the same kind of error.
        pauses: The seconds before each new attempt to send a message.
    """

    def __init__(
        self,
        service: str,
        channels: Sequence[Channel],
        interval: float = ALERT_INTERVAL_SECONDS,
        pauses: Sequence[float] = ALERT_RETRY_PAUSES,
    ) -> None:
        self._service = service
        self._channels = channels
        self._interval = interval
        self._pauses = pauses
        self._states: dict[ErrorKind, _AlertState] = {}
        self._lock = threading.Lock()
        self._queue: queue.Queue[QueuedAlert | None] = queue.Queue(MAX_QUEUED_ALERTS)
        self._thread = threading.Thread(
            target=self._send_queued, name="dawnlist-alerts", daemon=True
        )
        if channels:
            self._thread.start()

    def report(self, error: BaseException, doing: str) -> None:
        """Send a message about an error, unless one was sent within the interval. Never waits.

        Args:
            doing: What failed, in words, such as "a request".
        """
        if not self._channels:
            return
        kind = (type(error).__name__, _locate_error(error))
        now = time.monotonic()
        with self._lock:
            if kind not in self._states and len(self._states) >= MAX_DISTINCT_ERRORS:
                kind = ("others", "")
            state = self._states.setdefault(kind, _AlertState())
            if now - state.last_message < self._interval:
                state.count_since += 1
                return
            count_since = state.count_since
            state.last_message = now
            state.count_since = 0
        try:
            self._queue.put_nowait((error, kind, doing, count_since))
        except queue.Full:
            with self._lock:
                state.last_message = NEVER
                state.count_since = count_since + 1

    def close(self, seconds: float = 5.0) -> None:
        """Send the queued messages, and wait at most this long for it."""
        if self._channels:
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=seconds)
            self._thread.join(seconds)

    def _build_message(
        self, error: BaseException, kind: ErrorKind, doing: str, count_since: int
    ) -> Message:
        name, location = kind
        now = datetime.now(UTC)
        moment = format_iso(now)
        host = platform.node()
        short = (
            f"{doing[:1].upper()}{doing[1:]} failed in {self._service} on {host} at {moment}: "
            f"{name} at {location}."
        )
        if count_since:
            short += f" It occurred {count_since} times more since the last message about it."
        short += (
            " There will be no other message about this error "
            f"within {self._interval / 60:.0f} minutes."
        )
        trace = anonymise_text("\n".join(format_frames(error)))
        note = (
            "The error's own text is left out, since it may repeat what a caller sent; "
            "the log has the same places."
        )
        return Message(
            key=f"{host}/{name}/{location}/{moment}",
            moment=now,
            subject=f"[{self._service}] ERROR: {name} at {location}",
            text=f"{short}\n\n{trace}\n\n{note}\n",
            short=short,
        )

    def _send_queued(self) -> None:
        while (alert := self._queue.get()) is not None:
            message = self._build_message(*alert)
            del alert  # its frames hold the request that was being answered
            for channel in self._channels:
                self._send(channel, message)

    def _send(self, channel: Channel, message: Message) -> None:
        for pause in (*self._pauses, None):
            try:
                run_with_timeout(SEND_TIMEOUT_SECONDS, partial(channel.send, message))
                return
            except Exception as error:  # whatever happens, this thread must go on
                reason = format_error(anonymise_text(str(error)))
                _log.warning("%s took no message: %s", channel.name, reason)
            if pause is not None:
                time.sleep(pause)


class AlertHandler(logging.Handler):
    """Reports every log record that is an error with an exception, such as one that ended a thread.

    A record with the attribute `told` is skipped, because its author has already reported it.
    """

    def __init__(self, alerts: Alerts) -> None:
        super().__init__(logging.ERROR)
        self._alerts = alerts

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        if not record.exc_info or hasattr(record, "told"):
            return
        error = record.exc_info[1]
        if error:
            doing = format_error(record.getMessage()).removesuffix(" failed")
            self._alerts.report(error, doing)


def format_frames(error: BaseException) -> list[str]:
    """Return the lines of code that led to an error, without the error's own text.

    The innermost line is the last one. The errors that caused it come before.
    """
    lines: list[str] = []
    current: BaseException | None = error
    while current is not None and len(lines) < 5 * MAX_TRACE_FRAMES:
        own_lines = []
        for frame in traceback.extract_tb(current.__traceback__)[-MAX_TRACE_FRAMES:]:
            own_lines.append(f"{frame.filename}:{frame.lineno} {frame.name}\n    {frame.line}")
        own_lines.append(type(current).__name__)
        own_lines.append("")
        lines = own_lines + lines
        current = _get_cause(current)
    return lines[:-1]


def _get_cause(error: BaseException) -> BaseException | None:
    """Return the error that a traceback would show before this one."""
    if error.__cause__ or error.__suppress_context__:
        return error.__cause__
    return error.__context__


def _locate_error(error: BaseException) -> str:
    """Return the file, line and function that raised the error.

    This reads no source files, so it takes hardly any time.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "no place"
    code = trace.tb_frame.f_code
    file = "/".join(code.co_filename.split("/")[-2:])
    return f"{file}:{trace.tb_lineno} {code.co_name}"
