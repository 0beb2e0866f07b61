"""KServe's V2 protocol over gRPC: kserve's messages with our limits, on a host that can be chosen.

The server of kserve 0.21 binds to all interfaces, lets anybody unload the model, asks for no key
and logs each call.
"""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import grpc  # type: ignore[import-untyped]
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)

from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.model import DawnlistModel
from dawnlist.serving.predictor.protocols.tensors import parse_tensors
from dawnlist.serving.predictor.request_limiter import MAX_CONCURRENT_REQUESTS
from dawnlist.serving.predictor.transports.auth import (
    Authenticator,
    ForbiddenError,
    UnauthenticatedError,
)
from dawnlist.serving.predictor.transports.failures import (
    INTERNAL_ERROR_STATUS,
    choose_status,
    parse_untrusted,
)
from dawnlist.serving.predictor.transports.grpc_messages import (
    build_infer_response,
    read_parameters,
    read_tensors,
)
from dawnlist.serving.predictor.transports.limits import (
    MAX_BODY,
    MAX_GRPC_CONNECTIONS,
    MAX_HEAD,
    TRANSFER_TIMEOUT_SECONDS,
)
from dawnlist.serving.predictor.watch.counts import PredictorMetrics
from dawnlist.serving.predictor.watch.logs import INTERNAL_ERROR_MESSAGE, FailureReporter
from dawnlist.urls import format_error

MAX_ANSWER: Final = 64 << 20
"""Bytes of a response; a thousand users with 100 items each and reasons need a few MB."""

GrpcStatus = grpc.StatusCode

GRPC_STATUSES: Final[Mapping[int, Any]] = {
    400: GrpcStatus.INVALID_ARGUMENT,
    401: GrpcStatus.UNAUTHENTICATED,
    403: GrpcStatus.PERMISSION_DENIED,
    503: GrpcStatus.RESOURCE_EXHAUSTED,
}
"""The gRPC statuses that stand for the HTTP statuses of failures."""


class InferenceServicer(GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Answers the calls of KServe's inference service for one model."""

    def __init__(
        self,
        model: DawnlistModel,
        dataplane: DataPlane,
        counts: PredictorMetrics,
        authenticator: Authenticator,
        failures: FailureReporter,
    ) -> None:
        self._model = model
        self._dataplane = dataplane
        self._counts = counts
        self._authenticator = authenticator
        self._failures = failures

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Say that the process runs."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Say whether a version is loaded and warm."""
        return pb.ServerReadyResponse(ready=self._model.engine.ready)

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Say whether a version is loaded and warm."""
        await self._check_model(request.name, context)
        return pb.ModelReadyResponse(ready=self._model.engine.ready)

    async def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Describe the server."""
        await self._check_key(context)
        metadata = self._dataplane.metadata()
        return pb.ServerMetadataResponse(name=metadata["name"], version=metadata["version"])

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Describe the model's tensors."""
        await self._check_key(context)
        await self._check_model(request.name, context)
        return pb.ModelMetadataResponse(**await self._dataplane.model_metadata(request.name))

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer the questions of the request's tensors."""
        await self._check_key(context)
        await self._check_model(request.model_name, context)
        try:
            questions = parse_untrusted(_read_questions, request)
            catalogue, recommendations = await self._model.predict(questions)
            response = await build_infer_response(
                self._model.name, request.id, questions, catalogue, recommendations
            )
        except Exception as failure:
            await self._refuse(failure, context)
        self._counts.count_request("grpc", 200)
        return response

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refuse; if the method were missing, grpc would log an error for each call."""
        message = "the model can't be loaded or unloaded from outside"
        await context.abort(GrpcStatus.UNIMPLEMENTED, message)

    RepositoryModelUnload = RepositoryModelLoad

    async def _check_key(self, context: Any) -> None:
        """Abort the call unless its metadata hold a valid key."""
        headers = {}
        for name, value in context.invocation_metadata() or ():
            headers[name.encode()] = value.encode() if isinstance(value, str) else value
        try:
            self._authenticator.check(headers)
        except (UnauthenticatedError, ForbiddenError) as failure:
            await self._refuse(failure, context)

    async def _check_model(self, name: str, context: Any) -> None:
        """Abort the call if it is for another model."""
        if name != self._model.name:
            message = f"there is no such model: the one here is {self._model.name}"
            await context.abort(GrpcStatus.NOT_FOUND, message)

    async def _refuse(self, failure: Exception, context: Any) -> NoReturn:
        """Abort the call with the failure's status and one line; count it as HTTP does."""
        status = choose_status(failure)
        if status == INTERNAL_ERROR_STATUS:
            self._failures.report(failure)
            self._counts.count_request("grpc", status)
            await context.abort(GrpcStatus.INTERNAL, INTERNAL_ERROR_MESSAGE)
        self._counts.count_request("grpc", status)
        await context.abort(GRPC_STATUSES[status], format_error(failure))
        raise AssertionError("abort raises")


def _read_questions(request: Any) -> list[Question]:
    """Return the questions of a request's tensors."""
    return parse_tensors(read_tensors(request), read_parameters(request.parameters))


def build_grpc_server(servicer: InferenceServicer, host: str, port: int) -> Any:
    """Build a server that is not started yet.

    Raises:
        OSError: the server can't listen at the host and port.
    """
    server = grpc.aio.server(
        maximum_concurrent_rpcs=2 * MAX_CONCURRENT_REQUESTS,
        options=[
            ("grpc.max_receive_message_length", MAX_BODY),
            ("grpc.max_send_message_length", MAX_ANSWER),
            ("grpc.max_metadata_size", MAX_HEAD),
            ("grpc.so_reuseport", 0),
            ("grpc.max_allowed_incoming_connections", MAX_GRPC_CONNECTIONS),
            ("grpc.server_handshake_timeout_ms", int(TRANSFER_TIMEOUT_SECONDS * 1000)),
        ],
    )
    add_GRPCInferenceServiceServicer_to_server(servicer, server)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        server.add_insecure_port(address)
    except RuntimeError:
        raise OSError(f"can't listen for gRPC on {host}:{port}: choose another port") from None
    return server
