"""Read interactions from files: one, a folder of daily ones, public data, or mapped ones."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from dawnlist.components.fetch.arrivals import count_rows_by_hour
from dawnlist.components.fetch.file_inventory import find_inventory
from dawnlist.components.fetch.formats.columns import refuse_many_columns
from dawnlist.components.fetch.formats.file_views import (
    FileView,
    open_utc_duckdb,
    prepare_file_view,
    stream_batches,
    view_query,
)
from dawnlist.components.fetch.formats.local_copies import LocalCopies
from dawnlist.components.fetch.layouts import SourceInventory, TableFiles
from dawnlist.components.fetch.local_days import find_first_hour, find_local_day
from dawnlist.components.fetch.passed_over import describe_passed_over
from dawnlist.components.fetch.read_ahead import RecordBatches, take_rows
from dawnlist.components.fetch.source_files import SourceFile
from dawnlist.cuts import format_iso
from dawnlist.lake.watermark import TimeWindow
from dawnlist.rows.coercions import coalesce_text
from dawnlist.rows.column_aliases import (
    describe_missing_columns,
    match_columns,
    match_interaction_columns,
)
from dawnlist.rows.sql_dialects import IbisConnection, IbisValue
from dawnlist.rows.time_forms import describe_form, find_latest_event_time, is_implausible
from dawnlist.rows.times import parse_moment
from dawnlist.settings import SourceSettings
from dawnlist.source_columns import (
    INTERACTION_ALIASES,
)

EMPTY_WINDOW_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("user_id", "item_id", "event_type", "event_time")]
)
"""The columns of a window in which no daily file lies."""

MORE_ROWS_THAN_THERE_ARE = 2**62
"""A limit that no file reaches."""

FileQuery = Callable[[Any, IbisValue, IbisValue], Any]
"""Builds an Ibis query from the rows of a file, their event time, and its clean text."""


@dataclass(frozen=True)
class FileSource:
    """Files of interactions, and those of items and users if there are any, as a DataSource."""

    inventory: SourceInventory
    settings: SourceSettings
    """The source's settings, filled from the hints of its layout."""
    copies: LocalCopies = field(default_factory=LocalCopies)
    """Local copies of the files that were read."""
    row_counts: dict[str, int] = field(default_factory=dict)
    """The label of each file that was read whole -> its rows."""

    @classmethod
    def from_url(cls, url: str, settings: SourceSettings) -> "FileSource":
        """Find the files at a folder, a file or a mapping file; raises as find_inventory."""
        inventory = find_inventory(url, settings)
        return cls(inventory, settings.fill_from_hints(inventory.layout.build_hints()))

    @property
    def gives_whole_days(self) -> bool:
        """Whether the files of interactions are named by day.

        Raises:
            ValueError: Only some of them are.
        """
        files = self.inventory.interactions
        undated_files = [file for file in files if file.day is None]
        if undated_files and len(undated_files) < len(files):
            raise ValueError(
                f"{undated_files[0].label!r} is not named by a day and others are: give one kind"
            )
        return not undated_files

    def interactions(self, start: datetime, end: datetime) -> RecordBatches:
        """Read the interactions of [start, end).

        Of files named by day, those from the day of `start` up to the day before that of `end` are
        read, in the time zone of the settings. Of other files, the rows are read by their event
        time. A row without a readable and plausible time belongs to no window: it comes with every
        one, so that it is counted and quarantined.
        """
        table = self.inventory.layout.interactions
        if not self.gives_whole_days:
            yield from self._read_files(self.inventory.interactions, table, (start, end))
            return
        first_day, last_day = self.find_local_day(start), self.find_local_day(end)
        files = []
        for file in self.inventory.interactions:
            if file.day and first_day <= file.day < last_day:
                files.append(file)
        yield from self._read_files(files, table, None)

    def read_whole_table(self, table: str) -> RecordBatches | None:
        """Read all rows of the table `items` or `users`; None when it has no files."""
        files = getattr(self.inventory, table)
        if not files:
            return None
        return self._read_files(files, getattr(self.inventory.layout, table), None)

    def check_columns(self) -> None:
        """Check nothing: the columns of files are checked when a read begins."""

    def read_sample(self, table: str, rows: int) -> RecordBatches | None:
        """Read up to `rows` rows of the newest daily file, or of the first files.

        Args:
            table: interactions, items or users.
            rows: The number of rows.

        Returns None when there are no files of items or users.
        """
        files = list(getattr(self.inventory, table))
        if not files:
            return None
        if table == "interactions" and self.gives_whole_days:
            files = [max(files, key=_get_day_and_name)]
        return take_rows(self._read_files(files, getattr(self.inventory.layout, table), None), rows)

    def describe_time_index(self) -> str:
        """Say how windows are found in files."""
        if self.gives_whole_days:
            return "files are named by day, so a window reads the files of its days"
        return "files have no index, so each window reads all of them"

    def describe_newest(self) -> str | None:
        """Return the newest event time as ISO-8601, or the name of the newest daily file."""
        if self.gives_whole_days:
            return max(self.inventory.interactions, key=_get_day_and_name).name
        latest = find_latest_event_time(datetime.now(UTC))
        newest_times = self._query_each_file(partial(_select_newest_time, latest))
        return max((newest for (newest,) in newest_times if newest), default=None)

    def count_arrivals(
        self,
        landed: Path,
        start: datetime,
        end: datetime,
    ) -> dict[str, int]:
        """Count the rows of `landed`, to which `interactions(start, end)` was written, by hour.

        The rows of a daily file arrive in the first hour of its day that lies in the UTC day of
        that name, other rows in the hour of their event time.
        """
        settings = self.settings
        if not self.gives_whole_days:
            names = pq.read_schema(landed).names
            matches = match_columns(names, INTERACTION_ALIASES, settings.columns)
            return count_rows_by_hour(
                landed, matches["event_time"], settings.time_zone, settings.time_format
            )
        first_day = self.find_local_day(start)
        day_count = (self.find_local_day(end) - first_day).days
        days = [first_day + timedelta(days=number) for number in range(day_count)]
        counts = self.count_rows_by_day(days)
        if sum(counts.values()) != pq.read_metadata(landed).num_rows:
            # The files have changed since they landed. Without counts, the days lack rows in the
            # ledger until they are filled.
            return {}
        zone = self.settings.time_zone
        return {format_iso(find_first_hour(day, zone)): rows for day, rows in counts.items()}

    def list_passed_over(self, end: datetime) -> list[str]:
        """List the files that are not read, each with the reason, as sentences for people.

        Daily files before the window are not listed: earlier runs have read them.
        """
        return describe_passed_over(
            self.inventory, self.find_local_day(end), end, self.settings.time_zone
        )

    def find_local_day(self, moment: datetime) -> date:
        """Return the day of a time in the zone of the settings, in which files are named."""
        return find_local_day(moment, self.settings.time_zone)

    def count_rows_by_day(self, days: list[date]) -> dict[date, int]:
        """Count the rows of each of the days. Days without rows are left out.

        Raises:
            ValueError: There are rows, and none of them has a time that can be read.
        """
        if self.gives_whole_days:
            return self._count_daily_files(days)
        counts: Counter[date] = Counter()
        rows_without_time: Counter[str] = Counter()
        latest = find_latest_event_time(datetime.now(UTC))
        for day, form, rows in self._query_each_file(partial(_count_by_event_day, latest)):
            if day is None:
                rows_without_time[form] += rows
            else:
                counts[day] += rows
        if rows_without_time and not counts:
            raise ValueError(_explain_unreadable_times(rows_without_time))
        return {day: rows for day, rows in counts.items() if day in days}

    def _count_daily_files(self, days: list[date]) -> dict[date, int]:
        files = []
        for file in self.inventory.interactions:
            if file.day in days:
                files.append(file)
        self._count_rows([file for file in files if file.label not in self.row_counts])
        counts: dict[date, int] = {}
        for file in files:
            if file.day:
                counts[file.day] = counts.get(file.day, 0) + self.row_counts[file.label]
        return counts

    def _read_files(
        self,
        files: Sequence[SourceFile],
        table: TableFiles,
        window: TimeWindow | None,
    ) -> RecordBatches:
        """Read files, which may differ in their columns, one after the other in one schema."""
        connection = open_utc_duckdb()
        try:
            views = [self._prepare_view(connection, file, table) for file in files]
            hints = json.dumps(self.inventory.layout.build_hints())
            cut = "event_time" if window else "file"
            schema = _merge_schemas(views).with_metadata({"layout": hints, "cut": cut})
            if table is self.inventory.layout.interactions and views:
                # This raises ValueError when a column is missing.
                match_interaction_columns(schema.names, self.settings, files[-1].label)
            # The first batch has no rows, so that the columns are known even when no row follows.
            yield pa.RecordBatch.from_pylist([], schema=schema)
            for view in views:
                rows = 0
                query = self._compile_query(connection, view, schema, window)
                for batch in stream_batches(connection, view, query):
                    rows += batch.num_rows
                    yield _fit_to_schema(batch, view, schema)
                if window is None:
                    self.row_counts[view.file.label] = rows
        finally:
            connection.disconnect()

    def _prepare_view(
        self, connection: IbisConnection, file: SourceFile, table: TableFiles
    ) -> FileView:
        return prepare_file_view(connection, self.copies, file, table, self.settings.columns)

    def _compile_query(
        self,
        connection: IbisConnection,
        view: FileView,
        schema: pa.Schema,
        window: TimeWindow | None,
    ) -> str:
        """Compile the query for a file's rows, or those of a window, in the types of the schema."""
        cells = []
        for index, (name, file_type) in enumerate(zip(view.names, view.types, strict=True)):
            cell = f"c{index}"
            if file_type != schema.field(name).type:
                cell = f"CAST({cell} AS VARCHAR) AS {cell}"
            cells.append(cell)
        query = f"SELECT {', '.join(cells)} FROM ({view.select})"
        if window is None:
            return query
        start, end = window
        rows = view_query(connection, query)
        # A row without a time lies in every window.
        moment = ibis.coalesce(self._parse_event_time(rows, view), start)
        # Without the limit DuckDB would parse a time anew for each comparison below.
        timed_rows = rows.mutate(moment=moment).limit(MORE_ROWS_THAN_THERE_ARE)
        time = timed_rows.moment
        is_in_window = (time >= start) & (time < end)
        is_in_none = is_implausible(time, find_latest_event_time(end))
        return str(timed_rows.filter(is_in_window | is_in_none).drop("moment").compile())

    def _parse_event_time(self, rows: Any, view: FileView) -> IbisValue:
        """Parse the event time with the same column names and formats as clean does."""
        indices = self._find_time_columns(view)
        if len(indices) == 1 and _is_moment(view.types[indices[0]]):
            return rows[f"c{indices[0]}"]
        text = self._select_time_text(rows, view)
        return parse_moment(text, self.settings.time_zone, self.settings.time_format)

    def _select_time_text(self, rows: Any, view: FileView) -> IbisValue:
        """Select the clean text of the event time."""
        return coalesce_text([rows[f"c{index}"] for index in self._find_time_columns(view)])

    def _find_time_columns(self, view: FileView) -> list[int]:
        """Find the columns of the event time, the first one first."""
        matches = match_columns(view.names, INTERACTION_ALIASES, self.settings.columns)
        indices = matches.get("event_time")
        if not indices:
            label = repr(view.file.label)
            raise ValueError(describe_missing_columns(["event_time"], view.names, label))
        return list(indices)

    def _query_each_file(self, build_query: FileQuery) -> Iterator[tuple[Any, ...]]:
        """Run a query over each file of interactions, and yield the rows of the results."""
        table = self.inventory.layout.interactions
        connection = open_utc_duckdb()
        try:
            for file in self.inventory.interactions:
                view = self._prepare_view(connection, file, table)
                rows = view_query(connection, view.select)
                time, text = self._parse_event_time(rows, view), self._select_time_text(rows, view)
                query = build_query(rows, time, text)
                for batch in stream_batches(connection, view, str(query.compile())):
                    for row in batch.to_pylist():
                        yield tuple(row.values())
        finally:
            connection.disconnect()

    def _count_rows(self, files: Sequence[SourceFile]) -> None:
        """Count the rows of files into `row_counts`."""
        table = self.inventory.layout.interactions
        connection = open_utc_duckdb()
        try:
            for file in files:
                view = self._prepare_view(connection, file, table)
                query = f"SELECT count(*) AS rows FROM ({view.select})"
                [batch] = stream_batches(connection, view, query)
                self.row_counts[file.label] = batch["rows"][0].as_py()
        finally:
            connection.disconnect()


