"""Interactions: the expressions that make clean rows of the source's text and give each row a fate.

They run in two passes over the landed rows. The first pass keeps only narrow columns, on which the
fates of all rows depend: key, time and hashes. The second pass reads the texts of the clean rows
and writes them. So no wide row is materialised, and memory does not grow with the number of rows.
Both passes read the ids, which is cheap.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa

from dawnlist.components.clean.duplicates import hash_action, hash_event_id
from dawnlist.components.clean.engine import CleaningEngine, TableExpression
from dawnlist.components.clean.fates import (
    FATE_CLEAN,
    MISSING_USER,
    NESTED_ITEM,
    NESTED_USER,
    REPEAT_FATES,
    ROUNDED_ITEM,
    ROUNDED_USER,
    TIME_MISSING,
    TIME_UNREADABLE,
    UNKNOWN_EVENT,
    UNWANTED_EVENT,
)
from dawnlist.components.clean.landed_objects import LandedObject
from dawnlist.components.clean.reused_ids import ReusedIds
from dawnlist.components.clean.rival_columns import choose_columns
from dawnlist.rows import coercions, times
from dawnlist.rows.column_aliases import (
    match_interaction_columns,
)
from dawnlist.rows.sql_dialects import IbisConnection
from dawnlist.rows.time_forms import PLAIN_DATE, describe_form
from dawnlist.schema import INTERACTIONS_SCHEMA
from dawnlist.settings import SourceSettings
from dawnlist.source_columns import (
    INTERACTION_ALIASES,
)

DEVICE_CLOCK_SKEW = timedelta(minutes=5)
"""How far a row's own time may be ahead of its arrival.

The clocks of devices are not exact, and models are cut at as_of.
"""
LATEST_ARRIVAL = timedelta(days=1)
"""How far a row's arrival may be after the end of the window to be believed.

Daily files end at the midnight of the source's time zone.
"""
QUANTITY_EVENTS = ("purchase", "cart")
"""Events of which the quantity must be above 0. Returned purchases have a negative one."""
REJECTED_BATCH_ROWS = 10_000
_EPOCH = ibis.timestamp("1970-01-01T00:00:00Z")
_DERIVED_COLUMNS = ("event_id", "weight", "event_date")


@dataclass(frozen=True)
class JudgedRows:
    """The landed rows of one run, each with its fate."""

    texts: TableExpression
    """The view of create_text_view."""
    fates: TableExpression
    """The rows of mark_repeats: key, fate, event_date and more."""
    days: list[date]
    """The days that clean rows touch, in order."""
    settings: SourceSettings
    """The source's settings, filled from the hints of its layout."""
    reused_ids: ReusedIds | None = None
    """The rows whose event id belongs to another row, if there are any."""


def apply_layout_hints(
    landed_objects: list[LandedObject], settings: SourceSettings
) -> SourceSettings:
    """Fill open settings from the layout hints of the newest landed object that has rows."""
    hints = [landed_object.hints for landed_object in landed_objects if landed_object.rows]
    newest_hints = hints[-1] if hints else {}
    return settings.fill_from_hints(newest_hints)


def create_text_view(
    engine: CleaningEngine,
    landed_objects: list[LandedObject],
    settings: SourceSettings,
) -> TableExpression:
    """Create the view `texts` over all landed rows.

    It has the columns key, source (the object's name), a text for each canonical column, and
    arrived (the text of the column that windows are cut on).
    """
    tables = []
    for landed_object in landed_objects:
        if landed_object.rows:
            raw = engine.connection.table(landed_object.view)
            tables.append(_select_interaction_texts(engine, raw, landed_object, settings))
    if not tables:
        tables.append(_build_empty_texts(engine.connection))
    texts = ibis.union(*tables) if len(tables) > 1 else tables[0]
    return engine.connection.create_view("texts", texts, overwrite=True)


def _select_interaction_texts(
    engine: CleaningEngine,
    raw: Any,
    landed_object: LandedObject,
    settings: SourceSettings,
) -> TableExpression:
    matches = match_interaction_columns(landed_object.columns, settings, landed_object.name)
    matches = choose_columns(engine, raw, landed_object, matches, settings)
    columns = {name: _join_columns(raw, matches.get(name, [])) for name in INTERACTION_ALIASES}
    if "event_type" not in matches:
        columns["event_type"] = ibis.literal(settings.default_event or "rating")
    arrival_indices = []
    for index, name in enumerate(landed_object.columns):
        if name == settings.time_column:
            arrival_indices.append(index)
    columns["arrived"] = _join_columns(raw, arrival_indices)
    return raw.select("key", source=ibis.literal(landed_object.name), **columns)


