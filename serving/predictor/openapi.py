"""The OpenAPI 3.1 document of the predictor's routes, all of them and nothing else."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

from serving.predictor import fields
from serving.predictor.auth import Doorkeeper
from serving.predictor.counts import TIERS
from serving.predictor.engine import MAX_K

Tree = dict[str, Any]

TEXT: Final[Tree] = {"type": "string", "minLength": 1, "maxLength": fields.MAX_TEXT}


def document(name: str, doorkeeper: Doorkeeper) -> Tree:
    """For a model of this name; the security schemes are those that the doorkeeper knows."""
    schemes = _schemes(doorkeeper)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dawnlist predictor",
            "version": version("dawnlist"),
            "description": "Lists of recommended items, from the version that is active in the store.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(name, bool(schemes)),
        "components": {"schemas": _schemas(), **({"securitySchemes": schemes} if schemes else {})},
        "security": [{scheme: []} for scheme in schemes],
    }


def _schemes(doorkeeper: Doorkeeper) -> Tree:
    schemes: Tree = {}
    if doorkeeper.api_keys:
        schemes["apiKey"] = {"type": "apiKey", "in": "header", "name": "x-api-key"}
    if doorkeeper.jwt_key is not None:
        schemes["token"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    return schemes


def _ref(name: str) -> Tree:
    return {"$ref": f"#/components/schemas/{name}"}


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
    return {str(status): {"description": texts[status], **_json(_ref("Error"))} for status in statuses}


def _paths(name: str, guarded: bool) -> Tree:
    locked = (401, 403) if guarded else ()
    common = (*locked, 400, 414, 431, 503)

    def get(what: str, schema: Tree, free: bool = False, errors: tuple[int, ...] = (400, 414, 431)) -> Tree:
        operation = {
            "summary": what,
            "responses": {
                "200": {"description": "The answer.", **_json(schema)},
                **_errors(*errors, *(() if free else locked)),
            },
        }
        return {"get": {**operation, **({"security": []} if free and guarded else {})}}

    def ready() -> Tree:
        found = get("Whether a version is loaded and warm.", _ref("Ready"), free=True)
        found["get"]["responses"]["503"] = {"description": "Not ready.", **_json(_ref("Ready"))}
        return found

    def post(what: str, request: str, response: str) -> Tree:
        return {
            "post": {
                "summary": what,
                "requestBody": {"required": True, **_json(_ref(request))},
                "responses": {
                    "200": {"description": "An answer for each, in their order.", **_json(_ref(response))},
                    **_errors(*common, 413),
                },
            }
        }

    metrics = get("Counts for Prometheus.", {}, free=True)
    metrics["get"]["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    lean = get("The list of one user.", _ref("Prediction"), errors=(400, 414, 431, 503))
    lean["get"]["parameters"] = _lean_parameters()
    any_object = {"type": "object"}
    return {
        "/v1/recommendations/{user}": lean,
        f"/v1/models/{name}:predict": post("Lists of several users (KServe V1).", "Instances", "Predictions"),
        f"/v2/models/{name}/infer": post("Lists of several users (KServe V2).", "InferRequest", "InferResponse"),
        f"/v1/models/{name}": ready(),
        f"/v2/models/{name}/ready": ready(),
        "/v2/health/ready": ready(),
        "/v2/health/live": get("Whether the server runs.", any_object, free=True),
        "/": get("Whether the server runs.", any_object, free=True),
        "/v1/models": get("The models: one.", any_object),
        "/v2": get("The server's name and version.", any_object),
        f"/v2/models/{name}": get("The model's tensors.", any_object),
        "/metrics": metrics,
        "/openapi.json": get("This document.", any_object),
    }


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


def _schemas() -> Tree:
    return {
        "Error": _object({"error": {"type": "string"}}),
        "Ready": _object({"name": {"type": "string"}, "ready": {"type": "boolean"}}),
        "Event": _object(_event(), required=["item_id"]),
        "Instance": _object({"user_id": TEXT, **_options()}, required=["user_id"]),
        "Instances": _object(
            {"instances": {"type": "array", "items": _ref("Instance"), "minItems": 1, "maxItems": fields.MAX_USERS}},
            more=True,
        ),
        "Item": _object(_item(), required=["item_id", "title", "score"]),
        "Reason": _object({"item_id": {"type": "string"}, "score": {"type": "number"}}),
        "Prediction": _object(_prediction()),
        "Predictions": _object({"predictions": {"type": "array", "items": _ref("Prediction")}}),
        "InputTensor": _object(_input_tensor(), more=True),
        "InferRequest": _object(_infer_request(), required=["inputs"], more=True),
        "OutputTensor": _object(_output_tensor()),
        "InferResponse": _object(_infer_response(), required=["model_name", "model_version", "parameters", "outputs"]),
    }


def _object(properties: Tree, required: list[str] | None = None, more: bool = False) -> Tree:
    """All properties are required unless told, and there are no more unless told."""
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": more}


def _or_null(schema: Mapping[str, Any]) -> Tree:
    return {**schema, "type": [schema["type"], "null"]}


def _event() -> Tree:
    moment = {
        "type": "number",
        "minimum": 0,
        "maximum": fields.MAX_TIME,
        "description": "Seconds since 1970; default: now.",
    }
    return {"item_id": TEXT, "event_type": _or_null(TEXT), "time": _or_null(moment)}


def _options() -> Tree:
    """The fields of a question but for the user's id, as fields.py checks them."""
    values = {"type": "array", "items": TEXT, "minItems": 1, "maxItems": fields.MAX_VALUES}
    options: dict[str, Tree] = {
        "k": {"type": "integer", "minimum": 1, "maximum": MAX_K},
        "exclude": {"type": "array", "items": TEXT, "maxItems": fields.MAX_EXCLUDED},
        "recent": {"type": "array", "items": _ref("Event"), "maxItems": fields.MAX_RECENT},
        "context": {
            "type": "object",
            "propertyNames": TEXT,
            "additionalProperties": TEXT,
            "maxProperties": fields.MAX_CONTEXT,
            "examples": [{"device": "mobile", "country": "DE"}],
        },
        "filters": {
            "type": "object",
            "properties": {"genres": values},
            "additionalProperties": False,
            "examples": [{"genres": ["Drama"]}],
        },
        "explain": {"type": "boolean"},
    }
    return {name: _or_null(schema) for name, schema in options.items()}


