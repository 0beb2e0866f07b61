"""KServe's V2 protocol as JSON over REST; tensors.py describes the tensors."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.recommendation import Recommendation
from dawnlist.serving.predictor.protocols.encoding import (
    NUMPY_JSON_OPTION,
    ServedCatalogue,
    describe_origin,
)
from dawnlist.serving.predictor.protocols.tensors import (
    Tensor,
    build_output_tensors,
    parse_tensors,
)
from dawnlist.serving.predictor.protocols.turns import Turn
from dawnlist.serving.predictor.protocols.v1 import parse_json_object

VALUES_PER_PART: Final = 1_000
"""Values of a tensor that are encoded at a time."""


def parse_v2_request(body: bytes) -> tuple[str | None, list[Question]]:
    """Return the request's id, if it has one, and its questions.

    Raises:
        ValueError: the body is not a V2 request, or a field is not allowed.
    """
    content = parse_json_object(body)
    request_id = content.get("id")
    if not isinstance(request_id, str | None):
        raise ValueError('"id" has to be text')
    inputs: Any = content.get("inputs")
    if not _is_list_of_objects(inputs):
        raise ValueError('"inputs" has to be a list of tensors, of "user_id" at least')
    parameters = content.get("parameters")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        raise ValueError('"parameters" has to be an object like {"k": 20}')
    tensors = [_parse_tensor(tensor) for tensor in inputs]
    return request_id, parse_tensors(tensors, parameters)


def _is_list_of_objects(value: Any) -> bool:
    """Whether a JSON value is a list of at least one object."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(element, dict) for element in value)


def _parse_tensor(fields: Mapping[str, Any]) -> Tensor:
    """Return an input tensor; parse_tensors checks its values."""
    name = fields.get("name")
    datatype = fields.get("datatype")
    if not isinstance(name, str) or not isinstance(datatype, str):
        raise ValueError('a tensor of "inputs" has to have a "name" and a "datatype", as text')
    shape = fields.get("shape")
    data = fields.get("data")
    if not isinstance(data, list) or not isinstance(shape, list):
        raise ValueError(f'input {name[:50]!r}: "shape" and "data" have to be lists')
    return Tensor(name, datatype, shape, data)


async def encode_v2_response(
    model_name: str,
    request_id: str | None,
    questions: Sequence[Question],
    catalogue: ServedCatalogue,
    recommendations: Sequence[Recommendation],
) -> bytes:
    """Encode the response. Other requests get turns in between.

    Its parameters are the model_version, token, as_of and age_seconds of all lists.
    """
    turn = Turn()
    origin = describe_origin(catalogue)
    tensors = await build_output_tensors(questions, catalogue, recommendations)
    body: dict[str, Any] = {}
    if request_id is not None:
        body["id"] = request_id
    body["model_name"] = model_name
    body["model_version"] = origin["model_version"]
    body["parameters"] = origin
    head = orjson.dumps(body)[:-1]  # without the end, "}"
    outputs = [await _encode_tensor(tensor, turn) for tensor in tensors]
    return b'%b,"outputs":[%b]}' % (head, b",".join(outputs))


async def _encode_tensor(tensor: Tensor, turn: Turn) -> bytes:
    """Encode a tensor, a part of its values at a time."""
    head = orjson.dumps(tensor.to_json() | {"data": []})[:-2]  # without the end, "]}"
    parts = []
    for begin in range(0, len(tensor.data), VALUES_PER_PART):
        values = tensor.data[begin : begin + VALUES_PER_PART]
        parts.append(orjson.dumps(values, option=NUMPY_JSON_OPTION)[1:-1])
        await turn.end_if_long()
    return b"%b%b]}" % (head, b",".join(parts))
