"""The step: what fetch landed for one window -> interactions, quarantine, items and users."""

import tempfile
import time
from pathlib import Path
from typing import Any

from components.clean.commit import append_quarantine, beside, merge_interactions, rejected_rows
from components.clean.engine import Engine, Rows, opened
from components.clean.entities import clean_items, clean_users
from components.clean.interactions import judged, quarantined, settled, texts
from components.clean.landed import Landed
from components.clean.on_duckdb import connect
from components.clean.repeats import CLEAN, DOUBLE_CLICK, DUPLICATE, days_of, staged
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
    with tempfile.TemporaryDirectory(prefix=f"clean-{run}-") as name:
        folder = Path(name)
        with opened(settings.engines, folder) as engine:
            parts = engine.load(lake, list(landed["interactions"]), "landed")
            report = _interactions(lake, engine, parts, landed, settings, as_of, run)
        report |= _entities(lake, landed, settings, folder)
    return report | {"seconds": round(time.perf_counter() - clock, 3)}


def _interactions(
    lake: Lake, engine: Engine, parts: list[Landed], landed: Report, settings: Settings, as_of: str, run: str
) -> Report:
    windows = [(parse_as_of(start), parse_as_of(end)) for start, end in landed["windows"]]
    source = settled(parts, settings.source)
    rows = texts(engine, parts, source)
    once = engine.keep("once", judged(rows, source, windows[-1][1]))
    days = days_of(engine, once)
    fated = staged(engine, once, engine.stored(lake, "near", lake.table("interactions"), beside(days)), source)
    report = _counts(engine, fated, sum(part.rows for part in parts))
    rejected = rejected_rows(quarantined(engine, parts, fated), parts, parse_as_of(as_of))
    # in turn: commits at the same time would each have to read the table again
    with lease(lake, TABLES, run, said=print) as turn:
        # interactions last: their commit moves the watermark; what failed before it is fetched and cleaned again
        version = append_quarantine(lake, rejected, windows[0][0])
        turn.check()
        merged = merge_interactions(lake, engine, rows, fated, days, source, windows, landed["arrivals"])
    return report | merged | {"known": report["clean"] - merged["inserted"], "quarantine_version": version}


def _entities(lake: Lake, landed: Report, settings: Settings, folder: Path) -> Report:
    """Items and users, of which no shop has too many for DuckDB."""
    report: Report = {}
    (folder / "entities").mkdir()
    connection = connect(folder / "entities")
    try:
        for name, step in (("items", clean_items), ("users", clean_users)):
            source = landed.get(name)
            report[name] = step(lake, connection, source, settings.source, folder / "entities") if source else None
    finally:
        connection.disconnect()
    return report


def _counts(engine: Engine, fated: Rows, rows_in: int) -> Report:
    """How many rows met which fate. RuntimeError when they are not the rows that came in."""
    counted = engine.arrow(fated.group_by("fate").agg(rows=fated.count()).order_by("fate"))
    fates = dict(zip(counted["fate"].to_pylist(), counted["rows"].to_pylist(), strict=True))
    kept = {name: fates.pop(fate, 0) for name, fate in _KEPT.items()}
    report: Report = {"rows_in": rows_in, **kept, "quarantined": sum(fates.values()), "reasons": fates}
    total = sum(kept.values()) + report["quarantined"]
    if total != rows_in:
        raise RuntimeError(f"{rows_in} rows came in and {total} are accounted for: {report}")
    return report


_KEPT = {"clean": CLEAN, "duplicates": DUPLICATE, "double_clicks": DOUBLE_CLICK}
