"""Requests and answers of the V1 and V2 protocols: what is asked, checked once, and the answer's JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from components.store_content import unpack
from components.store_reader import Snapshot

MAX_USERS: Final = 1_000  # in one request: more would hold the event loop up
DEFAULT_K: Final = 20


@dataclass(frozen=True)
class Question:
    """A user and how many items are wanted; k is None for the default."""

    user_id: str
    k: int | None


def questions_v1(body: dict[str, Any]) -> list[Question]:
    """Check `{"instances": [{"user_id": "42", "k": 5}, …]}`; ValueError says what is wrong."""
    instances = body.get("instances")
    if not isinstance(instances, list) or not instances:
        raise ValueError('"instances" has to be a list of at least one object like {"user_id": "42", "k": 20}')
    _check_number(len(instances))
    return [_question(f"instances[{i}]", instance) for i, instance in enumerate(instances)]


def questions_v2(body: dict[str, Any]) -> list[Question]:
    """Check an inference request with one BYTES input `user_id` of shape [n]; ValueError says what is wrong."""
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise ValueError('"inputs" has to be a list of one tensor, "user_id"')
    tensor = inputs[0]
    if tensor.get("name") != "user_id" or tensor.get("datatype") != "BYTES":
        raise ValueError(
            f"input {tensor.get('name')!r} of datatype {tensor.get('datatype')!r}: the one input is user_id, BYTES"
        )
    data, shape = tensor.get("data"), tensor.get("shape")
    if not isinstance(data, list) or not data or not all(isinstance(user_id, str) for user_id in data):
        raise ValueError('input user_id: "data" has to be a list of at least one user id, as text')
    if shape not in ([len(data)], [len(data), 1]):
        raise ValueError(f"input user_id: shape {shape!r} does not fit {len(data)} ids, it has to be [{len(data)}]")
    _check_number(len(data))
    parameters = body.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise ValueError('"parameters" has to be an object like {"k": 20}')
    k = _checked_k("parameters", parameters.get("k"))
    return [Question(user_id, k) for user_id in data]


def _check_number(users: int) -> None:
    if users > MAX_USERS:
        raise ValueError(f"{users} users in one request: ask for {MAX_USERS} at most")


def _question(where: str, instance: Any) -> Question:
    if not isinstance(instance, dict):
        raise ValueError(f'{where} has to be an object like {{"user_id": "42", "k": 20}}')
    user_id = instance.get("user_id")
    if not isinstance(user_id, str):
        raise ValueError(f'{where}: "user_id" is missing or no text, give one like "42"')
    return Question(user_id, _checked_k(where, instance.get("k")))


def _checked_k(where: str, k: Any) -> int | None:
    if k is not None and (not isinstance(k, int) or isinstance(k, bool) or k < 1):
        raise ValueError(f'{where}: "k" has to be a whole number from 1')
    return k


def check_k(questions: Sequence[Question], longest: int) -> None:
    """ValueError when more items are wanted than the lists of the active version hold."""
    for question in questions:
        if question.k is not None and question.k > longest:
            raise ValueError(
                f'"k" is {question.k}, but the lists that are published hold {longest} items: ask for fewer'
            )


@dataclass(frozen=True)
class Answer:
    """One user's items, best first, aligned."""

    tier: str
    """Where the items are from: "list", the user's own, or "popular"."""
    item_ids: list[str]
    titles: list[str]
    """A missing title is ""."""
    scores: list[Any]
    """float32, which the JSON writer prints in their own precision."""


def answer(snapshot: Snapshot, packed: bytes | None, k: int | None) -> Answer:
    """The first k items of a packed list, of the popular one when it is None."""
    items, scores = unpack(snapshot.popular if packed is None else packed)
    wanted = min(DEFAULT_K, snapshot.k) if k is None else k
    indices = items[:wanted].tolist()
    return Answer(
        "popular" if packed is None else "list",
        [snapshot.item_ids[index] for index in indices],
        [snapshot.titles[index] or "" for index in indices],
        list(scores[:wanted]),
    )


def response_v1(snapshot: Snapshot, questions: Sequence[Question], answers: Sequence[Answer]) -> dict[str, Any]:
    """`{"predictions": […]}`, one for each question in its order."""
    return {
        "predictions": [
            {
                "user_id": question.user_id,
                "tier": given.tier,
                "model_version": str(snapshot.version),
                "as_of": snapshot.as_of,
                "items": [
                    {"item_id": item_id, "title": title, "score": score}
                    for item_id, title, score in zip(given.item_ids, given.titles, given.scores, strict=True)
                ],
            }
            for question, given in zip(questions, answers, strict=True)
        ]
    }


def response_v2(name: str, snapshot: Snapshot, request_id: Any, k: int, answers: Sequence[Answer]) -> dict[str, Any]:
    """Outputs item_id, title, score of shape [n, k], a list that is shorter filled with "" and 0, and tier of [n]."""
    n, version = len(answers), str(snapshot.version)
    item_ids = [item_id for given in answers for item_id in _padded(given.item_ids, k, "")]
    titles = [title for given in answers for title in _padded(given.titles, k, "")]
    scores = [score for given in answers for score in _padded(given.scores, k, 0.0)]
    response = {
        "model_name": name,
        "model_version": version,
        "parameters": {"model_version": version, "as_of": snapshot.as_of},
        "outputs": [
            {"name": "item_id", "datatype": "BYTES", "shape": [n, k], "data": item_ids},
            {"name": "title", "datatype": "BYTES", "shape": [n, k], "data": titles},
            {"name": "score", "datatype": "FP32", "shape": [n, k], "data": scores},
            {"name": "tier", "datatype": "BYTES", "shape": [n], "data": [given.tier for given in answers]},
        ],
    }
    return response if request_id is None else {"id": request_id, **response}


def _padded(values: list[Any], k: int, filler: Any) -> list[Any]:
    return values + [filler] * (k - len(values))
