"""A cleaning run's profile as a page for people."""

from collections.abc import Sequence
from typing import Any

from dawnlist.components.clean.profile import CleaningProfile, sort_by_count
from dawnlist.pages import render_page

ProfileTable = tuple[str, Sequence[str], Sequence[Sequence[Any]]]
"""Title, header, rows."""


def build_profile_tables(found: CleaningProfile) -> list[ProfileTable]:
    """What the profile says, what matters most first."""
    rows = found["rows_in"] or 1
    reasons = [
        (reason, f"{count:,}", f"{count / rows:.2%}") for reason, count in found["reasons"].items()
    ]
    fates = ("rows", "clean", "rejected", "duplicates", "double_clicks")
    days = [
        (day["day"] or "no readable time", *(f"{day[name]:,}" for name in fates))
        for day in found["days"]
    ]
    columns = [_format_profiled_column(column) for column in found["columns"]]
    shown: list[ProfileTable] = [
        ("Rejected", ("reason", "rows", "share"), reasons),
        (f"Columns, in a sample of {found['sampled']:,} rows",
         ("source", "read as", "nulls", "padded", "holds", "rejected for it"), columns),
    ]  # fmt: skip
    if found["unknown_events"]:
        events = [(event, f"{count:,}") for event, count in found["unknown_events"].items()]
        shown.append(("Unknown events, in the sample", ("event", "rows"), events))
    return [*shown, ("Days", ("day", *(name.replace("_", " ") for name in fates)), days)]


def format_profile_headline(found: CleaningProfile) -> str:
    """The sum of the rows, and the volume where it was judged."""
    said = (f"{found['rows_in']:,} rows = {found['clean']:,} clean + {found['rejected']:,} rejected + "
            f"{found['duplicates']:,} duplicates + {found['double_clicks']:,} double clicks")  # fmt: skip
    if volume := found.get("volume"):
        said += f"; the last 24 hours have {volume['rows']:,}, usual on such a day are {volume['usual']:,.0f}"
    return said


def render_profile_page(found: CleaningProfile) -> str:
    """The page, without scripts or anything from elsewhere."""
    return render_page(
        "components/clean/profile.html",
        found=found,
        headline=format_profile_headline(found),
        tables=build_profile_tables(found),
    )


def _format_profiled_column(column: CleaningProfile) -> Sequence[str]:
    rows = column["rows"] or 1
    holds = ", ".join(
        f"{kind} {count / rows:.1%}" for kind, count in sort_by_count(column["types"])
    )
    rejected = ", ".join(
        f"{reason} {count / rows:.1%}" for reason, count in sort_by_count(column["rejected"])
    )
    name = column["column"] or "not read"
    return (
        column["source"],
        name,
        f"{column['nulls'] / rows:.1%}",
        f"{column['padded'] / rows:.1%}",
        holds,
        rejected,
    )
