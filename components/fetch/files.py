"""Interactions from files: one, a folder of daily ones, public data, or what a mapping file names."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from dawnlist.components.fetch.arrivals import count_rows_by_hour
from dawnlist.components.fetch.file_views import (
    FileView,
    open_utc_duckdb,
    prepare_file_view,
    stream_batches,
    view_query,
)
from dawnlist.components.fetch.layouts import (
    FORMATS_BY_SUFFIX,
    Layout,
    SourceInventory,
    TableFiles,
    build_usual_layout,
    recognise_public_layout,
)
from dawnlist.components.fetch.mapping_files import read_mapping_file
from dawnlist.components.fetch.source_files import LocalCopies, SourceFile, list_source_files
from dawnlist.rows.coercions import coalesce_text
from dawnlist.rows.column_aliases import (
    INTERACTION_ALIASES,
    describe_missing_column,
    match_columns,
    match_interaction_columns,
)
from dawnlist.rows.sql_dialects import IbisConnection
from dawnlist.rows.times import parse_moment
from dawnlist.settings import SourceSettings

MAPPING_SUFFIXES = (".yaml", ".yml")
EMPTY_WINDOW_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("user_id", "item_id", "event_type", "event_time")]
)
"""Of a window in which no daily file lies."""
_DAY_FOLDER = re.compile(r"(?:\w+=)?\d{4}-\d{2}-\d{2}/")


@dataclass(frozen=True)
class FileSource:
    """Files of interactions, and those of the items and users where there are any."""

    found: SourceInventory
    settings: SourceSettings
    """With what the layout says of itself."""
    copies: LocalCopies = field(default_factory=LocalCopies)
    rows: dict[str, int] = field(default_factory=dict)
    """Of the daily files that were read."""

    @classmethod
    def find(cls, url: str, settings: SourceSettings) -> "FileSource":
        """What lies at a folder, a file or a mapping file; FileNotFoundError that says what was looked for."""
        is_folder, files = list_source_files(url)
        if not is_folder and url.lower().endswith(MAPPING_SUFFIXES):
            found = read_mapping_file(files[0])
        else:
            found = recognise_public_layout(files) or (
                _find_in_folder(url, files, settings)
                if is_folder
                else _accept_single_file(files[0])
            )
        return cls(found, settings.fill_from_hints(found.layout.hints()))

    @property
    def daily(self) -> bool:
        """Whether the files are named by day. ValueError when only some of them are."""
        undated = [file for file in self.found.interactions if file.day is None]
        if undated and len(undated) < len(self.found.interactions):
            raise ValueError(
                f"{undated[0].label!r} is not named by a day and others are: give one kind"
            )
        return not undated

    def interactions(self, start: datetime, end: datetime) -> Iterator[pa.RecordBatch]:
        """Files named by day: from the day of start up to, without, the day of end. Else rows by their event time.

        A row whose time can't be read belongs to no window; it comes with every one, to be counted and quarantined.
        """
        if not self.daily:
            yield from self._read(
                self.found.interactions, self.found.layout.interactions, (start, end)
            )
            return
        inside = [
            file
            for file in self.found.interactions
            if file.day and start.date() <= file.day < end.date()
        ]
        yield from self._read(inside, self.found.layout.interactions, None)

    def read_whole_table(self, table: str) -> Iterator[pa.RecordBatch] | None:
        """All rows of the items or users files, or None when there are none."""
        files, how = getattr(self.found, table), getattr(self.found.layout, table)
        return self._read(files, how, None) if files else None

    def newest(self) -> str | None:
        """The newest event time, or the newest file's name."""
        if self.daily:
            return max(
                self.found.interactions, key=lambda file: (file.day or date.min, file.name)
            ).name
        latest = self._ask(
            lambda rows, time: rows.agg(newest=time.max().strftime("%Y-%m-%dT%H:%M:%SZ"))
        )
        return max((newest for (newest,) in latest if newest), default=None)

    def count_arrivals(self, landed: Path, start: datetime, end: datetime) -> dict[str, int]:
        """Files named by day: the rows of a day for its first hour. Else rows by the hour of their event time."""
        if not self.daily:
            found = match_columns(
                pq.read_schema(landed).names, INTERACTION_ALIASES, self.settings.columns
            )
            return count_rows_by_hour(
                landed, found["event_time"], self.settings.time_zone, self.settings.time_format
            )
        days = [
            start.date() + timedelta(days=number)
            for number in range((end.date() - start.date()).days)
        ]
        counted = self.count_rows_by_day(days)
        if sum(counted.values()) != pq.read_metadata(landed).num_rows:
            return {}  # the files are others than those that landed: the days lack rows until they are filled
        return {f"{day}T00:00:00Z": rows for day, rows in counted.items()}

    def count_rows_by_day(self, days: list[date]) -> dict[date, int]:
        """The rows of each of the days that has any."""
        counted: dict[date, int] = {}
        if self.daily:
            wanted = [(file, file.day) for file in self.found.interactions if file.day in days]
            self._count([file for file, _ in wanted if file.label not in self.rows])
            for file, day in wanted:
                counted[day] = counted.get(day, 0) + self.rows[file.label]
            return counted
        for day, rows in self._ask(
            lambda rows, time: rows.group_by(day=time.date()).agg(rows=rows.count())
        ):
            if day in days:
                counted[day] = counted.get(day, 0) + rows
        return counted

    def _read(
        self,
        files: Sequence[SourceFile],
        table: TableFiles,
        window: tuple[datetime, datetime] | None,
    ) -> Iterator[pa.RecordBatch]:
        """The rows of files that may differ in their columns, one file after the other."""
        connection = open_utc_duckdb()
        try:
            parts = [prepare_file_view(connection, self.copies, file, table) for file in files]
            schema = _merge_schemas(parts).with_metadata(
                {"layout": json.dumps(self.found.layout.hints())}
            )
            if table is self.found.layout.interactions and parts:
                match_interaction_columns(schema.names, self.settings, files[-1].label)
            yield pa.RecordBatch.from_pylist(
                [], schema=schema
            )  # the columns are known even when no row comes
            for one in parts:
                rows = 0
                for batch in stream_batches(
                    connection, one, self._query(connection, one, schema, window)
                ):
                    rows += batch.num_rows
                    yield _fit_to_schema(batch, one, schema)
                if window is None:
                    self.rows[one.file.label] = rows
        finally:
            connection.disconnect()

    def _query(
        self,
        connection: IbisConnection,
        part: FileView,
        schema: pa.Schema,
        window: tuple[datetime, datetime] | None,
    ) -> str:
        wanted = [schema.field(name).type for name in part.names]
        cells = (
            f"c{place}" if there == type_ else f"CAST(c{place} AS VARCHAR) AS c{place}"
            for place, (there, type_) in enumerate(zip(part.types, wanted, strict=True))
        )
        query = f"SELECT {', '.join(cells)} FROM ({part.select})"
        if window is None:
            return query
        rows = view_query(connection, query)
        # a row without a time lies in every window; said this way the time is worked out once a row
        time = ibis.coalesce(self._time(rows, part), window[0])
        return str(rows.filter((time >= window[0]) & (time < window[1])).compile())

    def _time(self, rows: Any, part: FileView) -> Any:
        """The event time as an Ibis expression, by the same mapping and coercion that clean uses."""
        found = match_columns(part.names, INTERACTION_ALIASES, self.settings.columns).get(
            "event_time"
        )
        if not found:
            raise ValueError(
                describe_missing_column("event_time", part.names, repr(part.file.label))
            )
        text = coalesce_text([rows[f"c{place}"] for place in found])
        return parse_moment(text, self.settings.time_zone, self.settings.time_format)

    def _ask(self, question: Callable[[Any, Any], Any]) -> Iterator[tuple[Any, ...]]:
        """The answers of each file of interactions to a question about its rows and their time."""
        connection = open_utc_duckdb()
        try:
            for file in self.found.interactions:
                one = prepare_file_view(
                    connection, self.copies, file, self.found.layout.interactions
                )
                rows = view_query(connection, one.select)
                query = str(question(rows, self._time(rows, one)).compile())
                for batch in stream_batches(connection, one, query):
                    yield from (tuple(row.values()) for row in batch.to_pylist())
        finally:
            connection.disconnect()

    def _count(self, files: Sequence[SourceFile]) -> None:
        connection = open_utc_duckdb()
        try:
            for file in files:
                one = prepare_file_view(
                    connection, self.copies, file, self.found.layout.interactions
                )
                [batch] = stream_batches(
                    connection, one, f"SELECT count(*) AS rows FROM ({one.select})"
                )
                self.rows[file.label] = batch["rows"][0].as_py()
        finally:
            connection.disconnect()


