"""JSON schemas of the predictor's messages, with the limits that fields.py checks."""

from collections.abc import Mapping
from typing import Any, Final

from dawnlist.serving.predictor.answers.engine import MAX_K
from dawnlist.serving.predictor.protocols import fields
from dawnlist.serving.predictor.watch.counts import TIERS

JsonSchema = dict[str, Any]

TEXT_SCHEMA: Final[JsonSchema] = {"type": "string", "minLength": 1, "maxLength": fields.MAX_TEXT}


def build_schemas() -> JsonSchema:
    """Those of all messages, by name."""
    return {
        "Error": _build_object({"error": {"type": "string"}}),
        "Ready": _build_object({"name": {"type": "string"}, "ready": {"type": "boolean"}}),
        "Event": _build_object(_build_event_properties(), required=["item_id"]),
        "Instance": _build_object(
            {"user_id": TEXT_SCHEMA, **_build_option_properties()}, required=["user_id"]
        ),
        "Instances": _build_object(
            {
                "instances": {
                    "type": "array",
                    "items": reference_schema("Instance"),
                    "minItems": 1,
                    "maxItems": fields.MAX_USERS,
                }
            },
            more=True,
        ),
        "Item": _build_object(_build_item_properties(), required=["item_id", "title", "score"]),
        "Reason": _build_object({"item_id": {"type": "string"}, "score": {"type": "number"}}),
        "Prediction": _build_object(_build_prediction_properties()),
        "Predictions": _build_object(
            {"predictions": {"type": "array", "items": reference_schema("Prediction")}}
        ),
        "InputTensor": _build_object(_build_input_tensor_properties(), more=True),
        "InferRequest": _build_object(
            _build_infer_request_properties(), required=["inputs"], more=True
        ),
        "OutputTensor": _build_object(_build_output_tensor_properties()),
        "InferResponse": _build_object(
            _build_infer_response_properties(),
            required=["model_name", "model_version", "parameters", "outputs"],
        ),
    }


def _build_object(
    properties: JsonSchema, required: list[str] | None = None, more: bool = False
) -> JsonSchema:
    """All properties are required unless told, and there are no more unless told."""
    names = list(properties) if required is None else required
    return {
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": more,
    }


def _allow_null(schema: Mapping[str, Any]) -> JsonSchema:
    return {**schema, "type": [schema["type"], "null"]}


def _build_event_properties() -> JsonSchema:
    moment = {
        "type": "number",
        "minimum": 0,
        "maximum": fields.MAX_TIME,
        "description": "Seconds since 1970; default: now.",
    }
    return {
        "item_id": TEXT_SCHEMA,
        "event_type": _allow_null(TEXT_SCHEMA),
        "time": _allow_null(moment),
    }


def _build_option_properties() -> JsonSchema:
    """The fields of a question but for the user's id, as fields.py checks them."""
    values = {
        "type": "array",
        "items": TEXT_SCHEMA,
        "minItems": 1,
        "maxItems": fields.MAX_FILTER_VALUES,
    }
    options: dict[str, JsonSchema] = {
        "k": {"type": "integer", "minimum": 1, "maximum": MAX_K},
        "exclude": {"type": "array", "items": TEXT_SCHEMA, "maxItems": fields.MAX_EXCLUDED},
        "recent": {
            "type": "array",
            "items": reference_schema("Event"),
            "maxItems": fields.MAX_RECENT,
        },
        "context": {
            "type": "object",
            "propertyNames": TEXT_SCHEMA,
            "additionalProperties": TEXT_SCHEMA,
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
    return {name: _allow_null(schema) for name, schema in options.items()}


def _build_item_properties() -> JsonSchema:
    return {
        "item_id": {"type": "string"},
        "title": {"type": "string", "description": 'A missing title is "".'},
        "score": {"type": "number", "description": "Comparable within one list only."},
        "because": {
            "type": "array",
            "items": reference_schema("Reason"),
            "description": "With explain: the strongest first.",
        },
    }


def _build_prediction_properties() -> JsonSchema:
    return {
        "user_id": {"type": "string"},
        "tier": {"type": "string", "enum": list(TIERS)},
        "model_version": {"type": "string"},
        "as_of": {"type": ["string", "null"]},
        "age_seconds": {"type": ["integer", "null"]},
        "items": {"type": "array", "items": reference_schema("Item")},
    }


def _build_input_tensor_properties() -> JsonSchema:
    length = {"type": "integer", "minimum": 1, "maximum": fields.MAX_USERS}
    return {
        "name": {"enum": ["user_id", "options"]},
        "datatype": {"const": "BYTES"},
        "shape": {"type": "array", "items": length, "minItems": 1, "maxItems": 2},
        "data": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "maxItems": fields.MAX_USERS,
        },
    }


def _build_infer_request_properties() -> JsonSchema:
    parameters: dict[str, JsonSchema] = {
        "k": {"type": "integer", "minimum": 1, "maximum": MAX_K},
        "explain": {"type": "boolean"},
        "device": TEXT_SCHEMA,
        "country": TEXT_SCHEMA,
    }
    nullable = {name: _allow_null(schema) for name, schema in parameters.items()}
    return {
        "id": {"type": ["string", "null"]},
        "inputs": {
            "type": "array",
            "items": reference_schema("InputTensor"),
            "minItems": 1,
            "maxItems": 2,
        },
        "parameters": _allow_null(_build_object(nullable, required=[])),
    }


def _build_output_tensor_properties() -> JsonSchema:
    numbers = {"type": "array", "items": {"type": "integer"}}
    return {
        "name": {"type": "string"},
        "datatype": {"enum": ["BYTES", "FP32", "INT32"]},
        "shape": numbers,
        "data": {"type": "array"},
    }


def _build_infer_response_properties() -> JsonSchema:
    whence = {
        name: _build_prediction_properties()[name]
        for name in ("model_version", "as_of", "age_seconds")
    }
    return {
        "id": {"type": "string"},
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "parameters": _build_object(whence),
        "outputs": {"type": "array", "items": reference_schema("OutputTensor")},
    }


def reference_schema(name: str) -> JsonSchema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}
