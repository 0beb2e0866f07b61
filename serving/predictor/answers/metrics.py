"""The interface through which the engine reports what happens while it answers."""

from datetime import datetime
from typing import Protocol


class EngineMetrics(Protocol):
    """Receives the engine's reports.

    Every method has to return in well under a microsecond, may be called from any thread, and
    never raises.
    """

    def report_store_error(self, kind: str) -> None:
        """A command failed; `kind` is the exception's class name, such as "TimeoutError"."""

    def report_breaker(self, is_open: bool) -> None:
        """The circuit breaker in front of the store opened or closed."""

    def report_fold_in(self, seconds: float) -> None:
        """All items were ranked for a user, `seconds` after the ranking had been requested."""

    def report_degradation(self, reason: str) -> None:
        """A question got less than its best answer.

        `reason` is "store", "corrupt", "gone" or "overload".
        """

    def report_version(self, version: int, as_of: datetime, seconds: float) -> None:
        """A new version answers from now on; loading it took `seconds`."""

    def report_withdrawals(self, items: int) -> None:
        """So many items are withdrawn from now on, besides those that the run left out."""

    def report_corruption(self, what: str) -> None:
        """A value in the store was missing or damaged.

        `what` is "bucket", "history", "recent" or "version".
        """


class NoMetrics:
    """Ignores all reports: for tests, scripts and commands that run without a predictor."""

    def report_store_error(self, kind: str) -> None: ...
    def report_breaker(self, is_open: bool) -> None: ...
    def report_fold_in(self, seconds: float) -> None: ...
    def report_degradation(self, reason: str) -> None: ...
    def report_version(self, version: int, as_of: datetime, seconds: float) -> None: ...
    def report_withdrawals(self, items: int) -> None: ...
    def report_corruption(self, what: str) -> None: ...
