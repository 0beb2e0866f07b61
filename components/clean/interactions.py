"""Interactions: one staged Ibis expression from the source's text to clean rows, quarantined rows and duplicates.

Each stage is a view, not an expression repeated in the next one's SQL, and only the last is written to memory, so
that every coercion is computed once a row.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from components import coercions as to
from components.columns import ALIASES, interaction_columns
from components.lake import Lake
from components.schema import INTERACTIONS
from components.settings import SourceSettings

Connection = Any
"""An Ibis connection to DuckDB."""

CLEAN, DUPLICATE, DOUBLE_CLICK = "clean", "duplicate", "double click"
"""The fate of a row; any other fate is the reason for which it was quarantined."""
TIMELESS = ("time missing", "time unreadable")
"""Reasons of rows that belong to no window, so that a source of files gives them with every one."""
SKEW = timedelta(minutes=5)
"""So far ahead of its arrival a row's own time may be: clocks of devices are not exact, and models cut at as_of."""
_EPOCH = ibis.timestamp("1970-01-01T00:00:00Z")
_OBJECT = 1 << 40
"""More rows than any landing object has: a row's key is its object's number times this plus its row number."""


EVENT = ("event_id", "user_id", "item_id", "event_type", "event_time")
Stored = Callable[[list[date]], pa.Table]
"""Days -> the EVENT columns of what the lake holds of them and of the days beside them."""


def no_events(days: list[date]) -> pa.Table:
    """What an empty lake holds of any days."""
    return pa.schema([INTERACTIONS.field(name) for name in EVENT]).empty_table()


@dataclass(frozen=True)
class Landed:
    """One landing object in the database."""

    name: str
    """Of the object in the lake."""
    view: str
    """Its rows as they came: columns c0, c1, ... and the row's key."""
    columns: list[str]
    """What the source calls c0, c1, ..."""
    rows: int
    hints: dict[str, Any]
    """What the source's layout says of itself, see SourceSettings.completed."""


def connect() -> Connection:
    """A new in-memory DuckDB that reads and shows times in UTC."""
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET TimeZone = 'UTC'")
    return connection


def load(connection: Connection, lake: Lake, names: list[str], folder: Path, prefix: str) -> list[Landed]:
    """Show landing objects to the database; those of a remote lake are copied to `folder` first."""
    return [_load(connection, lake, name, number, folder, prefix) for number, name in enumerate(names)]


def _load(connection: Connection, lake: Lake, name: str, number: int, folder: Path, prefix: str) -> Landed:
    view = f"{prefix}_{number}"
    path = lake.path(*name.split("/"))
    if not isinstance(lake.filesystem, pafs.LocalFileSystem):
        pafs.copy_files(path, str(folder / f"{view}.parquet"), source_filesystem=lake.filesystem)
        path = str(folder / f"{view}.parquet")
    with pq.ParquetFile(path) as file:
        columns, rows = file.schema_arrow.names, int(file.metadata.num_rows)
        hints = json.loads((file.schema_arrow.metadata or {}).get(b"layout", b"{}"))
    # by place, since DuckDB takes 'Event' and 'event' for one name
    places = ", ".join(f"c{place}" for place in range(len(columns)))
    connection.raw_sql(
        f"CREATE VIEW {view} AS SELECT {places}, {number * _OBJECT + 1} + number AS key "
        f"FROM read_parquet({_quoted(path)}, file_row_number = true) AS landed({places}, number)"
    )
    return Landed(name, view, columns, rows, hints)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def stage(
    connection: Connection, landed: list[Landed], settings: SourceSettings, end: datetime, stored: Stored = no_events
) -> Any:
    """The table `staged`: canonical columns, source, key and fate, one row for each landed row.

    `stored` gives the events that the lake holds already, by which double clicks over a window's edge are told.
    """
    parts = [part for part in landed if part.rows]
    settings = settings.completed(parts[-1].hints if parts else {})
    texts = [_texts(connection.table(part.view), part, settings) for part in parts] or [_no_texts()]
    whole = ibis.union(*texts) if len(texts) > 1 else texts[0]
    values = connection.create_view("texts", whole)
    judged = connection.create_view("valued", _values(values, settings))
    connection.create_view("judged", _judged(judged, settings, end))
    connection.raw_sql("CREATE TABLE once AS SELECT * FROM judged")
    if settings.double_click_seconds:
        _show_stored(connection, stored)
    connection.create_view("fates", _fates(connection, settings))
    connection.raw_sql("CREATE TABLE staged AS SELECT * FROM fates")
    connection.raw_sql("DROP TABLE once")
    return connection.table("staged")


