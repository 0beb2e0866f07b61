"""Interactions: the expressions that make clean rows of the source's text, and say what becomes of each row.

They run on two passes over the landed rows. The first keeps what the fates of all rows hang on, narrow: key, time
and hashes. The second reads the texts of the rows that stay and writes them. So no wide row is kept, and the
memory does not grow with the rows; the ids, which both passes read, are cheap to read.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa

from dawnlist.components.clean.engine import Engine, Rows
from dawnlist.components.clean.landed import Connection, Landed
from dawnlist.components.clean.repeats import CLEAN, REPEATS, digest, pair
from dawnlist.rows import coercions as to
from dawnlist.rows.columns import ALIASES, interaction_columns
from dawnlist.schema import INTERACTIONS
from dawnlist.settings import SourceSettings

TIMELESS = ("time missing", "time unreadable")
"""Reasons of rows that belong to no window, so that a source of files gives them with every one."""
SKEW = timedelta(minutes=5)
"""So far ahead of its arrival a row's own time may be: clocks of devices are not exact, and models cut at as_of."""
_EPOCH = ibis.timestamp("1970-01-01T00:00:00Z")


def settled(landed: list[Landed], settings: SourceSettings) -> SourceSettings:
    """The settings with what the landed rows' layout says of itself."""
    hints = [part.hints for part in landed if part.rows]
    return settings.completed(hints[-1] if hints else {})


def texts(engine: Engine, landed: list[Landed], settings: SourceSettings) -> Rows:
    """The view `texts`: key, source (the object), a text for each canonical column, and `arrived`."""
    parts = [part for part in landed if part.rows]
    found = [_texts(engine.connection.table(part.view), part, settings) for part in parts] or [
        _no_texts(engine.connection)
    ]
    return engine.connection.create_view("texts", ibis.union(*found) if len(found) > 1 else found[0], overwrite=True)


def _texts(raw: Any, part: Landed, settings: SourceSettings) -> Rows:
    found = interaction_columns(part.columns, settings, part.name)
    columns = {name: to.first_text([raw[f"c{place}"] for place in found.get(name, [])]) for name in ALIASES}
    if "event_type" not in found:
        columns["event_type"] = ibis.literal(settings.default_event or "rating")
    places = [place for place, name in enumerate(part.columns) if name == settings.time_column]
    columns["arrived"] = to.first_text([raw[f"c{place}"] for place in places])
    return raw.select("key", source=ibis.literal(part.name), **columns)


def _no_texts(connection: Connection) -> Rows:
    row = connection.sql("SELECT CAST(0 AS BIGINT) AS key", schema={"key": "int64"})
    return row.filter(row.key > 0).mutate(**{name: ibis.null("string") for name in ("source", *ALIASES, "arrived")})


def judged(rows: Rows, settings: SourceSettings, end: datetime) -> Rows:
    """key, fate, event_date, event_time, and what tells repeats: identity (of the event) and what (was done).

    `rows` is `texts`; a row's fate here is CLEAN or the reason to reject it.
    """
    row = _values(rows, settings)
    return row.select(
        "key",
        "event_time",
        event_date=row.event_time.date(),
        identity=digest(_event_id(row)),
        what=pair(row.user_id, row.item_id, row.event_type),
        fate=ibis.cases(*_rules(row, settings, end), else_=CLEAN),
    )


def _values(rows: Rows, settings: SourceSettings) -> Rows:
    """Canonical values of `texts`; base is the event's weight, 0 of one that has none."""
    values = rows.select(
        "key",
        "source",
        event_id=to.identifier(rows.event_id),
        user_id=to.identifier(rows.user_id),
        item_id=to.identifier(rows.item_id),
        event_type=to.event_name(rows.event_type, settings.events),
        event_time=to.moment(rows.event_time, settings.time_zone, settings.time_format),
        arrived=to.moment(rows.arrived),
        rating=to.number(rows.rating),
        quantity=to.number(rows.quantity),
        session_id=to.identifier(rows.session_id),
        user_agent=rows.user_agent.substr(0, to.AGENT_LENGTH),
        ip=to.network(rows.ip),
        timed=rows.event_time.notnull(),
        rated=rows.rating.notnull(),
        counted=rows.quantity.notnull(),
    )
    weights = ((values.event_type == event, weight) for event, weight in settings.weights.items())
    return values.mutate(base=ibis.cases(*weights, else_=0.0))


def _event_id(row: Rows) -> Any:
    """The source's, or one of what the row says."""
    time = row.event_time.delta(_EPOCH, unit="microsecond").cast("string")
    said = (column.cast("string").fill_null("") for column in (row.rating, row.quantity))
    identity = ibis.literal("\x1f").join([row.user_id, row.item_id, row.event_type, time, *said])
    return row.event_id.fill_null(identity.hexdigest("md5"))


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
        (row.base == 0, "event unknown"),
        (rating & ~row.rated, "rating missing"),
        (rating & row.rating.isnull(), "rating unreadable"),
        (rating & ~row.rating.between(0, scale), f"rating outside 0 to {scale:g}"),
        (row.counted & row.quantity.isnull(), "quantity unreadable"),
        (row.counted & (row.quantity <= 0), "quantity not positive"),
    ]


def clean_rows(rows: Rows, staged: Rows, settings: SourceSettings) -> Rows:
    """The clean rows of `texts`, in the order of INTERACTIONS; `staged` has the fate of each."""
    row = _values(rows, settings)
    # without those few that are not, rather than with the many that are: a join keeps one of its sides in memory
    row = row.anti_join(staged.filter(staged.fate != CLEAN), "key")
    share = ibis.ifelse(row.event_type == "rating", row.rating / settings.rating_scale, 1.0)
    return row.select(
        *(name for name in INTERACTIONS.names if name not in ("event_id", "weight", "event_date")),
        event_id=_event_id(row),
        weight=(row.base * share).cast("float32"),
        event_date=row.event_time.date(),
    ).select(*INTERACTIONS.names)


def quarantined(engine: Engine, landed: list[Landed], staged: Rows) -> Iterator[tuple[Landed, pa.RecordBatch]]:
    """(object, batch of key, fate and its columns as text) of the rejected rows, in the order of the source."""
    rejected = staged.filter(~staged.fate.isin([CLEAN, *REPEATS])).select("key", "fate")
    for part in landed:
        found = part.cells(engine.connection).join(rejected, "key").select("key", "fate", *part.places).order_by("key")
        for batch in engine.arrow(found).to_batches(max_chunksize=10_000):
            yield part, batch
