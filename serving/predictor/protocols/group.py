"""The route of a group's list.

`POST /v1/group` takes `{"users": ["ann", "bob"], "strategy": "mix", "mix": 0.5, "num": 10}`, and may
have `exclude` and `where` besides. Its answer has the group's score of each item, and the scores of
the members.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import orjson

from dawnlist.serving.predictor.answers.engine import MAX_K
from dawnlist.serving.predictor.answers.group.group_answer import GroupAnswer
from dawnlist.serving.predictor.answers.group.group_question import (
    DEFAULT_GROUP_ITEMS,
    DEFAULT_MEAN_SHARE,
    GroupQuestion,
    GroupStrategy,
)
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.protocols.encoding import (
    NUMPY_JSON_OPTION,
    ServedCatalogue,
    describe_origin,
)
from dawnlist.serving.predictor.protocols.fields import parse_question
from dawnlist.serving.predictor.protocols.v1 import parse_json_object

GROUP_PATH: Final = "/v1/group"
MAX_GROUP_USERS: Final = 200
"""Members of one group; a room of a watch party holds as many."""
GROUP_FIELDS: Final = ("users", "strategy", "num", "mix", "exclude", "where")


def parse_group_request(body: bytes) -> GroupQuestion:
    """Build a question from the body of a request. A field that is null counts as absent.

    Raises:
        ValueError: the body is not a JSON object, or a field is unknown or not allowed.
    """
    fields = parse_json_object(body)
    for name in fields:
        if name not in GROUP_FIELDS:
            raise ValueError(f"{name[:50]!r} is not a field: use {', '.join(GROUP_FIELDS)}")
    # The rules for the items to leave out are those of a question for a user's list.
    item_fields = {name: fields.get(name) for name in ("exclude", "where")}
    checked = parse_question("the request", "-", item_fields)
    return GroupQuestion(
        members=_parse_users(fields.get("users")),
        strategy=_parse_strategy(fields.get("strategy")),
        k=_parse_num(fields.get("num")),
        mean_share=_parse_mix(fields.get("mix")),
        exclude=checked.exclude,
        where=checked.where,
    )


def _parse_users(value: Any) -> tuple[Question, ...]:
    """Return a question for each member."""
    if not isinstance(value, list) or not 0 < len(value) <= MAX_GROUP_USERS:
        raise ValueError(f'"users" has to be a list of 1 to {MAX_GROUP_USERS} ids')
    members: dict[str, Question] = {}
    for position, user_id in enumerate(value):
        member = parse_question(f"users[{position}]", user_id, {})
        if member.user_id in members:
            raise ValueError(f'"users" has {user_id[:50]!r} twice: give each user once')
        members[member.user_id] = member
    return tuple(members.values())


def _parse_strategy(value: Any) -> GroupStrategy:
    """Return how the members' scores are put together."""
    if value is None:
        return GroupStrategy.MIX
    if not isinstance(value, str) or value not in list(GroupStrategy):
        raise ValueError(f'"strategy" has to be one of {", ".join(GroupStrategy)}')
    return GroupStrategy(value)


def _parse_num(value: Any) -> int:
    """Return the number of items."""
    if value is None:
        return DEFAULT_GROUP_ITEMS
    if not _is_number(value) or not 0 < value <= MAX_K or value % 1:
        raise ValueError(f'"num" has to be a whole number from 1 to {MAX_K}')
    return int(value)  # JSON's 3.0 is a whole number too


def _parse_mix(value: Any) -> float:
    """Return the weight of the mean in a mix."""
    if value is None:
        return DEFAULT_MEAN_SHARE
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError(
            '"mix" has to be a number from 0 (the lowest score alone) to 1 (the mean alone)'
        )
    return float(value)


def _is_number(value: Any) -> bool:
    """Whether a JSON value is a number; Python counts booleans as integers too."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def encode_group_answer(
    question: GroupQuestion, catalogue: ServedCatalogue, answer: GroupAnswer
) -> bytes:
    """Encode a group's list. Scores are written with the digits of single precision."""
    origin = describe_origin(catalogue)
    body: dict[str, Any] = {
        "strategy": question.strategy.value,
        "tier": answer.recommendation.tier,
        "version": origin.pop("model_version"),
        **origin,
    }
    if question.strategy is GroupStrategy.MIX:
        body["mix"] = question.mean_share
    if answer.recommendation.id:
        body["recommendation_id"] = answer.recommendation.id
    body["unknown"] = answer.unknown
    body["items"] = _describe_items(catalogue, answer)
    return orjson.dumps(body, option=NUMPY_JSON_OPTION)


def _describe_items(catalogue: ServedCatalogue, answer: GroupAnswer) -> Sequence[dict[str, Any]]:
    """Return each item with the group's score, the members' scores, and who has met it."""
    items = []
    rows = answer.recommendation.items
    for position, row in enumerate(rows):
        member_scores = answer.member_scores[:, position]
        item = {
            "item": catalogue.item_ids[row],
            "title": catalogue.titles[row],
            "score": np.float32(answer.recommendation.scores[position]),
            "scores": dict(zip(answer.counted, member_scores, strict=True)),
            "seen_by": answer.seen_by[position],
        }
        items.append(item)
    return items
