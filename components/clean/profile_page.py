"""Render the profile of a cleaning run as an HTML page."""

from collections.abc import Sequence
from typing import Any

from dawnlist.components.clean.profile import CleaningProfile, ColumnProfile, sort_by_count
from dawnlist.pages import render_page

ProfileTable = tuple[str, Sequence[str], Sequence[Sequence[Any]]]
"""Title, header and rows of a table on the page."""
_COUNTS = ("rows", "clean", "rejected", "duplicates", "double_clicks")


def build_profile_tables(profile: CleaningProfile) -> list[ProfileTable]:
    """Build the tables of the page, the most important first."""
    tables = [_build_reasons_table(profile), _build_columns_table(profile)]
    if profile.unknown_events:
        tables.append(_build_events_table(profile))
    tables.append(_build_days_table(profile))
    return tables


def _build_reasons_table(profile: CleaningProfile) -> ProfileTable:
    rows_in = profile.rows_in or 1
    rows = []
    for reason, count in profile.reasons.items():
        rows.append((reason, f"{count:,}", f"{count / rows_in:.2%}"))
    return "Rejected", ("reason", "rows", "share"), rows


def _build_columns_table(profile: CleaningProfile) -> ProfileTable:
    # profile.html finds the table by the first word of its title.
    title = f"Columns, in a sample of {profile.sampled:,} rows"
    header = ("source", "read as", "nulls", "padded", "holds", "rejected for it")
    return title, header, [_format_profiled_column(column) for column in profile.columns]


def _build_events_table(profile: CleaningProfile) -> ProfileTable:
    rows = [(event, f"{count:,}") for event, count in profile.unknown_events.items()]
    return "Unknown events", ("event", "rows"), rows


def _build_days_table(profile: CleaningProfile) -> ProfileTable:
    header = ["day"]
    header.extend(name.replace("_", " ") for name in _COUNTS)
    rows = []
    for day in profile.days:
        row = [day.day or "no readable time"]
        row.extend(f"{getattr(day, name):,}" for name in _COUNTS)
        rows.append(row)
    return "Days", header, rows


def format_profile_headline(profile: CleaningProfile) -> str:
    """Format the sum of the rows and, if it was measured, the volume of the last 24 hours."""
    headline = (
        f"{profile.rows_in:,} rows = {profile.clean:,} clean + "
        f"{profile.rejected:,} rejected + {profile.duplicates:,} duplicates + "
        f"{profile.double_clicks:,} double clicks"
    )
    volume = profile.volume
    if volume:
        headline += (
            f"; the last 24 hours have {volume.rows:,}, usual on such a day are {volume.usual:,.0f}"
        )
    return headline


def render_profile_page(profile: CleaningProfile) -> str:
    """Render the page. It has no scripts and loads nothing from elsewhere."""
    return render_page(
        "components/clean/profile.html",
        found=profile,
        headline=format_profile_headline(profile),
        tables=build_profile_tables(profile),
    )


def _format_profiled_column(column: ColumnProfile) -> Sequence[str]:
    rows = column.rows or 1
    return (
        column.source,
        column.column or "not read",
        f"{column.nulls / rows:.1%}",
        f"{column.padded / rows:.1%}",
        _format_shares(column.types, rows),
        _format_shares(column.rejected, rows),
    )


def _format_shares(counts: dict[str, int], rows: int) -> str:
    return ", ".join(f"{name} {count / rows:.1%}" for name, count in sort_by_count(counts))
