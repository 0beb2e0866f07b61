"""Parse and check a question's fields, by the same rules in every protocol."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from dawnlist.filters.tokens import MAX_CHARACTERS
from dawnlist.rows.identifiers import normalise_identifier
from dawnlist.serving.predictor.answers.engine import MAX_K, MAX_OFFSET
from dawnlist.serving.predictor.answers.question import Question, QuestionEvent, RepeatsChoice

MAX_USERS: Final = 1_000
"""Users in one request; more would block the event loop for too long."""
MAX_TEXT: Final = 512
"""Characters of an id or of a value."""
MAX_EXCLUDED: Final = 1_000
"""Items to exclude."""
MAX_ONLY: Final = 500
"""Items that an answer may be limited to."""
MAX_RECENT: Final = 50
"""Recent events of one user."""
MAX_TIME: Final = 10**11
"""Seconds since 1970, the year 5138. Today's time in milliseconds is larger, and so is refused."""
MAX_CONTEXT: Final = 8
"""Names in a context, and attributes in a filter."""
MAX_FILTER_VALUES: Final = 100
"""Values of one attribute in a filter."""
ONLY_REPEATS: Final = "only"
"""The value of `repeats` that asks for nothing but items that the user has met."""
CONTEXT_PARAMETERS: Final = ("device", "country")
"""Names of the context that V2 and the GET route take as parameters."""

FieldParser = Callable[[Any], Any]
"""Turns a field's JSON value into its value in a Question, or raises ValueError."""


def parse_question(source: str, user_id: Any, fields: Mapping[str, Any]) -> Question:
    """Build a question from its user and its other fields; a field that is None counts as absent.

    Args:
        source: The place in the request, for messages, such as "instances[0]".
        user_id: The user's id, not checked yet.
        fields: The other fields, not checked yet.

    Raises:
        ValueError: a field is unknown, or its value is not allowed.
    """
    try:
        for name in fields:
            if name not in _FIELD_PARSERS:
                raise ValueError(
                    f"{name[:50]!r} is not a field: use user_id, {', '.join(_FIELD_PARSERS)}"
                )
        options = {}
        for name, value in fields.items():
            if value is not None:
                options[name] = _FIELD_PARSERS[name](value)
        given_id = _parse_text('"user_id"', user_id)
        return Question(normalise_identifier(given_id), **options, given_id=given_id)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def check_user_count(number: int) -> None:
    """Raise ValueError if one request asks for too many users."""
    if number > MAX_USERS:
        raise ValueError(f"{number} users in one request: ask for {MAX_USERS} at most")


def _parse_text(description: str, value: Any) -> str:
    """Return an id or another text, if it is not empty and not too long."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise ValueError(
            f'{description} has to be text of 1 to {MAX_TEXT} characters, such as "42"'
        )
    return value


def _parse_id(description: str, value: Any) -> str:
    """Return an id as the clean step reads it: ' 123.0 ' is '123'."""
    return normalise_identifier(_parse_text(description, value))


def _is_number(value: Any) -> bool:
    """Whether a JSON value is a number; Python counts booleans as integers too."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parse_k(value: Any) -> int:
    """Return the number of items."""
    if not _is_number(value) or not 0 < value <= MAX_K or value % 1:
        raise ValueError(f'"k" has to be a whole number from 1 to {MAX_K}')
    return int(value)  # JSON's 3.0 is a whole number too


def _parse_offset(value: Any) -> int:
    """Return how many items to pass over."""
    if not _is_number(value) or not 0 <= value <= MAX_OFFSET or value % 1:
        raise ValueError(f'"offset" has to be a whole number from 0 to {MAX_OFFSET}')
    return int(value)


def _check_list(description: str, value: Any, max_length: int) -> list[Any]:
    """Return the value if it is a list that is not too long."""
    if not isinstance(value, list) or len(value) > max_length:
        raise ValueError(f"{description} has to be a list of at most {max_length}")
    return value


def _check_object(description: str, value: Any, max_fields: int) -> dict[str, Any]:
    """Return the value if it is an object without too many fields."""
    if not isinstance(value, dict) or len(value) > max_fields:
        raise ValueError(f"{description} has to be an object of at most {max_fields} fields")
    return value