def _join_columns(raw: Any, indices: list[int]) -> Any:
    """Take the first text of each row in some columns of a landed object."""
    return coercions.coalesce_text([raw[f"c{index}"] for index in indices])


def _build_empty_texts(connection: IbisConnection) -> TableExpression:
    row = connection.sql("SELECT CAST(0 AS BIGINT) AS key", schema={"key": "int64"})
    names = ("source", *INTERACTION_ALIASES, "arrived")
    nulls = {name: ibis.null("string") for name in names}
    return row.filter(row.key > 0).mutate(**nulls)


def validate_rows(
    texts: TableExpression,
    settings: SourceSettings,
    end: datetime,
) -> TableExpression:
    """Judge each row of the view `texts` by itself.

    Returns key, fate (FATE_CLEAN or the reason to reject the row), event_date, event_time, and the
    hashes that find repeats: event_hash and action_hash. `end` is the end of the newest window.
    """
    row = _coerce_values(texts, settings)
    return row.select(
        "key",
        "event_time",
        event_date=row.event_time.date(),
        event_hash=hash_event_id(_derive_event_id(row)),
        action_hash=hash_action(row.user_id, row.item_id, row.event_type),
        fate=ibis.cases(*_list_reject_rules(row, settings, end), else_=FATE_CLEAN),
    )


def _coerce_values(texts: TableExpression, settings: SourceSettings) -> TableExpression:
    """Parse the texts to canonical values. base_weight is the event's weight, NULL if unknown."""
    values = texts.select(
        "key",
        "source",
        event_id=coercions.clean_identifier(texts.event_id),
        user_id=coercions.clean_identifier(texts.user_id),
        item_id=coercions.clean_identifier(texts.item_id),
        user_is_rounded=coercions.is_rounded(texts.user_id),
        item_is_rounded=coercions.is_rounded(texts.item_id),
        event_type=coercions.map_event_name(texts.event_type, settings.events),
        event_time=times.parse_moment(texts.event_time, settings.time_zone, settings.time_format),
        time_form=describe_form(texts.event_time),
        arrived=times.parse_moment(texts.arrived),
        rating=coercions.parse_number(texts.rating),
        quantity=coercions.parse_number(texts.quantity),
        session_id=coercions.clean_identifier(texts.session_id),
        user_agent=texts.user_agent.substr(0, coercions.MAX_AGENT_CHARACTERS),
        ip=coercions.truncate_address(texts.ip),
        has_time=texts.event_time.notnull(),
        has_rating=texts.rating.notnull(),
        has_quantity=texts.quantity.notnull(),
    )
    weights = [(values.event_type == event, weight) for event, weight in settings.weights.items()]
    return values.mutate(base_weight=ibis.cases(*weights, else_=ibis.null("float64")))


def _derive_event_id(row: TableExpression) -> Any:
    """Take the source's event id, or else the md5 of the row's values."""
    return row.event_id.fill_null(_hash_content(row, []))


def _derive_own_id(row: TableExpression) -> Any:
    """Take the md5 of the source's event id and the row's values, for an id that is reused."""
    return _hash_content(row, [row.event_id])


def _hash_content(row: TableExpression, more_values: list[Any]) -> Any:
    time = row.event_time.delta(_EPOCH, unit="microsecond").cast("string")
    rating = row.rating.cast("string").fill_null("")
    quantity = row.quantity.cast("string").fill_null("")
    values = [row.user_id, row.item_id, row.event_type, time, rating, quantity, *more_values]
    return ibis.literal("\x1f").join(values).hexdigest("md5")


def replace_reused_ids(
    engine: CleaningEngine,
    texts: TableExpression,
    validated_rows: TableExpression,
    reused_ids: ReusedIds,
    settings: SourceSettings,
) -> TableExpression:
    """Return the rows of validate_rows, with hashes of their own ids for rows of a reused one."""
    row = _coerce_values(texts.semi_join(reused_ids.keys, "key"), settings)
    own_ids = row.select("key", own_hash=hash_event_id(_derive_own_id(row)))
    own_ids = engine.materialise("own_ids", own_ids)
    joined = validated_rows.left_join(own_ids, "key")
    columns = [validated_rows[name] for name in validated_rows.columns if name != "event_hash"]
    event_hash = ibis.coalesce(own_ids.own_hash, validated_rows.event_hash)
    return engine.materialise("renamed", joined.select(*columns, event_hash=event_hash))


