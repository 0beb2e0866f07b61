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

from dawnlist.cuts import iso
from dawnlist.messages.alerts import AlertHandler, Alerts
from dawnlist.serving.predictor.watch.counts import Counts
from dawnlist.urls import shown

INTERVAL: Final = 10.0  # seconds

FAILED: Final = "the predictor failed: its log says why"
"""What a caller is told of it."""

log = logging.getLogger("dawnlist.predictor")


class AsJson(logging.Formatter):
    """time, level, event and what else the event has."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": iso(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "event": shown(record.getMessage()),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1]:
            line |= described(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(alerts: Alerts) -> None:
    """All loggers' lines to standard error; libraries only from warnings on, and no line for each request.

    Errors that are logged with their exception are told to people, too, and those that end a thread are logged.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(AsJson())
    root = logging.getLogger()
    root.handlers, root.level = [handler, AlertHandler(alerts)], logging.WARNING
    threading.excepthook = lambda died: log.error("a thread failed", exc_info=died.exc_value)
    log.setLevel(logging.INFO)
    for name in ("kserve", "kserve.trace", "uvicorn", "uvicorn.error"):
        library = logging.getLogger(name)
        library.handlers, library.propagate = [], True
        library.setLevel(logging.WARNING)
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False


def write(level: int, event: str, **fields: Any) -> None:
    log.log(level, event, extra={"fields": fields})


def described(error: BaseException) -> dict[str, Any]:
    """An exception's class and places; its message may hold what a user sent."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
    return {"error": type(error).__name__, "at": places}


@dataclass(slots=True)
class Failures:
    """What should never be raised: counted, told to people, and logged once in an interval for each class."""

    counts: Counts
    alerts: Alerts
    _told: dict[str, float] = field(default_factory=dict)

    def report(self, failure: BaseException) -> None:
        kind, now = type(failure).__name__, time.monotonic()
        self.counts.failed(kind)
        self.alerts.report(failure, "a request")
        if now - self._told.get(kind, -INTERVAL) >= INTERVAL:
            self._told[kind] = now
            log.error("a request failed", exc_info=failure, extra={"told": True})


@dataclass(slots=True)
class Digest:
    """Turns counts into lines: what has changed since the last one."""

    counts: Counts
    _last: dict[str, Mapping[Any, int]] = field(default_factory=dict)
    _version: tuple[int, int] = (0, 0)

    def write(self) -> None:
        """A line for a version that is followed since, and one for everything that went wrong since."""
        counts = self.counts
        if self._version != (counts.version, counts.loads):
            self._version = counts.version, counts.loads
            write(logging.INFO, "version", version=counts.version, seconds=round(counts.load_seconds, 3))
        bad = {f"{route} {status}": n for (route, status), n in counts.requests.items() if status >= 500}
        every = {
            "responses": bad,
            "redis_errors": counts.redis_errors,
            "corrupt": counts.corruptions,
            "degraded": counts.degradations,
            "failures": counts.failures,
        }
        news = {name: new for name, totals in every.items() if (new := self._new(name, totals))}
        if news:
            write(logging.WARNING, "errors", seconds=INTERVAL, breaker_open=counts.breaker_open, **news)

    def _new(self, name: str, totals: Mapping[str, int]) -> dict[str, int]:
        last, self._last[name] = self._last.get(name, {}), dict(totals)
        return {key: total - last.get(key, 0) for key, total in totals.items() if total > last.get(key, 0)}
