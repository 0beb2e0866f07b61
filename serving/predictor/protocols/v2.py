"""KServe's V2 protocol (Open Inference Protocol): tensors in, tensors out, the same over REST and gRPC.

Inputs: `user_id`, BYTES of shape [n] (or [n, 1]); and, when users want different things, `options`, BYTES of the same
shape: for each user a JSON object with a V1 instance's fields but user_id, or "". Parameters k, explain, device and
country hold for all users whose options do not say otherwise.

Outputs: `item_id`, `title` (BYTES) and `score` (FP32) of shape [n, k], a list that is shorter filled with "" and 0;
`tier` (BYTES) and `found` (INT32), how many entries are no filling, of shape [n]; `because` (BYTES, JSON) of [n, k]
when anybody asked for it. The parameters model_version, as_of and age_seconds are those of all lists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from dawnlist.serving.predictor.answers.ladder import Recommendation
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.protocols.encoding import (
    NUMPY_JSON_OPTION,
    ServedCatalogue,
    describe_origin,
    describe_reasons,
)
from dawnlist.serving.predictor.protocols.fields import check_user_count, parse_question
from dawnlist.serving.predictor.protocols.v1 import parse_json_object

CONTEXT_PARAMETERS: Final = ("device", "country")
V2_PARAMETERS: Final = ("k", "explain", *CONTEXT_PARAMETERS)
INPUT_NAMES: Final = ("user_id", "options")


@dataclass(frozen=True, slots=True)
class Tensor:
    """`data` is a flat sequence."""

    name: str
    datatype: str
    shape: Sequence[int]
    data: Any

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": list(self.shape),
            "data": self.data,
        }


def parse_v2_request(body: bytes) -> tuple[str | None, list[Question]]:
    """The request's id and its questions, from the JSON of REST; ValueError says what is wrong."""
    found = parse_json_object(body)
    request_id, inputs, parameters = found.get("id"), found.get("inputs"), found.get("parameters")
    parameters = {} if parameters is None else parameters
    if not isinstance(request_id, str | None):
        raise ValueError('"id" has to be text')
    if (
        not isinstance(inputs, list)
        or not inputs
        or not all(isinstance(tensor, dict) for tensor in inputs)
    ):
        raise ValueError('"inputs" has to be a list of tensors, of "user_id" at least')
    if not isinstance(parameters, dict):
        raise ValueError('"parameters" has to be an object like {"k": 20}')
    return request_id, parse_tensors([_parse_tensor(tensor) for tensor in inputs], parameters)


def _parse_tensor(given: Mapping[str, Any]) -> Tensor:
    name, datatype, shape, data = (
        given.get(field) for field in ("name", "datatype", "shape", "data")
    )
    if not isinstance(name, str) or not isinstance(datatype, str):
        raise ValueError('a tensor of "inputs" has to have a "name" and a "datatype", as text')
    if not isinstance(data, list) or not isinstance(shape, list):
        raise ValueError(f'input {name[:50]!r}: "shape" and "data" have to be lists')
    return Tensor(name, datatype, shape, data)


def parse_tensors(tensors: Sequence[Tensor], parameters: Mapping[str, Any]) -> list[Question]:
    """The questions of a request, whatever it came by; ValueError says what is wrong."""
    by_name = {tensor.name: tensor for tensor in tensors}
    if (
        len(by_name) != len(tensors)
        or "user_id" not in by_name
        or by_name.keys() - set(INPUT_NAMES)
    ):
        names = ", ".join(repr(tensor.name[:50]) for tensor in tensors[:5])
        raise ValueError(
            f"the inputs are {names}: there has to be user_id, and there may be options, each once"
        )
    users = by_name["user_id"].data
    check_user_count(len(users))
    for tensor in tensors:
        _check_tensor(tensor, len(users))
    common = _parse_common_fields(parameters)
    options = (
        [_parse_options(i, text) for i, text in enumerate(by_name["options"].data)]
        if "options" in by_name
        else None
    )
    if options is None:
        return [parse_question(f"user_id[{i}]", user_id, common) for i, user_id in enumerate(users)]
    pairs = zip(users, options, strict=True)
    return [
        parse_question(f"user_id[{i}]", user_id, {**common, **own})
        for i, (user_id, own) in enumerate(pairs)
    ]


