"""The step: what fetch landed for one window -> interactions, quarantine, items and users."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dawnlist.components.clean.duckdb_engine import open_spilling_duckdb
from dawnlist.components.clean.duplicates import list_clean_days, mark_repeats
from dawnlist.components.clean.engine import CleaningEngine
from dawnlist.components.clean.entities import clean_items, clean_users
from dawnlist.components.clean.interactions import (
    apply_layout_hints,
    create_text_view,
    read_rejected_rows,
    validate_rows,
)
from dawnlist.components.clean.landed_objects import LandedObject
from dawnlist.components.clean.limits import check_limits, measure_volume
from dawnlist.components.clean.profile import CleaningProfile, profile_landed_rows
from dawnlist.components.clean.table_commits import (
    add_adjacent_days,
    append_quarantine,
    build_quarantine_rows,
    merge_interactions,
)
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import TABLES_LEASE, hold_lease
from dawnlist.settings import EngineSettings, Settings

CleaningReport = dict[str, Any]


def clean_landed_objects(
    lake: Lake, landed: CleaningReport, settings: Settings, as_of: str, run: str
) -> CleaningReport:
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
        with open_cleaning_engine(settings.engines, folder) as engine:
            parts = engine.load(lake, list(landed["interactions"]), "landed")
            report = _clean_interactions(lake, engine, parts, landed, settings, as_of, run)
        report |= _clean_entities(lake, landed, settings, folder)
    return report | {"seconds": round(time.perf_counter() - clock, 3)}


def _clean_interactions(
    lake: Lake,
    engine: CleaningEngine,
    parts: list[LandedObject],
    landed: CleaningReport,
    settings: Settings,
    as_of: str,
    run: str,
) -> CleaningReport:
    windows = [(parse_as_of(start), parse_as_of(end)) for start, end in landed["windows"]]
    source = apply_layout_hints(parts, settings.source)
    rows = create_text_view(engine, parts, source)
    once = engine.keep("once", validate_rows(rows, source, windows[-1][1]))
    days = list_clean_days(engine, once)
    table = lake.table("interactions")
    fated = mark_repeats(
        engine, once, engine.stored(lake, "near", table, add_adjacent_days(days)), source
    )
    found = profile_landed_rows(engine, parts, once, fated, source)
    report = _count_fates(found, sum(part.rows for part in parts))
    found["volume"] = measure_volume(table, engine, fated, windows[-1])
    rejected = build_quarantine_rows(
        read_rejected_rows(engine, parts, fated), parts, parse_as_of(as_of)
    )
    # in turn: commits at the same time would each have to read the table again
    with hold_lease(lake, TABLES_LEASE, run, on_wait=print) as turn:
        # interactions last: their commit moves the watermark; what failed before it is fetched and cleaned again
        version = append_quarantine(lake, rejected, windows[0][0])
        check_limits(
            found, settings.limits, parse_as_of(as_of)
        )  # so that the rows it speaks of are to be found
        turn.check()
        merged = merge_interactions(
            lake, engine, rows, fated, days, source, windows, landed["arrivals"]
        )
    known = report["clean"] - merged["inserted"]
    return report | merged | {"known": known, "quarantine_version": version, "profile": found}


def _clean_entities(
    lake: Lake, landed: CleaningReport, settings: Settings, folder: Path
) -> CleaningReport:
    """Items and users, of which no shop has too many for DuckDB."""
    report: CleaningReport = {}
    (folder / "entities").mkdir()
    connection = open_spilling_duckdb(folder / "entities")
    try:
        for name, step in (("items", clean_items), ("users", clean_users)):
            source = landed.get(name)
            report[name] = (
                step(lake, connection, source, settings.source, folder / "entities")
                if source
                else None
            )
    finally:
        connection.disconnect()
    return report


def _count_fates(found: CleaningProfile, rows_in: int) -> CleaningReport:
    """How many rows met which fate. RuntimeError when they are not the rows that came in."""
    kept = {name: found[name] for name in ("clean", "duplicates", "double_clicks")}
    report: CleaningReport = {
        "rows_in": rows_in,
        **kept,
        "quarantined": found["rejected"],
        "reasons": found["reasons"],
    }
    total = sum(kept.values()) + report["quarantined"]
    if total != rows_in:
        raise RuntimeError(f"{rows_in} rows came in and {total} are accounted for: {report}")
    return report


@contextmanager
def open_cleaning_engine(settings: EngineSettings, folder: Path) -> Iterator[CleaningEngine]:
    """The engine that the settings name; `folder` is for what it has to put somewhere for the time of the step."""
    engine: CleaningEngine
    if settings.clean == "spark":
        from dawnlist.components.clean.spark_engine import SparkEngine

        engine = SparkEngine(settings.spark)
    else:
        from dawnlist.components.clean.duckdb_engine import DuckDBEngine

        engine = DuckDBEngine(folder)
    try:
        yield engine
    finally:
        engine.close()