def _find_in_folder(
    url: str, files: Sequence[SourceFile], settings: SourceSettings
) -> SourceInventory:
    found = SourceInventory.of(build_usual_layout(settings), files)
    if not found.interactions:
        name = settings.interactions
        raise FileNotFoundError(
            f"source {url!r} holds no interactions: looked for files named by day such as {name}/2026-01-31.csv or "
            f"event_date=2026-01-31/x.parquet, for {name}.csv, .tsv, .jsonl or .parquet, for the files of MovieLens "
            "and of Amazon reviews; name others in a mapping file (docs/SOURCES.md)"
        )
    if found.interactions[0].day:
        _refuse_undated(found, files, settings.interactions)
    return found


def _refuse_undated(found: SourceInventory, files: Sequence[SourceFile], name: str) -> None:
    """ValueError for a readable file beside those named by day that is none of them: nobody would read it."""
    first = found.interactions[0]
    folder = f"{name}/" if first.name.startswith(f"{name}/") else ""
    known = {file.name for file in (*found.interactions, *found.items, *found.users)}
    for file in files:
        if (
            not file.name.startswith(folder)
            or file.ending not in FORMATS_BY_SUFFIX
            or file.name in known
        ):
            continue
        if "/" not in file.name.removeprefix(folder):
            raise ValueError(
                f"{file.label!r} lies beside files named by day and is not: name it by its day or take it out"
            )
        if _DAY_FOLDER.match(file.name, len(folder)):
            raise ValueError(
                f"{file.label!r} lies in a folder of a day, beside files named by day in another way such as "
                f"{first.label!r}: name all in one way or take it out"
            )


