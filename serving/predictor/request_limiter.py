"""What keeps a predictor up under too much: a bound on what is answered at once."""

from dataclasses import dataclass
from typing import Final

from dawnlist.serving.predictor.watch.counts import PredictorMetrics

MAX_CONCURRENT_REQUESTS: Final = 256
"""Answered at once; at 10,000 a second that is a queue of 25 ms."""
MAX_CONCURRENT_QUESTIONS: Final = 4_000
"""Of all of these: four of the largest batches."""


class OverloadedError(Exception):
    """Too much is asked at once: 503 and Retry-After, RESOURCE_EXHAUSTED."""


@dataclass(slots=True)
class RequestLimiter:
    """Counts what is being answered; belongs to one event loop."""

    counts: PredictorMetrics
    requests: int = MAX_CONCURRENT_REQUESTS
    questions: int = MAX_CONCURRENT_QUESTIONS
    _asked: int = 0

    def acquire(self, questions: int) -> None:
        """A request with so many questions is answered from now on; OverloadedError when there is no room for it."""
        if self.counts.in_flight >= self.requests or (
            self._asked and self._asked + questions > self.questions
        ):
            raise OverloadedError("too many requests at once: try again in a moment")
        self.counts.in_flight += 1
        self._asked += questions

    def release(self, questions: int) -> None:
        """A request that had entered has its answer, or none."""
        self.counts.in_flight -= 1
        self._asked -= questions
