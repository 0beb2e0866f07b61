"""The GET routes of shelves, and of ordering a given list.

`GET /v1/similar/{item}?k=&offset=&exclude=&where=&by=`      by=factors or by=content
`GET /v1/bought-together/{item}?k=&offset=&exclude=&where=`
`GET /v1/trending?k=&offset=&exclude=&where=`
`GET /v1/popular?segment=&k=&offset=&exclude=&where=`        segment=device=mobile,country=DE
`GET /v1/continue/{user}?k=&offset=&exclude=&where=`
`GET /v1/rank/{user}?item=…&item=…`                          and the parameters of recommendations
"""

from typing import Any, Final
from urllib.parse import urlencode

import orjson

from dawnlist.serving.predictor.answers.engine import MAX_K
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.recommendation import Recommendation
from dawnlist.serving.predictor.answers.shelves.shelf_question import (
    DEFAULT_SHELF_ITEMS,
    ShelfKind,
    ShelfQuestion,
    Similarity,
)
from dawnlist.serving.predictor.protocols.encoding import PredictionEncoder, ServedCatalogue
from dawnlist.serving.predictor.protocols.fields import parse_question
from dawnlist.serving.predictor.protocols.lean import (
    collect_values,
    decode_url,
    get_single_value,
    parse_get_request,
    parse_number,
    parse_pairs,
)

SHELVES_OF_ITEMS: Final = (ShelfKind.SIMILAR, ShelfKind.BOUGHT_TOGETHER)
"""The shelves whose path ends with an item's id."""
SHELVES_OF_EVERYBODY: Final = (ShelfKind.TRENDING, ShelfKind.POPULAR)
"""The shelves whose path ends with their name."""
RANK_PATH: Final = "/v1/rank/"
COMMON_PARAMETERS: Final = ("k", "offset", "exclude", "where")
OWN_PARAMETERS: Final = {ShelfKind.SIMILAR: ("by",), ShelfKind.POPULAR: ("segment",)}
"""The parameters that one kind of shelf has more than the others."""


def list_parameters(kind: ShelfKind) -> tuple[str, ...]:
    """List the parameters of a shelf's route."""
    return (*COMMON_PARAMETERS, *OWN_PARAMETERS.get(kind, ()))


def parse_shelf_request(kind: ShelfKind, subject: bytes, query: bytes) -> ShelfQuestion:
    """Build a question from the end of the path and the query, both as the client sent them.

    Raises:
        ValueError: a parameter is unknown, or its value is not allowed.
    """
    subject_id, query_text = decode_url(subject, query)
    values = collect_values(query_text, list_parameters(kind))
    single = {}
    for name in ("k", "offset", "where", "by", "segment"):
        if name in values:
            single[name] = get_single_value(name, values[name])
    fields: dict[str, Any] = {
        "k": parse_number(single.get("k")),
        "offset": parse_number(single.get("offset")),
        "where": single.get("where"),
        "exclude": values.get("exclude"),
        "context": _parse_segment(single.get("segment")),
    }
    # The rules for an id, for k and for the others are those of a question for a user's list.
    checked = parse_question("the request", subject_id or "-", fields)
    question = ShelfQuestion(
        kind,
        given_id=subject_id,
        k=checked.k or DEFAULT_SHELF_ITEMS,
        offset=checked.offset,
        exclude=checked.exclude,
        where=checked.where,
        similarity=_parse_similarity(single.get("by")),
        context=checked.context,
    )
    if kind in SHELVES_OF_ITEMS:
        question.item_id = checked.user_id
    if kind is ShelfKind.CONTINUE:
        question.user_id = checked.user_id
    return question


def _parse_segment(text: str | None) -> dict[str, str] | None:
    """Return the conditions of a segment such as country=DE,device=mobile."""
    if text is None:
        return None
    context = {}
    for condition in text.split(","):
        name, equals, value = condition.partition("=")
        if not name.strip() or not equals or not value.strip():
            raise ValueError(
                f"'segment' is {text[:50]!r}: give conditions such as country=DE,device=mobile"
            )
        context[name.strip()] = value.strip()
    return context


def _parse_similarity(text: str | None) -> Similarity | None:
    """Return by what items are to be compared."""
    if text is None:
        return None
    if text not in list(Similarity):
        raise ValueError(f"'by' is {text[:50]!r}: give factors or content")
    return Similarity(text)


def encode_shelf(
    encoder: PredictionEncoder,
    question: ShelfQuestion,
    catalogue: ServedCatalogue,
    recommendation: Recommendation,
) -> bytes:
    """Encode a shelf like a prediction, with the id of the item or of the user, if it has one."""
    subject = {}
    if question.kind in SHELVES_OF_ITEMS:
        subject = {"item_id": question.given_id}
    elif question.kind is ShelfKind.CONTINUE:
        subject = {"user_id": question.given_id}
    return encoder.encode_answer(subject, catalogue, recommendation)


def parse_rank_request(user: bytes, query: bytes) -> Question:
    """Build a question that orders the items of the query for a user.

    Raises:
        ValueError: a parameter is unknown, or its value is not allowed.
    """
    _, query_text = decode_url(user, query)
    items = []
    others = []
    for name, value in parse_pairs(query_text):
        if name == "item":
            items.append(value)
        elif name in ("k", "offset"):
            raise ValueError(f"{name!r} is not a parameter of this route: it orders all items")
        else:
            others.append((name, value))
    if not 0 < len(items) <= MAX_K:
        raise ValueError(f"{len(items)} items to order: give item=… 1 to {MAX_K} times")
    question = parse_get_request(user, urlencode(others).encode())
    checked = parse_question("the request", "-", {"only": items})
    question.only = checked.only
    question.k = len(items)
    return question


def encode_ranked_items(
    encoder: PredictionEncoder,
    question: Question,
    catalogue: ServedCatalogue,
    recommendation: Recommendation,
) -> bytes:
    """Encode a prediction, with `unknown`: the items that the version does not have, as given."""
    known = set(catalogue.item_ids.take(catalogue.item_ids.find_rows(question.only or ())))
    unknown = [item_id for item_id in question.only or () if item_id not in known]
    body = encoder.encode_prediction(question, catalogue, recommendation)
    return b'%b,"unknown":%b}' % (body[:-1], orjson.dumps(unknown))
