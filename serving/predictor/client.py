"""Ask for one user's items: from a predictor over HTTP, or from the store without a predictor."""

import asyncio
from typing import Any, Final

import httpx
import orjson

from dawnlist.secret_values import read_secret
from dawnlist.serving.predictor.answers.engine import ServingEngine
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.protocols.encoding import PredictionEncoder
from dawnlist.store.client import connect_store
from dawnlist.store.control_values import read_active_meta, read_version_metas
from dawnlist.store.damage import DamagedVersionError, find_damage
from dawnlist.store.layout import NothingPublishedError, StoreKeys
from dawnlist.urls import API_KEY, mask_passwords

REQUEST_TIMEOUT_SECONDS: Final = 10.0
COMMAND_TIMEOUT_SECONDS: Final = 5.0
"""A command waits longer for the store than a predictor does."""


def request_prediction(
    url: str, user_id: str, k: int | None = None, name: str = "dawnlist"
) -> dict[str, Any]:
    """Ask a predictor for one user's items, by KServe's V1 protocol.

    Args:
        url: The predictor's URL, such as http://127.0.0.1:8080.
        user_id: The user.
        k: How many items to return; None leaves it to the predictor.
        name: The model's name.

    Returns:
        The V1 prediction: user_id, tier, model_version, token, as_of, age_seconds and items.

    Raises:
        ValueError: `url` is not a URL of a predictor, or the key can't be in a header.
        ConnectionError: no predictor answers at `url`.
        RuntimeError: the predictor refused, for the reason in the message.
    """
    instance: dict[str, Any] = {"user_id": user_id}
    if k is not None:
        instance["k"] = k
    response = _post_instances(url, name, [instance])
    try:
        body = response.json()
        if response.status_code == 200:
            prediction: dict[str, Any] = body["predictions"][0]
            return prediction
        reason = body["error"]
    except (ValueError, KeyError, TypeError, IndexError):
        reason = "it is not a Dawnlist predictor"
    raise RuntimeError(
        f"the predictor at {mask_passwords(url)} answers {response.status_code}: {reason}"
    )


def _post_instances(url: str, name: str, instances: list[dict[str, Any]]) -> httpx.Response:
    """Post V1's request."""
    try:
        return httpx.post(
            f"{url.rstrip('/')}/v1/models/{name}:predict",
            json={"instances": instances},
            headers=_build_headers(),
            timeout=REQUEST_TIMEOUT_SECONDS,
        )
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ValueError(
            f"{url!r} is not a URL of a predictor: give one like http://127.0.0.1:8080"
        ) from error
    except httpx.HTTPError as error:
        raise ConnectionError(
            f"no predictor answers at {mask_passwords(url)}: start one with `dawnlist serve`"
        ) from error


def _build_headers() -> dict[str, str]:
    """Build the headers of a request: the key of DAWNLIST_API_KEY, the first one of several.

    Raises:
        ValueError: the key can't be in a header. The message does not show it.
    """
    key = (read_secret(API_KEY) or "").split(",")[0].strip()
    if not key:
        return {}
    if not (key.isascii() and key.isprintable()):
        raise ValueError(f"the key in {API_KEY} has characters that no header can hold")
    return {"X-API-Key": key}


def predict_from_store(
    redis: str, namespace: str, user_id: str, k: int | None = None
) -> dict[str, Any]:
    """Read one user's items from the store, as a predictor would answer.

    Returns:
        The V1 prediction, as `request_prediction`.

    Raises:
        ConnectionError: the store does not answer.
        LookupError: nothing has been published in the namespace.
        RuntimeError: the active version is damaged, or can't be read.
        ValueError: `k` is too large.
    """
    with connect_store(redis, COMMAND_TIMEOUT_SECONDS) as client:
        keys = StoreKeys(namespace)
        active = read_active_meta(client, keys)
        if active is None:
            raise NothingPublishedError(namespace, read_version_metas(client, keys))
        damage = find_damage(client, keys, active, read_buckets=False)
    if damage is not None:
        raise DamagedVersionError(
            f"version {damage.version} of namespace {namespace} is active and damaged: {damage}. "
            f"A run of {active['as_of']} or later replaces it, and so does the publish step of "
            f"run {active['run']} again; or go back to another one with `dawnlist rollback`"
        )
    return asyncio.run(_run_engine_once(redis, namespace, Question(user_id, k)))


async def _run_engine_once(redis: str, namespace: str, question: Question) -> dict[str, Any]:
    """Answer one question with an engine that is started for it."""
    engine = ServingEngine(redis, namespace, timeout=COMMAND_TIMEOUT_SECONDS)
    await engine.start()
    try:
        if not engine.ready:
            raise RuntimeError(
                f"the active version of namespace {namespace} can't be read: run the pipeline for "
                "its day or a later one, or go back to another version with `dawnlist rollback`"
            )
        catalogue, [recommendation] = await engine.recommend([question])
    finally:
        await engine.stop()
    encoded = PredictionEncoder().encode_prediction(question, catalogue, recommendation)
    prediction: dict[str, Any] = orjson.loads(encoded)
    return prediction
