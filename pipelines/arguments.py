"""What the command makes of its words: days, lists of numbers, stores."""

import contextlib
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

EMBEDDED = "embedded"


def store(redis: str, home: Path) -> AbstractContextManager[str]:
    """A context that gives the store's URL, starting the embedded one when asked for."""
    if redis != EMBEDDED:
        from components.urls import REDIS_PASSWORD, refuse_password

        return contextlib.nullcontext(refuse_password(redis, REDIS_PASSWORD))
    from components.embedded import embedded_valkey

    return embedded_valkey(home / "valkey")


def checked_as_of(text: str) -> str:
    """The day as the DAG takes it; empty text means the last midnight, UTC. ValueError for a time to come."""
    from components.cuts import iso, parse_as_of

    now = datetime.now(UTC)
    moment = parse_as_of(text) if text else now.replace(hour=0, minute=0, second=0, microsecond=0)
    if moment > now:
        raise ValueError(
            f"as_of {text!r} is in the future: rows that arrive until then would be taken for fetched and be lost; "
            "give a time that has passed"
        )
    return iso(moment)


def numbers(name: str, text: str) -> list[float]:
    """Numbers with commas between them; ValueError that names the option."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--{name.replace('_', '-')} is {text!r}: give numbers with commas, e.g. 32,64") from None
