"""Find rows that repeat another row: the same event twice, or two clicks where one was meant."""

from datetime import date

import ibis
import pyarrow as pa

from dawnlist.components.clean.engine import CleaningEngine, TableExpression
from dawnlist.components.clean.fates import FATE_CLEAN, FATE_DOUBLE_CLICK, FATE_DUPLICATE
from dawnlist.rows.sql_dialects import IbisValue, is_spark
from dawnlist.settings import SourceSettings


@ibis.udf.scalar.builtin(name="md5_number", signature=(("string",), "decimal(38, 0)"))  # type: ignore[untyped-decorator,unused-ignore]
def _md5_number(text):  # type: ignore[no-untyped-def]
    """DuckDB's md5 as a number of 128 bits: half the size of its hexadecimal digits."""


@ibis.udf.scalar.builtin(name="xxhash64", signature=(("string",), "int64"))  # type: ignore[untyped-decorator,unused-ignore]
def _xxhash64(text):  # type: ignore[no-untyped-def]
    """Spark's hash of 64 bits. The Spark hash that Ibis offers has only 32."""


def hash_event_id(event_id: IbisValue) -> IbisValue:
    """Hash an event id to 128 bits, so that two different ids do not meet."""
    return event_id.hexdigest("md5") if is_spark(event_id) else _md5_number(event_id)


def hash_action(
    user_id: IbisValue,
    item_id: IbisValue,
    event_type: IbisValue,
) -> IbisValue:
    """Hash who did what with which item to 64 bits.

    That is enough, since rows are compared only within seconds of each other.
    """
    text = ibis.literal("\x1f").join([user_id, item_id, event_type])
    return _xxhash64(text) if is_spark(text) else text.hash()


def mark_repeats(
    engine: CleaningEngine,
    validated_rows: TableExpression,
    stored_rows: TableExpression | None,
    settings: SourceSettings,
) -> TableExpression:
    """Set the fates of duplicates and double clicks among rows that were validated one by one.

    `validated_rows` has the columns of validate_rows, and so has the result. `stored_rows` is what
    the lake holds of the days that the rows touch and of the days next to them.
    """
    clean_rows = validated_rows.filter(validated_rows.fate == FATE_CLEAN)
    duplicates = engine.materialise("duplicates", _find_duplicates(clean_rows))
    repeats = duplicates
    if settings.double_click_seconds:
        within = round(settings.double_click_seconds * 1e6)
        first_rows = clean_rows.anti_join(duplicates, "key")
        clicks = _find_double_clicks(first_rows, within)
        if stored_rows is not None:
            stored_clicks = _find_clicks_near_stored(engine, first_rows, stored_rows, within)
            clicks = clicks.union(stored_clicks, distinct=True)
        repeats = duplicates.union(engine.materialise("double_clicks", clicks))
    joined = validated_rows.left_join(repeats, "key")
    columns = [validated_rows[name] for name in validated_rows.columns if name != "fate"]
    return joined.select(*columns, fate=ibis.coalesce(repeats.repeat, validated_rows.fate))


def _find_duplicates(clean_rows: TableExpression) -> TableExpression:
    """Select all but the first row of each event. The window runs only over ids that repeat."""
    repeated = clean_rows.group_by("event_hash").having(clean_rows.count() > 1).agg()
    columns = clean_rows.select("key", "event_hash", "event_time")
    candidates = columns.semi_join(repeated, "event_hash")
    # Order by time first: a source without an order may give the copies in another order tomorrow.
    rank = ibis.row_number().over(group_by="event_hash", order_by=["event_time", "key"])
    ranked = candidates.mutate(rank=rank)
    return ranked.filter(ranked["rank"] > 0).select("key", repeat=ibis.literal(FATE_DUPLICATE))


def _find_double_clicks(rows: TableExpression, within: int) -> TableExpression:
    """Select rows that follow the same action after at most `within` microseconds."""
    same_action = ibis.window(group_by="action_hash", order_by=["event_time", "key"])
    actions = rows.select("key", "event_time", "action_hash")
    previous_time = actions.event_time.lag().over(same_action)
    gap = actions.event_time.delta(previous_time, unit="microsecond")
    actions = actions.mutate(gap=gap)
    clicks = actions.filter(actions.gap <= within)
    return clicks.select("key", repeat=ibis.literal(FATE_DOUBLE_CLICK))


def _find_clicks_near_stored(
    engine: CleaningEngine,
    rows: TableExpression,
    stored_rows: TableExpression,
    within: int,
) -> TableExpression:
    """Select rows within a double click of a row in the lake, before it or after it.

    That happens when a window began between the two clicks.
    """
    hashed = stored_rows.select(
        event_hash=hash_event_id(stored_rows.event_id),
        action_hash=hash_action(stored_rows.user_id, stored_rows.item_id, stored_rows.event_type),
        stored_time=stored_rows.event_time,
    )
    stored = engine.materialise("held", hashed.semi_join(rows, "action_hash"))
    new = rows.anti_join(stored, "event_hash").select("key", "event_time", "action_hash")
    pairs = new.join(stored.select("action_hash", "stored_time"), "action_hash")
    gap = pairs.event_time.delta(pairs.stored_time, unit="microsecond").abs()
    clicks = pairs.filter(gap <= within)
    return clicks.select("key", repeat=ibis.literal(FATE_DOUBLE_CLICK)).distinct()


def list_clean_days(engine: CleaningEngine, rows: TableExpression) -> list[date]:
    """List the days that clean rows touch, in order."""
    clean_rows = rows.filter(rows.fate == FATE_CLEAN)
    distinct_days = clean_rows.select("event_date").distinct().order_by("event_date")
    days: pa.ChunkedArray = engine.to_arrow(distinct_days)["event_date"]
    return [day.as_py() for day in days]
