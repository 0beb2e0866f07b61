"""The GET routes for API gateways, which return one user's items.

`GET /v1/recommendations/{user}?k=&exclude=&recent=&device=&country=&genres=&where=&repeats=&explain=`
`GET /v1/buy-again/{user}?k=&exclude=&recent=&device=&country=&genres=&where=&explain=`

The second returns only items that the user has met, as the first does with `repeats=only`.
A parameter that may have several values is repeated: `exclude=7&exclude=8`.
"""

from collections.abc import Collection
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.protocols.fields import (
    CONTEXT_PARAMETERS,
    MAX_EXCLUDED,
    MAX_FILTER_VALUES,
    MAX_RECENT,
    ONLY_REPEATS,
    parse_question,
)

RECOMMENDATIONS_PATH: Final = "/v1/recommendations/"
"""The path of the route for all items; it ends with the user's id."""
BUY_AGAIN_PATH: Final = "/v1/buy-again/"
"""The path of the route for items that the user has met; it ends with the user's id."""
SINGLE_PARAMETERS: Final = ("k", "offset", *CONTEXT_PARAMETERS, "explain", "repeats", "where")
"""Parameters that may be given once."""
QUERY_PARAMETERS: Final = (*SINGLE_PARAMETERS, "exclude", "recent", "genres")
"""All parameters. The route for items that the user has met takes no `repeats`."""
NO_UTF8: Final = "the URL is not UTF-8"
MAX_QUERY_FIELDS: Final = MAX_EXCLUDED + MAX_RECENT + MAX_FILTER_VALUES
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


def parse_buy_again_request(user: bytes, query: bytes) -> Question:
    """Build a question for items that the user has met, see `parse_get_request`.

    Raises:
        ValueError: a parameter is unknown, or its value is not allowed.
    """
    question = parse_get_request(user, query)
    if question.repeats is not None:
        raise ValueError(
            "'repeats' is not a parameter of this route: it answers with what the user has met"
        )
    question.repeats = ONLY_REPEATS
    return question


def parse_get_request(user: bytes, query: bytes) -> Question:
    """Build a question from the end of the path and the query, both as the client sent them.

    Raises:
        ValueError: a parameter is unknown, or its value is not allowed.
    """
    user_id, query_text = decode_url(user, query)
    fields = _parse_query(query_text) if query else {}
    return parse_question("the request", user_id, fields)


def decode_url(subject: bytes, query: bytes) -> tuple[str, str]:
    """Decode the id at the end of a path, and the query.

    Raises:
        ValueError: they are not UTF-8.
    """
    try:
        if b"%" in subject:
            subject = unquote_to_bytes(subject)
        return subject.decode(), query.decode()
    except UnicodeDecodeError:
        raise ValueError(NO_UTF8) from None


def _parse_query(query: str) -> dict[str, Any]:
    """Return the question's fields; parse_question checks their values."""
    values = collect_values(query, QUERY_PARAMETERS)
    single = {}
    for name in SINGLE_PARAMETERS:
        if name in values:
            single[name] = get_single_value(name, values[name])
    fields: dict[str, Any] = {
        "k": parse_number(single.get("k")),
        "offset": parse_number(single.get("offset")),
        "explain": _parse_flag(single.get("explain")),
        "repeats": _parse_repeats(single.get("repeats")),
        "where": single.get("where"),
    }
    context = {name: single[name] for name in CONTEXT_PARAMETERS if name in single}
    if context:
        fields["context"] = context
    if "exclude" in values:
        fields["exclude"] = values["exclude"]
    if "recent" in values:
        fields["recent"] = [{"item_id": item_id} for item_id in values["recent"]]
    if "genres" in values:
        fields["filters"] = {"genres": values["genres"]}
    return fields


def parse_pairs(query: str) -> list[tuple[str, str]]:
    """Return the names and values of a query, in its order.

    Raises:
        ValueError: it is not UTF-8, or has too many parameters.
    """
    try:
        return parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS
        )
    except UnicodeDecodeError:
        raise ValueError(NO_UTF8) from None


def collect_values(query: str, names: Collection[str]) -> dict[str, list[str]]:
    """Return the values of each parameter of these names, in the query's order.

    Raises:
        ValueError: the query has another parameter, or is no query.
    """
    pairs = parse_pairs(query)
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in names:
            raise ValueError(f"{name[:50]!r} is not a parameter: use {', '.join(names)}")
        values.setdefault(name, []).append(value)
    return values


def get_single_value(name: str, values: list[str]) -> str:
    """Return the value of a parameter that may be given once."""
    if len(values) > 1:
        raise ValueError(f"{name!r} is given {len(values)} times: give it once")
    return values[0]


def parse_number(text: str | None) -> int | str | None:
    """Return a whole number; other text stays as it is, and parse_question refuses it."""
    if text and text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    return text


def _parse_flag(text: str | None) -> bool | str | None:
    """Return a boolean; other text stays as it is, and parse_question refuses it."""
    if text is None:
        return None
    return _FLAGS.get(text, text)


def _parse_repeats(text: str | None) -> bool | str | None:
    """Return false for its text; other text stays as it is, and parse_question refuses it."""
    return False if text == "false" else text
