"""Windows of a source into immutable landing objects."""

import errno
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from dawnlist.components.fetch.database_readers import RecordBatches
from dawnlist.components.fetch.late_days import find_late_days
from dawnlist.components.fetch.parquet import write_batches
from dawnlist.components.fetch.sources import DataSource, open_source
from dawnlist.components.fetch.window_plan import plan_windows
from dawnlist.cuts import format_iso, format_stamp, parse_as_of, require_past
from dawnlist.lake.lake import Lake
from dawnlist.lake.ledger import COMMITS_PER_WEEK, ArrivalCounts, Ledger
from dawnlist.lake.watermark import TimeWindow, read_covered_window, read_expiry_cutoff
from dawnlist.settings import SourceSettings

LandingReport = dict[str, Any]
RUN_CLOCK_TOLERANCE = timedelta(minutes=1)
"""By so much the clock that gave a run its time may be ahead of this one."""


def fetch_source(
    lake: Lake, source: str, settings: SourceSettings, as_of: str, run: str, window_days: int
) -> LandingReport:
    """Land the rows that arrived since the last fetch, and the items and users whole.

    Returns what `clean` reads, see `fetch_windows`, with `late`: days of which the source holds more rows than the
    lake took in (dawnlist.components.fetch.late_days). ValueError when a first fetch finds nothing,
    or for an as_of to come.
    """
    end = require_past(
        parse_as_of(as_of), RUN_CLOCK_TOLERANCE
    )  # Kubeflow's UI takes any time that somebody types
    table = lake.table("interactions")
    known = read_covered_window(table)
    opened = open_source(source, settings)
    # a file named by day is whole when its day is over: what is written into it later, the counts of days tell
    overlap = timedelta(minutes=0 if opened.daily else settings.overlap_minutes)
    wanted = plan_windows(known, end, window_days, overlap, read_expiry_cutoff(table))
    landed = fetch_windows(lake, opened, wanted, run)
    if known is None and not landed["rows"]["interactions"]:
        for name in landed["interactions"]:  # a retry of this run is to look again
            lake.delete(*name.split("/"))
        raise ValueError(_explain_empty_window(opened, wanted[-1]))
    for name in ("items", "users"):
        batches = opened.read_whole_table(name)
        landed[name] = (
            None if batches is None else f"landing/{name}/{format_stamp(end)}/{run}.parquet"
        )
        if batches is not None:
            landed["rows"][name] = _land_batches(
                lake, batches, landed[name], {"as_of": format_iso(end)}
            )[0]
    recent = Ledger.from_commits(
        table if settings.check_days else None, COMMITS_PER_WEEK * (1 + settings.check_days // 7)
    )
    landed["late"] = find_late_days(opened, recent, wanted[-1][0], settings.check_days)
    return landed


def fetch_windows(
    lake: Lake, source: DataSource, wanted: list[TimeWindow], run: str
) -> LandingReport:
    """Land the interactions of some windows, an object for each.

    Returns `interactions` (names of the objects), `items` and `users` (None), `windows` (ISO texts), `window` (the
    newest of them), `rows` (by table) and `arrivals` (rows by hour of arrival, see dawnlist.lake.ledger).
    """
    names = [
        f"landing/interactions/{format_stamp(start)}_{format_stamp(end)}/{run}.parquet"
        for start, end in wanted
    ]
    said = [[format_iso(start), format_iso(end)] for start, end in wanted]
    rows, arrivals = 0, ArrivalCounts()
    for name, times in zip(names, wanted, strict=True):
        about = {"window_start": format_iso(times[0]), "window_end": format_iso(times[1])}
        landed, counted = _land_batches(
            lake, source.interactions(*times), name, about, (source, times)
        )
        rows += landed
        arrivals |= counted
    found: LandingReport = {
        "interactions": names,
        "items": None,
        "users": None,
        "windows": said,
        "window": said[-1],
    }
    return found | {"rows": {"interactions": rows}, "arrivals": arrivals}


def _land_batches(
    lake: Lake,
    batches: RecordBatches,
    name: str,
    about: dict[str, str],
    counted: tuple[DataSource, TimeWindow] | None = None,
) -> tuple[int, ArrivalCounts]:
    """Write batches as one Parquet object, whole or not at all; one that is there stays. Returns rows and arrivals."""
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / "landing.parquet"
        there = lake.exists(*name.split("/"))
        rows = _download_landing_object(lake, name, staged) if there else None
        if rows is None:
            rows = _write_landing_file(batches, staged, about)
            if not lake.upload(
                staged, *name.split("/"), if_absent=not there
            ):  # this run's twin was first: its object stays
                return _land_batches(lake, batches, name, about, counted)
        return rows, counted[0].count_arrivals(staged, *counted[1]) if counted else {}


def _write_landing_file(batches: RecordBatches, path: Path, about: dict[str, str]) -> int:
    try:
        return write_batches(batches, path, about)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(
            errno.ENOSPC,
            f"no room in the temporary folder {tempfile.gettempdir()}: free some, or set TMPDIR",
        ) from None


def _download_landing_object(lake: Lake, name: str, target: Path) -> int | None:
    """Copy a landing object and return its rows; None when it was damaged."""
    pafs.copy_files(lake.path(*name.split("/")), str(target), source_filesystem=lake.filesystem)
    try:
        with pq.ParquetFile(target) as file:
            return int(file.metadata.num_rows)
    except (pa.ArrowInvalid, OSError):  # a footer that is no footer
        return None


def _explain_empty_window(source: DataSource, window: TimeWindow) -> str:
    start, end = map(format_iso, window)
    newest = source.newest()
    return (
        f"the source has no interactions in [{start}, {end}): "
        + ("it has none at all" if newest is None else f"its newest is of {newest}")
        + ", so give an as_of just after the newest day, or more window days"
    )
