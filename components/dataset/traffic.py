"""Count the events of the last day and of the four weeks before it: the gate compares the two."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow.compute as pc
import pyarrow.dataset as pads

BASELINE_WEEKS = 4
BASELINE_DAYS = 7 * BASELINE_WEEKS
"""The number of days before the last one that are counted."""

# Days are whole 24 hours back from the run's moment: 0 is [as_of - 24 h, as_of).
TRAFFIC_QUERY = """
SELECT (epoch_us($as_of) - epoch_us(event_time) - 1) // 86400000000 AS day, event_type, count(*) AS events
FROM rows
WHERE event_time >= $start AND event_time < $as_of
GROUP BY ALL
ORDER BY ALL
"""

KNOWN_ITEMS_QUERY = """
WITH earlier AS (SELECT DISTINCT item_id FROM rows WHERE event_time < $day)
SELECT count(earlier.item_id), count(*)
FROM rows LEFT JOIN earlier ON rows.item_id = earlier.item_id
WHERE event_time >= $day AND event_time < $as_of
"""


def measure_traffic(
    rows: pads.Dataset, as_of: datetime, all_rows: pads.Dataset | None = None
) -> dict[str, Any]:
    """Count the events of the last 24 hours and of each day before, and their mix of types.

    Args:
        rows: The rows that the bot filter kept.
        as_of: The end of the last day.
        all_rows: The rows with those that the bot filter dropped; None where none was dropped.

    Returns:
        `events` (of the last day), `before` (events of each earlier day, newest first: at most 28
        days, and none before the first that has any), `mix` (event type -> share of the last day's
        events) and `mix_before` (event type -> share of all earlier events). A mix without events
        is empty. `dropped` is the number of the last day's events that the bot filter dropped.
        `known_items` is the share of the last day's events whose items had events before, or None
        without events on the last day or before it.
    """
    connection = duckdb.connect()
    connection.register("rows", rows)
    start = as_of - timedelta(days=BASELINE_DAYS + 1)
    counts = connection.execute(TRAFFIC_QUERY, {"as_of": as_of, "start": start}).fetchall()
    events_by_day: Counter[int] = Counter()
    mix: Counter[str] = Counter()
    mix_before: Counter[str] = Counter()
    for day, event_type, events in counts:
        events_by_day[day] += events
        if day == 0:
            mix[event_type] += events
        else:
            mix_before[event_type] += events
    first_day = max(events_by_day, default=0)
    known_items = None
    if mix_before:
        known_items = _measure_known_items(connection, as_of)
    all_events = events_by_day[0]
    if all_rows is not None:
        last_day = pc.field("event_time") >= pc.scalar(as_of - timedelta(days=1))
        all_events = all_rows.filter(last_day).count_rows()
    return {
        "events": events_by_day[0],
        "dropped": all_events - events_by_day[0],
        "known_items": known_items,
        "before": [events_by_day[day] for day in range(1, first_day + 1)],
        "mix": _compute_shares(mix),
        "mix_before": _compute_shares(mix_before),
    }


def _measure_known_items(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> float | None:
    """Measure which share of the last day's events has items that had events before that day."""
    parameters = {"day": as_of - timedelta(days=1), "as_of": as_of}
    row = connection.execute(KNOWN_ITEMS_QUERY, parameters).fetchone()
    known, events = row or (0, 0)
    return round(known / events, 6) if events else None


def _compute_shares(mix: "Counter[str]") -> dict[str, float]:
    total = mix.total()
    return {event_type: round(events / total, 6) for event_type, events in mix.items()}