def _list_reject_rules(
    row: Any,
    settings: SourceSettings,
    end: datetime,
) -> list[tuple[Any, Any]]:
    """List conditions with the reason to reject a row. The first condition that holds counts."""
    # An arrival may be as wrong as a time.
    last_arrival = ibis.literal(end + LATEST_ARRIVAL)
    arrived = ibis.coalesce(row.arrived, ibis.literal(end))
    latest = ibis.ifelse(arrived > last_arrival, last_arrival, arrived) + DEVICE_CLOCK_SKEW
    earliest = times.EARLIEST_EVENT_TIME
    is_rating = row.event_type == "rating"
    # A table of all events has a quantity of 0 or nothing beside a view.
    has_quantity = row.has_quantity & row.event_type.isin(QUANTITY_EVENTS)
    scale = settings.rating_scale
    return [
        (row.user_id.isnull(), MISSING_USER),
        (row.item_id.isnull(), "item_id missing"),
        (coercions.is_nested(row.user_id), NESTED_USER),
        (coercions.is_nested(row.item_id), NESTED_ITEM),
        (row.user_is_rounded, ROUNDED_USER),
        (row.item_is_rounded, ROUNDED_ITEM),
        (row.user_id.length() > coercions.MAX_ID_CHARACTERS, "user_id too long"),
        (row.item_id.length() > coercions.MAX_ID_CHARACTERS, "item_id too long"),
        (~row.has_time, TIME_MISSING),
        (row.event_time.isnull(), TIME_UNREADABLE),
        (row.event_time > latest, _name_form("time in the future", row.time_form)),
        (row.event_time < earliest, _name_form(f"time before {earliest.year}", row.time_form)),
        (row.event_type.isnull(), "event missing"),
        (row.base_weight.isnull(), UNKNOWN_EVENT),
        (row.base_weight == 0, UNWANTED_EVENT),
        (is_rating & ~row.has_rating, "rating missing"),
        (is_rating & row.rating.isnull(), "rating unreadable"),
        (is_rating & ~row.rating.between(0, scale), f"rating outside 0 to {scale:g}"),
        (has_quantity & row.quantity.isnull(), "quantity unreadable"),
        (has_quantity & (row.quantity <= 0), "quantity not positive"),
    ]


def _name_form(reason: str, form: Any) -> Any:
    """Add the form of a number to a reason: 20260115 read as seconds is of 1970."""
    with_form = ibis.literal(f"{reason}: it looks like ").concat(form)
    return ibis.ifelse(form == PLAIN_DATE, reason, with_form)


def select_clean_rows(
    texts: TableExpression,
    fates: TableExpression,
    settings: SourceSettings,
    reused_ids: ReusedIds | None = None,
) -> TableExpression:
    """Select the clean rows of the view `texts` with the columns of INTERACTIONS_SCHEMA.

    `fates` has the key and the fate of each row. Rows of `reused_ids` get an id of their own.
    """
    row = _coerce_values(texts, settings)
    # Exclude the few other rows, rather than join the many clean ones, since a join keeps one of
    # its sides in memory.
    row = row.anti_join(fates.filter(fates.fate != FATE_CLEAN), "key")
    rating_share = row.rating / settings.rating_scale
    share = ibis.ifelse(row.event_type == "rating", rating_share, 1.0)
    copied = [name for name in INTERACTIONS_SCHEMA.names if name not in _DERIVED_COLUMNS]
    event_id = _derive_event_id(row)
    if reused_ids is not None:
        marks = reused_ids.keys.mutate(is_reused=True)
        row = row.left_join(marks, "key", rname="reused_{name}")
        event_id = ibis.ifelse(row.is_reused, _derive_own_id(row), _derive_event_id(row))
        share = ibis.ifelse(row.event_type == "rating", row.rating / settings.rating_scale, 1.0)
    clean_rows = row.select(
        *copied,
        event_id=event_id,
        weight=(row.base_weight * share).cast("float32"),
        event_date=row.event_time.date(),
    )
    return clean_rows.select(*INTERACTIONS_SCHEMA.names)


def read_rejected_rows(
    engine: CleaningEngine,
    landed_objects: list[LandedObject],
    fates: TableExpression,
) -> Iterator[tuple[LandedObject, pa.RecordBatch]]:
    """Yield the rejected rows, object by object and in the order of the source.

    A batch has the columns key, fate, and c0, c1, ... as text.
    """
    is_rejected = ~fates.fate.isin([FATE_CLEAN, *REPEAT_FATES])
    rejected = fates.filter(is_rejected).select("key", "fate")
    for landed_object in landed_objects:
        joined = landed_object.select_as_text(engine.connection).join(rejected, "key")
        rows = joined.select("key", "fate", *landed_object.view_columns).order_by("key")
        for batch in engine.to_arrow(rows).to_batches(max_chunksize=REJECTED_BATCH_ROWS):
            yield landed_object, batch
