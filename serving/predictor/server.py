"""Run `dawnlist serve`: the model in kserve's ModelServer, on our own connections.

docs/SERVING.md describes the routes, the limits and what differs from kserve.
"""

import asyncio
import contextlib
import errno
import functools
import gc
import logging
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import kserve
import uvloop

from dawnlist.messages.alerts import Alerts
from dawnlist.messages.channels import parse_channels
from dawnlist.serving.predictor.answers.engine import ServingEngine
from dawnlist.serving.predictor.logger import predictor_log
from dawnlist.serving.predictor.model import DawnlistModel
from dawnlist.serving.predictor.shown_log import ShownLog
from dawnlist.serving.predictor.transports.auth import Authenticator
from dawnlist.serving.predictor.transports.connection import HttpConnection
from dawnlist.serving.predictor.transports.context import ConnectionContext
from dawnlist.serving.predictor.transports.descriptors import (
    describe_few_descriptors,
    reserve_descriptors,
)
from dawnlist.serving.predictor.transports.grpc_service import InferenceServicer, build_grpc_server
from dawnlist.serving.predictor.transports.item_routes import ItemChanges
from dawnlist.serving.predictor.transports.limits import MAX_CONNECTIONS
from dawnlist.serving.predictor.transports.routes import Router
from dawnlist.serving.predictor.watch import logs
from dawnlist.serving.predictor.watch.counts import PredictorMetrics
from dawnlist.serving.predictor.watch.logs import FailureReporter, MetricsLogger

DEFAULT_HTTP_PORT: Final = 8080
SWEEP_SECONDS: Final = 0.25
"""Seconds between two sweeps over all connections."""
GRACE_SECONDS: Final = 10
"""Seconds that open requests have after a signal to stop."""


