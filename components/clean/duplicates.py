"""Rows that say again what another says: the same event twice, or two clicks where one was meant."""

from datetime import date

import ibis
import pyarrow as pa

from dawnlist.components.clean.engine import CleaningEngine, TableExpression
from dawnlist.rows.sql_dialects import IbisValue, is_spark
from dawnlist.settings import SourceSettings

FATE_CLEAN, FATE_DUPLICATE, FATE_DOUBLE_CLICK = "clean", "duplicate", "double click"
"""The fate of a row; any other fate is the reason for which it was quarantined."""
REPEAT_FATES = (FATE_DUPLICATE, FATE_DOUBLE_CLICK)


@ibis.udf.scalar.builtin(name="md5_number", signature=(("string",), "decimal(38, 0)"))  # type: ignore[untyped-decorator,unused-ignore]
def _md5_number(text):  # type: ignore[no-untyped-def]
    """DuckDB's 128 bits of md5 as a number: half the room of its hexadecimal digits."""


@ibis.udf.scalar.builtin(name="xxhash64", signature=(("string",), "int64"))  # type: ignore[untyped-decorator,unused-ignore]
def _xxhash64(text):  # type: ignore[no-untyped-def]
    """Spark's hash of 64 bits: the one that Ibis knows has 32."""


def hash_event_id(event_id: IbisValue) -> IbisValue:
    """128 bits that no other event id has."""
    return event_id.hexdigest("md5") if is_spark(event_id) else _md5_number(event_id)


def hash_action(user_id: IbisValue, item_id: IbisValue, event_type: IbisValue) -> IbisValue:
    """64 bits for who did what with which item: enough, since rows are compared only within seconds of each other."""
    text = ibis.literal("\x1f").join([user_id, item_id, event_type])
    return _xxhash64(text) if is_spark(text) else text.hash()


def mark_repeats(
    engine: CleaningEngine,
    once: TableExpression,
    stored: TableExpression | None,
    settings: SourceSettings,
) -> TableExpression:
    """`once`, whose rows are judged by themselves, with the fates of duplicates and double clicks.

    `stored` is what the lake holds of the days that the rows touch and of the days beside them. The windows run over
    the rows alone that can be repeats.
    """
    good = once.filter(once.fate == FATE_CLEAN)
    several = good.group_by("identity").having(good.count() > 1).agg()
    narrow = good.select("key", "identity", "event_time").semi_join(several, "identity")
    # by time first: a source without an order gives the copies in another one tomorrow
    ranked = narrow.mutate(
        rank=ibis.row_number().over(group_by="identity", order_by=["event_time", "key"])
    )
    found = ranked.filter(ranked["rank"] > 0).select("key", repeat=ibis.literal(FATE_DUPLICATE))
    duplicates = engine.keep("duplicates", found)
    repeats = duplicates
    if settings.double_click_seconds:
        within = round(settings.double_click_seconds * 1e6)
        first = good.anti_join(duplicates, "key")
        clicks = _find_double_clicks(first, within)
        if stored is not None:
            clicks = clicks.union(
                _find_double_clicks_on_stored(engine, first, stored, within), distinct=True
            )
        repeats = duplicates.union(engine.keep("double_clicks", clicks))
    joined = once.left_join(repeats, "key")
    return joined.select(
        *(once[name] for name in once.columns if name != "fate"),
        fate=ibis.coalesce(repeats.repeat, once.fate),
    )


def _find_double_clicks(good: TableExpression, within: int) -> TableExpression:
    same = ibis.window(group_by="what", order_by=["event_time", "key"])
    narrow = good.select("key", "event_time", "what")
    gap = narrow.event_time.delta(narrow.event_time.lag().over(same), unit="microsecond")
    timed = narrow.mutate(gap=gap)
    return timed.filter(timed.gap <= within).select("key", repeat=ibis.literal(FATE_DOUBLE_CLICK))


def _find_double_clicks_on_stored(
    engine: CleaningEngine, good: TableExpression, stored: TableExpression, within: int
) -> TableExpression:
    """New rows within a double click of what the lake holds, before it or after: a window began between the two."""
    narrow = stored.select(
        identity=hash_event_id(stored.event_id),
        what=hash_action(stored.user_id, stored.item_id, stored.event_type),
        stored_time=stored.event_time,
    )
    held = engine.keep("held", narrow.semi_join(good, "what"))
    new = good.anti_join(held, "identity").select("key", "event_time", "what")
    both = new.join(held.select("what", "stored_time"), "what")
    close = both.event_time.delta(both.stored_time, unit="microsecond").abs() <= within
    return both.filter(close).select("key", repeat=ibis.literal(FATE_DOUBLE_CLICK)).distinct()


def list_clean_days(engine: CleaningEngine, rows: TableExpression) -> list[date]:
    """The days that clean rows touch, in order."""
    days = engine.arrow(
        rows.filter(rows.fate == FATE_CLEAN).select("event_date").distinct().order_by("event_date")
    )
    found: pa.ChunkedArray = days["event_date"]
    return [day.as_py() for day in found]