def _texts(raw: Any, part: Landed, settings: SourceSettings) -> Any:
    found = interaction_columns(part.columns, settings, part.name)
    columns = {name: to.first_text([raw[f"c{place}"] for place in found.get(name, [])]) for name in ALIASES}
    if "event_type" not in found:
        columns["event_type"] = ibis.literal(settings.default_event or "rating")
    places = [place for place, name in enumerate(part.columns) if name == settings.time_column]
    columns["arrived"] = to.first_text([raw[f"c{place}"] for place in places])
    return raw.select("key", source=ibis.literal(part.name), **columns)


def _no_texts() -> Any:
    columns = {column: pa.array([], pa.string()) for column in ("source", *ALIASES, "arrived")}
    return ibis.memtable(pa.table({"key": pa.array([], pa.int64()), **columns}))


def _values(texts: Any, settings: SourceSettings) -> Any:
    return texts.select(
        "key",
        "source",
        event_id=to.identifier(texts.event_id),
        user_id=to.identifier(texts.user_id),
        item_id=to.identifier(texts.item_id),
        event_type=to.event_name(texts.event_type, settings.events),
        event_time=to.moment(texts.event_time),
        arrived=to.moment(texts.arrived),
        rating=to.number(texts.rating),
        quantity=to.number(texts.quantity),
        session_id=to.identifier(texts.session_id),
        user_agent=texts.user_agent.substr(0, to.AGENT_LENGTH),
        ip=to.network(texts.ip),
        timed=texts.event_time.notnull(),
        rated=texts.rating.notnull(),
        counted=texts.quantity.notnull(),
    )


def _judged(row: Any, settings: SourceSettings, end: datetime) -> Any:
    """Adds the fate, the weight, and an event id where the source gave none."""
    share = ibis.ifelse(row.event_type == "rating", row.rating / settings.rating_scale, 1.0)
    weights = ((row.event_type == event, weight) for event, weight in settings.weights.items())
    time = row.event_time.delta(_EPOCH, unit="microsecond").cast("string")
    said = (column.cast("string").fill_null("") for column in (row.rating, row.quantity))
    identity = ibis.literal("\x1f").join([row.user_id, row.item_id, row.event_type, time, *said])
    return row.select(
        "key", "source", "user_id", "item_id", "event_type", "event_time", "session_id", "user_agent", "ip",
        event_id=row.event_id.fill_null(identity.hexdigest("md5")),
        weight=(ibis.cases(*weights, else_=0.0) * share).cast("float32"),
        event_date=row.event_time.date(),
        fate=ibis.cases(*_rules(row, settings, end), else_=CLEAN),
    )  # fmt: skip


def _rules(row: Any, settings: SourceSettings, end: datetime) -> list[tuple[Any, str]]:
    """(what is wrong, the reason), the first that holds counts."""
    rating = row.event_type == "rating"
    scale = settings.rating_scale
    return [
        (row.user_id.isnull(), "user_id missing"),
        (row.item_id.isnull(), "item_id missing"),
        (~row.timed, TIMELESS[0]),
        (row.event_time.isnull(), TIMELESS[1]),
        (row.event_time > ibis.coalesce(row.arrived, ibis.literal(end)) + SKEW, "time in the future"),
        (row.event_time < to.EARLIEST, f"time before {to.EARLIEST.year}"),
        (row.event_type.isnull(), "event missing"),
        (~row.event_type.isin(list(settings.weights)), "event unknown"),
        (rating & ~row.rated, "rating missing"),
        (rating & row.rating.isnull(), "rating unreadable"),
        (rating & ~row.rating.between(0, scale), f"rating outside 0 to {scale:g}"),
        (row.counted & row.quantity.isnull(), "quantity unreadable"),
        (row.counted & (row.quantity <= 0), "quantity not positive"),
    ]


