"""Ask for one user's items: the predictor over HTTP, or the store itself."""

import asyncio
from typing import Any

import httpx
from redis import RedisError

from components.store_reader import Reader, connect_reader
from components.urls import masked
from serving.predictor import protocol


def ask(url: str, user_id: str, k: int | None = None, name: str = "dawnlist") -> dict[str, Any]:
    """The V1 prediction for one user: user_id, tier, model_version, as_of and items.

    ConnectionError when no predictor answers at `url`, RuntimeError with the predictor's own words when it refuses.
    """
    instance = {"user_id": user_id} if k is None else {"user_id": user_id, "k": k}
    try:
        response = httpx.post(f"{url.rstrip('/')}/v1/models/{name}:predict", json={"instances": [instance]}, timeout=10)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is no URL: {error}; give one like http://127.0.0.1:8080") from error
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

    ConnectionError when the store does not answer, LookupError while nothing has been published, ValueError for a k
    that is over the lists' length.
    """
    try:
        return asyncio.run(_read(redis, namespace, user_id, k))
    except RedisError as error:
        raise ConnectionError(
            f"no store answers at {masked(redis)} ({type(error).__name__}): start it, or give another URL"
        ) from error


async def _read(redis: str, namespace: str, user_id: str, k: int | None) -> dict[str, Any]:
    [question] = protocol.questions_v1({"instances": [{"user_id": user_id, "k": k}]})
    async with connect_reader(redis) as client:
        snapshot, [packed] = await Reader(client, namespace).lists([user_id])
    protocol.check_k([question], snapshot.k)
    response = protocol.response_v1(snapshot, [question], [protocol.answer(snapshot, packed, k)])
    prediction: dict[str, Any] = response["predictions"][0]
    return prediction
