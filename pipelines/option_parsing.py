"""What the command makes of its words: days, lists of numbers, stores."""

import contextlib
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from dawnlist.lake.lake import Lake
    from dawnlist.lake.watermark import TimeWindow

EMBEDDED_STORE = "embedded"


def provide_store_url(redis: str, home: Path) -> AbstractContextManager[str]:
    """A context that gives the store's URL, starting the embedded one when asked for."""
    if redis != EMBEDDED_STORE:
        from dawnlist.urls import REDIS_PASSWORD, refuse_password

        return contextlib.nullcontext(refuse_password(redis, REDIS_PASSWORD))
    from dawnlist.machine.embedded_valkey import run_embedded_valkey

    return run_embedded_valkey(home / "valkey")


def parse_past_as_of(text: str) -> str:
    """The day as the DAG takes it; empty text means the last midnight, UTC. ValueError for a time to come."""
    from dawnlist.cuts import format_iso, parse_as_of, require_past

    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return format_iso(require_past(parse_as_of(text) if text else midnight))


def refuse_unknown_format(format_: str) -> None:
    """ValueError for another --format than those of a command that answers people or programs."""
    if format_ not in ("table", "json"):
        raise ValueError(f"--format is {format_!r}: give table or json")


def open_filled_lake(
    lake: str, namespace: str, home: Path
) -> "tuple[Lake, DeltaTable, TimeWindow]":
    """The lake, its newest interactions, and the time that they hold; ValueError when it holds none yet."""
    from dawnlist.lake import watermark
    from dawnlist.lake.lake import Lake

    opened = Lake.open(lake or str(home / "lake"), namespace)
    table = opened.table("interactions")
    held = watermark.read_covered_window(table)
    if table is None or held is None:
        raise ValueError(
            f"{opened.uri} holds no interactions yet: check --lake and --namespace, or run the pipeline"
        )
    return opened, table, held


def parse_number_lists(**texts: str) -> dict[str, list[float]]:
    """Option -> its numbers, of those that say any."""
    return {name: parse_number_list(name, text) for name, text in texts.items() if text}


def parse_search_options(iterations: int | None, **texts: str) -> dict[str, Any]:
    """What the search is to try, of what is given; ValueError for what tune would refuse, minutes into a run."""
    from dawnlist.components.tune.grid import Grid

    given: dict[str, Any] = parse_number_lists(**texts)
    if iterations is not None:
        given["iterations"] = iterations
    Grid(**given)
    return given


def parse_number_list(name: str, text: str) -> list[float]:
    """Numbers with commas between them; ValueError that names the option."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--{name.replace('_', '-')} is {text!r}: give numbers with commas, e.g. 32,64"
        ) from None


def parse_force_reason(reason: str) -> str:
    """The reason of a forced pass on one line; ValueError for one that is none, before a run that would stop at it."""
    from dawnlist.components.gate.verdict import validate_force_reason

    return validate_force_reason(reason or " ")
