"""Mask secrets and personal data, such as addresses and user ids, in messages to people.

The text may have any origin, such as a driver's error or a traceback. What merely looks like a
secret or like personal data is masked, too. What has no known form, such as a person's name, can't
be recognised and stays.
"""

import os
import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, Final

from dawnlist.secret_values import read_secret
from dawnlist.urls import (
    ADMIN_KEY,
    API_KEY,
    COLLECTOR_KEYS,
    JWT_KEY,
    MLFLOW_PASSWORD,
    MLFLOW_TOKEN,
    MODEL_REGISTRY_TOKEN,
    NOTIFY_URLS,
    REDIS_PASSWORD,
    SOURCE_PASSWORD,
    mask_passwords,
)

MASK: Final = "***"
SECRET_VARIABLES: Final = (
    SOURCE_PASSWORD, REDIS_PASSWORD, API_KEY, JWT_KEY, NOTIFY_URLS, "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    MODEL_REGISTRY_TOKEN, MLFLOW_TOKEN, MLFLOW_PASSWORD, COLLECTOR_KEYS, ADMIN_KEY,
)  # fmt: skip
"""Environment variables whose values are masked wherever they occur."""
SECRET_SEPARATORS: Final = {
    NOTIFY_URLS: r"\s+",
    API_KEY: r"\s*,\s*",
    ADMIN_KEY: r"\s*,\s*",
    COLLECTOR_KEYS: r"\s*,\s*",
}
"""The separators of the variables that hold several values; each value is masked.

The other variables hold one value, which may contain blanks.
"""
MIN_SECRET_LENGTH: Final = 5
"""Shorter values of these variables are not masked, because they occur within ordinary words."""

MAX_ID: Final = 512
"""Characters within which an id without quotes must have its first digit."""

# Each of these takes time that grows with the text alone: what repeats can't begin anew within
# itself, and what looks ahead has a bound.
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_IP_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)|(?=[\da-f:]*:[\da-f:]*:)[\da-f:]*\d[\da-f:.]*)",
    re.IGNORECASE,
)
_PERSON = r"(?:user|customer|visitor|member|client|account|session|device)"
_USER_ID = re.compile(
    # The id has a digit or is in quotes, as in user_id=17850, "userId": "ab-3",
    # (user_id)=(17850), visitor 17850 and user 'bob'.
    rf"(\b{_PERSON}(?:[_ -]?ids?)?['\"]?(?:\)\s*=\s*\(|\s*[:=]\s*|\s+)\(?)"
    rf"(?:'[^'\n]+'|\"[^\"\n]+\"|(?=[^\s'\",;)\]]{{0,{MAX_ID}}}\d)[^\s'\",;)\]]+)",
    re.IGNORECASE,
)
_QUOTED_ROW = re.compile(r"(\[parameters: |Failing row contains )[^\n]*")
"""The values of a statement or a row, as SQLAlchemy and PostgreSQL quote them."""
_COOKIE = re.compile(r"(cookie\\*['\"]?\s*[:=]\s*\\*['\"]?)(?=[\w.-]+=)[^\n'\"]+", re.IGNORECASE)
_TOKEN = re.compile(
    r"(?P<prefix>\b(?:bearer|basic)\s+"
    # This looks at the beginning of a word only. From each letter, a long word took minutes.
    r"|\b(?:(?=\w*(?:password|passwd|pwd|secret|token|api[_-]?key))\w++(?:-key\w*+)?"
    r"|authorization|cookie|x-(?:amz|goog)-signature|sig)"
    r"\\*['\"]?\s*[:=]\s*(?P<quote>\\{0,64}['\"])?(?:(?:bearer|basic)\s+)?)"
    # Within quotes a value may contain blanks.
    r"(?(quote)(?:(?!(?P=quote))[^\n])+|[^\s'\",;)&]+)"
    # A signed token. What may stand before it, up to a "-", is looked at once.
    r"|(?<![\w-])(?=[\w-]++\.[\w-])(?P<lead>[\w-]*?)\beyJ[\w-]+\.[\w-]+(?:\.[\w-]+)?"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    re.IGNORECASE,
)


def mask_secrets(text: str) -> str:
    """Mask passwords and tokens, and the values of this process's own secrets."""
    for secret in _read_secrets():
        text = text.replace(secret, MASK)
    text = mask_passwords(text)
    text = _COOKIE.sub(rf"\1{MASK}", text)
    return _TOKEN.sub(_mask_token, text)


def anonymise_text(text: str) -> str:
    """Mask secrets, e-mail addresses, IP addresses, user ids and quoted rows."""
    text = mask_secrets(text)
    text = _EMAIL.sub(MASK, text)
    text = _QUOTED_ROW.sub(rf"\1{MASK}", text)
    text = _IP_ADDRESS.sub(_mask_ip_address, text)
    return _USER_ID.sub(rf"\1{MASK}", text)


def anonymise_json(value: Any) -> Any:
    """Apply `anonymise_text` to every text in a JSON value, except the keys of objects."""
    if isinstance(value, str):
        return anonymise_text(value)
    if isinstance(value, dict):
        return {key: anonymise_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [anonymise_json(inner) for inner in value]
    return value


def _read_secrets() -> Iterable[str]:
    """Return the values of the secret variables, the longest first.

    A secret may contain another one; then the whole of it must be masked.
    """
    secrets: set[str] = set()
    for name in SECRET_VARIABLES:
        value = _read_value(name)
        separator = SECRET_SEPARATORS.get(name)
        values = re.split(separator, value) if separator else [value]
        secrets.update(secret for secret in values if len(secret) >= MIN_SECRET_LENGTH)
    return sorted(secrets, key=len, reverse=True)


def _read_value(name: str) -> str:
    """Return the value of a secret; empty if there is none that could be in a text."""
    try:
        return (read_secret(name) or "").strip()
    except ValueError:  # who needs it is told; what can't be read is in no text
        return os.environ.get(name, "").strip()


def _mask_token(match: re.Match[str]) -> str:
    """Mask a token, but keep the name in front of it."""
    prefix = match["prefix"] or match["lead"] or ""
    return prefix + MASK


def _mask_ip_address(match: re.Match[str]) -> str:
    """Mask an IP address, unless it is no address (such as a time of day) or this machine's own."""
    text = match[0].rstrip(".:")
    try:
        address = ip_address(text)
    except ValueError:
        return match[0]
    if address.is_loopback or address.is_unspecified:
        return match[0]
    return MASK + match[0][len(text) :]
