"""KServe's V1 protocol.

A request is `{"instances": [{"user_id": "42", "k": 5}, …]}`, and its response is
`{"predictions": […]}`.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.recommendation import Recommendation
from dawnlist.serving.predictor.protocols.encoding import PredictionEncoder, ServedCatalogue
from dawnlist.serving.predictor.protocols.fields import check_user_count, parse_question
from dawnlist.serving.predictor.protocols.turns import Turn

INSTANCE_EXAMPLE: Final = '{"user_id": "42", "k": 20}'


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Return the body's JSON object.

    Raises:
        ValueError: the body is not JSON, or not an object.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError("the body has to be a JSON object")
    return content


def parse_v1_request(body: bytes) -> list[Question]:
    """Return a question for each instance of the request.

    Raises:
        ValueError: the body does not have the form above, or a field is not allowed.
    """
    instances = parse_json_object(body).get("instances")
    if not isinstance(instances, list) or not instances:
        raise ValueError(
            f'"instances" has to be a list of at least one object like {INSTANCE_EXAMPLE}'
        )
    check_user_count(len(instances))
    return [_parse_instance(f"instances[{i}]", instance) for i, instance in enumerate(instances)]


def _parse_instance(source: str, instance: Any) -> Question:
    """Return the question of one instance."""
    if not isinstance(instance, dict):
        raise ValueError(f"{source} has to be an object like {INSTANCE_EXAMPLE}")
    user_id = instance.pop("user_id", None)
    return parse_question(source, user_id, instance)


async def encode_v1_response(
    encoder: PredictionEncoder,
    questions: Sequence[Question],
    catalogue: ServedCatalogue,
    recommendations: Sequence[Recommendation],
) -> bytes:
    """Encode a prediction for each question, in order. Other requests get turns in between."""
    turn = Turn()
    predictions = []
    for question, recommendation in zip(questions, recommendations, strict=True):
        predictions.append(encoder.encode_prediction(question, catalogue, recommendation))
        await turn.end_if_long()
    return b'{"predictions":[%b]}' % b",".join(predictions)
