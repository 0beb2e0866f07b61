"""The OpenAPI paths of routes that take items out of all answers, and bring them back."""

from dawnlist.serving.predictor.protocols.schemas import TEXT_SCHEMA, JsonSchema
from dawnlist.serving.predictor.transports.item_routes import (
    ITEM_PATH,
    MAX_ITEMS,
    RESTORE_PATH,
    WITHDRAW_PATH,
)
from dawnlist.serving.predictor.transports.openapi_operations import (
    build_json_content,
    build_operation,
)

ERRORS = (400, 401, 403, 414, 431, 503)


def build_item_paths() -> JsonSchema:
    """Describe the routes; their key is DAWNLIST_ADMIN_KEY, in the header x-api-key."""
    delete_operation = build_operation("Take an item out of all answers.", None, *ERRORS)
    delete_operation["parameters"] = [
        {"name": "item", "in": "path", "required": True, "schema": TEXT_SCHEMA}
    ]
    return {
        f"{ITEM_PATH}{{item}}": {"delete": delete_operation},
        WITHDRAW_PATH: {"post": _build_bulk_operation("Take items out of all answers.")},
        RESTORE_PATH: {"post": _build_bulk_operation("Let answers have items again.")},
    }


def _build_bulk_operation(summary: str) -> JsonSchema:
    operation = build_operation(summary, None, *ERRORS, 413)
    item_ids = {"type": "array", "items": TEXT_SCHEMA, "minItems": 1, "maxItems": MAX_ITEMS}
    schema = {
        "type": "object",
        "properties": {"item_ids": item_ids},
        "required": ["item_ids"],
        "additionalProperties": False,
    }
    operation["requestBody"] = {"required": True, **build_json_content(schema)}
    return operation
