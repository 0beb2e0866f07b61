"""URLs of sources, lakes and stores. They never hold passwords: environment variables do."""

import errno
import os
import re

SOURCE_PASSWORD = "DAWNLIST_SOURCE_PASSWORD"
REDIS_PASSWORD = "DAWNLIST_REDIS_PASSWORD"
ADMIN_KEY = "DAWNLIST_ADMIN_KEY"
API_KEY = "DAWNLIST_API_KEY"
COLLECTOR_KEYS = "DAWNLIST_COLLECTOR_KEYS"
JWT_KEY = "DAWNLIST_JWT_KEY"
NOTIFY_URLS = "DAWNLIST_NOTIFY_URLS"
MODEL_REGISTRY_TOKEN = "DAWNLIST_MODEL_REGISTRY_TOKEN"
MLFLOW_TOKEN = "MLFLOW_TRACKING_TOKEN"
MLFLOW_USERNAME = "MLFLOW_TRACKING_USERNAME"
MLFLOW_PASSWORD = "MLFLOW_TRACKING_PASSWORD"

# These search the raw text, since a password may hold what ends a URL's host, such as / or #.
# Each takes time that grows with the text alone: what repeats can't begin anew within itself.
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*:)(?!\d+(?:[/?]|$))\S+@")
_QUERY_PASSWORD = re.compile(
    r"([?&;](?:(?=\w*(?:password|passwd|pwd|secret|token))\w++|\w++(?<=pass))=)[^\s&'\"]+",
    re.IGNORECASE,
)
_TERMINAL_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def refuse_password(url: str, variable: str) -> str:
    """Return the URL unchanged.

    Args:
        variable: The environment variable that should hold the password instead.

    Raises:
        ValueError: the URL holds a password.
    """
    if _holds_password(url):
        raise ValueError(
            f"{mask_passwords(url)!r} holds a password, which would end up in logs and in the "
            f"Kubeflow UI: remove it from the URL and set {variable} instead"
        )
    return url


def _holds_password(text: str) -> bool:
    """Whether the text has a URL with a password."""
    for word in text.split():
        # See _mask_word for why only what is before the last @ is searched.
        if _URL_PASSWORD.search(word[: word.rfind("@") + 1]):
            return True
    return _QUERY_PASSWORD.search(text) is not None


def mask_passwords(text: str) -> str:
    """Replace each password by `***`, in a URL or in a text that contains URLs.

    What merely looks like a password is replaced, too.
    """
    without_url_passwords = re.sub(r"\S+", _mask_word, text)
    return _QUERY_PASSWORD.sub(r"\1***", without_url_passwords)


def _mask_word(word: re.Match[str]) -> str:
    # A match ends at an @. Leaving out what follows the last @ avoids searching it once for each
    # ://, which took quadratic time.
    text, at_sign, remainder = word[0].rpartition("@")
    return _URL_PASSWORD.sub(r"\1***@", text + at_sign) + remainder


def describe_error(error: object) -> str:
    """Return an error's own text; for the system's bare error of a full disk, what to do."""
    is_bare = isinstance(error, OSError) and error.strerror == os.strerror(error.errno or 0)
    if not is_bare or getattr(error, "errno", None) not in (errno.ENOSPC, errno.EDQUOT):
        return str(error)
    file = getattr(error, "filename", None)
    place = f"of {file!r}" if file else "that holds the lake, the artifacts or temporary files"
    return f"no room on the disk {place}: free some space, and run it again"


def format_error(error: object) -> str:
    """Return an error's message on one line, without passwords and control characters."""
    message = _TERMINAL_COLOUR.sub("", mask_passwords(describe_error(error)))
    return replace_unprintable(" ".join(message.split()))


def replace_unprintable(text: str) -> str:
    """Replace each unprintable character, which a terminal might act on, by a question mark."""
    return "".join(character if character.isprintable() else "?" for character in text)
