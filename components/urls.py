"""URLs of sources, lakes and stores: passwords never travel in them."""

import os
import re
from urllib.parse import urlsplit

SOURCE_PASSWORD = "DAWNLIST_SOURCE_PASSWORD"
REDIS_PASSWORD = "DAWNLIST_REDIS_PASSWORD"

_IN_URL = re.compile(r"(://[^/\s:]*:)\S*@")
_IN_QUERY = re.compile(r"([?&]password=)[^\s&'\"]+", re.IGNORECASE)


def refuse_password(url: str, variable: str) -> str:
    """Return `url` unchanged; ValueError when it holds a password, which belongs in the environment `variable`."""
    if urlsplit(url).password:
        raise ValueError(
            f"{masked(url)!r} holds a password, which would end up in logs and in the Kubeflow UI: "
            f"take it out of the URL and set {variable} instead"
        )
    return url


def masked(text: str) -> str:
    """A URL, or text with URLs in it such as a library's message, with every password as `***`.

    What merely looks like a password is masked rather than shown.
    """
    return _IN_QUERY.sub(r"\1***", _IN_URL.sub(r"\1***@", text))


def password(variable: str) -> str | None:
    """The password that `variable` holds, or None; an optional secret that is absent leaves it empty, which is none."""
    return os.environ.get(variable) or None
