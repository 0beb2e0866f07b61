"""The OpenAPI 3.1 document of the predictor's routes: all of them and no others."""

from importlib.metadata import version
from typing import Final

from dawnlist.serving.predictor.protocols import fields
from dawnlist.serving.predictor.protocols.lean import BUY_AGAIN_PATH, RECOMMENDATIONS_PATH
from dawnlist.serving.predictor.protocols.schemas import (
    K_SCHEMA,
    OFFSET_SCHEMA,
    REPEATS_DESCRIPTION,
    TEXT_SCHEMA,
    WHERE_SCHEMA,
    JsonSchema,
    build_schemas,
    reference_schema,
)
from dawnlist.serving.predictor.transports.auth import Authenticator
from dawnlist.serving.predictor.transports.openapi_group import (
    build_group_paths,
    build_group_schemas,
)
from dawnlist.serving.predictor.transports.openapi_items import build_item_paths
from dawnlist.serving.predictor.transports.openapi_operations import (
    build_json_content,
    build_operation,
    build_query_parameter,
    build_response,
    build_texts,
)
from dawnlist.serving.predictor.transports.openapi_shelves import build_shelf_paths

DESCRIPTION: Final = "Lists of recommended items, from the version that is active in the store."
COMMON_ERROR_STATUSES: Final = (400, 414, 431)
"""Statuses of errors that any request may have."""
KEY_ERROR_STATUSES: Final = (401, 403)
"""Statuses of a request without a valid key."""


def build_openapi_document(name: str, authenticator: Authenticator) -> JsonSchema:
    """Describe the routes of a model of this name, with the kinds of keys that are accepted."""
    schemes = _build_security_schemes(authenticator)
    components: JsonSchema = {"schemas": {**build_schemas(), **build_group_schemas()}}
    if schemes:
        components["securitySchemes"] = schemes
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dawnlist predictor",
            "version": version("dawnlist"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _build_paths(name, needs_key=bool(schemes)),
        "components": components,
        "security": [{scheme: []} for scheme in schemes],
    }


def _build_security_schemes(authenticator: Authenticator) -> JsonSchema:
    """Describe the kinds of keys that are accepted; {} if everybody may ask."""
    schemes: JsonSchema = {}
    if authenticator.api_keys:
        schemes["apiKey"] = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    if authenticator.jwt_key is not None:
        schemes["token"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    return schemes


def _build_paths(name: str, needs_key: bool) -> JsonSchema:
    """Describe all routes. `needs_key` says whether callers have to send a key."""
    key_errors = KEY_ERROR_STATUSES if needs_key else ()
    return {
        **_build_prediction_paths(name, key_errors),
        **_build_metadata_paths(name, key_errors),
        **_build_health_paths(name, needs_key),
    }


def _build_prediction_paths(name: str, key_errors: tuple[int, ...]) -> JsonSchema:
    """Describe the routes that answer with lists."""
    errors = (*key_errors, *COMMON_ERROR_STATUSES, 503)
    get_operation = build_operation("The list of one user.", "Prediction", *errors)
    parameters = _build_query_parameters()
    get_operation["parameters"] = [*parameters, _build_repeats_parameter()]
    buy_again_operation = build_operation(
        "The items that one user has met and may want again.", "Prediction", *errors
    )
    buy_again_operation["parameters"] = parameters
    v1_operation = _build_post_operation(
        "Lists of several users (KServe V1).", "Instances", "Predictions", *errors
    )
    v2_operation = _build_post_operation(
        "Lists of several users (KServe V2).", "InferRequest", "InferResponse", *errors
    )
    return {
        **build_group_paths(errors),
        **build_item_paths(),
        **build_shelf_paths(errors, get_operation["parameters"]),
        f"{RECOMMENDATIONS_PATH}{{user}}": {"get": get_operation},
        f"{BUY_AGAIN_PATH}{{user}}": {"get": buy_again_operation},
        f"/v1/models/{name}:predict": {"post": v1_operation},
        f"/v2/models/{name}/infer": {"post": v2_operation},
    }


def _build_metadata_paths(name: str, key_errors: tuple[int, ...]) -> JsonSchema:
    """Describe the routes that describe the predictor."""
    summaries = {
        "/v1/models": "The models: one.",
        "/v2": "The server's name and version.",
        f"/v2/models/{name}": "The model's tensors.",
        "/openapi.json": "This document.",
    }
    errors = (*COMMON_ERROR_STATUSES, *key_errors)
    paths: JsonSchema = {}
    for path, summary in summaries.items():
        paths[path] = {"get": build_operation(summary, None, *errors)}
    return paths


def _build_health_paths(name: str, needs_key: bool) -> JsonSchema:
    """Describe the routes that never need a key."""
    live = build_operation("Whether the server runs.", None, *COMMON_ERROR_STATUSES)
    ready = build_operation(
        "Whether a version is loaded and warm.", "Ready", *COMMON_ERROR_STATUSES
    )
    ready["responses"]["503"] = build_response("Not ready.", reference_schema("Ready"))
    metrics = build_operation("Counts for Prometheus.", None, *COMMON_ERROR_STATUSES)
    metrics["responses"]["200"] = {
        "description": "The answer.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
    operations = {
        f"/v1/models/{name}": ready,
        f"/v2/models/{name}/ready": ready,
        "/v2/health/ready": ready,
        "/v2/health/live": live,
        "/": live,
        "/metrics": metrics,
    }
    if needs_key:
        for operation in (live, ready, metrics):
            operation["security"] = []
    return {path: {"get": operation} for path, operation in operations.items()}


def _build_post_operation(
    summary: str, request_name: str, response_name: str, *errors: int
) -> JsonSchema:
    """Describe an operation that takes several questions in a body."""
    operation = build_operation(summary, response_name, *errors, 413)
    operation["responses"]["200"]["description"] = "An answer for each, in their order."
    operation["requestBody"] = {
        "required": True,
        **build_json_content(reference_schema(request_name)),
    }
    return operation


def _build_query_parameters() -> list[JsonSchema]:
    """Describe the parameters that both GET routes take."""
    user = {
        "name": "user",
        "in": "path",
        "required": True,
        "description": "The user's id.",
        "schema": TEXT_SCHEMA,
    }
    excluded = build_texts(fields.MAX_EXCLUDED)
    recent = build_texts(fields.MAX_RECENT)
    genres = build_texts(fields.MAX_FILTER_VALUES)
    explanation = "Whether to say which past items speak for each result."
    return [
        user,
        build_query_parameter("k", "How many items.", K_SCHEMA),
        build_query_parameter("offset", "How many items to pass over.", OFFSET_SCHEMA),
        build_query_parameter("exclude", "Items that must not come back.", excluded),
        build_query_parameter("recent", "Items that the user has just viewed.", recent),
        build_query_parameter("device", "What the user has in hand, such as mobile.", TEXT_SCHEMA),
        build_query_parameter("country", "Where the user is, such as DE.", TEXT_SCHEMA),
        build_query_parameter("genres", "Only items of one of these.", genres),
        build_query_parameter("where", WHERE_SCHEMA["description"], WHERE_SCHEMA),
        build_query_parameter("explain", explanation, {"type": "boolean"}),
    ]


def _build_repeats_parameter() -> JsonSchema:
    """Describe the parameter that chooses between items that the user has met and others."""
    values = ["false", fields.ONLY_REPEATS]
    return build_query_parameter("repeats", REPEATS_DESCRIPTION, {"enum": values})
