"""Say how far a long step is: a line on standard output at most each half minute."""

import time
from collections.abc import Callable
from typing import Final

SECONDS_BETWEEN_LINES: Final = 30.0
"""A step that takes less time prints no line."""


class ProgressLog:
    """Prints the share of some work that is done, and the seconds since it began."""

    def __init__(
        self,
        action: str,
        unit: str,
        total: int,
        read_clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to measure.

        Args:
            action: What is done, such as `publish`.
            unit: What is counted, such as `buckets`.
            total: How many of them there are.
            read_clock: Returns seconds.
        """
        self._action = action
        self._unit = unit
        self._total = total
        self._read_clock = read_clock
        self._started = read_clock()
        self._next_line = self._started + SECONDS_BETWEEN_LINES

    def report(self, done: int, detail: str = "") -> None:
        """Print a line if the last one was printed half a minute ago or earlier."""
        now = self._read_clock()
        if now < self._next_line:
            return
        self._next_line = now + SECONDS_BETWEEN_LINES
        share = done / max(self._total, 1)
        seconds = now - self._started
        line = f"{self._action}: {done:,} of {self._total:,} {self._unit} ({share:.0%})"
        if detail:
            line = f"{line}, {detail}"
        print(f"{line} after {seconds:.0f} s", flush=True)
