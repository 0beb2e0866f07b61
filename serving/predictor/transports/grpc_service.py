"""KServe's V2 protocol over gRPC: kserve's messages, our limits, an address that can be chosen.

kserve 0.21's own server binds to all interfaces, lets anybody unload the model, has no key and logs each call.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import grpc  # type: ignore[import-untyped]
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)

from dawnlist.serving.predictor.answers.ladder import Recommendation
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.model import DawnlistModel
from dawnlist.serving.predictor.protocols import v2
from dawnlist.serving.predictor.protocols.encoding import ServedCatalogue, describe_origin
from dawnlist.serving.predictor.request_limiter import MAX_CONCURRENT_REQUESTS, OverloadedError
from dawnlist.serving.predictor.transports.auth import (
    Authenticator,
    ForbiddenError,
    UnauthenticatedError,
)
from dawnlist.serving.predictor.transports.connection import MAX_BODY, MAX_HEAD
from dawnlist.serving.predictor.watch.counts import PredictorMetrics
from dawnlist.serving.predictor.watch.logs import INTERNAL_ERROR_MESSAGE, FailureReporter
from dawnlist.urls import format_error

MAX_ANSWER: Final = 64 << 20  # bytes; a thousand users with 100 items each and reasons are a few MB
CONTENT_FIELDS: Final = {
    "BYTES": "bytes_contents",
    "FP32": "fp32_contents",
    "INT32": "int_contents",
}

GrpcStatus = grpc.StatusCode


class InferenceServicer(GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Answers for one model."""

    def __init__(
        self,
        model: DawnlistModel,
        dataplane: DataPlane,
        counts: PredictorMetrics,
        doorkeeper: Authenticator,
        failures: FailureReporter,
    ) -> None:
        self._model, self._dataplane, self._counts = model, dataplane, counts
        self._doorkeeper, self._failures = doorkeeper, failures

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.ServerReadyResponse(ready=self._model.engine.ready)

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._known(request.name, context)
        return pb.ModelReadyResponse(ready=self._model.engine.ready)

    async def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._opened(context)
        metadata = self._dataplane.metadata()
        return pb.ServerMetadataResponse(name=metadata["name"], version=metadata["version"])

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._opened(context)
        await self._known(request.name, context)
        return pb.ModelMetadataResponse(**await self._dataplane.model_metadata(request.name))

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._opened(context)
        await self._known(request.model_name, context)
        try:
            asked = v2.parse_tensors(_parse_tensors(request), _parse_parameters(request.parameters))
            catalogue, found = await self._model.predict(asked)
        except Exception as failure:
            await self._refuse(failure, context)
        self._counts.request("grpc", 200)
        return _build_response(self._model.name, request.id, asked, catalogue, found)

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: N802
        # left to grpc, each such call would be an error in the log
        await context.abort(
            GrpcStatus.UNIMPLEMENTED, "the model can't be loaded or unloaded from outside"
        )

    RepositoryModelUnload = RepositoryModelLoad

    async def _opened(self, context: Any) -> None:
        headers = {
            name.encode(): _encode_value(value)
            for name, value in context.invocation_metadata() or ()
        }
        try:
            self._doorkeeper.check(headers)
        except (UnauthenticatedError, ForbiddenError) as failure:
            await self._refuse(failure, context)

    async def _known(self, name: str, context: Any) -> None:
        if name != self._model.name:
            await context.abort(
                GrpcStatus.NOT_FOUND, f"there is no such model: the one here is {self._model.name}"
            )

    async def _refuse(self, failure: Exception, context: Any) -> NoReturn:
        """The same as over HTTP: a status and one line."""
        found = {
            ValueError: (GrpcStatus.INVALID_ARGUMENT, 400),
            UnauthenticatedError: (GrpcStatus.UNAUTHENTICATED, 401),
            ForbiddenError: (GrpcStatus.PERMISSION_DENIED, 403),
            OverloadedError: (GrpcStatus.RESOURCE_EXHAUSTED, 503),
        }
        for kind, (code, status) in found.items():
            if isinstance(failure, kind):
                self._counts.request("grpc", status)
                await context.abort(code, format_error(failure))
        self._failures.report(failure)
        self._counts.request("grpc", 500)
        await context.abort(GrpcStatus.INTERNAL, INTERNAL_ERROR_MESSAGE)
        raise AssertionError("abort raises")


def build_grpc_server(servicer: InferenceServicer, host: str, port: int) -> Any:
    """A server that is not started yet; OSError when it can't listen there."""
    server = grpc.aio.server(
        maximum_concurrent_rpcs=2 * MAX_CONCURRENT_REQUESTS,
        options=[
            ("grpc.max_receive_message_length", MAX_BODY),
            ("grpc.max_send_message_length", MAX_ANSWER),
            ("grpc.max_metadata_size", MAX_HEAD),
            ("grpc.so_reuseport", 0),
        ],
    )
    add_GRPCInferenceServiceServicer_to_server(servicer, server)
    try:
        server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError:
        raise OSError(f"can't listen for gRPC on {host}:{port}: choose another port") from None
    return server


def _encode_value(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _parse_tensors(request: Any) -> list[v2.Tensor]:
    """The inputs, whether their data are typed or raw; ValueError says what is wrong."""
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise ValueError(
            f"there are {len(request.inputs)} inputs and {len(raw)} raw contents: give one for each"
        )
    tensors = []
    for i, tensor in enumerate(request.inputs):
        values = _unpack_texts(raw[i]) if raw else tensor.contents.bytes_contents
        try:
            data = [value.decode() for value in values]
        except UnicodeDecodeError:
            raise ValueError(f"input {tensor.name[:50]!r} is no UTF-8") from None
        tensors.append(v2.Tensor(tensor.name, tensor.datatype, list(tensor.shape), data))
    return tensors


def _unpack_texts(raw: bytes) -> list[bytes]:
    """Raw BYTES: before each text its length, 4 bytes, little-endian."""
    values, at = [], 0
    while at < len(raw):
        if len(raw) - at < 4 or len(raw) - at - 4 < (
            length := struct.unpack_from("<I", raw, at)[0]
        ):
            raise ValueError("raw contents end in the middle of a text")
        values.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    return values


def _parse_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {name: value.WhichOneof("parameter_choice") for name, value in given.items()}
    return {name: getattr(given[name], choice) for name, choice in chosen.items() if choice}


def _build_response(
    name: str,
    request_id: str,
    asked: Sequence[Question],
    catalogue: ServedCatalogue,
    found: Sequence[Recommendation],
) -> Any:
    whence = describe_origin(catalogue)
    response = pb.ModelInferResponse(
        model_name=name, model_version=whence["model_version"], id=request_id
    )
    for key, value in whence.items():
        if isinstance(value, int):
            response.parameters[key].int64_param = value
        elif value is not None:
            response.parameters[key].string_param = value
    for tensor in v2.build_output_tensors(asked, catalogue, found):
        out = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        data = (
            [text.encode() for text in tensor.data] if tensor.datatype == "BYTES" else tensor.data
        )
        getattr(out.contents, CONTENT_FIELDS[tensor.datatype]).extend(data)
    return response
