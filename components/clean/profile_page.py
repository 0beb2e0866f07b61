"""A cleaning run's profile for people: the same tables as Markdown and as HTML, all text escaped."""

from collections.abc import Sequence
from html import escape
from typing import Any

from components.clean.profile import Profile

Table = tuple[str, Sequence[str], Sequence[Sequence[Any]]]
"""Title, header, rows."""


def tables(found: Profile) -> list[Table]:
    """What the profile says, largest first where there is no order of its own."""
    rows = found["rows_in"] or 1
    reasons = [(reason, f"{count:,}", f"{count / rows:.2%}") for reason, count in found["reasons"].items()]
    fates = ("rows", "clean", "rejected", "duplicates", "double_clicks")
    days = [(day["day"] or "no readable time", *(f"{day[name]:,}" for name in fates)) for day in found["days"]]
    columns = [_column(column) for column in found["columns"]]
    shown: list[Table] = [
        ("Rejected", ("reason", "rows", "share"), reasons),
        ("Days", ("day", *(name.replace("_", " ") for name in fates)), days),
        (f"Columns, in a sample of {found['sampled']:,} rows",
         ("source", "read as", "nulls", "padded", "holds", "rejected for it"), columns),
    ]  # fmt: skip
    if found["unknown_events"]:
        events = [(event, f"{count:,}") for event, count in found["unknown_events"].items()]
        shown.append(("Unknown events, in the sample", ("event", "rows"), events))
    return shown


def headline(found: Profile) -> str:
    """The sum of the rows, and the volume where it was judged."""
    said = (f"{found['rows_in']:,} rows = {found['clean']:,} clean + {found['rejected']:,} rejected + "
            f"{found['duplicates']:,} duplicates + {found['double_clicks']:,} double clicks")  # fmt: skip
    if volume := found.get("volume"):
        said += f"; the last 24 hours have {volume['rows']:,}, usual on such a day are {volume['usual']:,.0f}"
    return said


def markdown(found: Profile) -> str:
    """The profile as a page of Markdown."""
    parts = ["# What cleaning found", headline(found)]
    for title, header, rows in tables(found):
        lines = [header, ["---"] * len(header), *rows]
        table = "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)
        parts += [f"## {title}", table if rows else "none"]
    return "\n\n".join(parts) + "\n"


def html(found: Profile) -> str:
    """The profile as a page of HTML, without scripts or anything from elsewhere."""
    parts = [f"<h1>What cleaning found</h1><p>{escape(headline(found))}</p>"]
    for title, header, rows in tables(found):
        lines = "".join(_row("td", row) for row in rows)
        parts.append(f"<h2>{escape(title)}</h2><table>{_row('th', header)}{lines}</table>")
    style = "body{font-family:sans-serif}td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ddd}"
    return (f"<!doctype html><meta charset=utf-8><title>What cleaning found</title><style>{style}</style>"
            f"{''.join(parts)}\n")  # fmt: skip


def _column(column: Profile) -> Sequence[str]:
    rows = column["rows"] or 1
    holds = ", ".join(f"{kind} {count / rows:.1%}" for kind, count in _sorted(column["types"]))
    rejected = ", ".join(f"{reason} {count / rows:.1%}" for reason, count in _sorted(column["rejected"]))
    name = column["column"] or "not read"
    return column["source"], name, f"{column['nulls'] / rows:.1%}", f"{column['padded'] / rows:.1%}", holds, rejected


def _sorted(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: -pair[1])


def _cell(value: str) -> str:
    return escape(" ".join(str(value).split()), quote=False).replace("|", "\\|")


def _row(tag: str, cells: Sequence[Any]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(str(cell))}</{tag}>' for cell in cells)}</tr>"
