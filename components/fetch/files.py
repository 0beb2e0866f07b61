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

from dawnlist.components.fetch.arrivals import by_hour
from dawnlist.components.fetch.layouts import FORMATS, Found, Layout, Table, recognised, usual
from dawnlist.components.fetch.mapping import mapped
from dawnlist.components.fetch.stored import Copies, Stored, listed
from dawnlist.components.fetch.tables import Connection, Part, batches, connect, prepared, shown_as_table
from dawnlist.rows.coercions import first_text, moment
from dawnlist.rows.columns import ALIASES, columns_of, interaction_columns, missing
from dawnlist.settings import SourceSettings

MAPPINGS = (".yaml", ".yml")
NO_FILES = pa.schema([(name, pa.string()) for name in ("user_id", "item_id", "event_type", "event_time")])
"""Of a window in which no daily file lies."""
_FOLDER_OF_A_DAY = re.compile(r"(?:\w+=)?\d{4}-\d{2}-\d{2}/")


@dataclass(frozen=True)
class Files:
    """Files of interactions, and those of the items and users where there are any."""

    found: Found
    settings: SourceSettings
    """With what the layout says of itself."""
    copies: Copies = field(default_factory=Copies)
    rows: dict[str, int] = field(default_factory=dict)
    """Of the daily files that were read."""

    @classmethod
    def find(cls, url: str, settings: SourceSettings) -> "Files":
        """What lies at a folder, a file or a mapping file; FileNotFoundError that says what was looked for."""
        is_folder, files = listed(url)
        if not is_folder and url.lower().endswith(MAPPINGS):
            found = mapped(files[0])
        else:
            found = recognised(files) or (_in_folder(url, files, settings) if is_folder else _alone(files[0]))
        return cls(found, settings.completed(found.layout.hints()))

    @property
    def daily(self) -> bool:
        """Whether the files are named by day. ValueError when only some of them are."""
        undated = [file for file in self.found.interactions if file.day is None]
        if undated and len(undated) < len(self.found.interactions):
            raise ValueError(f"{undated[0].shown!r} is not named by a day and others are: give one kind")
        return not undated

    def interactions(self, start: datetime, end: datetime) -> Iterator[pa.RecordBatch]:
        """Files named by day: from the day of start up to, without, the day of end. Else rows by their event time.

        A row whose time can't be read belongs to no window; it comes with every one, to be counted and quarantined.
        """
        if not self.daily:
            yield from self._read(self.found.interactions, self.found.layout.interactions, (start, end))
            return
        inside = [file for file in self.found.interactions if file.day and start.date() <= file.day < end.date()]
        yield from self._read(inside, self.found.layout.interactions, None)

    def whole(self, table: str) -> Iterator[pa.RecordBatch] | None:
        """All rows of the items or users files, or None when there are none."""
        files, how = getattr(self.found, table), getattr(self.found.layout, table)
        return self._read(files, how, None) if files else None

    def newest(self) -> str | None:
        """The newest event time, or the newest file's name."""
        if self.daily:
            return max(self.found.interactions, key=lambda file: (file.day or date.min, file.name)).name
        latest = self._ask(lambda rows, time: rows.agg(newest=time.max().strftime("%Y-%m-%dT%H:%M:%SZ")))
        return max((newest for (newest,) in latest if newest), default=None)

    def arrivals(self, landed: Path, start: datetime, end: datetime) -> dict[str, int]:
        """Files named by day: the rows of a day for its first hour. Else rows by the hour of their event time."""
        if not self.daily:
            found = columns_of(pq.read_schema(landed).names, ALIASES, self.settings.columns)
            return by_hour(landed, found["event_time"], self.settings.time_zone, self.settings.time_format)
        days = [start.date() + timedelta(days=number) for number in range((end.date() - start.date()).days)]
        counted = self.counts(days)
        if sum(counted.values()) != pq.read_metadata(landed).num_rows:
            return {}  # the files are others than those that landed: the days lack rows until they are filled
        return {f"{day}T00:00:00Z": rows for day, rows in counted.items()}

    def counts(self, days: list[date]) -> dict[date, int]:
        """The rows of each of the days that has any."""
        counted: dict[date, int] = {}
        if self.daily:
            wanted = [(file, file.day) for file in self.found.interactions if file.day in days]
            self._count([file for file, _ in wanted if file.shown not in self.rows])
            for file, day in wanted:
                counted[day] = counted.get(day, 0) + self.rows[file.shown]
            return counted
        for day, rows in self._ask(lambda rows, time: rows.group_by(day=time.date()).agg(rows=rows.count())):
            if day in days:
                counted[day] = counted.get(day, 0) + rows
        return counted

    def _read(
        self, files: Sequence[Stored], table: Table, window: tuple[datetime, datetime] | None
    ) -> Iterator[pa.RecordBatch]:
        """The rows of files that may differ in their columns, one file after the other."""
        connection = connect()
        try:
            parts = [prepared(connection, self.copies, file, table) for file in files]
            schema = _union(parts).with_metadata({"layout": json.dumps(self.found.layout.hints())})
            if table is self.found.layout.interactions and parts:
                interaction_columns(schema.names, self.settings, files[-1].shown)
            yield pa.RecordBatch.from_pylist([], schema=schema)  # the columns are known even when no row comes
            for one in parts:
                rows = 0
                for batch in batches(connection, one, self._query(connection, one, schema, window)):
                    rows += batch.num_rows
                    yield _fitted(batch, one, schema)
                if window is None:
                    self.rows[one.file.shown] = rows
        finally:
            connection.disconnect()

    def _query(
        self, connection: Connection, part: Part, schema: pa.Schema, window: tuple[datetime, datetime] | None
    ) -> str:
        wanted = [schema.field(name).type for name in part.names]
        cells = (
            f"c{place}" if there == type_ else f"CAST(c{place} AS VARCHAR) AS c{place}"
            for place, (there, type_) in enumerate(zip(part.types, wanted, strict=True))
        )
        query = f"SELECT {', '.join(cells)} FROM ({part.select})"
        if window is None:
            return query
        rows = shown_as_table(connection, query)
        # a row without a time lies in every window; said this way the time is worked out once a row
        time = ibis.coalesce(self._time(rows, part), window[0])
        return str(rows.filter((time >= window[0]) & (time < window[1])).compile())

    def _time(self, rows: Any, part: Part) -> Any:
        """The event time as an Ibis expression, by the same mapping and coercion that clean uses."""
        found = columns_of(part.names, ALIASES, self.settings.columns).get("event_time")
        if not found:
            raise ValueError(missing("event_time", part.names, repr(part.file.shown)))
        text = first_text([rows[f"c{place}"] for place in found])
        return moment(text, self.settings.time_zone, self.settings.time_format)

    def _ask(self, question: Callable[[Any, Any], Any]) -> Iterator[tuple[Any, ...]]:
        """The answers of each file of interactions to a question about its rows and their time."""
        connection = connect()
        try:
            for file in self.found.interactions:
                one = prepared(connection, self.copies, file, self.found.layout.interactions)
                rows = shown_as_table(connection, one.select)
                query = str(question(rows, self._time(rows, one)).compile())
                for batch in batches(connection, one, query):
                    yield from (tuple(row.values()) for row in batch.to_pylist())
        finally:
            connection.disconnect()

    def _count(self, files: Sequence[Stored]) -> None:
        connection = connect()
        try:
            for file in files:
                one = prepared(connection, self.copies, file, self.found.layout.interactions)
                [batch] = batches(connection, one, f"SELECT count(*) AS rows FROM ({one.select})")
                self.rows[file.shown] = batch["rows"][0].as_py()
        finally:
            connection.disconnect()


