"""What may not leave in a message to people: secrets, and personal data such as addresses and the ids of users.

Text of any origin (a driver's error, a traceback) is searched for what looks like either. What merely looks like it is
masked rather than shown; what looks like nothing known, such as a name, can't be told and stays.
"""

import os
import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, Final

from dawnlist.urls import (
    API_KEY,
    JWT_KEY,
    NOTIFY_URLS,
    REDIS_PASSWORD,
    SOURCE_PASSWORD,
    mask_passwords,
)

MASK: Final = "***"
SECRET_VARIABLES: Final = (
    SOURCE_PASSWORD, REDIS_PASSWORD, API_KEY, JWT_KEY, NOTIFY_URLS, "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
)  # fmt: skip
"""Variables of the environment whose values are masked wherever they stand."""
SECRET_SEPARATORS: Final = {NOTIFY_URLS: r"\s+", API_KEY: r"\s*,\s*"}
"""What stands between the values of those that hold several: each is masked. A password may hold blanks."""
MIN_SECRET_LENGTH: Final = 5  # a value that is any shorter would blot out words

_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_IP_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)|(?=[\da-f:]*:[\da-f:]*:)[\da-f:]*\d[\da-f:.]*)",
    re.IGNORECASE,
)
_PERSON = r"(?:user|customer|visitor|member|client|account|session|device)"
_USER_ID = re.compile(
    # user_id=17850, "userId": "ab-3", (user_id)=(17850), visitor 17850: with a digit, or else in quotes: user 'bob'
    rf"(\b{_PERSON}(?:[_ -]?ids?)?['\"]?(?:\)\s*=\s*\(|\s*[:=]\s*|\s+)\(?)"
    r"(?:'[^'\n]+'|\"[^\"\n]+\"|(?=[^\s'\",;)\]]*\d)[^\s'\",;)\]]+)",
    re.IGNORECASE,
)
_QUOTED_ROW = re.compile(r"(\[parameters: |Failing row contains )[^\n]*")
"""Values of a statement and of a row, as SQLAlchemy and PostgreSQL quote them."""
_COOKIE = re.compile(r"(cookie\\*['\"]?\s*[:=]\s*\\*['\"]?)(?=[\w.-]+=)[^\n'\"]+", re.IGNORECASE)
_TOKEN = re.compile(
    r"(?P<said>\b(?:bearer|basic)\s+"
    # a whole word first, then what is in it: searched from each of its letters, a long one took minutes
    r"|\b(?:(?=\w*(?:password|passwd|pwd|secret|token|api[_-]?key))\w++(?:-key\w*+)?"
    r"|authorization|cookie|x-(?:amz|goog)-signature|sig)"
    r"\\*['\"]?\s*[:=]\s*(?P<quote>\\*['\"])?(?:(?:bearer|basic)\s+)?)"
    r"(?(quote)(?:(?!(?P=quote))[^\n])+|[^\s'\",;)&]+)"  # in quotes all that they hold, blanks too
    r"|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]+)?"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    re.IGNORECASE,
)


def mask_secrets(text: str) -> str:
    """The text without passwords and tokens, and without this process's own secrets wherever they stand."""
    for value in _read_secrets():
        text = text.replace(value, MASK)
    return _TOKEN.sub(
        lambda found: f"{found['said'] or ''}{MASK}",
        _COOKIE.sub(rf"\1{MASK}", mask_passwords(text)),
    )


def anonymise_text(text: str) -> str:
    """The text without secrets, e-mail and IP addresses, users' ids and quoted rows."""
    text = _EMAIL.sub(MASK, mask_secrets(text))
    text = _IP_ADDRESS.sub(_mask_ip_address, _QUOTED_ROW.sub(rf"\1{MASK}", text))
    return _USER_ID.sub(rf"\1{MASK}", text)


def anonymise_json(value: Any) -> Any:
    """The same JSON value with every text in it anonymous; keys are names, and stay."""
    if isinstance(value, str):
        return anonymise_text(value)
    if isinstance(value, dict):
        return {key: anonymise_json(inner) for key, inner in value.items()}
    return [anonymise_json(inner) for inner in value] if isinstance(value, list) else value


def _read_secrets() -> Iterable[str]:
    """Longest first, so that one that holds another goes whole."""
    values = {name: os.environ.get(name, "").strip() for name in SECRET_VARIABLES}
    found = {
        part
        for name, value in values.items()
        for part in re.split(SECRET_SEPARATORS.get(name, r"\A"), value)
    }
    return sorted((part for part in found if len(part) >= MIN_SECRET_LENGTH), key=len, reverse=True)


def _mask_ip_address(found: re.Match[str]) -> str:
    """An IP address masked, but not what is none, such as a time of day, nor this very machine's."""
    text = found[0].rstrip(".:")
    try:
        address = ip_address(text)
    except ValueError:
        return found[0]
    return (
        found[0] if address.is_loopback or address.is_unspecified else MASK + found[0][len(text) :]
    )
