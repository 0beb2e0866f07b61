"""Interactions from files: MovieLens .dat folders, folders of daily files, one CSV or Parquet file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from components.columns import canonical_columns
from components.settings import SourceSettings

BATCH_ROWS = 50_000
SUFFIXES = (".csv", ".csv.gz", ".parquet")
DAY = re.compile(r"(\d{4}-\d{2}-\d{2})")

# MovieLens .dat files have no header: https://files.grouplens.org/datasets/movielens/ml-1m-README.txt
DAT_COLUMNS = {
    "ratings.dat": ("user_id", "item_id", "rating", "timestamp"),
    "movies.dat": ("item_id", "title", "genres"),
    "users.dat": ("user_id", "gender", "age", "occupation", "zip_code"),
}


@dataclass(frozen=True)
class Files:
    """Files of interactions, and those of the items and users where there are any."""

    events: tuple[Path, ...]
    items: Path | None
    users: Path | None
    settings: SourceSettings

    @classmethod
    def find(cls, path: Path, settings: SourceSettings) -> "Files":
        """What lies at `path`; FileNotFoundError that says what was looked for."""
        if path.is_file():
            return cls((path,), None, None, settings)
        if (path / "ratings.dat").exists():
            return cls((path / "ratings.dat",), _first(path, "movies.dat"), _first(path, "users.dat"), settings)
        events = _daily(path / settings.interactions) or _daily(path)
        single = [path / f"{settings.interactions}{suffix}" for suffix in SUFFIXES]
        found = events or tuple(file for file in single if file.exists())
        if not found:
            raise FileNotFoundError(
                f"source {str(path)!r} holds no interactions: expected ratings.dat, files named by day such as "
                f"{settings.interactions}/2026-01-31.csv, or {settings.interactions}.csv or .parquet"
            )
        items, users = (
            _first(path, *(f"{name}{suffix}" for suffix in SUFFIXES)) for name in (settings.items, settings.users)
        )
        return cls(found, items, users, settings)

    def interactions(self, start: datetime, end: datetime) -> Iterator[pa.RecordBatch]:
        """Files named by day: the days that begin in [start, end). Else the rows whose event time lies there.

        A row whose time can't be read belongs to no window; it comes with every one, to be counted and quarantined.
        """
        daily = [file for file in self.events if DAY.match(file.name)]
        if daily:
            inside = [file for file in daily if start.date() <= _day(file) < end.date()]
            yield from _stream(f"SELECT * FROM {_scan(inside or daily)}" + ("" if inside else " LIMIT 0"))
            return
        moment = self._moment()
        low, high = (int(edge.timestamp() * 1_000_000) for edge in (start, end))
        scan = _scan(list(self.events))
        yield from _stream(
            f"SELECT * FROM {scan} WHERE {moment} IS NULL OR ({moment} >= $low AND {moment} < $high)",
            {"low": low, "high": high},
        )

    def whole(self, table: str) -> Iterator[pa.RecordBatch] | None:
        """All rows of the items or users file, or None when there is none."""
        file = self.items if table == "items" else self.users
        return None if file is None else _stream(f"SELECT * FROM {_scan([file])}")

    def newest(self) -> str | None:
        """The newest event time, or the newest file's name."""
        daily = sorted(file.name for file in self.events if DAY.match(file.name))
        if daily:
            return daily[-1]
        query = f"SELECT max({self._moment()}) FROM {_scan(list(self.events))}"
        newest = _connection().execute(query).fetchone()
        return None if not newest or newest[0] is None else str(datetime.fromtimestamp(newest[0] / 1e6, UTC))

    def _moment(self) -> str:
        """SQL: the event time in epoch microseconds."""
        names = [
            column[0]
            for column in _connection().execute(f"DESCRIBE SELECT * FROM {_scan(list(self.events))}").fetchall()
        ]
        columns = canonical_columns(names, self.settings).get("event_time", [])
        if not columns:
            raise ValueError(
                f"source {str(self.events[0])!r} has no column for the time of an event (it has: {', '.join(names)}): "
                "name it in the settings, source.columns.event_time"
            )
        return f"coalesce({', '.join(map(_microseconds, columns))})"


def _microseconds(column: str) -> str:
    """SQL: a column of epoch seconds, milliseconds, microseconds or ISO-8601 text as epoch microseconds."""
    text = f"trim(CAST({_quoted(column)} AS VARCHAR))"
    number = f"try_cast({text} AS DOUBLE)"
    return (
        f"CASE WHEN {number} IS NULL THEN epoch_us(try_cast({text} AS TIMESTAMPTZ)) "
        f"WHEN abs({number}) < 1e11 THEN CAST({number} * 1000000 AS BIGINT) "
        f"WHEN abs({number}) < 1e14 THEN CAST({number} * 1000 AS BIGINT) "
        f"WHEN abs({number}) < 9e18 THEN CAST({number} AS BIGINT) END"
    )


def _scan(files: list[Path]) -> str:
    """SQL: the table function that reads the files, every CSV value as text."""
    names = "[" + ", ".join(f"'{_escaped(str(file))}'" for file in files) + "]"
    first = files[0].name
    if first.endswith(".parquet"):
        return f"read_parquet({names}, union_by_name=true)"
    if first in DAT_COLUMNS:
        columns = ", ".join(f"'{name}': 'VARCHAR'" for name in DAT_COLUMNS[first])
        return f"read_csv({names}, delim='::', quote='', escape='', header=false, columns={{{columns}}})"
    return f"read_csv({names}, all_varchar=true, union_by_name=true, header=true)"


def _stream(query: str, parameters: dict[str, int] | None = None) -> Iterator[pa.RecordBatch]:
    try:
        reader = _connection().execute(query, parameters or {}).to_arrow_reader(BATCH_ROWS)
        empty = True
        for batch in reader:
            empty = False
            yield batch
        if empty:
            yield pa.RecordBatch.from_pylist([], schema=reader.schema)
    except duckdb.Error as error:
        raise ValueError(f"a file of the source can't be read: {str(error).strip().splitlines()[0]}") from None


def _connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
    return connection


def _daily(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    return tuple(sorted(f for f in folder.iterdir() if DAY.match(f.name) and f.name.endswith(SUFFIXES)))


def _first(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).exists()), None)


def _day(file: Path) -> date:
    return date.fromisoformat(file.name[:10])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _escaped(text: str) -> str:
    return text.replace("'", "''")
