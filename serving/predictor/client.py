"""Ask for one user's items: the predictor over HTTP, or the store itself."""

import asyncio
from typing import Any, Final

import httpx
import orjson

from dawnlist.serving.predictor.answers.engine import Engine
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.protocols.printed import Printer
from dawnlist.store.client import connect
from dawnlist.store.layout import Keys, NothingPublishedError, active_meta
from dawnlist.urls import masked

SECONDS: Final = 5.0
"""A command waits for the store longer than a request."""


def ask(url: str, user_id: str, k: int | None = None, name: str = "dawnlist") -> dict[str, Any]:
    """The V1 prediction for one user: user_id, tier, model_version, as_of and items.

    ConnectionError when no predictor answers at `url`, RuntimeError with the predictor's own words when it refuses.
    """
    instance = {"user_id": user_id} if k is None else {"user_id": user_id, "k": k}
    try:
        response = httpx.post(f"{url.rstrip('/')}/v1/models/{name}:predict", json={"instances": [instance]}, timeout=10)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ValueError(f"{url!r} is no URL of a predictor: give one like http://127.0.0.1:8080") from error
    except httpx.HTTPError as error:
        raise ConnectionError(f"no predictor answers at {masked(url)}: start one with `dawnlist serve`") from error
    try:
        body = response.json()
        if response.status_code == 200:
            prediction: dict[str, Any] = body["predictions"][0]
            return prediction
        reason = body["error"]
    except (ValueError, KeyError, TypeError, IndexError):
        reason = "this is no Dawnlist predictor"
    raise RuntimeError(f"the predictor at {masked(url)} answers {response.status_code}: {reason}")


def ask_store(redis: str, namespace: str, user_id: str, k: int | None = None) -> dict[str, Any]:
    """The same prediction, read from the store without a predictor.

    ConnectionError when the store does not answer, LookupError while nothing has been published, RuntimeError when
    what it holds can't be read, ValueError for a k that is too high.
    """
    with connect(redis, SECONDS) as client:
        if active_meta(client, Keys(namespace)) is None:
            raise NothingPublishedError(namespace)
    return asyncio.run(_answered(redis, namespace, Question(user_id, k)))


async def _answered(redis: str, namespace: str, question: Question) -> dict[str, Any]:
    engine = Engine(redis, namespace, timeout=SECONDS)
    await engine.start()
    try:
        if not engine.ready:
            raise RuntimeError(
                f"the active version of namespace {namespace} can't be read: publish again, or roll back"
            )
        catalogue, [found] = await engine.find([question])
    finally:
        await engine.stop()
    prediction: dict[str, Any] = orjson.loads(Printer().prediction(question, catalogue, found))
    return prediction
