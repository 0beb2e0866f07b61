"""Turn the texts of command-line options into values: stores, lakes, dates and lists of numbers."""

import contextlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from dawnlist.lake.lake import Lake
    from dawnlist.lake.watermark import TimeWindow

EMBEDDED_STORE = "embedded"


def provide_store_url(redis: str, home: Path) -> AbstractContextManager[str]:
    """Return a context that yields the store's URL. For `embedded` it starts a Valkey and stops it.

    Raises:
        ValueError: The URL contains a password.
    """
    if redis != EMBEDDED_STORE:
        from dawnlist.urls import REDIS_PASSWORD, refuse_password

        return contextlib.nullcontext(refuse_password(redis, REDIS_PASSWORD))
    from dawnlist.machine.embedded_valkey import run_embedded_valkey

    return run_embedded_valkey(home / "valkey")


def reach_store(redis: str, home: Path) -> AbstractContextManager[str]:
    """Return a context that yields the URL of a store that exists. See `provide_store_url`.

    Raises:
        FileNotFoundError: `embedded` is meant, and no run has made a store in `home` yet.
        ValueError: The URL contains a password.
    """
    if redis == EMBEDDED_STORE and not (home / "valkey").is_dir():
        raise FileNotFoundError(
            f"there is no store in {home} yet: run the pipeline (`dawnlist run --local`), or give "
            "--home or --redis"
        )
    return provide_store_url(redis, home)


def choose_lake_uri(lake: str, home: Path) -> str:
    """Return the lake's URI: the one of --lake, else the folder `lake` of --home."""
    return lake or str(home / "lake")


def open_lake(lake: str, namespace: str, home: Path) -> "Lake":
    """Open the lake that --lake, --namespace and --home name."""
    from dawnlist.lake.lake import Lake

    return Lake.open(choose_lake_uri(lake, home), namespace)


@dataclass(frozen=True)
class FilledLake:
    """A lake that holds interactions."""

    lake: "Lake"
    interactions: "DeltaTable"
    """The newest version of the table of interactions."""
    covered_window: "TimeWindow"
    """The start and the end, in UTC, of the time that the interactions cover."""


def open_filled_lake(lake: str, namespace: str, home: Path) -> FilledLake:
    """Open a lake that holds interactions.

    Raises:
        ValueError: The lake holds no interactions yet.
    """
    from dawnlist.lake import watermark

    opened = open_lake(lake, namespace, home)
    table = opened.table("interactions")
    covered_window = watermark.read_covered_window(table)
    if table is None or covered_window is None:
        raise ValueError(
            f"{opened.uri} holds no interactions yet: check --lake and --namespace, or run the pipeline"
        )
    return FilledLake(opened, table, covered_window)


def parse_past_as_of(text: str) -> datetime:
    """Parse the end of a day; empty text means the last midnight in UTC.

    Raises:
        ValueError: The text is not a time, or the time is in the future.
    """
    from dawnlist.cuts import parse_as_of, require_past

    if text:
        return require_past(parse_as_of(text))
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return require_past(midnight)


def parse_day(text: str) -> date:
    """Parse a day such as 2026-01-31; `today` is the current day in UTC.

    Raises:
        ValueError: The text is not a day.
    """
    if text == "today":
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"the day is {text!r}: give one such as 2026-01-31, or today") from None


def refuse_unknown_format(format_: str) -> None:
    """Check --format of a command that prints a table or JSON.

    Raises:
        ValueError: The format is another one.
    """
    if format_ not in ("table", "json"):
        raise ValueError(f"--format is {format_!r}: give table or json")


def parse_number_lists(**texts: str) -> dict[str, list[float]]:
    """Parse the options' numbers, by name. Options with an empty text are left out.

    Raises:
        ValueError: A text is not a list of numbers. The message names the option.
    """
    return {name: parse_number_list(name, text) for name, text in texts.items() if text}


def parse_search_options(
    iterations: int | None, search_mode: str = "", metric: str = "", **texts: str
) -> dict[str, Any]:
    """Parse the options that are entries of the pipeline's parameter `search`.

    Those without a value are left out.

    Raises:
        ValueError: The step tune would refuse a value. It would do so only minutes into a run.
    """
    from dawnlist.records.run_parameters import parse_search

    entries: dict[str, Any] = parse_number_lists(**texts)
    if iterations is not None:
        entries["iterations"] = iterations
    if search_mode:
        entries["search_mode"] = search_mode
    if metric:
        entries["metric"] = metric
    parse_search(entries)
    return entries


def parse_number_list(name: str, text: str) -> list[float]:
    """Parse numbers with commas between them.

    Raises:
        ValueError: The text is not a list of numbers. The message names the option.
    """
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        option = name.replace("_", "-")
        raise ValueError(f"--{option} is {text!r}: give numbers with commas, e.g. 32,64") from None


def parse_force_reason(reason: str) -> str:
    """Return the reason of --force on one line.

    Raises:
        ValueError: The reason is empty or unusable. The run would stop for it only at the gate.
    """
    from dawnlist.records.run_parameters import parse_force_reason as parse_reason

    parsed_reason = parse_reason(reason or " ")
    if not parsed_reason:
        raise ValueError(f"--force is {reason!r}: give the reason, or leave the option out")
    return parsed_reason
