"""KServe's V1 protocol: `{"instances": [{"user_id": "42", "k": 5}, …]}` to `{"predictions": […]}`."""

from collections.abc import Sequence
from typing import Any

import orjson

from dawnlist.serving.predictor.answers.ladder import Recommendation
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.protocols.encoding import PredictionEncoder, ServedCatalogue
from dawnlist.serving.predictor.protocols.fields import check_user_count, parse_question


def parse_json_object(body: bytes) -> dict[str, Any]:
    """The body's JSON object; ValueError when it is none."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the body is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("the body has to be a JSON object")
    return found


def parse_v1_request(body: bytes) -> list[Question]:
    """One for each instance; ValueError says what is wrong."""
    instances = parse_json_object(body).get("instances")
    if not isinstance(instances, list) or not instances:
        raise ValueError(
            '"instances" has to be a list of at least one object like {"user_id": "42", "k": 20}'
        )
    check_user_count(len(instances))
    return [_parse_instance(f"instances[{i}]", instance) for i, instance in enumerate(instances)]


def _parse_instance(where: str, instance: Any) -> Question:
    if not isinstance(instance, dict):
        raise ValueError(f'{where} has to be an object like {{"user_id": "42", "k": 20}}')
    return parse_question(where, instance.pop("user_id", None), instance)


def encode_v1_response(
    printer: PredictionEncoder,
    asked: Sequence[Question],
    catalogue: ServedCatalogue,
    found: Sequence[Recommendation],
) -> bytes:
    """One prediction for each question, in its order."""
    predictions = [
        printer.prediction(question, catalogue, one)
        for question, one in zip(asked, found, strict=True)
    ]
    return b'{"predictions":[%b]}' % b",".join(predictions)
