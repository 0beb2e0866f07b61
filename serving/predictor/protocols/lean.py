"""`GET /v1/recommendations/{user}?k=&exclude=&recent=&device=&country=&genres=&explain=`, for API gateways.

A parameter that may have several values is given several times: `exclude=7&exclude=8`.
"""

from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.protocols.fields import (
    MAX_EXCLUDED,
    MAX_FILTER_VALUES,
    MAX_RECENT,
    parse_question,
)

RECOMMENDATIONS_PATH: Final = "/v1/recommendations/"
SINGLE_PARAMETERS: Final = ("k", "device", "country", "explain")
QUERY_PARAMETERS: Final = (*SINGLE_PARAMETERS, "exclude", "recent", "genres")


def parse_get_request(user: bytes, query: bytes) -> Question:
    """The user as the path has it and the query, both as they came; ValueError says what is wrong."""
    try:
        user_id = (unquote_to_bytes(user) if b"%" in user else user).decode()
        return parse_question("the request", user_id, _parse_query(query) if query else {})
    except UnicodeDecodeError:
        raise ValueError("the URL is no UTF-8") from None


def _parse_query(query: bytes) -> dict[str, Any]:
    most = MAX_EXCLUDED + MAX_RECENT + MAX_FILTER_VALUES
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(
        query.decode(), keep_blank_values=True, errors="strict", max_num_fields=most
    ):
        if name not in QUERY_PARAMETERS:
            raise ValueError(
                f"{name[:50]!r} is no parameter: there are {', '.join(QUERY_PARAMETERS)}"
            )
        values.setdefault(name, []).append(value)
    single = {
        name: _get_single_value(name, values[name]) for name in SINGLE_PARAMETERS if name in values
    }
    context = {name: single[name] for name in ("device", "country") if name in single}
    return {
        "k": _parse_number(single.get("k")),
        "explain": _parse_flag(single.get("explain")),
        "context": context or None,
        "exclude": values.get("exclude"),
        "recent": [{"item_id": item_id} for item_id in values["recent"]]
        if "recent" in values
        else None,
        "filters": {"genres": values["genres"]} if "genres" in values else None,
    }


def _get_single_value(name: str, values: list[str]) -> str:
    if len(values) > 1:
        raise ValueError(f"{name!r} is given {len(values)} times: give it once")
    return values[0]


def _parse_number(text: str | None) -> int | str | None:
    """A whole number; other text as it is, which the field's check refuses."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else text


def _parse_flag(text: str | None) -> bool | str | None:
    return (
        {"true": True, "1": True, "false": False, "0": False}.get(text, text)
        if text is not None
        else None
    )
