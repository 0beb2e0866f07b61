"""Expiry: what is dropped from a lake because of its age.

Ages count back from the lake's own moment, the end of what its interactions table holds, never from the clock: a lake
of old public data stays. What was written since `settled` stays too, however old its day is: a backfill may need it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.lake.commits import build_commit_properties, commit_to_existing_table
from dawnlist.lake.lake import Lake
from dawnlist.lake.manifest import MANIFEST
from dawnlist.lake.objects import StoredObject
from dawnlist.lake.watermark import EXPIRED_APP_ID, build_window_transactions, read_covered_window
from dawnlist.records import challengers, registry
from dawnlist.schema import UTC_MICROSECONDS

if TYPE_CHECKING:
    from deltalake import DeltaTable

BOT_DAY_TABLES = ("bot_agent_days", "bot_user_days", "bot_item_days")
"""What the bot filter keeps of each day, see dawnlist.components.filter_bots.day_features."""
MIN_GATE_RECORD_DAYS = 29
"""A gate reads those of 28 days before its own, see dawnlist.components.gate.history."""

ExpiryReport = dict[str, Any]
RetentionRule = Callable[[str, list[StoredObject]], str]
"""Name and objects of what may be dropped -> why it is kept, or an empty text."""


@dataclass(frozen=True)
class Expiry:
    """What is old in one lake."""

    lake: Lake
    moment: datetime
    """End of what the lake holds."""
    settled: datetime
    """By the clock: what was written later stays."""
    dry_run: bool = False

    def before(self, days: int) -> datetime:
        """What is older than this goes."""
        return self.moment - timedelta(days=days)

    def expire_interactions(self, days: int) -> ExpiryReport:
        """Drop the days of the table that lie whole before `days`: rows, days, files, first (day kept).

        One commit that removes files and writes none, and says from when on the time is still held.
        """
        first = self.before(days).date()

        def attempt(table: "DeltaTable") -> ExpiryReport:
            files = pa.table(table.get_add_actions(flatten=True)).to_pylist()
            old = [file for file in files if file["partition.event_date"] < first]
            window = read_covered_window(table)
            if old and window and not self.dry_run:
                start = max(window[0], datetime.combine(first, time.min, UTC))
                marks = build_window_transactions((start, window[1])) | {
                    EXPIRED_APP_ID: int(start.timestamp())
                }
                table.delete(
                    f"event_date < '{first}'", commit_properties=build_commit_properties(marks)
                )
            days_dropped = {file["partition.event_date"] for file in old}
            return {"rows": _sum_rows(old), "days": len(days_dropped), "files": len(old)}

        return (commit_to_existing_table(self.lake, "interactions", attempt) or {}) | {
            "first": first.isoformat()
        }

    def expire_features(self, days: int) -> ExpiryReport:
        """Drop what the bot filter keeps of those days: rows."""
        first = self.before(days).date()

        def attempt(table: "DeltaTable") -> int:
            files = pa.table(table.get_add_actions(flatten=True)).to_pylist()
            rows = _sum_rows([file for file in files if file["partition.event_date"] < first])
            if rows and not self.dry_run:
                table.delete(
                    f"event_date < '{first}'", commit_properties=build_commit_properties({})
                )
            return rows

        return {
            "rows": sum(
                commit_to_existing_table(self.lake, name, attempt) or 0 for name in BOT_DAY_TABLES
            )
        }

    def expire_quarantine(self, days: int) -> ExpiryReport:
        """Drop the rejected rows of runs before `days`: rows."""
        before = self.before(days)
        old = pc.field("as_of") < pa.scalar(before, UTC_MICROSECONDS)

        def attempt(table: "DeltaTable") -> ExpiryReport:
            rows = self.lake.scan(table).count_rows(filter=old)
            if rows and not self.dry_run:
                table.delete(
                    f"as_of < '{format_iso(before)}'", commit_properties=build_commit_properties({})
                )
            return {"rows": rows}

        return commit_to_existing_table(self.lake, "quarantine", attempt) or {"rows": 0}

    def expire_landing(self, days: int) -> ExpiryReport:
        """Drop landing objects whose window ended before `days`; see _drop."""
        return self._drop("landing", 4, self._dated(days, 2))

    def expire_runs(self, days: int) -> ExpiryReport:
        """Drop the records of runs of before `days`; see _drop."""
        return self._drop("runs", 3, self._dated(days, 1))

    def expire_reports(self, days: int) -> ExpiryReport:
        """Drop the reports of runs of before `days`; see _drop."""
        return self._drop("reports", 3, self._dated(days, 1))

    def gates(self, days: int) -> ExpiryReport:
        """Drop what gates of before `days` found, but never of the four weeks that a gate looks back; see _drop."""
        return self._drop("gates", 3, self._dated(max(days, MIN_GATE_RECORD_DAYS), 1))

    def expire_searches(self, days: int) -> ExpiryReport:
        """Drop the tables of trials of runs of before `days`; see _drop."""
        return self._drop("searches", 3, self._dated(days, 1))

    def expire_models(self, days: int) -> ExpiryReport:
        """Drop models of before `days` that no publication names, so none that was or may come live; see _drop.

        The newest challenger stays, too: the next one starts from it.
        """
        named = registry.list_published_models(self.lake)
        newest = challengers.find_newest_challenger(self.lake)

        def reason(name: str, found: list[StoredObject]) -> str:
            if name.split("/")[1] in named:
                return "named by a publication"
            if name.split("/")[1] == newest:
                return "the newest challenger"
            if self._fresh(found):
                return _RECENTLY_WRITTEN
            lineage = self.lake.read_json(*name.split("/"), "lineage.json") or {}
            if "as_of" not in lineage:
                return "without a day of its own"
            return _TOO_YOUNG if parse_as_of(lineage["as_of"]) >= self.before(days) else ""

        return self._drop("models", 2, reason)

    def expire_trials(self, days: int) -> ExpiryReport:
        """Drop searches whose last trial was made `days` before the newest of all: they have no day; see _drop."""
        newest = max((found.modified for found in self.lake.walk("trials")), default=self.settled)

        def reason(_: str, found: list[StoredObject]) -> str:
            if self._fresh(found):
                return _RECENTLY_WRITTEN
            return (
                _TOO_YOUNG
                if max(one.modified for one in found) >= newest - timedelta(days=days)
                else ""
            )

        return self._drop("trials", 2, reason)

    def _drop(self, folder: str, depth: int, reason: RetentionRule) -> ExpiryReport:
        """Drop what has no reason to be kept; an entry is all objects that share `depth` parts of their path.

        Returns dropped (entries), objects, bytes, kept (reason -> entries).
        """
        entries: dict[str, list[StoredObject]] = defaultdict(list)
        for found in self.lake.walk(folder):
            entries["/".join(found.name.split("/")[:depth])].append(found)
        report: ExpiryReport = {"dropped": 0, "objects": 0, "bytes": 0}
        kept: Counter[str] = Counter()
        for name, objects in sorted(entries.items()):
            if why := reason(name, objects):
                kept[why] += 1
                continue
            report["dropped"] += 1
            report["objects"] += len(objects)
            report["bytes"] += sum(found.size for found in objects)
            if not self.dry_run:
                self._delete(objects)
        return report | {"kept": dict(kept)}

    def _delete(self, objects: list[StoredObject]) -> None:
        # what says that a folder is whole goes first
        for found in sorted(objects, key=lambda found: not found.name.endswith(MANIFEST)):
            self.lake.delete(*found.name.split("/"))

    def _dated(self, days: int, part: int) -> RetentionRule:
        """The reason of what has the end of its time in this part of its path."""

        def reason(name: str, found: list[StoredObject]) -> str:
            moment = _parse_end_stamp(name.split("/")[part])
            if moment is None:
                return "without a day in its name"
            return (
                _TOO_YOUNG
                if moment >= self.before(days)
                else _RECENTLY_WRITTEN
                if self._fresh(found)
                else ""
            )

        return reason

    def _fresh(self, found: list[StoredObject]) -> bool:
        return any(one.modified > self.settled for one in found)


_TOO_YOUNG = "not old enough"
_RECENTLY_WRITTEN = "written within the last day"


def _sum_rows(files: list[dict[str, Any]]) -> int:
    return sum(file["num_records"] or 0 for file in files)


def _parse_end_stamp(stamps: str) -> datetime | None:
    """The end of '{start}_{end}' or '{as_of}', as dawnlist.cuts.stamp wrote it; None for another text."""
    try:
        return datetime.strptime(stamps.rpartition("_")[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
