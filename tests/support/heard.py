"""A stand-in for the predictor's metrics that records what the reader and the engine report."""

from datetime import datetime
from typing import Any


class Heard:
    """Records reports in `said`, in their order."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def report_store_error(self, kind: str) -> None:
        self.said.append(kind)

    def report_breaker(self, is_open: bool) -> None:
        self.said.append(is_open)

    def report_fold_in(self, seconds: float) -> None:
        self.said.append("fold_in")

    def report_degradation(self, reason: str) -> None:
        self.said.append(reason)

    def report_version(self, version: int, as_of: datetime, seconds: float) -> None:
        self.said.append((version, as_of))

    def report_withdrawals(self, items: int) -> None:
        self.said.append(f"{items} withdrawn")

    def report_corruption(self, what: str) -> None:
        self.said.append(f"corrupt {what}")
