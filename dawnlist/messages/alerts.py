"""A service's last resort: an error that nobody expected is told to people, once an interval for each distinct one.

For processes that answer requests (the predictor, a collector): `report` only counts and puts into a queue, a thread
sends. What an error says may be what a caller sent, so people are told where it came from, never its words.
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
"""Seconds between two messages about the same error."""
MAX_QUEUED_ALERTS: Final = 16
"""Errors to be told at most; others are only counted."""
MAX_DISTINCT_ERRORS: Final = 256
"""Errors that are told apart; those after are told as one."""
NEVER: Final = -math.inf
MAX_TRACE_FRAMES: Final = 12
"""Of each error; the innermost ones."""
ALERT_RETRY_PAUSES: Final = (5.0, 30.0, 120.0)
"""Seconds before a message that was not taken is sent again."""

ErrorKind = tuple[str, str]
"""An error's class and the place that raised it."""

_log = logging.getLogger("dawnlist.alerts")


@dataclass(slots=True)
class _AlertState:
    told: float = NEVER
    """By the monotonic clock."""
    since: int = 0
    """How often it was met and not told since."""


class Alerts:
    """Tells of errors, from any thread; without channels it does nothing."""

    def __init__(
        self,
        service: str,
        channels: Sequence[Channel],
        interval: float = ALERT_INTERVAL_SECONDS,
        pauses: Sequence[float] = ALERT_RETRY_PAUSES,
    ) -> None:
        """`service` is who fails, in words."""
        self._service, self._channels, self._interval, self._pauses = (
            service,
            channels,
            interval,
            pauses,
        )
        self._known: dict[ErrorKind, _AlertState] = {}
        self._lock = threading.Lock()
        self._queue: queue.Queue[tuple[BaseException, ErrorKind, str, int] | None] = queue.Queue(
            MAX_QUEUED_ALERTS
        )
        self._thread = threading.Thread(target=self._run, name="dawnlist-alerts", daemon=True)
        if channels:
            self._thread.start()

    def report(self, error: BaseException, doing: str) -> None:
        """Tell of an error unless it was told within the interval; `doing`: what failed, in words. Never waits."""
        if not self._channels:
            return
        kind, now = (type(error).__name__, _locate_error(error)), time.monotonic()
        with self._lock:
            if kind not in self._known and len(self._known) >= MAX_DISTINCT_ERRORS:
                kind = ("others", "")
            known = self._known.setdefault(kind, _AlertState())
            if now - known.told < self._interval:
                known.since += 1
                return
            since, known.told, known.since = known.since, now, 0
        try:
            self._queue.put_nowait((error, kind, doing, since))
        except queue.Full:
            with self._lock:
                known.told, known.since = NEVER, since + 1

    def close(self, seconds: float = 5.0) -> None:
        """Send what waits, for so long at most."""
        if self._channels:
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=seconds)
            self._thread.join(seconds)

    def _message(self, error: BaseException, kind: ErrorKind, doing: str, since: int) -> Message:
        name, place = kind
        moment, host = datetime.now(UTC), platform.node()
        times = f" It was met {since} times more since the last message about it." if since else ""
        short = (
            f"{doing[:1].upper()}{doing[1:]} failed in {self._service} on {host} at {format_iso(moment)}: {name} at {place}."
            f"{times} Of the same error nothing more is told for {self._interval / 60:.0f} minutes."
        )
        trace = anonymise_text("\n".join(format_frames(error)))
        words = "What it says is left out, since it may be what a caller sent; the log has the same places."
        text = f"{short}\n\n{trace}\n\n{words}\n"
        return Message(f"{host}/{name}/{place}/{format_iso(moment)}", moment, f"[{self._service}] ERROR: {name} at {place}",
                       text, short)  # fmt: skip

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            message = self._message(*job)
            del job  # its frames hold what was being answered
            for channel in self._channels:
                self._send(channel, message)

    def _send(self, channel: Channel, message: Message) -> None:
        for pause in (*self._pauses, None):
            try:
                run_with_timeout(SEND_TIMEOUT_SECONDS, partial(channel.send, message))
                return
            except Exception as error:  # this thread has to live on
                _log.warning(
                    "%s took no message: %s", channel.name, format_error(anonymise_text(str(error)))
                )
            if pause is not None:
                time.sleep(pause)


class AlertHandler(logging.Handler):
    """Reports whatever is logged as an error with its exception, such as what a task or a thread died of.

    A record with the attribute `told` was reported by whoever logged it.
    """

    def __init__(self, alerts: Alerts) -> None:
        super().__init__(logging.ERROR)
        self._alerts = alerts

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        if record.exc_info and record.exc_info[1] and not hasattr(record, "told"):
            self._alerts.report(
                record.exc_info[1], format_error(record.getMessage()).removesuffix(" failed")
            )


def format_frames(error: BaseException) -> list[str]:
    """Where an error came from, the innermost place last, and the errors behind it; without what they say."""
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(lines) < 5 * MAX_TRACE_FRAMES:
        found = traceback.extract_tb(seen.__traceback__)[-MAX_TRACE_FRAMES:]
        lines[:0] = [
            *(f"{f.filename}:{f.lineno} {f.name}\n    {f.line}" for f in found),
            type(seen).__name__,
            "",
        ]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return lines[:-1]


def _locate_error(error: BaseException) -> str:
    """File, line and function that raised it; no source is read, so that it takes no time."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "no place"
    code = trace.tb_frame.f_code
    return f"{'/'.join(code.co_filename.split('/')[-2:])}:{trace.tb_lineno} {code.co_name}"
