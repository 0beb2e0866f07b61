"""The step: what fetch landed for one window -> interactions, quarantine, items and users."""

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from components.clean.commit import append_quarantine, merge_interactions, rejected_rows, stored_events
from components.clean.entities import clean_items, clean_users
from components.clean.interactions import CLEAN, DOUBLE_CLICK, DUPLICATE, connect, load, quarantined, stage
from components.cuts import parse_as_of
from components.lake import Lake
from components.lease import TABLES, lease
from components.settings import Settings

Report = dict[str, Any]


def clean(lake: Lake, landed: Report, settings: Settings, as_of: str, run: str) -> Report:
    """Clean the objects that fetch landed (its return value) into the lake's tables; repeating it is harmless.

    Returns rows_in, clean, quarantined, reasons, duplicates, double_clicks, known (clean rows that the lake had
    already), inserted, days (ISO date -> rows inserted), items and users (rows, rejected, duplicates; or None),
    interactions_version, quarantine_version (None: nothing was ever rejected), seconds.
    ValueError when a column is missing, RuntimeError when the rows don't add up.
    """
    clock = time.perf_counter()
    connection = connect()
    try:
        with tempfile.TemporaryDirectory(prefix=f"clean-{run}-") as folder:
            report = _interactions(lake, connection, landed, settings, as_of, run, Path(folder))
            for name, step in (("items", clean_items), ("users", clean_users)):
                source = landed.get(name)
                report[name] = step(lake, connection, source, settings.source, Path(folder)) if source else None
    finally:
        connection.disconnect()
    return report | {"seconds": round(time.perf_counter() - clock, 3)}


def _interactions(
    lake: Lake, connection: Any, landed: Report, settings: Settings, as_of: str, run: str, folder: Path
) -> Report:
    windows = [(parse_as_of(start), parse_as_of(end)) for start, end in landed["windows"]]
    parts = load(connection, lake, list(landed["interactions"]), folder, "landed")
    stage(connection, parts, settings.source, windows[-1][1], partial(stored_events, lake))
    report = _counts(connection, sum(part.rows for part in parts))
    rejected = rejected_rows(quarantined(connection, parts), parse_as_of(as_of))
    # in turn: commits at the same time would each have to read the table again
    with lease(lake, TABLES, run, said=print) as turn:
        # interactions last: their commit moves the watermark; what failed before it is fetched and cleaned again
        version = append_quarantine(lake, rejected, windows[0][0])
        turn.check()
        merged = merge_interactions(lake, connection, windows, landed["arrivals"])
    return report | merged | {"quarantine_version": version}


def _counts(connection: Any, rows_in: int) -> Report:
    """How many rows met which fate. RuntimeError when they are not the rows that came in."""
    fates: dict[str, int] = dict(
        connection.raw_sql("SELECT fate, count(*) FROM staged GROUP BY 1 ORDER BY 1").fetchall()
    )
    kept = {name: fates.pop(fate, 0) for name, fate in _KEPT.items()}
    report: Report = {"rows_in": rows_in, **kept, "quarantined": sum(fates.values()), "reasons": fates}
    total = sum(kept.values()) + report["quarantined"]
    if total != rows_in:
        raise RuntimeError(f"{rows_in} rows came in and {total} are accounted for: {report}")
    return report


_KEPT = {"clean": CLEAN, "duplicates": DUPLICATE, "double_clicks": DOUBLE_CLICK}
