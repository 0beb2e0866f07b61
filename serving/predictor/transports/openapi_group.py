"""The OpenAPI path and the schemas of a group's list."""

from typing import Final

from dawnlist.serving.predictor.answers.engine import MAX_K
from dawnlist.serving.predictor.answers.group.group_answer import GROUP_TIERS
from dawnlist.serving.predictor.answers.group.group_question import (
    DEFAULT_GROUP_ITEMS,
    DEFAULT_MEAN_SHARE,
    GroupStrategy,
)
from dawnlist.serving.predictor.protocols import fields
from dawnlist.serving.predictor.protocols.group import GROUP_PATH, MAX_GROUP_USERS
from dawnlist.serving.predictor.protocols.schemas import (
    TEXT_SCHEMA,
    WHERE_SCHEMA,
    JsonSchema,
    reference_schema,
)
from dawnlist.serving.predictor.transports.openapi_operations import (
    build_json_content,
    build_operation,
)

STRATEGIES: Final = [strategy.value for strategy in GroupStrategy]
_IDS: Final[JsonSchema] = {"type": "array", "items": {"type": "string"}}


def build_group_paths(errors: tuple[int, ...]) -> JsonSchema:
    """Describe the route; `errors` are the statuses that an error may have besides 413."""
    operation = build_operation("The list of a group of users.", "GroupList", *errors, 413)
    operation["requestBody"] = {
        "required": True,
        **build_json_content(reference_schema("Group")),
    }
    return {GROUP_PATH: {"post": operation}}


def build_group_schemas() -> JsonSchema:
    """Return the schemas of the request, of the answer, and of one of its items."""
    return {
        "Group": _build_request_schema(),
        "GroupItem": _build_object(
            {
                "item": {"type": "string"},
                "title": {"type": "string", "description": 'A missing title is "".'},
                "score": {"type": "number", "description": "The group's score."},
                "scores": {
                    "type": "object",
                    "additionalProperties": {"type": "number"},
                    "description": "Each member's own score, by the id that was given.",
                },
                "seen_by": {**_IDS, "description": "The members who have met the item."},
            }
        ),
        "GroupList": _build_answer_schema(),
    }


def _build_request_schema() -> JsonSchema:
    users = {
        "type": "array",
        "items": TEXT_SCHEMA,
        "minItems": 1,
        "maxItems": MAX_GROUP_USERS,
        "uniqueItems": True,
    }
    excluded = {
        "type": ["array", "null"],
        "items": TEXT_SCHEMA,
        "maxItems": fields.MAX_EXCLUDED,
    }
    share = {
        "type": ["number", "null"],
        "minimum": 0,
        "maximum": 1,
        "default": DEFAULT_MEAN_SHARE,
        "description": "The weight of the mean in a mix; the lowest score has the rest.",
    }
    properties = {
        "users": users,
        "strategy": {"enum": [*STRATEGIES, None], "default": GroupStrategy.MIX.value},
        "num": {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": MAX_K,
            "default": DEFAULT_GROUP_ITEMS,
        },
        "mix": share,
        "exclude": excluded,
        "where": {**WHERE_SCHEMA, "type": ["string", "null"]},
    }
    return {**_build_object(properties), "required": ["users"]}


def _build_answer_schema() -> JsonSchema:
    optional = {
        "mix": {"type": "number", "description": "For a mix: the weight of the mean."},
        "recommendation_id": {"type": "string", "description": "If answers are logged."},
    }
    given = {
        "strategy": {"enum": STRATEGIES},
        "tier": {"enum": list(GROUP_TIERS)},
        "version": {"type": "string"},
        "token": {"type": ["string", "null"]},
        "as_of": {"type": ["string", "null"]},
        "age_seconds": {"type": ["integer", "null"]},
        "unknown": {**_IDS, "description": "The users without a vector, who do not count."},
        "items": {"type": "array", "items": reference_schema("GroupItem")},
    }
    return {**_build_object({**given, **optional}), "required": list(given)}


def _build_object(properties: JsonSchema) -> JsonSchema:
    """Describe an object without further properties, all of which are required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
