"""Land the windows of a source in the lake, as objects that never change."""

import errno
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from dawnlist.components.fetch.collected.source_group import SourceGroup
from dawnlist.components.fetch.late_days import find_late_days
from dawnlist.components.fetch.parquet import write_batches
from dawnlist.components.fetch.read_ahead import RecordBatches, count_rows
from dawnlist.components.fetch.sources import DataSource, open_source
from dawnlist.components.fetch.window_plan import plan_windows
from dawnlist.cuts import format_iso, format_stamp, require_past
from dawnlist.lake.lake import Lake
from dawnlist.lake.ledger import COMMITS_PER_WEEK, ArrivalCounts, Ledger
from dawnlist.lake.watermark import TimeWindow, read_covered_window, read_expiry_cutoff
from dawnlist.progress import ProgressLog
from dawnlist.settings import SourceSettings

if TYPE_CHECKING:
    from deltalake import DeltaTable

LandingReport = dict[str, Any]
"""The report of the step as it is written to the run record."""
RUN_CLOCK_TOLERANCE = timedelta(minutes=1)
"""How far the clock that gave a run its time may be ahead of this machine's."""


def fetch_source(
    lake: Lake,
    source: str,
    settings: SourceSettings,
    as_of: datetime,
    run: str,
    window_days: int,
) -> LandingReport:
    """Land the rows that arrived since the last fetch, and all items and users.

    Returns:
        The report of fetch_windows, which clean reads, with the objects of items and users, and
        with `late`: days of which the source has more rows than the lake took in (see
        find_late_days), and `passed_over`: sentences about files that were not read.

    Raises:
        ValueError: A first fetch finds no rows, or `as_of` is in the future.
    """
    # Kubeflow's UI accepts any time that somebody types.
    end = require_past(as_of, RUN_CLOCK_TOLERANCE)
    table = lake.table("interactions")
    covered_window = read_covered_window(table)
    data_source = open_source(source, settings, lake)
    overlap = _choose_overlap(data_source, settings)
    expired = read_expiry_cutoff(table)
    windows = plan_windows(covered_window, end, window_days, overlap, expired)
    landed = fetch_windows(lake, data_source, windows, run)
    if covered_window is None and not landed["rows"]["interactions"]:
        # Delete the empty objects, so that a retry of this run reads the source again.
        for name in landed["interactions"]:
            lake.delete(*name.split("/"))
        raise ValueError(_explain_empty_window(data_source, windows[-1]))
    for entity in ("items", "users"):
        _land_whole_table(lake, data_source, entity, end, run, landed)
    ledger = _read_recent_ledger(table, settings.check_days)
    first_day = data_source.find_local_day(windows[-1][0])
    landed["late"] = find_late_days(data_source, ledger, first_day, settings.check_days)
    landed["passed_over"] = data_source.list_passed_over(end)
    return landed


def _choose_overlap(source: DataSource, settings: SourceSettings) -> timedelta:
    """Choose how far a window reaches back into the one before it."""
    if source.gives_whole_days:
        # A daily file is complete when its day is over. Late days show what is added to it later.
        return timedelta(0)
    return timedelta(minutes=settings.overlap_minutes)


