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

from dawnlist.components.clean.duplicates import (
    FATE_CLEAN,
    REPEAT_FATES,
    hash_action,
    hash_event_id,
)
from dawnlist.components.clean.engine import CleaningEngine, TableExpression
from dawnlist.components.clean.landed_objects import LandedObject
from dawnlist.rows import coercions, times
from dawnlist.rows.column_aliases import INTERACTION_ALIASES, match_interaction_columns
from dawnlist.rows.sql_dialects import IbisConnection
from dawnlist.schema import INTERACTIONS_SCHEMA
from dawnlist.settings import SourceSettings

TIMELESS_REASONS = ("time missing", "time unreadable")
"""Reasons of rows that belong to no window, so that a source of files gives them with every one."""
DEVICE_CLOCK_SKEW = timedelta(minutes=5)
"""So far ahead of its arrival a row's own time may be: clocks of devices are not exact, and models cut at as_of."""
_EPOCH = ibis.timestamp("1970-01-01T00:00:00Z")


def apply_layout_hints(landed: list[LandedObject], settings: SourceSettings) -> SourceSettings:
    """The settings with what the landed rows' layout says of itself."""
    hints = [part.hints for part in landed if part.rows]
    return settings.fill_from_hints(hints[-1] if hints else {})


def create_text_view(
    engine: CleaningEngine, landed: list[LandedObject], settings: SourceSettings
) -> TableExpression:
    """The view `texts`: key, source (the object), a text for each canonical column, and `arrived`."""
    parts = [part for part in landed if part.rows]
    found = [
        _select_interaction_texts(engine.connection.table(part.view), part, settings)
        for part in parts
    ] or [_build_empty_texts(engine.connection)]
    return engine.connection.create_view(
        "texts", ibis.union(*found) if len(found) > 1 else found[0], overwrite=True
    )


def _select_interaction_texts(
    raw: Any, part: LandedObject, settings: SourceSettings
) -> TableExpression:
    found = match_interaction_columns(part.columns, settings, part.name)
    columns = {
        name: coercions.coalesce_text([raw[f"c{place}"] for place in found.get(name, [])])
        for name in INTERACTION_ALIASES
    }
    if "event_type" not in found:
        columns["event_type"] = ibis.literal(settings.default_event or "rating")
    places = [place for place, name in enumerate(part.columns) if name == settings.time_column]
    columns["arrived"] = coercions.coalesce_text([raw[f"c{place}"] for place in places])
    return raw.select("key", source=ibis.literal(part.name), **columns)


def _build_empty_texts(connection: IbisConnection) -> TableExpression:
    row = connection.sql("SELECT CAST(0 AS BIGINT) AS key", schema={"key": "int64"})
    return row.filter(row.key > 0).mutate(
        **{name: ibis.null("string") for name in ("source", *INTERACTION_ALIASES, "arrived")}
    )


def validate_rows(
    rows: TableExpression, settings: SourceSettings, end: datetime
) -> TableExpression:
    """key, fate, event_date, event_time, and what tells repeats: identity (of the event) and what (was done).

    `rows` is `texts`; a row's fate here is CLEAN or the reason to reject it.
    """
    row = _coerce_values(rows, settings)
    return row.select(
        "key",
        "event_time",
        event_date=row.event_time.date(),
        identity=hash_event_id(_derive_event_id(row)),
        what=hash_action(row.user_id, row.item_id, row.event_type),
        fate=ibis.cases(*_list_reject_rules(row, settings, end), else_=FATE_CLEAN),
    )


