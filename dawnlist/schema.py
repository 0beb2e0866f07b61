"""The columns and types of our tables, and the event types.

Outside a model, ids are strings (`user_id`, `item_id`). Inside a model they are dense integers
(`user_index`, `item_index`).
"""

from typing import Final

import pyarrow as pa

UTC_MICROSECONDS: Final = pa.timestamp("us", tz="UTC")

INTERACTIONS_SCHEMA: Final = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("event_type", pa.string(), nullable=False),
        pa.field("weight", pa.float32(), nullable=False),
        pa.field("event_time", UTC_MICROSECONDS, nullable=False),
        # The table is partitioned by this column: the UTC day of event_time.
        pa.field("event_date", pa.date32(), nullable=False),
        pa.field("session_id", pa.string()),
        pa.field("user_agent", pa.string()),
        # The network of the address, /24 (IPv4) or /48 (IPv6).
        pa.field("ip", pa.string()),
        # The name of the landing object that the row came from.
        pa.field("source", pa.string(), nullable=False),
    ]
)

QUARANTINE_SCHEMA: Final = pa.schema(
    [
        # The row as the source gave it, as JSON.
        pa.field("source_row", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("source_object", pa.string(), nullable=False),
        pa.field("row_number", pa.int64(), nullable=False),
        pa.field("as_of", UTC_MICROSECONDS, nullable=False),
    ]
)

CATALOGUE_SCHEMA: Final = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("genres", pa.list_(pa.string())),
    ]
)

ITEMS_SCHEMA: Final = pa.schema(
    [
        *CATALOGUE_SCHEMA,
        # A description in prose.
        pa.field("text", pa.string()),
        # Null where the source does not say it.
        pa.field("available", pa.bool_()),
        # What the item has in the columns of the setting items.columns, as a JSON object.
        pa.field("attributes", pa.string()),
    ]
)
"""The catalogue's columns, and three that published lists do not have in this form."""

USERS_SCHEMA: Final = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("email", pa.string()),
        pa.field("role", pa.string()),
    ]
)

VERDICTS_SCHEMA: Final = pa.schema(
    [
        # A verdict is about a user or about a single event; the other column is null.
        pa.field("user_id", pa.string()),
        pa.field("event_id", pa.string()),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("evidence", pa.string(), nullable=False),
        # "drop" or "keep".
        pa.field("action", pa.string(), nullable=False),
        # True: the rule is in shadow mode, which reports and drops nothing.
        pa.field("shadow", pa.bool_(), nullable=False),
    ]
)

EVENTS_SCHEMA: Final = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("event_type", pa.string(), nullable=False),
        pa.field("user_id", pa.string()),
        pa.field("anonymous_id", pa.string()),
        pa.field("item_id", pa.string()),
        pa.field("event_time", UTC_MICROSECONDS, nullable=False),
        # The table is partitioned by this column: the UTC day of event_time.
        pa.field("event_date", pa.date32(), nullable=False),
        pa.field("received_time", UTC_MICROSECONDS, nullable=False),
        pa.field("session_id", pa.string()),
        pa.field("page", pa.string()),
        pa.field("placement", pa.string()),
        pa.field("recommendation_id", pa.string()),
        pa.field("position", pa.int32()),
        # The name of the mood; its emoji; its signed weight, NULL if the shop has no such mood.
        pa.field("mood", pa.string()),
        pa.field("emoji", pa.string()),
        pa.field("mood_weight", pa.float32()),
        pa.field("quantity", pa.float64()),
        pa.field("rating", pa.float64()),
        pa.field("device", pa.string()),
        pa.field("device_model", pa.string()),
        pa.field("system", pa.string()),
        pa.field("app", pa.string()),
        # Whether the user agent names a crawler or another program.
        pa.field("is_program", pa.bool_(), nullable=False),
        pa.field("country", pa.string()),
        pa.field("region", pa.string()),
        pa.field("user_agent", pa.string()),
        # The network of the address, /24 (IPv4) or /48 (IPv6).
        pa.field("ip", pa.string()),
        # The name of the key with which it was sent.
        pa.field("sender", pa.string()),
        # Free properties, as JSON.
        pa.field("properties", pa.string()),
        # The id of the entry in the stream, which no other row has.
        pa.field("stream_id", pa.string(), nullable=False),
    ]
)
"""What the collector landed: events as they were sent, enriched (docs/COLLECTOR.md)."""

SHOWN_SCHEMA: Final = pa.schema(
    [
        # The id of the answer, to which events refer as recommendation_id.
        pa.field("recommendation_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("shown_time", UTC_MICROSECONDS, nullable=False),
        pa.field("event_date", pa.date32(), nullable=False),
        # The items in the order of the answer.
        pa.field("items", pa.list_(pa.string()), nullable=False),
        # The rung of the ladder that answered, and the version.
        pa.field("tier", pa.string(), nullable=False),
        pa.field("token", pa.string()),
        pa.field("stream_id", pa.string(), nullable=False),
    ]
)
"""What the predictor's answers showed."""

DEAD_EVENTS_SCHEMA: Final = pa.schema(
    [
        # The beginning of the event as it was sent.
        pa.field("event", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("received_time", UTC_MICROSECONDS, nullable=False),
        pa.field("event_date", pa.date32(), nullable=False),
        pa.field("stream_id", pa.string(), nullable=False),
    ]
)
"""Events that the collector refused."""

EVENT_WEIGHTS: Final[dict[str, float]] = {
    "view": 1.0,
    "click": 1.0,
    "like": 2.0,
    "bookmark": 2.0,
    "comment": 3.0,
    "cart": 3.0,
    "follow": 3.0,
    "purchase": 5.0,
    "rating": 1.0,  # the clean step multiplies this by the rating on a scale of 0 to 1
}
"""How strongly an event of each type shows a preference, where a view counts 1.

The setting source.events maps a source's own event names to these.
"""
