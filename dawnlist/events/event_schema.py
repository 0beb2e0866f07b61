"""The JSON schema of an event that a browser or a server sends to the collector.

The same schema validates events and is published at the collector's /openapi.json.
"""

from typing import Any, Final

import jsonschema_rs

from dawnlist.events.event_types import ALIAS_TYPE
from dawnlist.values import cut_text

MAX_ID_LENGTH: Final = 512
"""Characters of a user's or an item's id, as in the predictor's requests."""
MAX_EVENT_ID_LENGTH: Final = 128
MAX_PROPERTIES: Final = 50
MAX_POSITION: Final = 10_000
MAX_REASON_LENGTH: Final = 200

_ID: Final = {"type": ["string", "integer"], "minLength": 1, "maxLength": MAX_ID_LENGTH}


def _describe_id(description: str) -> dict[str, Any]:
    return {**_ID, "description": description}


def _describe_text(description: str, length: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": length, "description": description}


EVENT_SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Event",
    "type": "object",
    "additionalProperties": False,
    "required": ["type"],
    "properties": {
        "id": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_EVENT_ID_LENGTH,
            "description": "The sender's id of the event, the same when it is sent again. It is "
            "made if it is missing; a repeat is then counted twice.",
        },
        "type": {
            "type": "string",
            "pattern": r"^[a-z0-9][a-z0-9_.\-]{0,63}$",
            "description": "What happened, such as view, click, cart, purchase, mood, impression; "
            "alias joins an anonymous id to a user.",
        },
        "user": _describe_id("The id of a user who is logged in, as in recommendations."),
        "anonymous": _describe_id("An id of the browser, before a login."),
        "item": _describe_id("The id of the item."),
        "time": {
            "type": ["string", "number"],
            "maxLength": 40,
            "description": "When it happened by the sender's clock: ISO-8601 with a zone, or "
            "seconds or milliseconds since 1970. The time of arrival if it is missing.",
        },
        "session": _describe_text("The sender's id of the visit; made if missing.", 128),
        "page": _describe_text("The address or the name of the page.", 2048),
        "placement": _describe_text("The place on the page, such as shelf-1.", 128),
        "recommendation": _describe_text(
            "The id of the answer of the predictor that led to the event.", 128
        ),
        "position": {
            "type": "integer",
            "minimum": 0,
            "maximum": MAX_POSITION,
            "description": "The place in the list, 0 for the first.",
        },
        "mood": _describe_text("An emoji, or the name of a mood in the shop's table.", 64),
        "quantity": {"type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000},
        "rating": {"type": "number", "minimum": 0, "maximum": 1_000_000},
        "consent": {
            "type": "boolean",
            "description": "false: the person did not agree to be recognised. Ids are replaced by "
            "one that changes each day.",
        },
        "agent": _describe_text(
            "The user agent of the person, from a server alone; a page's own is known.", 1000
        ),
        "address": _describe_text(
            "The IP address of the person, from a server alone; only its network and place are "
            "kept.",
            64,
        ),
        "properties": {
            "type": "object",
            "maxProperties": MAX_PROPERTIES,
            "description": "Anything else; it is kept and not used.",
        },
    },
    "anyOf": [
        {"required": ["user"]},
        {"required": ["anonymous"]},
        {"required": ["consent"], "properties": {"consent": {"const": False}}},
    ],
    "if": {"properties": {"type": {"const": ALIAS_TYPE}}},
    # It joins the ids of a person, so it can't come from one who did not agree.
    "then": {"required": ["user", "anonymous"], "properties": {"consent": {"const": True}}},
}

_VALIDATOR: Final = jsonschema_rs.validator_for(EVENT_SCHEMA)


def explain_invalid_event(event: Any) -> str | None:
    """Return why an event is not valid, in one line; None when it is valid."""
    if not isinstance(event, dict):
        return "an event is a JSON object"
    try:
        if _VALIDATOR.is_valid(event):
            return None
        error = next(iter(_VALIDATOR.iter_errors(event)))
    except ValueError:  # jsonschema-rs reads 255 levels
        return "properties: nested too deeply"
    path = ".".join(map(str, error.instance_path))
    reason = _explain_message(error.message)
    if path:
        reason = f"{path}: {reason}"
    return cut_text(reason, MAX_REASON_LENGTH)


def _explain_message(message: str) -> str:
    """Return the schema's message, or a plainer one where the schema's is hard to read."""
    if "anyOf" in message or "not valid under any" in message:
        return "give user, or anonymous, or consent: false"
    if message == "true was expected":
        return "an alias event joins the ids of a person, so it is not taken without consent"
    return message