def _coerce_values(rows: TableExpression, settings: SourceSettings) -> TableExpression:
    """Canonical values of `texts`; base is the event's weight, 0 of one that has none."""
    values = rows.select(
        "key",
        "source",
        event_id=coercions.clean_identifier(rows.event_id),
        user_id=coercions.clean_identifier(rows.user_id),
        item_id=coercions.clean_identifier(rows.item_id),
        event_type=coercions.map_event_name(rows.event_type, settings.events),
        event_time=times.parse_moment(rows.event_time, settings.time_zone, settings.time_format),
        arrived=times.parse_moment(rows.arrived),
        rating=coercions.parse_number(rows.rating),
        quantity=coercions.parse_number(rows.quantity),
        session_id=coercions.clean_identifier(rows.session_id),
        user_agent=rows.user_agent.substr(0, coercions.MAX_AGENT_CHARACTERS),
        ip=coercions.truncate_address(rows.ip),
        timed=rows.event_time.notnull(),
        rated=rows.rating.notnull(),
        counted=rows.quantity.notnull(),
    )
    weights = ((values.event_type == event, weight) for event, weight in settings.weights.items())
    return values.mutate(base=ibis.cases(*weights, else_=0.0))


def _derive_event_id(row: TableExpression) -> Any:
    """The source's, or one of what the row says."""
    time = row.event_time.delta(_EPOCH, unit="microsecond").cast("string")
    said = (column.cast("string").fill_null("") for column in (row.rating, row.quantity))
    identity = ibis.literal("\x1f").join([row.user_id, row.item_id, row.event_type, time, *said])
    return row.event_id.fill_null(identity.hexdigest("md5"))


def _list_reject_rules(row: Any, settings: SourceSettings, end: datetime) -> list[tuple[Any, str]]:
    """(what is wrong, the reason), the first that holds counts."""
    rating = row.event_type == "rating"
    scale = settings.rating_scale
    return [
        (row.user_id.isnull(), "user_id missing"),
        (row.item_id.isnull(), "item_id missing"),
        (~row.timed, TIMELESS_REASONS[0]),
        (row.event_time.isnull(), TIMELESS_REASONS[1]),
        (
            row.event_time > ibis.coalesce(row.arrived, ibis.literal(end)) + DEVICE_CLOCK_SKEW,
            "time in the future",
        ),
        (
            row.event_time < times.EARLIEST_EVENT_TIME,
            f"time before {times.EARLIEST_EVENT_TIME.year}",
        ),
        (row.event_type.isnull(), "event missing"),
        (row.base == 0, "event unknown"),
        (rating & ~row.rated, "rating missing"),
        (rating & row.rating.isnull(), "rating unreadable"),
        (rating & ~row.rating.between(0, scale), f"rating outside 0 to {scale:g}"),
        (row.counted & row.quantity.isnull(), "quantity unreadable"),
        (row.counted & (row.quantity <= 0), "quantity not positive"),
    ]


def select_clean_rows(
    rows: TableExpression, staged: TableExpression, settings: SourceSettings
) -> TableExpression:
    """The clean rows of `texts`, in the order of INTERACTIONS; `staged` has the fate of each."""
    row = _coerce_values(rows, settings)
    # without those few that are not, rather than with the many that are: a join keeps one of its sides in memory
    row = row.anti_join(staged.filter(staged.fate != FATE_CLEAN), "key")
    share = ibis.ifelse(row.event_type == "rating", row.rating / settings.rating_scale, 1.0)
    return row.select(
        *(
            name
            for name in INTERACTIONS_SCHEMA.names
            if name not in ("event_id", "weight", "event_date")
        ),
        event_id=_derive_event_id(row),
        weight=(row.base * share).cast("float32"),
        event_date=row.event_time.date(),
    ).select(*INTERACTIONS_SCHEMA.names)


def read_rejected_rows(
    engine: CleaningEngine, landed: list[LandedObject], staged: TableExpression
) -> Iterator[tuple[LandedObject, pa.RecordBatch]]:
    """(object, batch of key, fate and its columns as text) of the rejected rows, in the order of the source."""
    rejected = staged.filter(~staged.fate.isin([FATE_CLEAN, *REPEAT_FATES])).select("key", "fate")
    for part in landed:
        found = (
            part.cells(engine.connection)
            .join(rejected, "key")
            .select("key", "fate", *part.places)
            .order_by("key")
        )
        for batch in engine.arrow(found).to_batches(max_chunksize=10_000):
            yield part, batch
