"""Show what the streams of events hold."""

from typing import Any

from rich.table import Table

from dawnlist.pipelines.terminal import out


def show_lags(lags: list[dict[str, Any]]) -> None:
    """Print a line for each stream."""
    table = Table("stream", "events", "oldest, s", "memory, MB", box=None)
    for lag in lags:
        age = "" if lag["oldest_seconds"] is None else f"{lag['oldest_seconds']:,.1f}"
        table.add_row(lag["stream"], f"{lag['events']:,}", age, f"{lag['bytes'] / 1e6:,.1f}")
    out.print(table)


def show_dead_events(dead_events: list[dict[str, Any]]) -> None:
    """Print a line for each dead letter."""
    table = Table("received", "reason", "event", box=None)
    for dead_event in dead_events:
        table.add_row(dead_event["received"], dead_event["reason"], dead_event["event"])
    out.print(table)
