"""Translate gRPC's messages to questions' tensors, and answers to gRPC's messages."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.recommendation import Recommendation
from dawnlist.serving.predictor.protocols.encoding import ServedCatalogue, describe_origin
from dawnlist.serving.predictor.protocols.tensors import Tensor, build_output_tensors

CONTENT_FIELDS: Final = {
    "BYTES": "bytes_contents",
    "FP32": "fp32_contents",
    "INT32": "int_contents",
}
"""The field of a message that holds the values of each datatype."""
LENGTH_BYTES: Final = 4
"""Bytes of the length before each text of raw contents."""


def read_tensors(request: Any) -> list[Tensor]:
    """Return a request's inputs, whether their contents are typed or raw.

    Raises:
        ValueError: raw contents are incomplete, or a text is not UTF-8.
    """
    raw_contents = request.raw_input_contents
    if raw_contents and len(raw_contents) != len(request.inputs):
        raise ValueError(
            f"there are {len(request.inputs)} inputs and {len(raw_contents)} raw contents: "
            "give one for each"
        )
    tensors = []
    for i, tensor in enumerate(request.inputs):
        values = tensor.contents.bytes_contents
        if raw_contents:
            values = _split_raw_texts(raw_contents[i])
        try:
            data = [value.decode() for value in values]
        except UnicodeDecodeError:
            raise ValueError(f"input {tensor.name[:50]!r} is not UTF-8") from None
        tensors.append(Tensor(tensor.name, tensor.datatype, list(tensor.shape), data))
    return tensors


def _split_raw_texts(raw: bytes) -> list[bytes]:
    """Split raw BYTES: before each text stands its length, 4 bytes, little-endian."""
    texts = []
    offset = 0
    while offset < len(raw):
        begin = offset + LENGTH_BYTES
        if begin > len(raw):
            raise ValueError("raw contents end in the middle of a text")
        (length,) = struct.unpack_from("<I", raw, offset)
        offset = begin + length
        if offset > len(raw):
            raise ValueError("raw contents end in the middle of a text")
        texts.append(raw[begin:offset])
    return texts


def read_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a request's parameters; one without a value is left out."""
    values = {}
    for name, parameter in parameters.items():
        value_field = parameter.WhichOneof("parameter_choice")
        if value_field:
            values[name] = getattr(parameter, value_field)
    return values


async def build_infer_response(
    model_name: str,
    request_id: str,
    questions: Sequence[Question],
    catalogue: ServedCatalogue,
    recommendations: Sequence[Recommendation],
) -> Any:
    """Build the response with all tensors, and the answers' origin in its parameters."""
    origin = describe_origin(catalogue)
    response = pb.ModelInferResponse(
        model_name=model_name, model_version=origin["model_version"], id=request_id
    )
    for name, value in origin.items():
        if isinstance(value, int):
            response.parameters[name].int64_param = value
        elif value is not None:
            response.parameters[name].string_param = value
    for tensor in await build_output_tensors(questions, catalogue, recommendations):
        output = response.outputs.add(
            name=tensor.name, datatype=tensor.datatype, shape=tensor.shape
        )
        values = tensor.data
        if tensor.datatype == "BYTES":
            values = [text.encode() for text in tensor.data]
        getattr(output.contents, CONTENT_FIELDS[tensor.datatype]).extend(values)
    return response