def _in_folder(url: str, files: Sequence[Stored], settings: SourceSettings) -> Found:
    found = Found.of(usual(settings), files)
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


def _refuse_undated(found: Found, files: Sequence[Stored], name: str) -> None:
    """ValueError for a readable file beside those named by day that is none of them: nobody would read it."""
    first = found.interactions[0]
    folder = f"{name}/" if first.name.startswith(f"{name}/") else ""
    known = {file.name for file in (*found.interactions, *found.items, *found.users)}
    for file in files:
        if not file.name.startswith(folder) or file.ending not in FORMATS or file.name in known:
            continue
        if "/" not in file.name.removeprefix(folder):
            raise ValueError(
                f"{file.shown!r} lies beside files named by day and is not: name it by its day or take it out"
            )
        if _FOLDER_OF_A_DAY.match(file.name, len(folder)):
            raise ValueError(
                f"{file.shown!r} lies in a folder of a day, beside files named by day in another way such as "
                f"{first.shown!r}: name all in one way or take it out"
            )


def _alone(file: Stored) -> Found:
    if file.ending not in FORMATS:
        raise ValueError(
            f"source {file.shown!r} is of a kind that can't be read: give .csv, .tsv, .jsonl, .parquet or .dat, also "
            "with .gz or .zst, or say in a mapping file how it is written (docs/SOURCES.md)"
        )
    return Found(Layout(Table((file.name,))), [file], [], [])


def _union(parts: Sequence[Part]) -> pa.Schema:
    """Each column that any file has; one that files hold in different types as text."""
    if not parts:
        return NO_FILES
    types: dict[str, set[pa.DataType]] = {}
    for one in parts:
        for name, type_ in zip(one.names, one.types, strict=True):
            types.setdefault(name, set()).add(type_)
    return pa.schema([(name, min(found) if len(found) == 1 else pa.string()) for name, found in types.items()])


def _fitted(batch: pa.RecordBatch, part: Part, schema: pa.Schema) -> pa.RecordBatch:
    place = {name: number for number, name in enumerate(part.names)}
    columns = (
        batch.column(place[field.name]) if field.name in place else pa.nulls(batch.num_rows, field.type)
        for field in schema
    )
    return pa.RecordBatch.from_arrays(list(columns), schema=schema)
