"""What `dawnlist lake …` shows on a terminal."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from dawnlist.pipelines.terminal import out

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def show_expiry(uri: str, report: dict[str, Any], dry_run: bool) -> None:
    """Print what went and what stayed, a line each."""
    if report["moment"] is None:
        _print_line(
            f"{uri} holds no interactions yet, so nothing has an age: check --lake and --namespace"
        )
        return
    _print_line(f"{uri}: ages count back from {report['moment']}, the end of what it holds")
    days, rejected = report["interactions"], report["quarantine"]
    gone = "would go" if dry_run else "dropped"
    _print_line(
        f"  interactions: {days['rows']:,} rows of {days['days']:,} days before {days['first']} {gone}"
    )
    _print_line(f"  quarantine: {rejected['rows']:,} rows {gone}")
    for name, unit in _KIND_LABELS.items():
        found = report[name]
        kept = ", ".join(f"{count:,} {why}" for why, count in found["kept"].items())
        _print_line(
            f"  {unit}: {found['dropped']:,} {gone}, {format_byte_count(found['bytes'])}; kept: {kept or 'none'}"
        )
    for name, table in report["tables"].items():
        before, after = table["files_before"], table["files_after"]
        files = (
            f"{before:,} files" if before == after else f"{before:,} files compacted to {after:,}"
        )
        _print_line(
            f"  table {name}: {files}; {table['files']:,} files of older versions {gone}, {format_byte_count(table['file_bytes'])}, "
            f"and {table['log_entries']:,} entries of its log"
        )


_KIND_LABELS = {
    "landing": "landing objects",
    "runs": "runs",
    "reports": "reports",
    "models": "models",
    "trials": "searches",
    "searches": "tables of trials",
    "gates": "gates",
}


def show_lake_status(uri: str, status: dict[str, Any]) -> None:
    """Print one screen."""
    held = status["held"]
    _print_line(f"{uri}\n{f'holds [{held[0]}, {held[1]})' if held else 'holds no interactions'}")
    table = Table("table", box=None, pad_edge=False)
    for column in ("rows", "files", "size", "version", "oldest"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("first day")
    table.add_column("last day")
    for name, about in status["tables"].items():
        numbers = [f"{about[column]:,}" for column in ("rows", "files")]
        versions = [str(about[column]) for column in ("version", "oldest")]
        table.add_row(
            name,
            *numbers,
            format_byte_count(about["bytes"]),
            *versions,
            about["first"] or "",
            about["last"] or "",
        )
    out.print(table)
    landing = status["landing"]
    _print_line(f"landing: {landing['objects']:,} objects, {format_byte_count(landing['bytes'])}")


def format_byte_count(count: float) -> str:
    """Bytes for people: '1.5 MB'."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:,.1f} {_UNITS[unit]}" if unit else f"{count:,.0f} {_UNITS[0]}"


def _print_line(line: str) -> None:
    out.print(escape(line), soft_wrap=True)
