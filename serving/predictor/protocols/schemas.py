"""JSON schemas of the predictor's messages, with the limits that fields.py checks."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from dawnlist.filters.tokens import MAX_CHARACTERS
from dawnlist.serving.predictor.answers.engine import MAX_K, MAX_OFFSET
from dawnlist.serving.predictor.protocols import fields
from dawnlist.serving.predictor.protocols.tensors import INPUT_NAMES
from dawnlist.serving.predictor.watch.counts import SHELF_TIERS, TIERS

JsonSchema = dict[str, Any]
"""A JSON schema, or a part of an OpenAPI document."""

TEXT_SCHEMA: Final[JsonSchema] = {"type": "string", "minLength": 1, "maxLength": fields.MAX_TEXT}
"""An id, or a value of an attribute."""
WHERE_SCHEMA: Final[JsonSchema] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_CHARACTERS,
    "description": "A filter over the items' columns.",
    "examples": ['price < 20 and brand in ("A", "B")'],
}
K_SCHEMA: Final[JsonSchema] = {"type": "integer", "minimum": 1, "maximum": MAX_K}
OFFSET_SCHEMA: Final[JsonSchema] = {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET}
REPEATS_DESCRIPTION: Final = (
    "false: nothing that the user has met; only: nothing else. "
    "Without it the answer has such items if the shop's lists do."
)
_STRING: Final[JsonSchema] = {"type": "string"}
_BOOLEAN: Final[JsonSchema] = {"type": "boolean"}
_INTEGER: Final[JsonSchema] = {"type": "integer"}
_NUMBER: Final[JsonSchema] = {"type": "number"}


def build_schemas() -> JsonSchema:
    """Return the schemas of all messages by name."""
    instance = {"user_id": TEXT_SCHEMA, **_build_option_properties()}
    prediction = _build_prediction_properties()
    # An answer has an id only where answers are logged.
    always_given = [name for name in prediction if name != "recommendation_id"]
    return {
        "Error": _build_object({"error": _STRING}),
        "Ready": _build_object({"name": _STRING, "ready": _BOOLEAN}),
        "Event": _build_object(_build_event_properties(), required=["item_id"]),
        "Instance": _build_object(instance, required=["user_id"]),
        "Instances": _build_open_object(_build_instances_properties(), required=["instances"]),
        "Item": _build_object(_build_item_properties(), required=["item_id", "title", "score"]),
        "Reason": _build_object({"item_id": _STRING, "score": _NUMBER}),
        "Prediction": _build_object(prediction, required=always_given),
        "Ranked": _build_object(
            {**prediction, "unknown": _build_array(_STRING)}, required=[*always_given, "unknown"]
        ),
        **_build_shelf_schemas(),
        "Predictions": _build_object({"predictions": _build_array(reference_schema("Prediction"))}),
        "InputTensor": _build_open_object(_build_input_tensor_properties()),
        "InferRequest": _build_open_object(_build_infer_request_properties(), required=["inputs"]),
        "OutputTensor": _build_object(_build_output_tensor_properties()),
        "InferResponse": _build_object(
            _build_infer_response_properties(),
            required=["model_name", "model_version", "parameters", "outputs"],
        ),
    }


def reference_schema(name: str) -> JsonSchema:
    """Refer to a schema of `build_schemas` by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def _build_object(properties: JsonSchema, required: Sequence[str] | None = None) -> JsonSchema:
    """Describe an object without further properties; all are required if `required` is None."""
    if required is None:
        required = list(properties)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _build_open_object(properties: JsonSchema, required: Sequence[str] | None = None) -> JsonSchema:
    """Describe an object that may have further properties."""
    schema = _build_object(properties, required)
    schema["additionalProperties"] = True
    return schema


def _build_array(items: JsonSchema, **limits: int) -> JsonSchema:
    """Describe an array; `limits` are minItems and maxItems."""
    return {"type": "array", "items": items, **limits}


def _allow_null(schema: Mapping[str, Any]) -> JsonSchema:
    """Describe a value that may also be null, which counts as absent."""
    return {**schema, "type": [schema["type"], "null"]}


def _build_event_properties() -> JsonSchema:
    """Describe an event of `recent`."""
    event_time = {
        "type": "number",
        "minimum": 0,
        "maximum": fields.MAX_TIME,
        "description": "Seconds since 1970; default: now.",
    }
    return {
        "item_id": TEXT_SCHEMA,
        "event_type": _allow_null(TEXT_SCHEMA),
        "time": _allow_null(event_time),
    }