def _accept_single_file(file: SourceFile) -> SourceInventory:
    if file.ending not in FORMATS_BY_SUFFIX:
        raise ValueError(
            f"source {file.label!r} is of a kind that can't be read: give .csv, .tsv, .jsonl, .parquet or .dat, also "
            "with .gz or .zst, or say in a mapping file how it is written (docs/SOURCES.md)"
        )
    return SourceInventory(Layout(TableFiles((file.name,))), [file], [], [])


def _merge_schemas(parts: Sequence[FileView]) -> pa.Schema:
    """Each column that any file has; one that files hold in different types as text."""
    if not parts:
        return EMPTY_WINDOW_SCHEMA
    types: dict[str, set[pa.DataType]] = {}
    for one in parts:
        for name, type_ in zip(one.names, one.types, strict=True):
            types.setdefault(name, set()).add(type_)
    return pa.schema(
        [(name, min(found) if len(found) == 1 else pa.string()) for name, found in types.items()]
    )


def _fit_to_schema(batch: pa.RecordBatch, part: FileView, schema: pa.Schema) -> pa.RecordBatch:
    place = {name: number for number, name in enumerate(part.names)}
    columns = (
        batch.column(place[field.name])
        if field.name in place
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    )
    return pa.RecordBatch.from_arrays(list(columns), schema=schema)
