"""The commands that look into the lake: what is in it, and SQL over it."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from dawnlist.pipelines.option_parsing import refuse_unknown_format
from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    HomeOption,
    LakeOption,
    NamespaceOption,
    SettingsOption,
)

TERMINAL_ROWS = 100


def crawl(
    format_: Annotated[
        str, typer.Option("--format", help="`table` for people, `json` for programs.")
    ] = "table",
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    settings: SettingsOption = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Look at what is in the lake: columns, types, nulls, ranges, partitions, and what changed since the last crawl.

    Fails when a column that every event needs went missing. Example: `dawnlist crawl --format json`
    """
    refuse_unknown_format(format_)
    leave_pandas_out()
    from dawnlist.explore import lake_catalogue as catalogue
    from dawnlist.lake.lake import Lake
    from dawnlist.pipelines.query_output import show_catalogue
    from dawnlist.settings import Settings

    source = Settings.load(settings).source
    opened = Lake.open(lake or str(home / "lake"), namespace)
    found = catalogue.crawl_lake(opened, source)
    if format_ == "json":
        typer.echo(json.dumps(found, indent=1))
    else:
        show_catalogue(found)
    kept = catalogue.save_catalogue(opened, found, source)
    if format_ == "table":
        typer.echo(
            f"{'kept as' if kept else 'nothing new since'} catalogue {found['number']} of {found['crawled']}"
        )


def query(
    sql: Annotated[str, typer.Argument(help="One statement that reads: SELECT, WITH, DESCRIBE, SUMMARIZE, SHOW, "
                                            "EXPLAIN.")],
    format_: Annotated[str, typer.Option("--format", help="`table`, `csv`, `json` or `parquet`; default: what the "
                                                          "name of --output ends with, else table.")] = "",
    limit: Annotated[int | None, typer.Option(min=0, help="Rows at most, 0: all; default: 100 of a table, "
                                                          "else all.")] = None,
    output: Annotated[Path | None, typer.Option(help="The file to write.")] = None,
    as_of_version: Annotated[int | None, typer.Option(min=0, help="Read `interactions` as of this version.")] = None,
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
) -> None:  # fmt: skip
    """Ask the lake in SQL: tables interactions, quarantine, items, users, and landing.interactions, landing.items, …

    Example: `dawnlist query "select event_date, count(*) from interactions group by all order by all"`
    """
    leave_pandas_out()
    from dawnlist.explore.lake_sql import open_query_stream
    from dawnlist.lake.lake import Lake

    chosen = choose_output_format(format_, output)
    if limit is None:
        limit = TERMINAL_ROWS if chosen == "table" else 0
    versions = {} if as_of_version is None else {"interactions": as_of_version}
    opened = Lake.open(lake or str(home / "lake"), namespace)
    asked = (
        limit + (chosen == "table") if limit else None
    )  # one more than is shown tells whether there are more
    with open_query_stream(opened, sql, versions, asked) as reader:
        if chosen == "table":
            from dawnlist.pipelines.query_output import show_rows

            show_rows(reader, limit)
        else:
            write_answer(reader, chosen, output)


def choose_output_format(given: str, output: Path | None) -> str:
    """What is to be written: what was asked for, or what the name of the file says."""
    from dawnlist.pipelines.query_output import ANSWER_FORMATS

    chosen = given or (output.suffix.removeprefix(".").lower() if output else "table")
    if chosen not in ANSWER_FORMATS or (output and chosen == "table"):
        raise ValueError(
            f"--format is {chosen!r}: give {', '.join(ANSWER_FORMATS[1:] if output else ANSWER_FORMATS)}"
        )
    if output and not output.parent.is_dir():
        raise FileNotFoundError(
            f"the output's folder {str(output.parent)!r} does not exist: make it first"
        )
    if chosen == "parquet" and output is None and sys.stdout.isatty():
        raise ValueError(
            "Parquet is nothing for a terminal: give --output FILE, or send it to a file or program"
        )
    return chosen


def write_answer(reader: Any, chosen: str, output: Path | None) -> None:
    """Write rows to a file, whole or not at all, or to standard output."""
    from dawnlist.pipelines import query_output

    writer = {
        "csv": query_output.write_csv,
        "json": query_output.write_json,
        "parquet": query_output.write_parquet,
    }[chosen]
    if output is None:
        try:
            writer(reader, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # the reader, such as head, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    with _open_atomically(output) as sink:
        writer(reader, sink)


@contextmanager
def _open_atomically(path: Path) -> Iterator[IO[bytes]]:
    """A file that is there when everything was written, and not before."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as sink:
            yield sink
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def leave_pandas_out() -> None:
    """Keep pyarrow from importing pandas because it is there: half the time that a query takes, and not needed."""

    class Absent:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "pandas":
                raise ModuleNotFoundError("pandas is left out", name=name)

    sys.meta_path.insert(0, Absent)
