"""Parts of the predictor's OpenAPI document: operations, responses and parameters."""

from typing import Final

from dawnlist.serving.predictor.protocols.schemas import (
    TEXT_SCHEMA,
    JsonSchema,
    reference_schema,
)

ERROR_DESCRIPTIONS: Final = {
    400: "What is wrong with the request, in one line.",
    401: "No key, or an unknown one.",
    403: "A token for another service.",
    413: "The body is over 1 MiB.",
    414: "The URL is over 8 KiB.",
    431: "The headers are over 32 KiB.",
    503: (
        "Too much is asked at once, or the answer took too long; "
        "Retry-After says when to come again."
    ),
}


def build_operation(summary: str, schema_name: str | None, *errors: int) -> JsonSchema:
    """Describe an operation that answers with a named schema or, without a name, any object."""
    schema: JsonSchema = {"type": "object"}
    if schema_name is not None:
        schema = reference_schema(schema_name)
    responses = {"200": build_response("The answer.", schema)}
    for status in errors:
        description = ERROR_DESCRIPTIONS[status]
        responses[str(status)] = build_response(description, reference_schema("Error"))
    return {"summary": summary, "responses": responses}


def build_response(description: str, schema: JsonSchema) -> JsonSchema:
    """Describe a response with a JSON body."""
    return {"description": description, **build_json_content(schema)}


def build_json_content(schema: JsonSchema) -> JsonSchema:
    """Describe a JSON body."""
    return {"content": {"application/json": {"schema": schema}}}


def build_query_parameter(name: str, description: str, schema: JsonSchema) -> JsonSchema:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def build_texts(max_length: int) -> JsonSchema:
    """Describe a parameter that may be repeated."""
    return {"type": "array", "items": TEXT_SCHEMA, "minItems": 1, "maxItems": max_length}