def _fates(connection: Connection, settings: SourceSettings) -> Any:
    """The same with the fates of duplicates (an event id seen before) and of double clicks.

    The windows run over narrow rows, and of those only over the ones that can be repeats: the wide table is joined
    with the few that are.
    """
    once = connection.table("once")
    good = once.filter(once.fate == CLEAN)
    several = good.group_by("event_id").having(good.count() > 1).agg()
    narrow = good.select("key", "event_id", "event_time").semi_join(several, "event_id")
    # by time first: a source without an order gives the copies in another one tomorrow
    ranked = narrow.mutate(rank=ibis.row_number().over(group_by="event_id", order_by=["event_time", "key"]))
    found = ranked.filter(ranked["rank"] > 0).select("key", repeat=ibis.literal(DUPLICATE))
    connection.create_view("duplicates", found)
    connection.raw_sql("CREATE TABLE repeats AS SELECT * FROM duplicates")
    if settings.double_click_seconds:
        connection.create_view("double_clicks", _double_clicks(good, connection.table("repeats"), settings))
        connection.raw_sql("INSERT INTO repeats SELECT key, repeat FROM double_clicks")
        connection.raw_sql(_NEAR_STORED.format(microseconds=_microseconds(settings)))
    repeats = connection.table("repeats")
    joined = once.left_join(repeats, "key")
    return joined.select(
        *(once[name] for name in once.columns if name != "fate"), fate=ibis.coalesce(repeats.repeat, once.fate)
    )


def _double_clicks(good: Any, duplicates: Any, settings: SourceSettings) -> Any:
    what = ibis.literal("\x1f").join([good.user_id, good.item_id, good.event_type]).hash()
    narrow = good.anti_join(duplicates, "key").select("key", "event_time", what=what)
    same = ibis.window(group_by="what", order_by=["event_time", "key"])
    gap = narrow.event_time.delta(narrow.event_time.lag().over(same), unit="microsecond")
    timed = narrow.mutate(gap=gap)
    close = timed.gap <= _microseconds(settings)
    return timed.filter(close).select("key", repeat=ibis.literal(DOUBLE_CLICK))


_NEAR_STORED = f"""
    INSERT INTO repeats SELECT DISTINCT key, '{DOUBLE_CLICK}' FROM once JOIN stored USING (user_id, item_id, event_type)
    WHERE fate = '{CLEAN}' AND abs(epoch_us(once.event_time) - epoch_us(stored.event_time)) <= {{microseconds}}
      AND once.event_id NOT IN (SELECT event_id FROM stored) AND key NOT IN (SELECT key FROM repeats)
"""
"""New rows within a double click of what the lake holds, before it or after: a window began between the two."""


def _microseconds(settings: SourceSettings) -> int:
    return round(settings.double_click_seconds * 1e6)


def _show_stored(connection: Connection, stored: Stored) -> None:
    days = [
        day for (day,) in connection.raw_sql("SELECT DISTINCT event_date FROM once WHERE fate = 'clean'").fetchall()
    ]
    connection.con.register("stored_rows", stored(days))
    connection.raw_sql("CREATE TABLE stored AS SELECT * FROM stored_rows SEMI JOIN once USING (user_id)")
    connection.con.unregister("stored_rows")


def clean_rows(staged: Any) -> Any:
    """The clean rows in the order and with the types of INTERACTIONS, by day."""
    return staged.filter(staged.fate == CLEAN).select(*INTERACTIONS.names).order_by("event_date")


def quarantined(connection: Connection, landed: list[Landed]) -> Iterator[dict[str, Any]]:
    """source_row, reason, source_object and row_number (from 1) of each rejected row, in the order of the source."""
    for number, part in enumerate(landed):
        cells = ", ".join(f"CAST(c{place} AS VARCHAR)" for place in range(len(part.columns)))
        found = connection.raw_sql(
            f"SELECT fate, key, [{cells}] FROM {part.view} JOIN staged USING (key) "
            f"WHERE fate NOT IN ('{CLEAN}', '{DUPLICATE}', '{DOUBLE_CLICK}') ORDER BY key"
        )
        while rows := found.fetchmany(10_000):
            for reason, key, values in rows:
                row = json.dumps(dict(zip(part.columns, values, strict=True)), ensure_ascii=False)
                place = {"source_object": part.name, "row_number": key - number * _OBJECT}
                yield {"source_row": row, "reason": reason, **place}
