"""`dawnlist serve`: the model in kserve's ModelServer, on connections of our own; docs/SERVING.md."""

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
from dawnlist.serving.predictor.model import DawnlistModel
from dawnlist.serving.predictor.transports.auth import Authenticator
from dawnlist.serving.predictor.transports.connection import ConnectionContext, HttpConnection
from dawnlist.serving.predictor.transports.grpc_service import InferenceServicer, build_grpc_server
from dawnlist.serving.predictor.transports.routes import Router
from dawnlist.serving.predictor.watch import logs
from dawnlist.serving.predictor.watch.counts import PredictorMetrics
from dawnlist.serving.predictor.watch.logs import FailureReporter, MetricsLogger

DEFAULT_HTTP_PORT: Final = 8080
SWEEP_SECONDS: Final = 0.25
GRACE_SECONDS: Final = 10


class PredictorServer(kserve.ModelServer):  # type: ignore[misc]
    """kserve's server with our connections, an address that can be chosen, and a gRPC server beside it."""

    def __init__(
        self,
        model: DawnlistModel,
        counts: PredictorMetrics,
        doorkeeper: Authenticator,
        alerts: Alerts,
        host: str,
        port: int,
    ) -> None:
        # workers: kserve kills a child that does not answer for 5 s, and importing kserve takes so long
        super().__init__(http_port=port, workers=1, enable_grpc=False, grace_period=GRACE_SECONDS)
        self._model, self._counts, self._host = model, counts, host
        failures = FailureReporter(counts, alerts)
        routes = Router(model, self.dataplane, counts, doorkeeper, failures)
        self._shared = ConnectionContext(routes, routes.late, routes.refuse)
        self._servicer = InferenceServicer(model, self.dataplane, counts, doorkeeper, failures)
        self.grpc: Any = None

    def listen_grpc(self, port: int) -> None:
        """Also answer gRPC; OSError when the port is taken."""
        self.grpc = functools.partial(build_grpc_server, self._servicer, self._host, port)

    def stop(self, sig: int) -> None:
        """kserve's handler of signals, while uvicorn's is not in place."""
        if (
            not self._rest_server._server.started
        ):  # the first version is being loaded: kserve would forget the signal
            raise SystemExit(0)
        super().stop(sig)

    async def _serve(self) -> None:
        config = self._rest_server.config
        config.host = self._host  # kserve 0.21 writes 0.0.0.0 into it and has no option
        config.http = functools.partial(HttpConnection, self._shared)
        config.access_log = False
        async with self._beside():
            await super()._serve()

    @contextlib.asynccontextmanager
    async def _beside(self) -> AsyncIterator[None]:
        """The engine, the sweep and gRPC, while HTTP is served."""
        await self._model.engine.start()
        server = self.grpc() if self.grpc else None
        if server:
            await server.start()
        sweep = asyncio.create_task(self._sweep())
        sweep.add_done_callback(_log_task_failure)
        try:
            yield
        finally:
            sweep.cancel()
            if server:
                await server.stop(GRACE_SECONDS)
            await self._model.engine.stop()

    async def _sweep(self) -> None:
        """Now and then: what has taken too long, what is to be logged, what the collector need not look at."""
        loop, digest, loads, due = asyncio.get_running_loop(), MetricsLogger(self._counts), -1, 0.0
        while True:
            now = loop.time()
            for connection in list(self._rest_server._server.server_state.connections):
                connection.expire(now)
            if loads != self._counts.loads:
                loads = self._counts.loads
                gc.freeze()  # or a slow request is one that waits for a collection over all items
            if now >= due:
                due = now + logs.LOG_INTERVAL_SECONDS
                digest.write()
            await asyncio.sleep(SWEEP_SECONDS)


def run_predictor(
    redis: str,
    namespace: str,
    port: int = DEFAULT_HTTP_PORT,
    host: str = "127.0.0.1",
    name: str = "dawnlist",
    grpc_port: int = 0,
    static: Path | None = None,
) -> None:
    """Answer for one namespace until a signal ends it; ValueError for a URL, a namespace, a key or a file that can't
    be used, OSError for a port that is taken.

    `host` 0.0.0.0 is for containers. The store need not answer yet, and nothing need have been published: the model
    is not ready until then. `grpc_port` 0: no gRPC. The keys of callers are in the environment (auth.py).
    """
    for wanted in filter(None, (port, grpc_port)):
        _check_port_free(host, wanted)
    doorkeeper, counts = Authenticator.from_environment(os.environ), PredictorMetrics(namespace)
    model = DawnlistModel(name, ServingEngine(redis, namespace, static, counts), counts)
    told, unreadable = parse_channels()  # imported and read before anybody waits for an answer
    alerts = Alerts(f"predictor of {namespace}", told)
    logs.configure_logging(alerts)
    for line in unreadable:
        logs.log_event(logging.WARNING, "nobody is told there", problem=line)
    asyncio.set_event_loop_policy(
        uvloop.EventLoopPolicy()
    )  # kserve's --event-loop does it for several workers only
    asyncio.set_event_loop(asyncio.new_event_loop())
    server = PredictorServer(model, counts, doorkeeper, alerts, host, port)
    if grpc_port:
        server.listen_grpc(grpc_port)
    guarded = "anybody may ask" if doorkeeper.open else "with a key"
    logs.log_event(
        logging.INFO, "start", namespace=namespace, model=name, host=host, port=port, access=guarded
    )
    gc.collect()
    gc.freeze()
    try:
        server.start([model])
    except Exception as error:
        alerts.report(error, "the server")
        raise
    finally:
        alerts.close()


def _log_task_failure(task: "asyncio.Task[None]") -> None:
    """A task that is to run as long as the server: asyncio says what it died of when nobody can be told any more."""
    if not task.cancelled() and (error := task.exception()):
        logs.predictor_log.error("a task of the server failed", exc_info=error)


def _check_port_free(host: str, port: int) -> None:
    """uvicorn says it in a log line and leaves with 1."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            elsewhere = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
            way = "give --host an address of this machine" if elsewhere else "choose another port"
            raise OSError(f"can't listen on {host}:{port} ({error.strerror}): {way}") from error