def _read_recent_ledger(table: "DeltaTable | None", check_days: int) -> Ledger:
    """Read the ledger of the days that are checked for late rows; an empty one when none are."""
    commits = COMMITS_PER_WEEK * (1 + check_days // 7)
    if not check_days:
        return Ledger.from_commits(None, commits)
    return Ledger.from_commits(table, commits)


def fetch_windows(
    lake: Lake,
    source: DataSource,
    windows: list[TimeWindow],
    run: str,
) -> LandingReport:
    """Land the interactions of windows, one object for each, and one for the collector's events.

    Returns:
        `interactions` (the names of the objects), `items` and `users` (None), `windows` (pairs of
        ISO-8601 texts), `window` (the newest of them), `rows` (table -> rows) and `arrivals` (rows
        by hour of arrival, see dawnlist.lake.ledger).
    """
    source.check_columns()
    names: list[str] = []
    window_texts: list[list[str]] = []
    rows, arrivals = 0, ArrivalCounts()
    progress = ProgressLog("fetch", "windows", len(windows))
    for start, end in windows:
        window_arrivals: Counter[str] = Counter()
        for part, suffix in _list_parts(source):
            folder = f"landing/interactions/{format_stamp(start)}_{format_stamp(end)}"
            name = f"{folder}/{run}{suffix}.parquet"
            show_rows = partial(_report_rows, progress, len(window_texts), rows)
            part_rows, part_arrivals = _land_window(lake, part, (start, end), name, show_rows)
            rows += part_rows
            window_arrivals.update(part_arrivals)
            names.append(name)
        arrivals |= window_arrivals
        window_texts.append([format_iso(start), format_iso(end)])
    return {
        "interactions": names,
        "items": None,
        "users": None,
        "windows": window_texts,
        "window": window_texts[-1],
        "rows": {"interactions": rows},
        "arrivals": arrivals,
    }


def _list_parts(source: DataSource) -> list[tuple[DataSource, str]]:
    """List the sources that have a landing object of their own, and how its name ends."""
    if isinstance(source, SourceGroup):
        return [(source.main, ""), (source.events, "-events")]
    return [(source, "")]


def _report_rows(progress: ProgressLog, windows: int, earlier_rows: int, rows: int) -> None:
    progress.report(windows, f"{earlier_rows + rows:,} rows")


def _land_window(
    lake: Lake,
    source: DataSource,
    window: TimeWindow,
    name: str,
    show_rows: Callable[[int], None],
) -> tuple[int, ArrivalCounts]:
    """Land a window of one source, and return its rows, and how many arrived in each hour.

    `show_rows` is called with the rows that were read so far.
    """
    start, end = window
    metadata = {"window_start": format_iso(start), "window_end": format_iso(end)}
    batches = count_rows(source.interactions(start, end), show_rows)
    count_arrivals = partial(source.count_arrivals, start=start, end=end)
    return _land_batches(lake, batches, name, metadata, count_arrivals)


def _land_whole_table(
    lake: Lake,
    source: DataSource,
    table: str,
    end: datetime,
    run: str,
    landed: LandingReport,
) -> None:
    """Land the items or users, if the source has any, and add them to the report."""
    batches = source.read_whole_table(table)
    if batches is None:
        landed[table] = None
        return
    name = f"landing/{table}/{format_stamp(end)}/{run}.parquet"
    rows, _ = _land_batches(lake, batches, name, {"as_of": format_iso(end)}, _count_no_arrivals)
    landed[table] = name
    landed["rows"][table] = rows


def _count_no_arrivals(landed: Path) -> ArrivalCounts:
    return {}


def _land_batches(
    lake: Lake,
    batches: RecordBatches,
    name: str,
    metadata: dict[str, str],
    count_arrivals: Callable[[Path], ArrivalCounts],
) -> tuple[int, ArrivalCounts]:
    """Write batches as one Parquet object, whole or not at all, unless the object is there already.

    Returns the number of rows and what `count_arrivals` says of a local copy of the object.
    """
    object_path = name.split("/")
    with tempfile.TemporaryDirectory() as folder:
        staged_file = Path(folder) / "landing.parquet"
        exists = lake.exists(*object_path)
        rows = _download_landing_object(lake, name, staged_file) if exists else None
        if rows is None:
            rows = _write_landing_file(batches, staged_file, metadata)
            if not lake.upload(staged_file, *object_path, if_absent=not exists):
                # Another attempt of this run was first. Use its object.
                return _land_batches(lake, batches, name, metadata, count_arrivals)
        return rows, count_arrivals(staged_file)


def _write_landing_file(
    batches: RecordBatches,
    path: Path,
    metadata: dict[str, str],
) -> int:
    """Write batches to a file and return the number of rows. OSError when the disk is full."""
    try:
        return write_batches(batches, path, metadata)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(
            errno.ENOSPC,
            f"no room in the temporary folder {tempfile.gettempdir()}: free some, or set TMPDIR",
        ) from None


def _download_landing_object(
    lake: Lake,
    name: str,
    target: Path,
) -> int | None:
    """Copy a landing object and return its number of rows; None when the object is damaged."""
    pafs.copy_files(lake.path(*name.split("/")), str(target), source_filesystem=lake.filesystem)
    try:
        with pq.ParquetFile(target) as file:
            return int(file.metadata.num_rows)
    except (pa.ArrowInvalid, OSError):
        return None


def _explain_empty_window(source: DataSource, window: TimeWindow) -> str:
    start, end = map(format_iso, window)
    newest = source.describe_newest()
    explanation = "it has none at all" if newest is None else f"its newest is of {newest}"
    return (
        f"the source has no interactions in [{start}, {end}): {explanation}, "
        "so give an as_of just after the newest day, or more window days"
    )
