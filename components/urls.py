"""URLs of sources, lakes and stores: passwords never travel in them."""

import os
import re
from urllib.parse import urlsplit, urlunsplit

SOURCE_PASSWORD = "DAWNLIST_SOURCE_PASSWORD"
REDIS_PASSWORD = "DAWNLIST_REDIS_PASSWORD"


def refuse_password(url: str, variable: str) -> str:
    """Return `url` unchanged; ValueError when it holds a password, which belongs in the environment `variable`."""
    if urlsplit(url).password:
        raise ValueError(
            f"{masked(url)!r} holds a password, which would end up in logs and in the Kubeflow UI: "
            f"take it out of the URL and set {variable} instead"
        )
    return url


def masked(url: str) -> str:
    """The URL as it may be shown: a password in it becomes `***`."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    user_and_host = f"{parts.username or ''}:***@{parts.hostname or ''}"
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=user_and_host + port))


def password(variable: str) -> str | None:
    """The password that `variable` holds, or None; an optional secret that is absent leaves it empty, which is none."""
    return os.environ.get(variable) or None


def scrubbed(text: str) -> str:
    """Text, such as another library's message, with the password of any URL in it masked."""
    return re.sub(r"(://[^/\s:@]*):[^/\s@]+@", r"\1:***@", text)