def _parse_exclude(value: Any) -> tuple[str, ...]:
    """Return the ids of the items to exclude."""
    item_ids = _check_list('"exclude"', value, MAX_EXCLUDED)
    return tuple(_parse_id('an item of "exclude"', item_id) for item_id in item_ids)


def _parse_only(value: Any) -> tuple[str, ...]:
    """Return the ids of the only items that may be in the answer."""
    item_ids = _check_list('"only"', value, MAX_ONLY)
    if not item_ids:
        raise ValueError('"only" has to have at least one item')
    return tuple(_parse_id('an item of "only"', item_id) for item_id in item_ids)


def _parse_recent(value: Any) -> tuple[QuestionEvent, ...]:
    """Return the recent events."""
    return tuple(map(_parse_event, _check_list('"recent"', value, MAX_RECENT)))


def _parse_event(value: Any) -> QuestionEvent:
    """Return an event; its type and its time are optional."""
    fields = _check_object('an event of "recent"', value, 3)
    unknown_names = fields.keys() - {"item_id", "event_type", "time"}
    if unknown_names:
        raise ValueError(
            f'an event of "recent" has no field {min(unknown_names)[:50]!r}: '
            "use item_id, event_type and time"
        )
    item_id = _parse_id('"item_id" of an event', fields.get("item_id"))
    event_type = ""
    if fields.get("event_type") is not None:
        event_type = _parse_text('"event_type" of an event', fields["event_type"])
    event_time = None
    if fields.get("time") is not None:
        event_time = _parse_time(fields["time"])
    return QuestionEvent(item_id, event_type, event_time)


def _parse_time(value: Any) -> float:
    """Return seconds since 1970, at most now."""
    if not _is_number(value) or not 0 <= value <= MAX_TIME:
        raise ValueError('"time" of an event has to be seconds since 1970')
    return min(float(value), time.time())  # the client's clock may be ahead of ours


def _parse_context(value: Any) -> tuple[tuple[str, str], ...]:
    """Return the context's names and values."""
    context = []
    for name, text in _check_object('"context"', value, MAX_CONTEXT).items():
        parsed_name = _parse_text('a name in "context"', name)
        context.append((parsed_name, _parse_text(f"context {name[:50]!r}", text)))
    return tuple(context)


def _parse_filters(value: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return each attribute with its allowed values."""
    filters = _check_object('"filters"', value, MAX_CONTEXT)
    return tuple((name, _parse_filter_values(name, values)) for name, values in filters.items())


def _parse_filter_values(name: str, value: Any) -> tuple[str, ...]:
    """Return the allowed values of one attribute."""
    description = f"filter {name[:50]!r}"
    values = _check_list(description, value, MAX_FILTER_VALUES)
    if not values:
        raise ValueError(f"{description} has to have at least one value")
    return tuple(_parse_text(f"a value of {description}", text) for text in values)


def _parse_where(value: Any) -> str:
    """Return a filter expression; the version that answers checks it."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CHARACTERS:
        raise ValueError(
            f'"where" has to be a filter of 1 to {MAX_CHARACTERS:,} characters, such as "price < 20"'
        )
    return value


def _parse_repeats(value: Any) -> RepeatsChoice:
    """Return what is wanted of the items that the user has met."""
    if value is not False and value != ONLY_REPEATS:
        raise ValueError(
            '"repeats" has to be false (nothing that the user has met) or "only" (nothing else); '
            "without it the answer has them if the shop's lists do"
        )
    return "only" if value else False


def _parse_explain(value: Any) -> bool:
    """Return whether the answer is to be explained."""
    if not isinstance(value, bool):
        raise ValueError('"explain" has to be true or false')
    return value


_FIELD_PARSERS: Final[dict[str, FieldParser]] = {
    "k": _parse_k,
    "offset": _parse_offset,
    "only": _parse_only,
    "exclude": _parse_exclude,
    "recent": _parse_recent,
    "context": _parse_context,
    "filters": _parse_filters,
    "where": _parse_where,
    "repeats": _parse_repeats,
    "explain": _parse_explain,
}