def _is_moment(column_type: pa.DataType) -> bool:
    """Whether a column holds times that need no parsing: with a zone, in at most microseconds."""
    if not pa.types.is_timestamp(column_type) or column_type.tz is None:
        return False
    return str(column_type.unit) != "ns"


def _get_day_and_name(file: SourceFile) -> tuple[date, str]:
    return file.day or date.min, file.name


def _select_newest_time(latest: datetime, rows: Any, time: IbisValue, text: IbisValue) -> Any:
    timed_rows = rows.select(time=time)
    plausible_rows = timed_rows.filter(~is_implausible(timed_rows.time, latest))
    return plausible_rows.agg(newest=plausible_rows.time.max().strftime("%Y-%m-%dT%H:%M:%SZ"))


def _count_by_event_day(latest: datetime, rows: Any, time: IbisValue, text: IbisValue) -> Any:
    """Count rows by day; those without a plausible time have no day, and the form of their time."""
    has_day = ibis.coalesce(~is_implausible(time, latest), False)
    day = ibis.ifelse(has_day, time.date(), ibis.null("date"))
    form = ibis.ifelse(has_day, "", ibis.coalesce(describe_form(text), "nothing"))
    counted = rows.select(day=day, form=form)
    return counted.group_by("day", "form").agg(rows=counted.count())


