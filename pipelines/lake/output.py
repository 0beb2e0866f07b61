"""Print what the commands `dawnlist lake …` did and found."""

from typing import Any, Final

from rich.table import Table

from dawnlist.components.notify.formats import format_quantity
from dawnlist.pipelines.terminal import out, print_line

_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")

_KIND_LABELS: Final = {
    "landing": "landing objects",
    "runs": "runs",
    "reports": "reports",
    "models": "models",
    "trials": "searches",
    "searches": "tables of trials",
    "gates": "gates",
}


def show_expiry(uri: str, report: dict[str, Any], dry_run: bool) -> None:
    """Print what `dawnlist lake expire` dropped and kept, with a line for each kind of object."""
    if report["moment"] is None:
        print_line(
            f"{uri} holds no interactions yet, so nothing has an age: check --lake and --namespace"
        )
        return
    print_line(f"{uri}: ages count back from {report['moment']}, the end of what it holds")
    action = "would go" if dry_run else "dropped"
    days, rejected = report["interactions"], report["quarantine"]
    print_line(
        f"  interactions: {format_quantity(days['rows'], 'row')} of "
        f"{format_quantity(days['days'], 'day')} before {days['first']} {action}"
    )
    print_line(f"  quarantine: {format_quantity(rejected['rows'], 'row')} {action}")
    for name, rows in report["collected"].items():
        print_line(f"  {name}: {format_quantity(rows, 'row')} {action}")
    for name, label in _KIND_LABELS.items():
        print_line(_format_kind(label, report[name], action))
    for name, table in report["tables"].items():
        print_line(_format_table(name, table, action))


def _format_kind(label: str, counts: dict[str, Any], action: str) -> str:
    kept = ", ".join(f"{count:,} {reason}" for reason, count in counts["kept"].items())
    size = format_byte_count(counts["bytes"])
    return f"  {label}: {counts['dropped']:,} {action}, {size}; kept: {kept or 'none'}"


def _format_table(name: str, table: dict[str, Any], action: str) -> str:
    before, after = table["files_before"], table["files_after"]
    files = f"{before:,} files"
    if before != after:
        files = f"{before:,} files compacted to {after:,}"
    size = format_byte_count(table["file_bytes"])
    return (
        f"  table {name}: {files}; {table['files']:,} files of older versions {action}, {size}, "
        f"and {table['log_entries']:,} entries of its log"
    )


def show_lake_status(uri: str, status: dict[str, Any]) -> None:
    """Print what is in the lake: its tables, the time that they cover, and the landing objects."""
    print_line(uri)
    covered_window = status["held"]
    if covered_window:
        print_line(f"holds [{covered_window[0]}, {covered_window[1]})")
    else:
        print_line("holds no interactions")
    table = Table("table", box=None, pad_edge=False)
    for heading in ("rows", "files", "size", "version", "oldest"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("first day")
    table.add_column("last day")
    for name, facts in status["tables"].items():
        table.add_row(name, *_build_status_cells(facts))
    out.print(table)
    landing = status["landing"]
    size = format_byte_count(landing["bytes"])
    print_line(f"landing: {landing['objects']:,} objects, {size}")


def _build_status_cells(facts: dict[str, Any]) -> list[str]:
    return [
        f"{facts['rows']:,}",
        f"{facts['files']:,}",
        format_byte_count(facts["bytes"]),
        str(facts["version"]),
        str(facts["oldest"]),
        facts["first"] or "",
        facts["last"] or "",
    ]


def format_byte_count(count: float) -> str:
    """Format a number of bytes for people, such as '1.5 MB'."""
    if count < 1000:
        return f"{count:,.0f} {_UNITS[0]}"
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:,.1f} {_UNITS[unit]}"
