"""URLs of sources, lakes and stores: passwords never travel in them, but in variables that are named here."""

import os
import re

SOURCE_PASSWORD = "DAWNLIST_SOURCE_PASSWORD"
REDIS_PASSWORD = "DAWNLIST_REDIS_PASSWORD"
API_KEY = "DAWNLIST_API_KEY"
JWT_KEY = "DAWNLIST_JWT_KEY"
NOTIFY_URLS = "DAWNLIST_NOTIFY_URLS"

# on the raw text: a password may hold what would end a URL's host, such as / or #
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*:)(?!\d+(?:[/?]|$))\S+@")
_QUERY_PASSWORD = re.compile(
    r"([?&;](?:\w*(?:password|passwd|pwd|secret|token)\w*|\w*pass)=)[^\s&'\"]+", re.IGNORECASE
)


def refuse_password(url: str, variable: str) -> str:
    """Return `url` unchanged; ValueError when it holds a password, which belongs in the environment `variable`."""
    if _URL_PASSWORD.search(url) or _QUERY_PASSWORD.search(url):
        raise ValueError(
            f"{mask_passwords(url)!r} holds a password, which would end up in logs and in the Kubeflow UI: "
            f"take it out of the URL and set {variable} instead"
        )
    return url


def mask_passwords(text: str) -> str:
    """A URL, or text with URLs in it such as a library's message, with every password as `***`.

    What merely looks like a password is masked rather than shown.
    """
    return _QUERY_PASSWORD.sub(r"\1***", re.sub(r"\S+", _mask_word, text))


def _mask_word(word: re.Match[str]) -> str:
    # behind the last @ nothing can match, and to find that out from each of many :// took time in the square of them
    text, at, rest = word[0].rpartition("@")
    return _URL_PASSWORD.sub(r"\1***@", text + at) + rest


def format_error(error: object) -> str:
    """An error's message on one line, without passwords and without what a terminal would obey."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", mask_passwords(str(error)))
    return replace_unprintable(" ".join(plain.split()))


def replace_unprintable(text: str) -> str:
    """The text without what a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)


def read_password(variable: str) -> str | None:
    """The password that `variable` holds, or None; an optional secret that is absent leaves it empty, which is none."""
    return os.environ.get(variable) or None