def _build_option_properties() -> JsonSchema:
    """Describe a question's fields except the user's id, as fields.py checks them."""
    context = {
        "type": "object",
        "propertyNames": TEXT_SCHEMA,
        "additionalProperties": TEXT_SCHEMA,
        "maxProperties": fields.MAX_CONTEXT,
        "examples": [{"device": "mobile", "country": "DE"}],
    }
    filter_values = _build_array(TEXT_SCHEMA, minItems=1, maxItems=fields.MAX_FILTER_VALUES)
    filters = {
        "type": "object",
        "propertyNames": TEXT_SCHEMA,
        "additionalProperties": filter_values,
        "maxProperties": fields.MAX_CONTEXT,
        "examples": [{"genres": ["Drama"]}],
    }
    options = {
        "k": K_SCHEMA,
        "offset": OFFSET_SCHEMA,
        "only": _build_array(TEXT_SCHEMA, minItems=1, maxItems=fields.MAX_ONLY),
        "exclude": _build_array(TEXT_SCHEMA, maxItems=fields.MAX_EXCLUDED),
        "recent": _build_array(reference_schema("Event"), maxItems=fields.MAX_RECENT),
        "context": context,
        "filters": filters,
        "where": WHERE_SCHEMA,
        "explain": _BOOLEAN,
    }
    nullable = {name: _allow_null(schema) for name, schema in options.items()}
    return {**nullable, "repeats": _build_repeats_schema()}


def _build_repeats_schema() -> JsonSchema:
    """Describe what a question says about items that the user has met."""
    return {"enum": [False, fields.ONLY_REPEATS, None], "description": REPEATS_DESCRIPTION}


def _build_instances_properties() -> JsonSchema:
    """Describe V1's request."""
    instances = _build_array(reference_schema("Instance"), minItems=1, maxItems=fields.MAX_USERS)
    return {"instances": instances}


def _build_item_properties() -> JsonSchema:
    """Describe an item of an answer."""
    because = _build_array(reference_schema("Reason"))
    because["description"] = "With explain: the strongest first."
    return {
        "item_id": _STRING,
        "title": {"type": "string", "description": 'A missing title is "".'},
        "score": {"type": "number", "description": "Comparable within one list only."},
        "because": because,
    }


def _build_origin_properties() -> JsonSchema:
    """Describe where an answer comes from: its version and the version's age."""
    return {
        "model_version": _STRING,
        "token": _allow_null(_STRING),
        "as_of": _allow_null(_STRING),
        "age_seconds": _allow_null(_INTEGER),
    }


def _build_prediction_properties() -> JsonSchema:
    """Describe the answer to one question."""
    return {
        "user_id": _STRING,
        "tier": {"type": "string", "enum": list(TIERS)},
        **_build_origin_properties(),
        "recommendation_id": {"type": "string", "description": "If answers are logged."},
        "items": _build_array(reference_schema("Item")),
    }


def _build_shelf_schemas() -> JsonSchema:
    """Describe the shelves: of an item, of a user, and of everybody."""
    shelf = {**_build_prediction_properties(), "tier": {"enum": list(SHELF_TIERS)}}
    del shelf["user_id"]
    always_given = [name for name in shelf if name != "recommendation_id"]
    schemas = {"Shelf": _build_object(shelf, required=always_given)}
    for name, subject in (("ItemShelf", "item_id"), ("UserShelf", "user_id")):
        properties = {subject: _STRING, **shelf}
        schemas[name] = _build_object(properties, required=[subject, *always_given])
    return schemas


def _build_input_tensor_properties() -> JsonSchema:
    """Describe a tensor of V2's request."""
    length = {"type": "integer", "minimum": 1, "maximum": fields.MAX_USERS}
    return {
        "name": {"enum": list(INPUT_NAMES)},
        "datatype": {"const": "BYTES"},
        "shape": _build_array(length, minItems=1, maxItems=2),
        "data": _build_array(_STRING, minItems=1, maxItems=fields.MAX_USERS),
    }


def _build_infer_request_properties() -> JsonSchema:
    """Describe V2's request."""
    parameters = {"k": K_SCHEMA, "explain": _BOOLEAN, "where": WHERE_SCHEMA}
    for name in fields.CONTEXT_PARAMETERS:
        parameters[name] = TEXT_SCHEMA
    nullable = {name: _allow_null(schema) for name, schema in parameters.items()}
    nullable["repeats"] = _build_repeats_schema()
    return {
        "id": _allow_null(_STRING),
        "inputs": _build_array(reference_schema("InputTensor"), minItems=1, maxItems=2),
        "parameters": _allow_null(_build_object(nullable, required=[])),
    }


def _build_output_tensor_properties() -> JsonSchema:
    """Describe a tensor of V2's response."""
    return {
        "name": _STRING,
        "datatype": {"enum": ["BYTES", "FP32", "INT32"]},
        "shape": _build_array(_INTEGER),
        "data": {"type": "array"},
    }


def _build_infer_response_properties() -> JsonSchema:
    """Describe V2's response."""
    return {
        "id": _STRING,
        "model_name": _STRING,
        "model_version": _STRING,
        "parameters": _build_object(_build_origin_properties()),
        "outputs": _build_array(reference_schema("OutputTensor")),
    }
