"""The step: what fetch landed for one window -> interactions, quarantine, items and users."""

import tempfile
import time
from pathlib import Path
from typing import Any

from dawnlist.components.clean.commit import append_quarantine, beside, merge_interactions, rejected_rows
from dawnlist.components.clean.engine import Engine, opened
from dawnlist.components.clean.entities import clean_items, clean_users
from dawnlist.components.clean.interactions import judged, quarantined, settled, texts
from dawnlist.components.clean.landed import Landed
from dawnlist.components.clean.limits import check, volume
from dawnlist.components.clean.on_duckdb import connect
from dawnlist.components.clean.profile import Profile, profile
from dawnlist.components.clean.repeats import days_of, staged
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import TABLES, lease
from dawnlist.settings import Settings

Report = dict[str, Any]


def clean(lake: Lake, landed: Report, settings: Settings, as_of: str, run: str) -> Report:
    """Clean the objects that fetch landed (its return value) into the lake's tables; repeating it is harmless.

    Returns rows_in, clean, quarantined, reasons, duplicates, double_clicks, known (clean rows that the lake had
    already), inserted, days (ISO date -> rows inserted), nulls (column -> inserted rows without), items, users (rows,
    rejected, duplicates; or None), interactions_version, quarantine_version (None: nothing was ever rejected), profile
    (dawnlist.components.clean.profile), seconds.
    ValueError when a column is missing, RuntimeError when a limit is broken or the rows don't add up.
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
    table = lake.table("interactions")
    fated = staged(engine, once, engine.stored(lake, "near", table, beside(days)), source)
    found = profile(engine, parts, once, fated, source)
    report = _counts(found, sum(part.rows for part in parts))
    found["volume"] = volume(table, engine, fated, windows[-1])
    rejected = rejected_rows(quarantined(engine, parts, fated), parts, parse_as_of(as_of))
    # in turn: commits at the same time would each have to read the table again
    with lease(lake, TABLES, run, said=print) as turn:
        # interactions last: their commit moves the watermark; what failed before it is fetched and cleaned again
        version = append_quarantine(lake, rejected, windows[0][0])
        check(found, settings.limits, parse_as_of(as_of))  # so that the rows it speaks of are to be found
        turn.check()
        merged = merge_interactions(lake, engine, rows, fated, days, source, windows, landed["arrivals"])
    known = report["clean"] - merged["inserted"]
    return report | merged | {"known": known, "quarantine_version": version, "profile": found}


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


def _counts(found: Profile, rows_in: int) -> Report:
    """How many rows met which fate. RuntimeError when they are not the rows that came in."""
    kept = {name: found[name] for name in ("clean", "duplicates", "double_clicks")}
    report: Report = {"rows_in": rows_in, **kept, "quarantined": found["rejected"], "reasons": found["reasons"]}
    total = sum(kept.values()) + report["quarantined"]
    if total != rows_in:
        raise RuntimeError(f"{rows_in} rows came in and {total} are accounted for: {report}")
    return report