def _explain_unreadable_times(rows_by_form: "Counter[str]") -> str:
    [(form, _)] = rows_by_form.most_common(1)
    return (
        f"none of the {rows_by_form.total():,} rows has a time that can be read: the time column "
        f"holds {form}; name another column in the settings, source.columns: {{event_time: [its "
        "name]}, or its format, source.time_format"
    )


def _merge_schemas(views: Sequence[FileView]) -> pa.Schema:
    """Merge the columns of files. A column that files hold in different types becomes text."""
    if not views:
        return EMPTY_WINDOW_SCHEMA
    types_by_name: dict[str, set[pa.DataType]] = {}
    for view in views:
        for name, file_type in zip(view.names, view.types, strict=True):
            types_by_name.setdefault(name, set()).add(file_type)
    refuse_many_columns(views[-1].file.label, list(types_by_name))
    fields = []
    for name, types in types_by_name.items():
        merged_type = pa.string() if len(types) > 1 else types.pop()
        fields.append(pa.field(name, merged_type))
    return pa.schema(fields)


def _fit_to_schema(
    batch: pa.RecordBatch,
    view: FileView,
    schema: pa.Schema,
) -> pa.RecordBatch:
    """Order the columns c0, c1, ... of a batch like the schema, with nulls for missing ones."""
    indices = {name: index for index, name in enumerate(view.names)}
    columns = []
    for schema_field in schema:
        index = indices.get(schema_field.name)
        if index is None:
            columns.append(pa.nulls(batch.num_rows, schema_field.type))
        else:
            columns.append(batch.column(index))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
