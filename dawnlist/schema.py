"""Column names, dtypes and event types: written once, used by code and tests.

Every id is a string outside a model (`user_id`, `item_id`) and a dense integer inside one (`user_index`, `item_index`).
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
        pa.field(
            "event_date", pa.date32(), nullable=False
        ),  # the partition: the UTC day of event_time
        pa.field("session_id", pa.string()),
        pa.field("user_agent", pa.string()),
        pa.field("ip", pa.string()),  # truncated to /24 or /48
        pa.field("source", pa.string(), nullable=False),  # the landing object the row came from
    ]
)

QUARANTINE_SCHEMA: Final = pa.schema(
    [
        pa.field(
            "source_row", pa.string(), nullable=False
        ),  # the row as JSON text, as the source gave it
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

ITEMS_SCHEMA: Final = CATALOGUE_SCHEMA.append(
    pa.field("text", pa.string())
)  # a description in prose; lists do not carry it

USERS_SCHEMA: Final = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("email", pa.string()),
        pa.field("role", pa.string()),
    ]
)

VERDICTS_SCHEMA: Final = pa.schema(
    [
        pa.field("user_id", pa.string()),  # either the user ...
        pa.field("event_id", pa.string()),  # ... or the single event that the verdict is about
        pa.field("rule", pa.string(), nullable=False),
        pa.field("evidence", pa.string(), nullable=False),
        pa.field("action", pa.string(), nullable=False),  # "drop" or "keep"
        pa.field(
            "shadow", pa.bool_(), nullable=False
        ),  # a rule in shadow mode reports and drops nothing
    ]
)

# What an event says about preference, relative to a view. A source's own names are mapped to these in the settings.
EVENT_WEIGHTS: Final[dict[str, float]] = {
    "view": 1.0,
    "click": 1.0,
    "like": 2.0,
    "bookmark": 2.0,
    "comment": 3.0,
    "cart": 3.0,
    "follow": 3.0,
    "purchase": 5.0,
    "rating": 1.0,  # multiplied by the rating's value on a scale of 0 to 1, see clean
}