class PredictorServer(kserve.ModelServer):  # type: ignore[misc]
    """kserve's server with our connections, a host that can be chosen, and gRPC beside it."""

    def __init__(
        self,
        model: DawnlistModel,
        counts: PredictorMetrics,
        authenticator: Authenticator,
        item_changes: ItemChanges,
        alerts: Alerts,
        host: str,
        port: int,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        # One worker: kserve kills a child that does not answer for 5 s, which importing it takes.
        super().__init__(http_port=port, workers=1, enable_grpc=False, grace_period=GRACE_SECONDS)
        self._model = model
        self._counts = counts
        self._host = host
        failures = FailureReporter(counts, alerts)
        router = Router(model, self.dataplane, counts, authenticator, failures, item_changes)
        self._connections = ConnectionContext(
            router,
            router.build_timeout_response,
            router.build_refusal,
            max_connections,
            counts.count_closed_connection,
        )
        self._servicer = InferenceServicer(model, self.dataplane, counts, authenticator, failures)
        self._build_grpc: Any = None

    def listen_grpc(self, port: int) -> None:
        """Answer gRPC at a port too, from `start` on, which raises OSError if the port is taken."""
        self._build_grpc = functools.partial(build_grpc_server, self._servicer, self._host, port)

    def stop(self, sig: int) -> None:
        """Handle a signal while uvicorn's own handler is not in place."""
        if not self._rest_server._server.started:
            # The first version is being loaded, and kserve would forget the signal.
            raise SystemExit(0)
        super().stop(sig)

    async def _serve(self) -> None:
        config = self._rest_server.config
        config.host = self._host  # kserve 0.21 sets 0.0.0.0 and has no option for it
        config.http = functools.partial(HttpConnection, self._connections)
        config.access_log = False
        # What is accepted at once must fit into the descriptors, see transports/descriptors.py.
        config.backlog = min(config.backlog, self._connections.max_connections)
        async with self._run_engine_and_grpc():
            await super()._serve()

    @contextlib.asynccontextmanager
    async def _run_engine_and_grpc(self) -> AsyncIterator[None]:
        """Run the engine, the sweep and the gRPC server while HTTP is served."""
        await self._model.engine.start()
        grpc_server = self._build_grpc() if self._build_grpc else None
        if grpc_server:
            await grpc_server.start()
        tasks = [asyncio.create_task(self._sweep())]
        if self._model.shown_log is not None:
            tasks.append(asyncio.create_task(self._model.shown_log.run()))
        for task in tasks:
            task.add_done_callback(_log_task_failure)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            if grpc_server:
                await grpc_server.stop(GRACE_SECONDS)
            await self._model.engine.stop()

    async def _sweep(self) -> None:
        """Expire what takes too long, write the log, and freeze each new version, for ever."""
        loop = asyncio.get_running_loop()
        metrics_logger = MetricsLogger(self._counts)
        frozen_loads = -1
        next_log = 0.0
        while True:
            now = loop.time()
            for connection in list(self._rest_server._server.server_state.connections):
                connection.expire(now)
            if frozen_loads != self._counts.loads:
                frozen_loads = self._counts.loads
                gc.freeze()  # else requests would wait for collections over all items
            if now >= next_log:
                next_log = now + logs.LOG_INTERVAL_SECONDS
                metrics_logger.write()
            await asyncio.sleep(SWEEP_SECONDS)


def run_predictor(
    redis: str,
    namespace: str,
    port: int = DEFAULT_HTTP_PORT,
    host: str = "127.0.0.1",
    name: str = "dawnlist",
    grpc_port: int = 0,
    static: Path | None = None,
    logs_answers: bool = False,
) -> None:
    """Answer for one namespace until a signal ends the process.

    The store need not answer yet, and nothing need have been published. Until a version is loaded
    the model is not ready, and the static file answers. Callers' keys are read from the environment
    (transports/auth.py).

    Args:
        redis: The store's URL.
        namespace: The namespace whose active version answers.
        port: The port for HTTP.
        host: The address to listen on; 0.0.0.0 is for containers.
        name: The model's name in the routes.
        grpc_port: The port for gRPC; 0 for no gRPC.
        static: A file with items to return while no version could be loaded.
        logs_answers: Whether to log what answers show, see shown_log.py.

    Raises:
        ValueError: the URL, the namespace, a key or the static file can't be used, or the process
            may open too few files.
        OSError: a port is taken, or the host is not an address of this machine.
    """
    for needed_port in filter(None, (port, grpc_port)):
        _check_port_free(host, needed_port)
    authenticator = Authenticator.from_environment(os.environ)
    item_changes = ItemChanges.from_environment(redis, namespace)
    max_connections = reserve_descriptors(has_grpc=grpc_port > 0)
    counts = PredictorMetrics(namespace)
    shown_log = ShownLog(redis, namespace, counts) if logs_answers else None
    model = DawnlistModel(name, ServingEngine(redis, namespace, static, counts), counts, shown_log)
    alerts = _set_up_alerts(namespace)
    _set_up_event_loop()
    server = PredictorServer(
        model, counts, authenticator, item_changes, alerts, host, port, max_connections
    )
    if grpc_port:
        server.listen_grpc(grpc_port)
    access = "anybody may ask" if authenticator.is_open else "with a key"
    logs.log_event(
        logging.INFO,
        "start",
        namespace=namespace,
        model=name,
        host=host,
        port=port,
        access=access,
        connections=max_connections,
    )
    if max_connections < MAX_CONNECTIONS:
        reason = describe_few_descriptors(max_connections, grpc_port > 0)
        logs.log_event(logging.WARNING, "few file descriptors", reason=reason)
    gc.collect()
    gc.freeze()
    try:
        server.start([model])
    except Exception as error:
        alerts.report(error, "the server")
        raise
    finally:
        alerts.close()


def _set_up_alerts(namespace: str) -> Alerts:
    """Read the channels for alerts, and configure the logging that uses them.

    This takes a while, so it is done before the first request.
    """
    channels, problems = parse_channels()
    alerts = Alerts(f"predictor of {namespace}", channels)
    logs.configure_logging(alerts)
    for problem in problems:
        logs.log_event(logging.WARNING, "nobody is told there", problem=problem)
    return alerts


def _set_up_event_loop() -> None:
    """Use uvloop. kserve's own option works only with several workers."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.set_event_loop(asyncio.new_event_loop())


def _log_task_failure(task: "asyncio.Task[None]") -> None:
    """Log why a task ended that should run as long as the server.

    asyncio itself would report the exception only at the end, when no alert can be sent.
    """
    if task.cancelled():
        return
    error = task.exception()
    if error:
        predictor_log.error("a task of the server failed", exc_info=error)


def _check_port_free(host: str, port: int) -> None:
    """Raise OSError unless the port is free; uvicorn would only log it and exit with 1."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            advice = "choose another port"
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                advice = "give --host an address of this machine"
            raise OSError(f"can't listen on {host}:{port} ({error.strerror}): {advice}") from error