def _item() -> Tree:
    return {
        "item_id": {"type": "string"},
        "title": {"type": "string", "description": 'A missing title is "".'},
        "score": {"type": "number", "description": "Comparable within one list only."},
        "because": {"type": "array", "items": _ref("Reason"), "description": "With explain: the strongest first."},
    }


def _prediction() -> Tree:
    return {
        "user_id": {"type": "string"},
        "tier": {"type": "string", "enum": list(TIERS)},
        "model_version": {"type": "string"},
        "as_of": {"type": ["string", "null"]},
        "age_seconds": {"type": ["integer", "null"]},
        "items": {"type": "array", "items": _ref("Item")},
    }


def _input_tensor() -> Tree:
    length = {"type": "integer", "minimum": 1, "maximum": fields.MAX_USERS}
    return {
        "name": {"enum": ["user_id", "options"]},
        "datatype": {"const": "BYTES"},
        "shape": {"type": "array", "items": length, "minItems": 1, "maxItems": 2},
        "data": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": fields.MAX_USERS},
    }


def _infer_request() -> Tree:
    parameters: dict[str, Tree] = {
        "k": {"type": "integer", "minimum": 1, "maximum": MAX_K},
        "explain": {"type": "boolean"},
        "device": TEXT,
        "country": TEXT,
    }
    nullable = {name: _or_null(schema) for name, schema in parameters.items()}
    return {
        "id": {"type": ["string", "null"]},
        "inputs": {"type": "array", "items": _ref("InputTensor"), "minItems": 1, "maxItems": 2},
        "parameters": _or_null(_object(nullable, required=[])),
    }


def _output_tensor() -> Tree:
    numbers = {"type": "array", "items": {"type": "integer"}}
    return {
        "name": {"type": "string"},
        "datatype": {"enum": ["BYTES", "FP32", "INT32"]},
        "shape": numbers,
        "data": {"type": "array"},
    }


def _infer_response() -> Tree:
    whence = {name: _prediction()[name] for name in ("model_version", "as_of", "age_seconds")}
    return {
        "id": {"type": "string"},
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "parameters": _object(whence),
        "outputs": {"type": "array", "items": _ref("OutputTensor")},
    }
