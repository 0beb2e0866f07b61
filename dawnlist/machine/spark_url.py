"""URLs of Spark sessions: the kind of each URL, and the numbers in it."""

import re
from typing import Final

from dawnlist.urls import mask_passwords

SPARK_TOKEN_VARIABLE: Final = "SPARK_CONNECT_AUTHENTICATE_TOKEN"
"""The environment variable from which Spark Connect takes a token."""

MIN_EXECUTOR_MEGABYTES: Final = 512
"""An executor with less heap does not start."""

_URL_PATTERNS: Final = {
    "local": r"local\[(\*|[1-9]\d*)\]",
    "local-cluster": r"local-cluster\[([1-9]\d*),([1-9]\d*),([1-9]\d*)\]",
    "spark": r"spark://[\w.-]+:\d+",
    "k8s": r"k8s://\S+",
    "sc": r"sc://[\w.-]+(:\d+)?(/(;\S*)?)?",
}


def classify_spark_url(url: str) -> str:
    """Return the kind of a URL: `local`, `local-cluster`, `spark`, `k8s` or `sc`.

    Raises:
        ValueError: The URL is none of Spark's, or it contains a token.
    """
    masked = mask_passwords(url)
    if masked != url:
        raise ValueError(
            f"{masked!r} holds a token, which would end up in logs: "
            f"set {SPARK_TOKEN_VARIABLE} instead"
        )
    kind = _match_kind(url)
    if kind is None:
        raise ValueError(
            f"Spark's URL is {url!r}: give local[CORES], local[*], "
            "local-cluster[EXECUTORS,CORES,MEGABYTES], spark://HOST:7077, "
            "k8s://https://HOST:443 or sc://HOST:15002"
        )
    if kind == "local-cluster" and parse_url_numbers(url)[2] < MIN_EXECUTOR_MEGABYTES:
        raise ValueError(
            f"Spark's URL is {url!r}: give an executor at least {MIN_EXECUTOR_MEGABYTES} megabytes"
        )
    return kind


def _match_kind(url: str) -> str | None:
    for kind, pattern in _URL_PATTERNS.items():
        if re.fullmatch(pattern, url):
            return kind
    return None


def parse_url_numbers(url: str) -> list[int]:
    """Return the numbers in the URL of a local session, in their order."""
    return [int(number) for number in re.findall(r"\d+", url)]
