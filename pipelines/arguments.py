"""What the command makes of its words: days, lists of numbers, stores."""

import contextlib
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from dawnlist.lake.lake import Lake
    from dawnlist.lake.watermark import Window

EMBEDDED = "embedded"


def store(redis: str, home: Path) -> AbstractContextManager[str]:
    """A context that gives the store's URL, starting the embedded one when asked for."""
    if redis != EMBEDDED:
        from dawnlist.urls import REDIS_PASSWORD, refuse_password

        return contextlib.nullcontext(refuse_password(redis, REDIS_PASSWORD))
    from dawnlist.machine.embedded_valkey import embedded_valkey

    return embedded_valkey(home / "valkey")


def checked_as_of(text: str) -> str:
    """The day as the DAG takes it; empty text means the last midnight, UTC. ValueError for a time to come."""
    from dawnlist.cuts import iso, parse_as_of, passed

    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return iso(passed(parse_as_of(text) if text else midnight))


def checked_format(format_: str) -> None:
    """ValueError for another --format than those of a command that answers people or programs."""
    if format_ not in ("table", "json"):
        raise ValueError(f"--format is {format_!r}: give table or json")


def held_lake(lake: str, namespace: str, home: Path) -> "tuple[Lake, DeltaTable, Window]":
    """The lake, its newest interactions, and the time that they hold; ValueError when it holds none yet."""
    from dawnlist.lake import watermark
    from dawnlist.lake.lake import Lake

    opened = Lake.open(lake or str(home / "lake"), namespace)
    table = opened.table("interactions")
    held = watermark.held(table)
    if table is None or held is None:
        raise ValueError(f"{opened.uri} holds no interactions yet: check --lake and --namespace, or run the pipeline")
    return opened, table, held


def grids(**texts: str) -> dict[str, list[float]]:
    """Option -> its numbers, of those that say any."""
    return {name: numbers(name, text) for name, text in texts.items() if text}


def tried(iterations: int | None, **texts: str) -> dict[str, Any]:
    """What the search is to try, of what is given; ValueError for what tune would refuse, minutes into a run."""
    from dawnlist.components.tune.grid import Grid

    given: dict[str, Any] = grids(**texts)
    if iterations is not None:
        given["iterations"] = iterations
    Grid(**given)
    return given


def numbers(name: str, text: str) -> list[float]:
    """Numbers with commas between them; ValueError that names the option."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--{name.replace('_', '-')} is {text!r}: give numbers with commas, e.g. 32,64") from None


def forced(reason: str) -> str:
    """The reason of a forced pass on one line; ValueError for one that is none, before a run that would stop at it."""
    from dawnlist.components.gate.verdict import checked_force

    return checked_force(reason or " ")
