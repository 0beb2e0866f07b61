"""Expiry: drop what is too old from a lake.

Ages count back from the end of what the lake's interactions table holds, never from the clock, so a
lake of old public data stays. What was written within the last day stays too, however old its day
is: a backfill may need it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.cuts import parse_as_of
from dawnlist.lake.commits import (
    build_commit_properties,
    commit_to_existing_table,
    read_table_files,
)
from dawnlist.lake.damaged_objects import DamagedObjectError
from dawnlist.lake.lake import Lake
from dawnlist.lake.manifest import MANIFEST
from dawnlist.lake.objects import StoredObject
from dawnlist.lake.row_deletion import delete_rows
from dawnlist.lake.watermark import (
    EXPIRED_APP_ID,
    TimeWindow,
    build_window_transactions,
    read_covered_window,
)
from dawnlist.records import challengers, registry
from dawnlist.schema import UTC_MICROSECONDS
from dawnlist.upkeep import retention
from dawnlist.upkeep.retention import RetentionRule

if TYPE_CHECKING:
    from deltalake import DeltaTable

BOT_DAY_TABLES = ("bot_agent_days", "bot_user_days")
"""What the bot filter keeps of each day, see `dawnlist.components.filter_bots.day_features`."""
MIN_GATE_RECORD_DAYS = 29
"""A gate reads the verdicts of the 28 days before its own day, see
`dawnlist.components.gate.history`."""

ExpiryReport = dict[str, Any]
"""What was dropped; the methods of `Expiry` name the keys."""


@dataclass(frozen=True)
class Expiry:
    """Drops what is too old from one lake. In a dry run it only counts.

    The methods for folders of objects return dropped (entries), objects, bytes, and kept (the
    reason -> how many entries are kept for it).
    """

    lake: Lake
    """The lake from which is dropped."""
    covered_end: datetime
    """The end of what the lake holds, UTC; ages count back from it."""
    settled: datetime
    """A time by the clock, UTC; what was written later stays."""
    dry_run: bool = False
    """Whether to count only."""

    def compute_cutoff(self, days: int) -> datetime:
        """Compute the time before which everything is older than `days`."""
        return self.covered_end - timedelta(days=days)

    def expire_interactions(self, days: int) -> ExpiryReport:
        """Drop days of the interactions table that are older than `days`.

        One commit removes whole files and writes none. It also moves the start of the covered
        window. Returns rows, days, files, and first (the first day that is kept).
        """
        first_day = self.compute_cutoff(days).date()

        def attempt(table: "DeltaTable") -> ExpiryReport:
            old_files = _select_older_files(table, first_day)
            window = read_covered_window(table)
            if old_files and window and not self.dry_run:
                _delete_interactions(table, first_day, window)
            old_days = {file["partition.event_date"] for file in old_files}
            return {"rows": _sum_rows(old_files), "days": len(old_days), "files": len(old_files)}

        report = commit_to_existing_table(self.lake, "interactions", attempt) or {}
        return report | {"first": first_day.isoformat()}

    def expire_features(self, days: int) -> ExpiryReport:
        """Drop days of the bot filter's tables that are older than `days`: rows."""
        first_day = self.compute_cutoff(days).date()

        def attempt(table: "DeltaTable") -> int:
            rows = _sum_rows(_select_older_files(table, first_day))
            if rows and not self.dry_run:
                _delete_days(table, first_day, {})
            return rows

        total = 0
        for name in BOT_DAY_TABLES:
            total += commit_to_existing_table(self.lake, name, attempt) or 0
        return {"rows": total}

    def expire_quarantine(self, days: int) -> ExpiryReport:
        """Drop the rejected rows of runs that are older than `days`: rows."""
        cutoff = self.compute_cutoff(days)
        is_old = pc.field("as_of") < pa.scalar(cutoff, UTC_MICROSECONDS)

        if not self.dry_run:
            return {"rows": delete_rows(self.lake, "quarantine", is_old)}
        quarantine = self.lake.rows("quarantine")
        if quarantine is None:
            return {"rows": 0}
        return {"rows": quarantine.count_rows(filter=is_old)}

    def expire_collected(self, days_by_table: Mapping[str, int]) -> ExpiryReport:
        """Drop days of the collector's tables that are older than the days of each: rows by table.

        A table that is not there is left out. Ages count back from `settled` if that is later than
        the end of the interactions: events go on without runs.
        """
        newest = max(self.covered_end, self.settled)
        rows_by_table = {}
        for name, days in days_by_table.items():
            first_day = (newest - timedelta(days=days)).date()

            def attempt(table: "DeltaTable", first_day: date = first_day) -> int:
                rows = _sum_rows(_select_older_files(table, first_day))
                if rows and not self.dry_run:
                    _delete_days(table, first_day, {})
                return rows

            rows = commit_to_existing_table(self.lake, name, attempt)
            if rows is not None:
                rows_by_table[name] = rows
        return rows_by_table

    def expire_landing(self, days: int) -> ExpiryReport:
        """Drop landing objects whose window ended more than `days` ago."""
        return self._drop_entries("landing", 4, self._keep_by_end_stamp(2, days))

    def expire_runs(self, days: int) -> ExpiryReport:
        """Drop the records of runs that are older than `days`."""
        return self._drop_entries("runs", 3, self._keep_by_end_stamp(1, days))

    def expire_reports(self, days: int) -> ExpiryReport:
        """Drop the reports of runs that are older than `days`."""
        return self._drop_entries("reports", 3, self._keep_by_end_stamp(1, days))

    def gates(self, days: int) -> ExpiryReport:
        """Drop the verdicts of gates that are older than `days`.

        The four weeks that a gate looks back are always kept.
        """
        rule = self._keep_by_end_stamp(1, max(days, MIN_GATE_RECORD_DAYS))
        return self._drop_entries("gates", 3, rule)

    def expire_searches(self, days: int) -> ExpiryReport:
        """Drop the tables of trials of runs that are older than `days`."""
        return self._drop_entries("searches", 3, self._keep_by_end_stamp(1, days))

    def expire_models(self, days: int) -> ExpiryReport:
        """Drop models that are older than `days`.

        A model that a publication names is kept, since it was live or may be again, and so is the
        newest challenger, since the next one starts from it.
        """
        published = registry.list_published_models(self.lake)
        newest = challengers.find_newest_challenger(self.lake)
        cutoff = self.compute_cutoff(days)

        def find_reason(path: str, objects: list[StoredObject]) -> str:
            model = path.split("/")[1]
            if model in published:
                return retention.PUBLISHED
            if model == newest:
                return retention.NEWEST_CHALLENGER
            if retention.is_any_written_after(objects, self.settled):
                return retention.RECENTLY_WRITTEN
            try:
                lineage = self.lake.read_json("models", model, "lineage.json", types={"as_of": str})
            except DamagedObjectError:
                lineage = None
            if lineage is None:
                return retention.WITHOUT_DAY
            return retention.TOO_YOUNG if parse_as_of(lineage["as_of"]) >= cutoff else ""

        return self._drop_entries("models", 2, find_reason)

    def expire_trials(self, days: int) -> ExpiryReport:
        """Drop searches whose last trial was made `days` before the newest trial of all.

        A trial belongs to no day, so its age is the time at which it was written.
        """
        write_times = [stored.modified for stored in self.lake.walk("trials")]
        newest = max(write_times, default=self.settled)
        cutoff = newest - timedelta(days=days)

        def find_reason(_: str, objects: list[StoredObject]) -> str:
            if retention.is_any_written_after(objects, self.settled):
                return retention.RECENTLY_WRITTEN
            last_trial = max(stored.modified for stored in objects)
            return retention.TOO_YOUNG if last_trial >= cutoff else ""

        return self._drop_entries("trials", 2, find_reason)

    def _keep_by_end_stamp(self, position: int, days: int) -> RetentionRule:
        return retention.keep_by_end_stamp(position, self.compute_cutoff(days), self.settled)

    def _drop_entries(self, folder: str, depth: int, find_reason: RetentionRule) -> ExpiryReport:
        """Drop the entries of a folder that the rule finds no reason to keep.

        An entry is all objects that share the first `depth` parts of their path.
        """
        entries = retention.group_by_path(self.lake.walk(folder), depth)
        report: ExpiryReport = {"dropped": 0, "objects": 0, "bytes": 0}
        kept_by_reason: Counter[str] = Counter()
        for path, objects in sorted(entries.items()):
            reason = find_reason(path, objects)
            if reason:
                kept_by_reason[reason] += 1
                continue
            report["dropped"] += 1
            report["objects"] += len(objects)
            report["bytes"] += sum(stored.size for stored in objects)
            if not self.dry_run:
                self._delete_objects(objects)
        return report | {"kept": dict(kept_by_reason)}

    def _delete_objects(self, objects: list[StoredObject]) -> None:
        # MANIFEST goes first: without it nobody takes the folder for complete
        for stored in sorted(objects, key=lambda stored: not stored.name.endswith(MANIFEST)):
            self.lake.delete(*stored.name.split("/"))


def _select_older_files(table: "DeltaTable", first_day: date) -> list[dict[str, Any]]:
    """Select the files of days before `first_day`, as the table's log describes them."""
    files = read_table_files(table)
    return [file for file in files if file["partition.event_date"] < first_day]


def _delete_interactions(table: "DeltaTable", first_day: date, window: TimeWindow) -> None:
    """Delete the days before `first_day`, and store the rest of the covered window."""
    covered_start, covered_end = window
    start = max(covered_start, datetime.combine(first_day, time.min, UTC))
    app_transactions = build_window_transactions((start, covered_end))
    app_transactions[EXPIRED_APP_ID] = int(start.timestamp())
    _delete_days(table, first_day, app_transactions)


def _delete_days(table: "DeltaTable", first_day: date, app_transactions: dict[str, int]) -> None:
    properties = build_commit_properties(app_transactions)
    table.delete(f"event_date < '{first_day}'", commit_properties=properties)


def _sum_rows(files: list[dict[str, Any]]) -> int:
    return sum(file["num_records"] or 0 for file in files)
