"""Log lines as JSON objects, without personal data (no user, body or address); errors counted, once in an interval."""

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
from dawnlist.serving.predictor.watch.counts import PredictorMetrics
from dawnlist.urls import format_error

LOG_INTERVAL_SECONDS: Final = 10.0  # seconds

INTERNAL_ERROR_MESSAGE: Final = "the predictor failed: its log says why"
"""What a caller is told of it."""

predictor_log = logging.getLogger("dawnlist.predictor")


class JsonFormatter(logging.Formatter):
    """time, level, event and what else the event has."""

    def format(self, record: logging.LogRecord) -> str:
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
    """All loggers' lines to standard error; libraries only from warnings on, and no line for each request.

    Errors that are logged with their exception are told to people, too, and those that end a thread are logged.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers, root.level = [handler, AlertHandler(alerts)], logging.WARNING
    threading.excepthook = lambda died: predictor_log.error(
        "a thread failed", exc_info=died.exc_value
    )
    predictor_log.setLevel(logging.INFO)
    for name in ("kserve", "kserve.trace", "uvicorn", "uvicorn.error"):
        library = logging.getLogger(name)
        library.handlers, library.propagate = [], True
        library.setLevel(logging.WARNING)
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False


def log_event(level: int, event: str, **fields: Any) -> None:
    predictor_log.log(level, event, extra={"fields": fields})


def describe_exception(error: BaseException) -> dict[str, Any]:
    """An exception's class and places; its message may hold what a user sent."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno} {frame.name}"
        for frame in frames[-8:]
    ]
    return {"error": type(error).__name__, "at": places}


@dataclass(slots=True)
class FailureReporter:
    """What should never be raised: counted, told to people, and logged once in an interval for each class."""

    counts: PredictorMetrics
    alerts: Alerts
    _told: dict[str, float] = field(default_factory=dict)

    def report(self, failure: BaseException) -> None:
        kind, now = type(failure).__name__, time.monotonic()
        self.counts.failed(kind)
        self.alerts.report(failure, "a request")
        if now - self._told.get(kind, -LOG_INTERVAL_SECONDS) >= LOG_INTERVAL_SECONDS:
            self._told[kind] = now
            predictor_log.error("a request failed", exc_info=failure, extra={"told": True})


@dataclass(slots=True)
class MetricsLogger:
    """Turns counts into lines: what has changed since the last one."""

    counts: PredictorMetrics
    _last: dict[str, Mapping[Any, int]] = field(default_factory=dict)
    _version: tuple[int, int] = (0, 0)

    def write(self) -> None:
        """A line for a version that is followed since, and one for everything that went wrong since."""
        counts = self.counts
        if self._version != (counts.version, counts.loads):
            self._version = counts.version, counts.loads
            log_event(
                logging.INFO,
                "version",
                version=counts.version,
                seconds=round(counts.load_seconds, 3),
            )
        bad = {
            f"{route} {status}": n
            for (route, status), n in counts.requests.items()
            if status >= 500
        }
        every = {
            "responses": bad,
            "redis_errors": counts.redis_errors,
            "corrupt": counts.corruptions,
            "degraded": counts.degradations,
            "failures": counts.failures,
        }
        news = {name: new for name, totals in every.items() if (new := self._new(name, totals))}
        if news:
            log_event(
                logging.WARNING,
                "errors",
                seconds=LOG_INTERVAL_SECONDS,
                breaker_open=counts.breaker_open,
                **news,
            )

    def _new(self, name: str, totals: Mapping[str, int]) -> dict[str, int]:
        last, self._last[name] = self._last.get(name, {}), dict(totals)
        return {
            key: total - last.get(key, 0)
            for key, total in totals.items()
            if total > last.get(key, 0)
        }
