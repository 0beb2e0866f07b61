"""What `dawnlist lake …` shows on a terminal."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from dawnlist.pipelines.terminal import out

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def show_expiry(uri: str, report: dict[str, Any], dry_run: bool) -> None:
    """Print what went and what stayed, a line each."""
    if report["moment"] is None:
        _say(f"{uri} holds no interactions yet, so nothing has an age: check --lake and --namespace")
        return
    _say(f"{uri}: ages count back from {report['moment']}, the end of what it holds")
    days, rejected = report["interactions"], report["quarantine"]
    gone = "would go" if dry_run else "dropped"
    _say(f"  interactions: {days['rows']:,} rows of {days['days']:,} days before {days['first']} {gone}")
    _say(f"  quarantine: {rejected['rows']:,} rows {gone}")
    for name, unit in _KINDS.items():
        found = report[name]
        kept = ", ".join(f"{count:,} {why}" for why, count in found["kept"].items())
        _say(f"  {unit}: {found['dropped']:,} {gone}, {size(found['bytes'])}; kept: {kept or 'none'}")
    for name, table in report["tables"].items():
        before, after = table["files_before"], table["files_after"]
        files = f"{before:,} files" if before == after else f"{before:,} files compacted to {after:,}"
        _say(
            f"  table {name}: {files}; {table['files']:,} files of older versions {gone}, {size(table['file_bytes'])}, "
            f"and {table['log_entries']:,} entries of its log"
        )


_KINDS = {
    "landing": "landing objects",
    "runs": "runs",
    "reports": "reports",
    "models": "models",
    "trials": "searches",
    "searches": "tables of trials",
    "gates": "gates",
}


def show_status(uri: str, status: dict[str, Any]) -> None:
    """Print one screen."""
    held = status["held"]
    _say(f"{uri}\n{f'holds [{held[0]}, {held[1]})' if held else 'holds no interactions'}")
    table = Table("table", box=None, pad_edge=False)
    for column in ("rows", "files", "size", "version", "oldest"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("first day")
    table.add_column("last day")
    for name, about in status["tables"].items():
        numbers = [f"{about[column]:,}" for column in ("rows", "files")]
        versions = [str(about[column]) for column in ("version", "oldest")]
        table.add_row(name, *numbers, size(about["bytes"]), *versions, about["first"] or "", about["last"] or "")
    out.print(table)
    landing = status["landing"]
    _say(f"landing: {landing['objects']:,} objects, {size(landing['bytes'])}")


def size(count: float) -> str:
    """Bytes for people: '1.5 MB'."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:,.1f} {_UNITS[unit]}" if unit else f"{count:,.0f} {_UNITS[0]}"


def _say(line: str) -> None:
    out.print(escape(line), soft_wrap=True)
