"""`dawnlist serve`: the model behind kserve's ModelServer, with kserve's traps closed.

kserve's own routes don't decode `application/json; charset=utf-8`, answer wrong V2 tensors with a 500, let anyone
unload the model and say ready when nothing is: routes of our own stand before them.
"""

import asyncio
import gc
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import kserve
import kserve.model_server
import orjson
import uvloop
from kserve.errors import InvalidInput
from redis import RedisError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from components.store_layout import NothingPublishedError
from serving.predictor.model import DawnlistModel

MAX_BODY: Final = 1 << 20  # bytes; a thousand users with ids of a hundred characters are a tenth of it
PORT: Final = 8080

log = logging.getLogger("dawnlist.predictor")


class Server(kserve.ModelServer):  # type: ignore[misc]
    """kserve's server on an address that can be chosen, without a log line and a timer for each request."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(http_port=port, workers=1, enable_grpc=False, enable_latency_logging=False)
        self._host = host

    async def _serve(self) -> None:
        self._rest_server.config.host = self._host  # kserve 0.21 writes 0.0.0.0 into it and has no option
        self._rest_server._add_middlewares = lambda app: None
        await super()._serve()


def serve(redis: str, namespace: str, port: int = PORT, host: str = "127.0.0.1", name: str = "dawnlist") -> None:
    """Answer for one namespace until a signal ends it; ValueError for a URL or namespace that can't be used,
    OSError for a port that is taken.

    `host` 0.0.0.0 is for containers. The store need not answer yet, and nothing need have been published: the model
    is not ready until then.
    """
    _check_free(host, port)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # kserve's --event-loop does it for several workers only
    asyncio.set_event_loop(asyncio.new_event_loop())
    model = DawnlistModel(name, redis, namespace)
    app = kserve.model_server.app
    app.max_body_size = MAX_BODY
    app.router.routes[:0] = routes(model)
    server = Server(host, port)
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False
    gc.collect()
    gc.freeze()  # a full collection over all that was imported is what a slow request waits for
    server.start([model])


def _check_free(host: str, port: int) -> None:
    """uvicorn says it in a log line and leaves with 1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OSError(f"can't listen on {host}:{port} ({error.strerror}): choose another port") from error


def routes(model: DawnlistModel) -> list[Route]:
    """What takes the place of kserve's routes."""

    async def predict(request: Request) -> Response:
        return await _answered(request, model, "instances")

    async def infer(request: Request) -> Response:
        if "inference-header-content-length" in request.headers:
            return _error(400, "tensors as raw bytes are not supported: send the data as JSON")
        return await _answered(request, model, "inputs")

    async def ready(request: Request) -> Response:
        is_ready = await model.healthy()
        return Response(orjson.dumps({"name": model.name, "ready": is_ready}), 200 if is_ready else 503, JSON)

    async def closed(request: Request) -> Response:
        return _error(403, "the model can't be loaded or unloaded from outside")

    paths: dict[str, Callable[[Request], Awaitable[Response]]] = {
        "/v2/health/ready": ready,
        f"/v1/models/{model.name}": ready,
        f"/v2/models/{model.name}/ready": ready,
    }
    return [
        Route(f"/v1/models/{model.name}:predict", predict, methods=["POST"]),
        Route(f"/v2/models/{model.name}/infer", infer, methods=["POST"]),
        *(Route(path, endpoint, methods=["GET"]) for path, endpoint in paths.items()),
        Route("/v2/repository/{rest:path}", closed, methods=["GET", "POST"]),
    ]


JSON: Final = {"content-type": "application/json"}


def _error(status: int, message: str) -> Response:
    return Response(orjson.dumps({"error": message}), status, JSON)


async def _answered(request: Request, model: DawnlistModel, field: str) -> Response:
    """The model's answer, or what went wrong as a status and one line without addresses."""
    try:
        body: Any = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        return _error(400, f"the body is no JSON: {error}")
    if not isinstance(body, dict) or field not in body:
        return _error(400, f'the body has to be a JSON object with "{field}"')
    try:
        answer, _ = await model(body)
        return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), 200, JSON)
    except InvalidInput as error:
        return _error(400, str(error))
    except (NothingPublishedError, RuntimeError) as error:
        return _error(503, str(error))
    except RedisError as error:
        log.error("the store does not answer: %s", type(error).__name__)
        return _error(503, "the store does not answer: try again in a moment")
    except Exception:
        log.exception("a request failed")
        return _error(500, "the predictor failed: its log says why")
