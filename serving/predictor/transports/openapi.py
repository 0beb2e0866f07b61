"""The OpenAPI 3.1 document of the predictor's routes, all of them and nothing else."""

from importlib.metadata import version
from typing import Final

from dawnlist.serving.predictor.answers.engine import MAX_K
from dawnlist.serving.predictor.protocols import fields
from dawnlist.serving.predictor.protocols.schemas import TEXT, Tree, ref, schemas
from dawnlist.serving.predictor.transports.auth import Doorkeeper

URL: Final = (400, 414, 431)
"""What may be wrong with any request."""


def document(name: str, doorkeeper: Doorkeeper) -> Tree:
    """For a model of this name; the security schemes are those that the doorkeeper knows."""
    schemes = _security(doorkeeper)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dawnlist predictor",
            "version": version("dawnlist"),
            "description": "Lists of recommended items, from the version that is active in the store.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(name, bool(schemes)),
        "components": {"schemas": schemas(), **({"securitySchemes": schemes} if schemes else {})},
        "security": [{scheme: []} for scheme in schemes],
    }


def _security(doorkeeper: Doorkeeper) -> Tree:
    schemes: Tree = {}
    if doorkeeper.api_keys:
        schemes["apiKey"] = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    if doorkeeper.jwt_key is not None:
        schemes["token"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    return schemes


def _json(schema: Tree) -> Tree:
    return {"content": {"application/json": {"schema": schema}}}


def _errors(*statuses: int) -> Tree:
    texts = {
        400: "What is wrong with the request, in one line.",
        401: "No key, or an unknown one.",
        403: "A token for another service.",
        413: "The body is over 1 MiB.",
        414: "The URL is over 8 KiB.",
        431: "The headers are over 32 KiB.",
        503: "Too much is asked at once, or the answer took too long; Retry-After says when to come again.",
    }
    return {str(status): {"description": texts[status], **_json(ref("Error"))} for status in statuses}


def _operation(what: str, content: Tree, *errors: int, answer: str = "The answer.") -> Tree:
    return {"summary": what, "responses": {"200": {"description": answer, **content}, **_errors(*errors)}}


def _paths(name: str, guarded: bool) -> Tree:
    locked = (401, 403) if guarded else ()
    return {**_lists(name, locked), **_about(name, locked), **_health(name, guarded)}


def _lists(name: str, locked: tuple[int, ...]) -> Tree:
    """The routes that answer with lists."""
    errors = (*locked, *URL, 503)

    def post(what: str, request: str, response: str) -> Tree:
        each = "An answer for each, in their order."
        operation = _operation(what, _json(ref(response)), *errors, 413, answer=each)
        return {"post": {**operation, "requestBody": {"required": True, **_json(ref(request))}}}

    lean = _operation("The list of one user.", _json(ref("Prediction")), *errors)
    return {
        "/v1/recommendations/{user}": {"get": {**lean, "parameters": _lean_parameters()}},
        f"/v1/models/{name}:predict": post("Lists of several users (KServe V1).", "Instances", "Predictions"),
        f"/v2/models/{name}/infer": post("Lists of several users (KServe V2).", "InferRequest", "InferResponse"),
    }


def _about(name: str, locked: tuple[int, ...]) -> Tree:
    """The routes that tell what there is."""
    told = {
        "/v1/models": "The models: one.",
        "/v2": "The server's name and version.",
        f"/v2/models/{name}": "The model's tensors.",
        "/openapi.json": "This document.",
    }
    return {path: {"get": _operation(what, _json({"type": "object"}), *URL, *locked)} for path, what in told.items()}


def _health(name: str, guarded: bool) -> Tree:
    """The routes that nobody needs a key for."""
    live = _operation("Whether the server runs.", _json({"type": "object"}), *URL)
    ready = _operation("Whether a version is loaded and warm.", _json(ref("Ready")), *URL)
    ready["responses"]["503"] = {"description": "Not ready.", **_json(ref("Ready"))}
    metrics = _operation("Counts for Prometheus.", {"content": {"text/plain": {"schema": {"type": "string"}}}}, *URL)
    operations = {
        f"/v1/models/{name}": ready,
        f"/v2/models/{name}/ready": ready,
        "/v2/health/ready": ready,
        "/v2/health/live": live,
        "/": live,
        "/metrics": metrics,
    }
    free: Tree = {"security": []} if guarded else {}
    return {path: {"get": {**operation, **free}} for path, operation in operations.items()}


def _lean_parameters() -> list[Tree]:
    def query(name: str, what: str, schema: Tree) -> Tree:
        return {"name": name, "in": "query", "description": what, "schema": schema}

    def several(most: int) -> Tree:
        return {"type": "array", "items": TEXT, "minItems": 1, "maxItems": most}

    return [
        {"name": "user", "in": "path", "required": True, "description": "The user's id.", "schema": TEXT},
        query("k", "How many items.", {"type": "integer", "minimum": 1, "maximum": MAX_K}),
        query("exclude", "Items that must not come back.", several(fields.MAX_EXCLUDED)),
        query("recent", "Items that the user has just viewed.", several(fields.MAX_RECENT)),
        query("device", "What the user has in hand, such as mobile.", TEXT),
        query("country", "Where the user is, such as DE.", TEXT),
        query("genres", "Only items of one of these.", several(fields.MAX_VALUES)),
        query("explain", "Whether to say which past items speak for each result.", {"type": "boolean"}),
    ]