def _check_tensor(tensor: Tensor, n: int) -> None:
    if tensor.datatype != "BYTES":
        raise ValueError(
            f"input {tensor.name} is of datatype {tensor.datatype[:50]!r}: it has to be BYTES"
        )
    if not tensor.data or not all(isinstance(text, str) for text in tensor.data):
        raise ValueError(f'input {tensor.name}: "data" has to be a list of at least one text')
    shape = list(tensor.shape)
    if shape not in ([n], [n, 1]) or bool in map(type, shape) or len(tensor.data) != n:
        raise ValueError(
            f"input {tensor.name}: shape {str(shape)[:50]} and data for {n} users: it has to be [{n}]"
        )


def _parse_common_fields(parameters: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := parameters.keys() - set(V2_PARAMETERS):
        raise ValueError(
            f"{min(unknown)[:50]!r} is no parameter: there are {', '.join(V2_PARAMETERS)}; use options"
        )
    context = {
        name: parameters[name] for name in CONTEXT_PARAMETERS if parameters.get(name) is not None
    }
    fields = {
        name: parameters[name] for name in ("k", "explain") if parameters.get(name) is not None
    }
    return {**fields, "context": context} if context else fields


def _parse_options(i: int, text: str) -> dict[str, Any]:
    try:
        return parse_json_object(text.encode()) if text else {}
    except ValueError as error:
        raise ValueError(f"options[{i}]: {str(error).replace('the body', 'it')}") from None


def build_output_tensors(
    asked: Sequence[Question], catalogue: ServedCatalogue, found: Sequence[Recommendation]
) -> list[Tensor]:
    """What the module's docstring says."""
    n = len(found)
    k = max(
        max(len(one.items), question.k or 0) for question, one in zip(asked, found, strict=True)
    )
    item_ids = [
        text for one in found for text in _pad_values(catalogue.item_ids.take(one.items), k, "")
    ]
    titles = [
        text for one in found for text in _pad_values(catalogue.titles.take(one.items), k, "")
    ]
    # as float32, which the JSON writer prints in its own few digits
    scores = np.array([_pad_values(one.scores, k, 0.0) for one in found], dtype=np.float32).ravel()
    tensors = [
        Tensor("item_id", "BYTES", [n, k], item_ids),
        Tensor("title", "BYTES", [n, k], titles),
        Tensor("score", "FP32", [n, k], scores),
        Tensor("tier", "BYTES", [n], [one.tier for one in found]),
        Tensor("found", "INT32", [n], [len(one.items) for one in found]),
    ]
    if any(one.because is not None for one in found):
        reasons = [
            text for one in found for text in _pad_values(_encode_reasons(catalogue, one), k, "")
        ]
        tensors.append(Tensor("because", "BYTES", [n, k], reasons))
    return tensors


def _pad_values(values: Sequence[Any], k: int, filler: Any) -> list[Any]:
    return [*values, *[filler] * (k - len(values))]


def _encode_reasons(catalogue: ServedCatalogue, found: Recommendation) -> list[str]:
    return [
        orjson.dumps(describe_reasons(catalogue, reasons)).decode()
        for reasons in found.because or []
    ]


def encode_v2_response(
    name: str,
    request_id: str | None,
    asked: Sequence[Question],
    catalogue: ServedCatalogue,
    found: Sequence[Recommendation],
) -> bytes:
    """The answer as REST's JSON."""
    whence = describe_origin(catalogue)
    body = {
        "model_name": name,
        "model_version": whence["model_version"],
        "parameters": whence,
        "outputs": [tensor.as_json() for tensor in build_output_tensors(asked, catalogue, found)],
    }
    return orjson.dumps(
        body if request_id is None else {"id": request_id, **body}, option=NUMPY_JSON_OPTION
    )
