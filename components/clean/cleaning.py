"""The clean step: turn landed objects into the tables interactions, quarantine, items and users."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dawnlist.components.clean.duckdb_engine import open_spilling_duckdb
from dawnlist.components.clean.duplicates import list_clean_days, mark_repeats
from dawnlist.components.clean.engine import CleaningEngine
from dawnlist.components.clean.entities import clean_items, clean_users
from dawnlist.components.clean.interactions import (
    JudgedRows,
    apply_layout_hints,
    create_text_view,
    read_rejected_rows,
    replace_reused_ids,
    validate_rows,
)
from dawnlist.components.clean.landed_objects import LandedObject
from dawnlist.components.clean.limits import check_limits, measure_volume
from dawnlist.components.clean.profile import CleaningProfile, profile_landed_rows
from dawnlist.components.clean.reused_ids import find_reused_ids
from dawnlist.components.clean.table_commits import (
    add_adjacent_days,
    append_quarantine,
    build_quarantine_rows,
    list_lookup_days,
    merge_interactions,
)
from dawnlist.cuts import parse_as_of
from dawnlist.dataclass_json import to_json
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import TABLES_LEASE, hold_lease
from dawnlist.lake.watermark import TimeWindow
from dawnlist.rows.column_aliases import (
    match_columns,
)
from dawnlist.settings import EngineSettings, Settings, SourceSettings
from dawnlist.source_columns import (
    INTERACTION_ALIASES,
)

if TYPE_CHECKING:
    from deltalake import DeltaTable

CleaningReport = dict[str, Any]
"""The report of the step as it is written to the run record."""


def clean_landed_objects(
    lake: Lake,
    landed: CleaningReport,
    settings: Settings,
    as_of: datetime,
    run: str,
) -> CleaningReport:
    """Clean the objects that fetch landed into the lake's tables. Repeating it is harmless.

    Args:
        landed: The return value of fetch_source or fetch_windows.

    Returns:
        rows_in, clean, quarantined, reasons, duplicates, double_clicks, known (clean rows that the
        lake had already), inserted, days (ISO date -> inserted rows), nulls (column -> inserted
        rows without a value), items and users (rows, rejected, duplicates, perhaps a problem; or None),
        interactions_version, quarantine_version (None when no row was ever rejected), profile
        (see CleaningProfile), seconds.

    Raises:
        ValueError: A column is missing.
        RuntimeError: A limit is broken, or the counts of the rows do not add up.
    """
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix=f"clean-{run}-") as folder_name:
        folder = Path(folder_name)
        with open_cleaning_engine(settings.engines, folder) as engine:
            report = _clean_interactions(
                lake,
                engine,
                landed,
                settings,
                as_of,
                run,
            )
        report |= _clean_entities(lake, landed, settings, as_of, folder)
    return report | {"seconds": round(time.perf_counter() - started, 3)}


def _clean_interactions(
    lake: Lake,
    engine: CleaningEngine,
    landed: CleaningReport,
    settings: Settings,
    as_of: datetime,
    run: str,
) -> CleaningReport:
    landed_objects = engine.create_landed_views(lake, list(landed["interactions"]), "landed")
    windows = [(parse_as_of(start), parse_as_of(end)) for start, end in landed["windows"]]
    source = apply_layout_hints(landed_objects, settings.source)
    table = lake.table("interactions")
    judged_rows, profile = _judge_rows(lake, engine, landed_objects, source, table, windows)
    rows_in = sum(landed_object.rows for landed_object in landed_objects)
    report = _count_fates(profile, rows_in)
    profile = replace(profile, volume=measure_volume(table, engine, judged_rows.fates, windows[-1]))
    rejected_rows = read_rejected_rows(engine, landed_objects, judged_rows.fates)
    quarantine_rows = build_quarantine_rows(rejected_rows, landed_objects, as_of)
    # Runs take turns: of two commits at the same time, one would have to read the table again.
    with hold_lease(lake, TABLES_LEASE, run, on_wait=print) as lease:
        # The rejected rows come before the limits, since the message of a limit refers to them.
        quarantine_version = append_quarantine(lake, quarantine_rows, windows[0][0])
        check_limits(profile, settings.limits, as_of, is_first=table is None)
        lease.check()
        # Interactions come last: their commit moves the watermark. When something fails before it,
        # the next run fetches and cleans the same windows again.
        merged = merge_interactions(lake, engine, judged_rows, windows, landed["arrivals"])
    known_rows = report["clean"] - merged["inserted"]
    versions = {"known": known_rows, "quarantine_version": quarantine_version}
    return report | merged | versions | {"profile": to_json(profile)}


def _judge_rows(
    lake: Lake,
    engine: CleaningEngine,
    landed_objects: list[LandedObject],
    source: SourceSettings,
    table: "DeltaTable | None",
    windows: list[TimeWindow],
) -> tuple[JudgedRows, CleaningProfile]:
    """Give each landed row its fate, and profile the rows."""
    texts = create_text_view(engine, landed_objects, source)
    validated_rows = validate_rows(texts, source, windows[-1][1])
    validated_rows = engine.materialise("once", validated_rows)
    days = list_clean_days(engine, validated_rows)
    reused_ids = None
    if _has_event_ids(landed_objects, source):
        lookup_days = list_lookup_days(days, windows)
        known_rows = engine.scan_days(lake, "known_ids", table, lookup_days)
        reused_ids = find_reused_ids(engine, validated_rows, known_rows)
    if reused_ids is not None:
        validated_rows = replace_reused_ids(engine, texts, validated_rows, reused_ids, source)
    stored_rows = engine.scan_days(lake, "near", table, add_adjacent_days(days))
    fates = mark_repeats(engine, validated_rows, stored_rows, source)
    profile = profile_landed_rows(engine, landed_objects, texts, validated_rows, fates, source)
    if reused_ids is not None:
        profile = replace(
            profile,
            reused_ids=reused_ids.rows,
            rows_with_id=reused_ids.rows_with_id,
            event_ids=reused_ids.ids,
        )
    return JudgedRows(texts, fates, days, source, reused_ids), profile


def _has_event_ids(landed_objects: list[LandedObject], source: SourceSettings) -> bool:
    """Whether the source gives ids of events, rather than ids that are made of the content."""
    for landed_object in landed_objects:
        matches = match_columns(landed_object.columns, INTERACTION_ALIASES, source.columns)
        if "event_id" in matches:
            return True
    return False


def _clean_entities(
    lake: Lake,
    landed: CleaningReport,
    settings: Settings,
    as_of: datetime,
    folder: Path,
) -> CleaningReport:
    """Clean items and users. DuckDB does it whatever the engine: no shop has too many of them."""
    report: CleaningReport = {"items": None, "users": None}
    entity_folder = folder / "entities"
    entity_folder.mkdir()
    connection = open_spilling_duckdb(entity_folder)
    try:
        if landed.get("items"):
            report["items"] = clean_items(
                lake, connection, landed["items"], settings, as_of, entity_folder
            )
        if landed.get("users"):
            report["users"] = clean_users(
                lake, connection, landed["users"], settings.source, entity_folder
            )
    finally:
        connection.disconnect()
    return report


def _count_fates(profile: CleaningProfile, rows_in: int) -> CleaningReport:
    """Count the rows of each fate.

    Raises:
        RuntimeError: The counts do not add up to `rows_in`.
    """
    report: CleaningReport = {
        "rows_in": rows_in,
        "clean": profile.clean,
        "duplicates": profile.duplicates,
        "double_clicks": profile.double_clicks,
        "quarantined": profile.rejected,
        "reasons": profile.reasons,
    }
    fates = ("clean", "duplicates", "double_clicks", "quarantined")
    total = sum(report[fate] for fate in fates)
    if total != rows_in:
        raise RuntimeError(f"{rows_in} rows came in and {total} are accounted for: {report}")
    return report


@contextmanager
def open_cleaning_engine(settings: EngineSettings, folder: Path) -> Iterator[CleaningEngine]:
    """Open the engine that the settings name. It may keep temporary files in `folder`."""
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
