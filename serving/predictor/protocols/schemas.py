"""JSON schemas of the predictor's messages, with the limits that fields.py checks."""

from collections.abc import Mapping
from typing import Any, Final

from dawnlist.serving.predictor.answers.engine import MAX_K
from dawnlist.serving.predictor.protocols import fields
from dawnlist.serving.predictor.watch.counts import TIERS

Tree = dict[str, Any]

TEXT: Final[Tree] = {"type": "string", "minLength": 1, "maxLength": fields.MAX_TEXT}


def schemas() -> Tree:
    """Those of all messages, by name."""
    return {
        "Error": _object({"error": {"type": "string"}}),
        "Ready": _object({"name": {"type": "string"}, "ready": {"type": "boolean"}}),
        "Event": _object(_event(), required=["item_id"]),
        "Instance": _object({"user_id": TEXT, **_options()}, required=["user_id"]),
        "Instances": _object(
            {"instances": {"type": "array", "items": ref("Instance"), "minItems": 1, "maxItems": fields.MAX_USERS}},
            more=True,
        ),
        "Item": _object(_item(), required=["item_id", "title", "score"]),
        "Reason": _object({"item_id": {"type": "string"}, "score": {"type": "number"}}),
        "Prediction": _object(_prediction()),
        "Predictions": _object({"predictions": {"type": "array", "items": ref("Prediction")}}),
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
        "recent": {"type": "array", "items": ref("Event"), "maxItems": fields.MAX_RECENT},
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
        "because": {"type": "array", "items": ref("Reason"), "description": "With explain: the strongest first."},
    }


def _prediction() -> Tree:
    return {
        "user_id": {"type": "string"},
        "tier": {"type": "string", "enum": list(TIERS)},
        "model_version": {"type": "string"},
        "as_of": {"type": ["string", "null"]},
        "age_seconds": {"type": ["integer", "null"]},
        "items": {"type": "array", "items": ref("Item")},
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
        "inputs": {"type": "array", "items": ref("InputTensor"), "minItems": 1, "maxItems": 2},
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
        "outputs": {"type": "array", "items": ref("OutputTensor")},
    }


def ref(name: str) -> Tree:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}
