"""Turn an event that somebody sent into a record, or say why it is dropped."""

import math
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from dawnlist.events.event_schema import explain_invalid_event
from dawnlist.rows.identifiers import normalise_identifier

MILLISECONDS_FROM: Final = 1e11
"""A time at or above this is in milliseconds: as seconds it would be in the year 5138."""
LEAST_SKEW_SECONDS: Final = 1.0
"""A smaller difference between the clocks is the way over the network, and is not corrected."""
MAX_FUTURE_SECONDS: Final = 60.0
"""An event that lies further in the future than this counts as one of now."""
MAX_PROPERTY_BYTES: Final = 8_000
FIRST_ROUNDED_INTEGER: Final = 2**53
"""From here on a float does not hold every integer. orjson reads integers of more than 64 bits as floats."""

Record = dict[str, Any]
"""An accepted event, as it stands in the stream."""


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What the device of a person says about itself; empty texts for what is not known."""

    agent: str = ""
    """The header User-Agent."""
    network: str = ""
    """The network, /24 or /48."""
    country: str = ""
    """ISO code of the country."""
    region: str = ""
    """ISO code of the part of the country."""


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What is known about all events of one request."""

    received: float
    """When the request came, in seconds since 1970."""
    skew: float = 0.0
    """Seconds that the sender's clock is behind; 0 if it did not say when it sent the request."""
    sender: str = ""
    """The name of the key; empty if none is asked for."""
    is_browser: bool = False
    """Whether the key is a browser's, which everybody can read."""
    person: PersonFacts | None = None
    """What the request says about the person; None if a server sent it, whose agent and address are
    not those of the people whose events it sends."""


class RefusedEventError(ValueError):
    """The event can't be used. The message is the reason in one line."""


def build_record(event: Any, request: RequestFacts, max_age_seconds: float) -> Record:
    """Check an event and build its record.

    Args:
        event: The event as it was sent, parsed from JSON.
        request: What is known about its request.
        max_age_seconds: An event that is older than this is refused.

    Raises:
        RefusedEventError: the event breaks the schema, or its time can't be used.
    """
    reason = explain_invalid_event(event)
    if reason is not None:
        raise RefusedEventError(reason)
    record = dict(event)
    record["id"] = event.get("id") or uuid.uuid4().hex
    for name in ("user", "anonymous", "item"):
        if name in event:
            record[name] = _normalise_event_id(name, event[name])
    _check_properties(event)
    record["time"] = _correct_time(event, request, max_age_seconds)
    record["received"] = request.received
    if request.sender:
        record["sender"] = request.sender
    return record


def add_person_facts(record: Record, person: PersonFacts) -> None:
    """Add what is known about the person's device and place to a record."""
    facts = {
        "agent": person.agent,
        "network": person.network,
        "country": person.country,
        "region": person.region,
    }
    for name, value in facts.items():
        if value:
            record[name] = value


def _normalise_event_id(name: str, value: str | int | float) -> str:
    if isinstance(value, float) and abs(value) >= FIRST_ROUNDED_INTEGER:
        # JSON's reader has rounded it; two people must not become one.
        raise RefusedEventError(f"{name}: {value!r} has too many digits for a number: send a text")
    text = normalise_identifier(str(value)).strip()
    if not text:
        raise RefusedEventError(f"{name}: {value!r} is blank")
    return text


def _check_properties(event: Record) -> None:
    properties = event.get("properties")
    if properties and len(serialise_record(properties)) > MAX_PROPERTY_BYTES:
        raise RefusedEventError(f"properties: more than {MAX_PROPERTY_BYTES:,} bytes")


def serialise_record(record: Record) -> bytes:
    """Return a record, or a part of it, as JSON.

    Raises:
        RefusedEventError: it is nested deeper than orjson writes; orjson reads deeper ones.
    """
    try:
        return orjson.dumps(record)
    except orjson.JSONEncodeError:
        raise RefusedEventError("properties: nested too deeply") from None


def _correct_time(event: Record, request: RequestFacts, max_age_seconds: float) -> float:
    """Return when the event happened by our clock, in seconds since 1970."""
    if "time" not in event:
        return request.received
    time = _parse_time(event["time"]) + request.skew
    if request.received - time > max_age_seconds:
        days = max_age_seconds / 86_400
        raise RefusedEventError(f"time: {event['time']!r} is more than {days:g} days ago")
    if time - request.received > MAX_FUTURE_SECONDS:
        return request.received
    return time


def _parse_time(value: str | int | float) -> float:
    """Parse a time to seconds since 1970."""
    if isinstance(value, str):
        return _parse_iso_time(value)
    seconds = float(value)
    if seconds >= MILLISECONDS_FROM:
        seconds /= 1000
    if not math.isfinite(seconds):
        raise RefusedEventError(f"time: {value!r} is not a time")
    return seconds


def _parse_iso_time(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise RefusedEventError(
            f"time: {text!r} is not ISO-8601, such as 2026-01-31T03:00:00Z"
        ) from None
    if time.tzinfo is None:
        raise RefusedEventError(f"time: {text!r} has no zone: end it with Z or +01:00")
    try:
        return time.astimezone(UTC).timestamp()
    except OverflowError:
        raise RefusedEventError(f"time: {text!r} is out of range") from None


def compute_skew(sent: Any, received: float) -> float:
    """Compute how many seconds the sender's clock is behind.

    Args:
        sent: When the request was sent by the sender's clock; None if it did not say.
        received: When it came by our clock, in seconds since 1970.

    Raises:
        RefusedEventError: the time can't be read.
    """
    if sent is None:
        return 0.0
    if isinstance(sent, bool) or not isinstance(sent, str | int | float):
        raise RefusedEventError("sent_at: give ISO-8601 with a zone, or seconds since 1970")
    try:
        skew = received - _parse_time(sent)
    except RefusedEventError as error:
        raise RefusedEventError(f"sent_at: {error}".replace("sent_at: time:", "sent_at:")) from None
    if abs(skew) < LEAST_SKEW_SECONDS:
        return 0.0
    return skew
