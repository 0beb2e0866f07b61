"""What the reader and the engine report, in the place of the predictor's metrics."""

from typing import Any


class Heard:
    """In the order in which it was said."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def redis_error(self, kind: str) -> None:
        self.said.append(kind)

    def breaker(self, is_open: bool) -> None:
        self.said.append(is_open)

    def fold_in(self, seconds: float) -> None:
        self.said.append("fold_in")

    def degraded(self, reason: str) -> None:
        self.said.append(reason)

    def loaded(self, version: int, as_of: str, seconds: float) -> None:
        self.said.append((version, as_of))

    def corrupt(self, what: str) -> None:
        self.said.append(f"corrupt {what}")
