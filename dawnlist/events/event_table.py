"""The lake's tables of events and of dead letters: their columns, and how far they have come.

Each commit holds the id of the last entry of the stream that is in the table, in two numbers, so
rows and position always agree.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from dawnlist.events.stream_keys import ENTRY_FIELD, REASON_FIELD
from dawnlist.schema import EVENTS_SCHEMA

if TYPE_CHECKING:
    from deltalake import DeltaTable

EVENTS_TABLE: Final = "events"
DEAD_EVENTS_TABLE: Final = "dead_events"
SHOWN_TABLE: Final = "shown"
POSITION_APP_IDS: Final = ("stream_milliseconds", "stream_sequence")
"""App ids of the two numbers of the last entry that a table has."""

StreamPosition = tuple[int, int]
"""The two numbers of an entry's id."""
STREAM_START: Final[StreamPosition] = (0, 0)

_RECORD_NAMES: Final = {
    "event_id": "id",
    "event_type": "type",
    "user_id": "user",
    "anonymous_id": "anonymous",
    "item_id": "item",
    "session_id": "session",
    "recommendation_id": "recommendation",
    "user_agent": "agent",
    "ip": "network",
}
"""Columns whose name in a record is another one."""
_COMPUTED_COLUMNS: Final = ("event_time", "event_date", "received_time", "properties", "stream_id")

StreamFields = dict[bytes, bytes]
"""The fields of a stream's entry."""
Row = dict[str, Any]
"""A row of a table, by column."""


def parse_stream_id(entry_id: bytes | str) -> StreamPosition:
    """Parse the id of a stream's entry, such as 1767225600000-0."""
    if isinstance(entry_id, bytes):
        entry_id = entry_id.decode()
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)


def read_position(table: "DeltaTable | None") -> StreamPosition:
    """Read the id of the last entry that a table has."""
    if table is None:
        return STREAM_START
    milliseconds, sequence = map(table.transaction_version, POSITION_APP_IDS)
    if milliseconds is None or sequence is None:
        return STREAM_START
    return milliseconds, sequence


def build_position_transactions(position: StreamPosition) -> dict[str, int]:
    """Build the app transactions (app id -> version) that store a position in a commit."""
    return dict(zip(POSITION_APP_IDS, position, strict=True))


def build_event_rows(entry_id: bytes, fields: StreamFields) -> list[Row]:
    """Build the row of an enriched entry.

    Raises:
        ValueError: the entry holds no record that a worker wrote.
    """
    try:
        record = orjson.loads(fields[ENTRY_FIELD.encode()])
        row: Row = {}
        for name in EVENTS_SCHEMA.names:
            if name not in _COMPUTED_COLUMNS:
                row[name] = record.get(_RECORD_NAMES.get(name, name))
        row["event_time"] = _from_seconds(record["time"])
        row["event_date"] = row["event_time"].date()
        row["received_time"] = _from_seconds(record["received"])
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"entry {entry_id!r} of the stream holds no record: {error!r}") from None
    row["is_program"] = bool(row["is_program"])
    if "properties" in record:
        row["properties"] = orjson.dumps(record["properties"]).decode()
    row["stream_id"] = entry_id.decode()
    return [row]


def build_shown_rows(entry_id: bytes, fields: StreamFields) -> list[Row]:
    """Build the rows of what answers showed. Each has the id of the entry and a number.

    Raises:
        ValueError: the entry holds no list that a predictor wrote.
    """
    rows = []
    try:
        for number, record in enumerate(orjson.loads(fields[ENTRY_FIELD.encode()])):
            shown_time = _from_seconds(record["time"])
            row = {
                "recommendation_id": record["id"],
                "user_id": record["user"],
                "shown_time": shown_time,
                "event_date": shown_time.date(),
                "items": record["items"],
                "tier": record["tier"],
                "token": record["token"],
                "stream_id": f"{entry_id.decode()}/{number:03}",
            }
            rows.append(row)
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"entry {entry_id!r} of the stream holds no answers: {error!r}") from None
    return rows


def build_dead_row(entry_id: bytes, fields: StreamFields) -> Row:
    """Build the row of a dead letter."""
    milliseconds, _ = parse_stream_id(entry_id)
    received = _from_seconds(milliseconds / 1000)
    return {
        "event": fields.get(ENTRY_FIELD.encode(), b"").decode(errors="replace"),
        "reason": fields.get(REASON_FIELD.encode(), b"").decode(errors="replace"),
        "received_time": received,
        "event_date": received.date(),
        "stream_id": entry_id.decode(),
    }


def build_dead_rows(entry_id: bytes, fields: StreamFields) -> list[Row]:
    """Build the row of a dead letter, as a list."""
    return [build_dead_row(entry_id, fields)]


def _from_seconds(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
