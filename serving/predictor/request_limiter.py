"""Limit what is answered at once, so that a predictor stays up under too much load."""

from dataclasses import dataclass
from typing import Final

from dawnlist.serving.predictor.watch.counts import PredictorMetrics

MAX_CONCURRENT_REQUESTS: Final = 256
"""Requests that are answered at once; at 10,000 a second they are a queue of 25 ms."""
MAX_CONCURRENT_QUESTIONS: Final = 4_000
"""Questions in all of these requests: four of the largest batches."""


class OverloadedError(Exception):
    """Too much is being answered: HTTP status 503 with Retry-After, gRPC's RESOURCE_EXHAUSTED."""


@dataclass(slots=True)
class RequestLimiter:
    """Counts the requests and questions that are being answered. It belongs to one event loop."""

    counts: PredictorMetrics
    """Shows the number of requests in `/metrics`."""
    requests: int = MAX_CONCURRENT_REQUESTS
    """How many requests may be answered at once."""
    questions: int = MAX_CONCURRENT_QUESTIONS
    """How many questions they may have together; a single request may have more."""
    _open_questions: int = 0

    def acquire(self, questions: int) -> None:
        """Begin to answer a request with so many questions.

        Raises:
            OverloadedError: there is no room for the request.
        """
        open_questions = self._open_questions
        has_request_room = self.counts.in_flight < self.requests
        has_question_room = not open_questions or open_questions + questions <= self.questions
        if not has_request_room or not has_question_room:
            raise OverloadedError("too many requests at once: try again in a moment")
        self.counts.in_flight += 1
        self._open_questions += questions

    def release(self, questions: int) -> None:
        """End a request with so many questions, whether it was answered or failed."""
        self.counts.in_flight -= 1
        self._open_questions -= questions
