"""How many events the last day brought, and which, beside the four weeks before: what the gate judges the day by."""

from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow.dataset as pads

BASELINE_WEEKS = 4
BASELINE_DAYS = 7 * BASELINE_WEEKS
"""So many days before the last one are counted."""

# Days are whole 24 hours back from the run's moment: 0 is [as_of - 24 h, as_of).
TRAFFIC_QUERY = """
SELECT (epoch_us($as_of) - epoch_us(event_time) - 1) // 86400000000 AS day, event_type, count(*) AS events
FROM rows
WHERE event_time >= $start AND event_time < $as_of
GROUP BY ALL
ORDER BY ALL
"""


def measure_traffic(rows: pads.Dataset, as_of: datetime) -> dict[str, Any]:
    """Events of the last 24 hours and of each day before, and their mix of types.

    Returns events, before (of each earlier day, newest first, at most 28 and none before the first that has any), mix
    and mix_before (event type -> share; of the last day, and of `before` together; empty where there are no events).
    """
    connection = duckdb.connect()
    connection.register("rows", rows)
    start = as_of - timedelta(days=BASELINE_DAYS + 1)
    counts = connection.execute(TRAFFIC_QUERY, {"as_of": as_of, "start": start}).fetchall()
    days = [0] * (max((day for day, _, _ in counts), default=0) + 1)
    mixes: tuple[dict[str, int], dict[str, int]] = {}, {}
    for day, kind, events in counts:
        days[day] += events
        mix = mixes[day > 0]
        mix[kind] = mix.get(kind, 0) + events
    return {
        "events": days[0],
        "before": days[1:],
        "mix": _compute_shares(mixes[0]),
        "mix_before": _compute_shares(mixes[1]),
    }


def _compute_shares(mix: dict[str, int]) -> dict[str, float]:
    return {kind: round(events / sum(mix.values()), 6) for kind, events in mix.items()}
