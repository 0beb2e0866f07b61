"""The OpenAPI document of the collector. The schema of an event is the one that validates it."""

from importlib.metadata import version
from typing import Any, Final

from dawnlist.events.event_schema import EVENT_SCHEMA
from dawnlist.serving.collector.bodies import MAX_EVENTS

PICTURE_FIELDS: Final = (
    "id",
    "type",
    "user",
    "anonymous",
    "item",
    "placement",
    "recommendation",
    "mood",
)
"""The fields of an event that the address of a picture may have."""
_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "id": {"type": "string"},
        "status": {"enum": ["ok", "duplicate", "dropped", "retry"]},
        "reason": {"type": "string", "description": "Why it is dropped, or to be sent again."},
    },
}
_ERROR: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
}


def build_openapi_document() -> dict[str, Any]:
    """Build the document that GET /openapi.json answers with."""
    event = {name: value for name, value in EVENT_SCHEMA.items() if name != "$schema"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Dawnlist collector", "version": version("dawnlist")},
        "paths": {
            "/v1/events": {"post": _describe_batch_route()},
            "/v1/event.gif": {"get": _describe_picture_route()},
        },
        "components": {
            "schemas": {
                "Event": event,
                "Batch": _describe_batch(),
                "Answer": {
                    "type": "object",
                    "required": ["events"],
                    "properties": {"events": {"type": "array", "items": _ANSWER}},
                },
                "Error": _ERROR,
            },
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "queryKey": {"type": "apiKey", "in": "query", "name": "key"},
            },
        },
    }


def _describe_batch() -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["events"],
        "properties": {
            "events": {
                "type": "array",
                "maxItems": MAX_EVENTS,
                "items": {"$ref": "#/components/schemas/Event"},
            },
            "sent_at": {
                "type": ["string", "number", "null"],
                "description": "When the request is sent by the sender's clock, by which the times "
                "of its events are corrected.",
            },
            "key": {
                "type": ["string", "null"],
                "description": "A key, where no header can be set, as by sendBeacon.",
            },
        },
    }


def _describe_batch_route() -> dict[str, Any]:
    batch = {"schema": {"$ref": "#/components/schemas/Batch"}}
    return {
        "summary": "Send events. The answer says of each event what became of it.",
        "security": [{}, {"key": []}, {"queryKey": []}],
        "requestBody": {
            "required": True,
            "content": {"application/json": batch, "text/plain": batch},
        },
        "responses": {
            "202": _describe_response(
                "Taken; events with the status retry are to be sent again.", "Answer"
            ),
            "400": _describe_response("The body can't be read.", "Error"),
            "401": _describe_response("The key is missing, unknown or not for this page.", "Error"),
            "413": _describe_response("The body or the number of events is too large.", "Error"),
            "415": _describe_response("The body is compressed in an unknown way.", "Error"),
            "429": _describe_response("Too many events for this key; see Retry-After.", "Error"),
            "503": _describe_response("No event was taken; see Retry-After.", "Answer"),
        },
    }


def _describe_picture_route() -> dict[str, Any]:
    return {
        "summary": "Send one event by the address of a picture, as mails do.",
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string"}}
            for name in ("key", *PICTURE_FIELDS)
        ],
        "responses": {
            "200": {"description": "A picture of one pixel.", "content": {"image/gif": {}}}
        },
    }


def _describe_response(description: str, schema: str) -> dict[str, Any]:
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    return {"description": description, "content": {"application/json": content}}
