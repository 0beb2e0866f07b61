"""The OpenAPI 3.1 document of the predictor's routes, all of them and nothing else."""

from importlib.metadata import version
from typing import Final

from dawnlist.serving.predictor.answers.engine import MAX_K
from dawnlist.serving.predictor.protocols import fields
from dawnlist.serving.predictor.protocols.schemas import (
    TEXT_SCHEMA,
    JsonSchema,
    build_schemas,
    reference_schema,
)
from dawnlist.serving.predictor.transports.auth import Authenticator

COMMON_ERROR_STATUSES: Final = (400, 414, 431)
"""What may be wrong with any request."""


def build_openapi_document(name: str, doorkeeper: Authenticator) -> JsonSchema:
    """For a model of this name; the security schemes are those that the doorkeeper knows."""
    schemes = _build_security_schemes(doorkeeper)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dawnlist predictor",
            "version": version("dawnlist"),
            "description": "Lists of recommended items, from the version that is active in the store.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _build_paths(name, bool(schemes)),
        "components": {
            "schemas": build_schemas(),
            **({"securitySchemes": schemes} if schemes else {}),
        },
        "security": [{scheme: []} for scheme in schemes],
    }


def _build_security_schemes(doorkeeper: Authenticator) -> JsonSchema:
    schemes: JsonSchema = {}
    if doorkeeper.api_keys:
        schemes["apiKey"] = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    if doorkeeper.jwt_key is not None:
        schemes["token"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    return schemes


def _build_json_content(schema: JsonSchema) -> JsonSchema:
    return {"content": {"application/json": {"schema": schema}}}


def _build_error_responses(*statuses: int) -> JsonSchema:
    texts = {
        400: "What is wrong with the request, in one line.",
        401: "No key, or an unknown one.",
        403: "A token for another service.",
        413: "The body is over 1 MiB.",
        414: "The URL is over 8 KiB.",
        431: "The headers are over 32 KiB.",
        503: "Too much is asked at once, or the answer took too long; Retry-After says when to come again.",
    }
    return {
        str(status): {
            "description": texts[status],
            **_build_json_content(reference_schema("Error")),
        }
        for status in statuses
    }


def _build_operation(
    what: str, content: JsonSchema, *errors: int, answer: str = "The answer."
) -> JsonSchema:
    return {
        "summary": what,
        "responses": {"200": {"description": answer, **content}, **_build_error_responses(*errors)},
    }


def _build_paths(name: str, guarded: bool) -> JsonSchema:
    locked = (401, 403) if guarded else ()
    return {
        **_build_prediction_paths(name, locked),
        **_build_metadata_paths(name, locked),
        **_build_health_paths(name, guarded),
    }


def _build_prediction_paths(name: str, locked: tuple[int, ...]) -> JsonSchema:
    """The routes that answer with lists."""
    errors = (*locked, *COMMON_ERROR_STATUSES, 503)

    def post(what: str, request: str, response: str) -> JsonSchema:
        each = "An answer for each, in their order."
        operation = _build_operation(
            what, _build_json_content(reference_schema(response)), *errors, 413, answer=each
        )
        return {
            "post": {
                **operation,
                "requestBody": {"required": True, **_build_json_content(reference_schema(request))},
            }
        }

    lean = _build_operation(
        "The list of one user.", _build_json_content(reference_schema("Prediction")), *errors
    )
    return {
        "/v1/recommendations/{user}": {"get": {**lean, "parameters": _build_query_parameters()}},
        f"/v1/models/{name}:predict": post(
            "Lists of several users (KServe V1).", "Instances", "Predictions"
        ),
        f"/v2/models/{name}/infer": post(
            "Lists of several users (KServe V2).", "InferRequest", "InferResponse"
        ),
    }


def _build_metadata_paths(name: str, locked: tuple[int, ...]) -> JsonSchema:
    """The routes that tell what there is."""
    told = {
        "/v1/models": "The models: one.",
        "/v2": "The server's name and version.",
        f"/v2/models/{name}": "The model's tensors.",
        "/openapi.json": "This document.",
    }
    return {
        path: {
            "get": _build_operation(
                what, _build_json_content({"type": "object"}), *COMMON_ERROR_STATUSES, *locked
            )
        }
        for path, what in told.items()
    }


def _build_health_paths(name: str, guarded: bool) -> JsonSchema:
    """The routes that nobody needs a key for."""
    live = _build_operation(
        "Whether the server runs.", _build_json_content({"type": "object"}), *COMMON_ERROR_STATUSES
    )
    ready = _build_operation(
        "Whether a version is loaded and warm.",
        _build_json_content(reference_schema("Ready")),
        *COMMON_ERROR_STATUSES,
    )
    ready["responses"]["503"] = {
        "description": "Not ready.",
        **_build_json_content(reference_schema("Ready")),
    }
    metrics = _build_operation(
        "Counts for Prometheus.",
        {"content": {"text/plain": {"schema": {"type": "string"}}}},
        *COMMON_ERROR_STATUSES,
    )
    operations = {
        f"/v1/models/{name}": ready,
        f"/v2/models/{name}/ready": ready,
        "/v2/health/ready": ready,
        "/v2/health/live": live,
        "/": live,
        "/metrics": metrics,
    }
    free: JsonSchema = {"security": []} if guarded else {}
    return {path: {"get": {**operation, **free}} for path, operation in operations.items()}


def _build_query_parameters() -> list[JsonSchema]:
    def query(name: str, what: str, schema: JsonSchema) -> JsonSchema:
        return {"name": name, "in": "query", "description": what, "schema": schema}

    def several(most: int) -> JsonSchema:
        return {"type": "array", "items": TEXT_SCHEMA, "minItems": 1, "maxItems": most}

    return [
        {
            "name": "user",
            "in": "path",
            "required": True,
            "description": "The user's id.",
            "schema": TEXT_SCHEMA,
        },
        query("k", "How many items.", {"type": "integer", "minimum": 1, "maximum": MAX_K}),
        query("exclude", "Items that must not come back.", several(fields.MAX_EXCLUDED)),
        query("recent", "Items that the user has just viewed.", several(fields.MAX_RECENT)),
        query("device", "What the user has in hand, such as mobile.", TEXT_SCHEMA),
        query("country", "Where the user is, such as DE.", TEXT_SCHEMA),
        query("genres", "Only items of one of these.", several(fields.MAX_FILTER_VALUES)),
        query(
            "explain", "Whether to say which past items speak for each result.", {"type": "boolean"}
        ),
    ]
