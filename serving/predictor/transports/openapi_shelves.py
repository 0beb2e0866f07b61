"""The OpenAPI paths of shelves, and of ordering a given list."""

from typing import Final

from dawnlist.serving.predictor.answers.engine import MAX_K
from dawnlist.serving.predictor.answers.shelves.shelf_question import ShelfKind, Similarity
from dawnlist.serving.predictor.protocols import fields
from dawnlist.serving.predictor.protocols.schemas import (
    K_SCHEMA,
    OFFSET_SCHEMA,
    TEXT_SCHEMA,
    WHERE_SCHEMA,
    JsonSchema,
)
from dawnlist.serving.predictor.protocols.shelves import (
    RANK_PATH,
    SHELVES_OF_EVERYBODY,
    SHELVES_OF_ITEMS,
    list_parameters,
)
from dawnlist.serving.predictor.transports.openapi_operations import (
    build_operation,
    build_query_parameter,
    build_texts,
)

SUMMARIES: Final = {
    ShelfKind.SIMILAR: "Items that are similar to one.",
    ShelfKind.BOUGHT_TOGETHER: "Items that the same people meet more often than by chance.",
    ShelfKind.TRENDING: "Items that are met more often now than usually.",
    ShelfKind.POPULAR: "The popular items, of everybody or of a segment.",
    ShelfKind.CONTINUE: "What one user has met, the newest first.",
}
PARAMETERS: Final[dict[str, tuple[str, JsonSchema]]] = {
    "k": ("How many items.", K_SCHEMA),
    "offset": ("How many items to pass over.", OFFSET_SCHEMA),
    "exclude": ("Items that must not come back.", build_texts(fields.MAX_EXCLUDED)),
    "where": (WHERE_SCHEMA["description"], WHERE_SCHEMA),
    "by": ("By what items are compared.", {"enum": [kind.value for kind in Similarity]}),
    "segment": (
        "Conditions such as country=DE,device=mobile.",
        {"type": "string", "pattern": r"^[^=,\s]+=[^=,\s]+$", "maxLength": fields.MAX_TEXT},
    ),
}
"""What each parameter of a shelf is, and its schema."""


def build_shelf_paths(
    errors: tuple[int, ...], list_parameters_of_users: list[JsonSchema]
) -> JsonSchema:
    """Describe the routes of all shelves and of ordering a list.

    Args:
        errors: The statuses of errors that each may have.
        list_parameters_of_users: The parameters of the route of a user's list.
    """
    paths: JsonSchema = {}
    for kind in ShelfKind:
        schema_name, ending = "Shelf", ""
        parameters = [_build_own_parameter(name) for name in list_parameters(kind)]
        if kind in SHELVES_OF_ITEMS:
            schema_name, ending = "ItemShelf", "/{item}"
            parameters.insert(0, _build_id_parameter("item"))
        elif kind not in SHELVES_OF_EVERYBODY:
            schema_name, ending = "UserShelf", "/{user}"
            parameters.insert(0, _build_id_parameter("user"))
        operation = build_operation(SUMMARIES[kind], schema_name, *errors)
        operation["parameters"] = parameters
        paths[f"/v1/{kind.value}{ending}"] = {"get": operation}
    paths[f"{RANK_PATH}{{user}}"] = {"get": _build_rank_operation(errors, list_parameters_of_users)}
    return paths


def _build_rank_operation(
    errors: tuple[int, ...], list_parameters_of_users: list[JsonSchema]
) -> JsonSchema:
    operation = build_operation("The given items, the best for one user first.", "Ranked", *errors)
    items = {"type": "array", "items": TEXT_SCHEMA, "minItems": 1, "maxItems": MAX_K}
    parameter = build_query_parameter("item", "The items to order.", items)
    others = [one for one in list_parameters_of_users if one["name"] not in ("k", "offset")]
    operation["parameters"] = [*others, {**parameter, "required": True}]
    return operation


def _build_own_parameter(name: str) -> JsonSchema:
    description, schema = PARAMETERS[name]
    return build_query_parameter(name, description, schema)


def _build_id_parameter(name: str) -> JsonSchema:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": f"The {name}'s id.",
        "schema": TEXT_SCHEMA,
    }
