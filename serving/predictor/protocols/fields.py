"""What may stand beside a user's id in a question: the same fields, checked by the same rules, in every protocol."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from dawnlist.serving.predictor.answers.engine import MAX_K
from dawnlist.serving.predictor.answers.question import Question, QuestionEvent

MAX_USERS: Final = 1_000
"""In one request: more would hold the event loop up."""
MAX_TEXT: Final = 512
"""Characters of an id or of a value."""
MAX_EXCLUDED: Final = 1_000
MAX_RECENT: Final = 50
MAX_TIME: Final = 10**11
"""Seconds since 1970: the year 5138. Today's milliseconds are more."""
MAX_CONTEXT: Final = 8
MAX_FILTER_VALUES: Final = 100
"""Of one attribute in a filter."""

FieldParser = Callable[[Any], Any]


def parse_question(where: str, user_id: Any, fields: Mapping[str, Any]) -> Question:
    """The checked question; ValueError says where what is wrong. A field that is None is as good as absent."""
    try:
        checks = [(name, _get_parser(name), value) for name, value in fields.items()]
        given = {name: check(value) for name, check, value in checks if value is not None}
        return Question(_parse_text('"user_id"', user_id), **given)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def check_user_count(number: int) -> None:
    """ValueError for more users than one request may ask for."""
    if number > MAX_USERS:
        raise ValueError(f"{number} users in one request: ask for {MAX_USERS} at most")


def _get_parser(name: str) -> FieldParser:
    if name not in _FIELD_PARSERS:
        raise ValueError(
            f"{name[:50]!r} is no field: there are user_id, {', '.join(_FIELD_PARSERS)}"
        )
    return _FIELD_PARSERS[name]


def _parse_text(what: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise ValueError(f'{what} has to be text of 1 to {MAX_TEXT} characters, such as "42"')
    return value


def _parse_k(value: Any) -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value <= MAX_K
        or value % 1
    ):
        raise ValueError(f'"k" has to be a whole number from 1 to {MAX_K}')
    return int(value)  # JSON's 3.0 is whole, too


def _check_list(what: str, value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"{what} has to be a list of at most {most}")
    return value


def _check_object(what: str, value: Any, most: int) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > most:
        raise ValueError(f"{what} has to be an object of at most {most} fields")
    return value


def _parse_exclude(value: Any) -> tuple[str, ...]:
    return tuple(
        _parse_text('an item of "exclude"', item_id)
        for item_id in _check_list('"exclude"', value, MAX_EXCLUDED)
    )


def _parse_recent(value: Any) -> tuple[QuestionEvent, ...]:
    return tuple(map(_parse_event, _check_list('"recent"', value, MAX_RECENT)))


def _parse_event(value: Any) -> QuestionEvent:
    fields = _check_object('an event of "recent"', value, 3)
    if unknown := fields.keys() - {"item_id", "event_type", "time"}:
        raise ValueError(
            f'an event of "recent" has no field {min(unknown)[:50]!r}, but item_id, event_type and time'
        )
    item_id = _parse_text('"item_id" of an event', fields.get("item_id"))
    event_type, moment = fields.get("event_type"), fields.get("time")
    kind = "" if event_type is None else _parse_text('"event_type" of an event', event_type)
    return QuestionEvent(item_id, kind, None if moment is None else _parse_time(moment))


def _parse_time(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_TIME:
        raise ValueError('"time" of an event has to be seconds since 1970')
    return min(float(value), time.time())  # a clock that is ahead is no look into the future


def _parse_context(value: Any) -> tuple[tuple[str, str], ...]:
    pairs = _check_object('"context"', value, MAX_CONTEXT).items()
    return tuple(
        (_parse_text('a name in "context"', name), _parse_text(f"context {name[:50]!r}", given))
        for name, given in pairs
    )


def _parse_filters(value: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(
        (name, _parse_filter_values(name, given))
        for name, given in _check_object('"filters"', value, MAX_CONTEXT).items()
    )


def _parse_filter_values(name: str, value: Any) -> tuple[str, ...]:
    what = f"filter {name[:50]!r}"
    values = _check_list(what, value, MAX_FILTER_VALUES)
    if not values:
        raise ValueError(f"{what} has to have at least one value")
    return tuple(_parse_text(f"a value of {what}", given) for given in values)


def _parse_explain(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError('"explain" has to be true or false')
    return value


_FIELD_PARSERS: Final[dict[str, FieldParser]] = {
    "k": _parse_k,
    "exclude": _parse_exclude,
    "recent": _parse_recent,
    "context": _parse_context,
    "filters": _parse_filters,
    "explain": _parse_explain,
}
