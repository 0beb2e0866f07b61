"""Ask for one user's items: the predictor over HTTP, or the store itself."""

import asyncio
from typing import Any, Final

import httpx
import orjson

from dawnlist.serving.predictor.answers.engine import ServingEngine
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.protocols.encoding import PredictionEncoder
from dawnlist.store.client import connect_store
from dawnlist.store.layout import NothingPublishedError, StoreKeys, read_active_meta
from dawnlist.urls import mask_passwords

COMMAND_TIMEOUT_SECONDS: Final = 5.0
"""A command waits for the store longer than a request."""


def request_prediction(
    url: str, user_id: str, k: int | None = None, name: str = "dawnlist"
) -> dict[str, Any]:
    """The V1 prediction for one user: user_id, tier, model_version, as_of and items.

    ConnectionError when no predictor answers at `url`, RuntimeError with the predictor's own words when it refuses.
    """
    instance = {"user_id": user_id} if k is None else {"user_id": user_id, "k": k}
    try:
        response = httpx.post(
            f"{url.rstrip('/')}/v1/models/{name}:predict",
            json={"instances": [instance]},
            timeout=10,
        )
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ValueError(
            f"{url!r} is no URL of a predictor: give one like http://127.0.0.1:8080"
        ) from error
    except httpx.HTTPError as error:
        raise ConnectionError(
            f"no predictor answers at {mask_passwords(url)}: start one with `dawnlist serve`"
        ) from error
    try:
        body = response.json()
        if response.status_code == 200:
            prediction: dict[str, Any] = body["predictions"][0]
            return prediction
        reason = body["error"]
    except (ValueError, KeyError, TypeError, IndexError):
        reason = "this is no Dawnlist predictor"
    raise RuntimeError(
        f"the predictor at {mask_passwords(url)} answers {response.status_code}: {reason}"
    )


def predict_from_store(
    redis: str, namespace: str, user_id: str, k: int | None = None
) -> dict[str, Any]:
    """The same prediction, read from the store without a predictor.

    ConnectionError when the store does not answer, LookupError while nothing has been published, RuntimeError when
    what it holds can't be read, ValueError for a k that is too high.
    """
    with connect_store(redis, COMMAND_TIMEOUT_SECONDS) as client:
        if read_active_meta(client, StoreKeys(namespace)) is None:
            raise NothingPublishedError(namespace)
    return asyncio.run(_run_engine_once(redis, namespace, Question(user_id, k)))


async def _run_engine_once(redis: str, namespace: str, question: Question) -> dict[str, Any]:
    engine = ServingEngine(redis, namespace, timeout=COMMAND_TIMEOUT_SECONDS)
    await engine.start()
    try:
        if not engine.ready:
            raise RuntimeError(
                f"the active version of namespace {namespace} can't be read: publish again, or roll back"
            )
        catalogue, [found] = await engine.find([question])
    finally:
        await engine.stop()
    prediction: dict[str, Any] = orjson.loads(
        PredictionEncoder().prediction(question, catalogue, found)
    )
    return prediction
