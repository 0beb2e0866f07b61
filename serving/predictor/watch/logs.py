"""Log lines as JSON objects without personal data (no user, body or address), and error counts."""

import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from dawnlist.cuts import format_iso
from dawnlist.messages.alerts import AlertHandler, Alerts
from dawnlist.serving.predictor.logger import predictor_log
from dawnlist.serving.predictor.watch.counts import PredictorMetrics
from dawnlist.urls import format_error

LOG_INTERVAL_SECONDS: Final = 10.0
"""Seconds between two lines about errors."""
INTERNAL_ERROR_MESSAGE: Final = "the predictor failed: its log says why"
"""The message to a caller whose request failed by our fault."""
MAX_LOGGED_FRAMES: Final = 8
"""Innermost frames of an exception that are logged."""


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object with time, level, event and the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; an exception is logged without its message."""
        line = {
            "time": format_iso(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "event": format_error(record.getMessage()),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1]:
            line |= describe_exception(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(alerts: Alerts) -> None:
    """Send the lines of all loggers to standard error, and errors with an exception to `alerts`.

    Libraries log warnings and errors only, and no line for each request. Exceptions that end a
    thread are logged too.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler, AlertHandler(alerts)]
    root.level = logging.WARNING
    threading.excepthook = _log_thread_failure
    predictor_log.setLevel(logging.INFO)
    for name in ("kserve", "kserve.trace", "uvicorn", "uvicorn.error"):
        library_log = logging.getLogger(name)
        library_log.handlers = []
        library_log.propagate = True
        library_log.setLevel(logging.WARNING)
    access_log = logging.getLogger("uvicorn.access")
    access_log.handlers = []
    access_log.propagate = False


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    """Log the exception that ended a thread."""
    predictor_log.error("a thread failed", exc_info=failure.exc_value)


def log_event(level: int, event: str, **fields: Any) -> None:
    """Log an event with fields of its own."""
    predictor_log.log(level, event, extra={"fields": fields})


def describe_exception(error: BaseException) -> dict[str, Any]:
    """Return an exception's class and frames, without its message, which may hold user input."""
    frames = []
    for frame in traceback.extract_tb(error.__traceback__)[-MAX_LOGGED_FRAMES:]:
        file = "/".join(frame.filename.split("/")[-2:])
        frames.append(f"{file}:{frame.lineno} {frame.name}")
    return {"error": type(error).__name__, "at": frames}


@dataclass(slots=True)
class FailureReporter:
    """Reports exceptions that should never be raised: a count, an alert, and a log line.

    Each class of exception is logged once in LOG_INTERVAL_SECONDS.
    """

    counts: PredictorMetrics
    """Counts every exception."""
    alerts: Alerts
    """Notifies people."""
    _logged_at: dict[str, float] = field(default_factory=dict)

    def report(self, failure: BaseException) -> None:
        """Report an exception that a request raised."""
        kind = type(failure).__name__
        now = time.monotonic()
        self.counts.count_failure(kind)
        self.alerts.report(failure, "a request")
        if now - self._logged_at.get(kind, -LOG_INTERVAL_SECONDS) >= LOG_INTERVAL_SECONDS:
            self._logged_at[kind] = now
            predictor_log.error("a request failed", exc_info=failure, extra={"told": True})


@dataclass(slots=True)
class MetricsLogger:
    """Logs how the counts have changed since the last time."""

    counts: PredictorMetrics
    """The counts to log."""
    _last_totals: dict[str, Mapping[Any, int]] = field(default_factory=dict)
    _last_load: tuple[int, int] = (0, 0)

    def write(self) -> None:
        """Log a version that was loaded since the last call, and the errors since then."""
        counts = self.counts
        load = (counts.version, counts.loads)
        if self._last_load != load:
            self._last_load = load
            seconds = round(counts.load_seconds, 3)
            log_event(logging.INFO, "version", version=counts.version, seconds=seconds)
        new_errors = self._collect_new_errors()
        if new_errors:
            log_event(
                logging.WARNING,
                "errors",
                seconds=LOG_INTERVAL_SECONDS,
                breaker_open=counts.breaker_open,
                **new_errors,
            )

    def _collect_new_errors(self) -> dict[str, dict[str, int]]:
        """Return the errors since the last call: by name, then by kind, with their number."""
        counts = self.counts
        failed_responses = {}
        for (route, status), count in counts.requests.items():
            if status >= 500:
                failed_responses[f"{route} {status}"] = count
        totals_by_name = {
            "responses": failed_responses,
            "redis_errors": counts.redis_errors,
            "corrupt": counts.corruptions,
            "degraded": counts.degradations,
            "failures": counts.failures,
            "connections": {"closed to make room": counts.closed_connections},
        }
        new_errors = {}
        for name, totals in totals_by_name.items():
            increases = self._subtract_last(name, totals)
            if increases:
                new_errors[name] = increases
        return new_errors

    def _subtract_last(self, name: str, totals: Mapping[str, int]) -> dict[str, int]:
        """Return the totals' increases since the last call, without those that are 0."""
        last_totals = self._last_totals.get(name, {})
        self._last_totals[name] = dict(totals)
        increases = {}
        for key, total in totals.items():
            increase = total - last_totals.get(key, 0)
            if increase > 0:
                increases[key] = increase
        return increases
