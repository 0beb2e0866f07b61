"""Interactions from files: MovieLens .dat folders, folders of daily files, one CSV or Parquet file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa

from components.coercions import first_text, moment
from components.columns import ALIASES, columns_of, missing
from components.settings import SourceSettings

BATCH_ROWS = 50_000
SUFFIXES = (".csv", ".csv.gz", ".parquet")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

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
        single = [path / f"{settings.interactions}{suffix}" for suffix in SUFFIXES]
        found = _daily(path / settings.interactions) or _daily(path) or tuple(file for file in single if file.exists())
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
        """Files named by day: from the day of start up to, without, the day of end. Else rows by their event time.

        A row whose time can't be read belongs to no window; it comes with every one, to be counted and quarantined.
        """
        daily = [file for file in self.events if DAY.match(file.name)]
        inside = [file for file in daily if start.date() <= date.fromisoformat(file.name[:10]) < end.date()]
        if daily:
            rows = _table(inside or daily)
            return _batches(rows if inside else rows.limit(0))
        rows = _table(list(self.events))
        time = self._time(rows)
        return _batches(rows.filter(time.isnull() | ((time >= start) & (time < end))))

    def whole(self, table: str) -> Iterator[pa.RecordBatch] | None:
        """All rows of the items or users file, or None when there is none."""
        file = self.items if table == "items" else self.users
        return None if file is None else _batches(_table([file]))

    def newest(self) -> str | None:
        """The newest event time, or the newest file's name."""
        daily = sorted(file.name for file in self.events if DAY.match(file.name))
        if daily:
            return daily[-1]
        rows = _table(list(self.events))
        newest = self._time(rows).max().to_pyarrow().as_py()
        return None if newest is None else str(newest)

    def _time(self, rows: Any) -> Any:
        """The event time as an Ibis expression, by the same mapping and coercion that clean uses."""
        found = columns_of(rows.columns, ALIASES, self.settings.columns).get("event_time")
        if not found:
            raise ValueError(missing("event_time", rows.columns, str(self.events[0])))
        return moment(first_text([rows[place] for place in found]))


def _table(files: list[Path]) -> Any:
    """The files as one Ibis table on DuckDB, every CSV value as text; of CSV and Parquet together, every value."""
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET TimeZone = 'UTC'")
    parquet = [str(file) for file in files if file.name.endswith(".parquet")]
    names = [str(file) for file in files if not file.name.endswith(".parquet")]
    first = files[0].name
    try:
        if first in DAT_COLUMNS:
            columns = dict.fromkeys(DAT_COLUMNS[first], "VARCHAR")
            return connection.read_csv(names, columns=columns, delim="::", quote="", escape="", header=False)
        if parquet:
            connection.read_parquet(parquet, table_name="parquet", union_by_name=True)
        if names:
            connection.read_csv(names, table_name="csv", all_varchar=True, union_by_name=True, header=True)
        if parquet and names:
            connection.raw_sql(_TOGETHER)
        return connection.table("together" if parquet and names else "parquet" if parquet else "csv")
    except duckdb.Error as error:
        raise _unreadable(error) from None


_TOGETHER = "CREATE VIEW together AS SELECT * FROM csv UNION ALL BY NAME SELECT COLUMNS(*)::VARCHAR FROM parquet"


def _batches(rows: Any) -> Iterator[pa.RecordBatch]:
    try:
        # DuckDB 2 took away what Ibis 12 reads batches with
        reader = rows.get_backend().con.sql(str(rows.compile())).to_arrow_reader(BATCH_ROWS)
        yield pa.RecordBatch.from_pylist([], schema=reader.schema)  # the columns are known even when no row comes
        yield from reader
    except duckdb.Error as error:
        raise _unreadable(error) from None


def _unreadable(error: duckdb.Error) -> ValueError:
    return ValueError(f"a file of the source can't be read: {str(error).strip().splitlines()[0]}")


def _daily(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    return tuple(sorted(file for file in folder.iterdir() if DAY.match(file.name) and file.name.endswith(SUFFIXES)))


def _first(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).exists()), None)
