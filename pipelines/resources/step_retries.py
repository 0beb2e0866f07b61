"""Compute for how long Argo may try a step again.

Argo counts from the first try's start. It starts no further try after that time, and ends a try
that still runs (processNodeRetries of Argo's workflow/controller/operator.go). kfp sends one hour
when a package names no time, which is less than most steps may take for one try.
"""

from typing import Final

BACKOFF_SECONDS: Final = 30
"""How many seconds Argo waits before the second try of a step."""
BACKOFF_FACTOR: Final = 2
"""Each further wait is this many times as long as the one before it."""


def compute_backoff_seconds(retries: int) -> int:
    """Compute the seconds that Argo waits in all before the last of the retries."""
    seconds = 0
    for retry in range(retries):
        seconds += BACKOFF_SECONDS * BACKOFF_FACTOR**retry
    return seconds


def compute_retry_seconds(minutes: int, retries: int) -> int:
    """Compute the seconds from the first try's start in which all tries have their full time.

    Args:
        minutes: The time limit of one try.
        retries: How often a failed try is repeated.
    """
    return minutes * 60 * (retries + 1) + compute_backoff_seconds(retries)
