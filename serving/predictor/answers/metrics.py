"""What the engine tells of itself while it answers."""

from typing import Protocol


class EngineMetrics(Protocol):
    """Takes reports; each costs well under a microsecond, may come from any thread and never raises."""

    def report_store_error(self, kind: str) -> None:
        """A command failed; `kind` is the exception's class name, such as "TimeoutError"."""

    def report_breaker(self, is_open: bool) -> None:
        """The circuit breaker before the store opened or closed."""

    def fold_in(self, seconds: float) -> None:
        """One user's vector was computed; `seconds` from asking the threads to the ranked items."""

    def report_degradation(self, reason: str) -> None:
        """A question got less than the ladder's best, e.g. "overload" (fold-in), "store", "history", "corrupt"."""

    def report_version(self, version: int, as_of: str, seconds: float) -> None:
        """A version is served from now on; `seconds` since it was found active."""

    def report_corruption(self, what: str) -> None:
        """A value of the store had a wrong checksum or was gone: "bucket", "history", "chunk", …"""


class NoMetrics:
    """Nobody listens: tests, scripts, `dawnlist ask` without a predictor."""

    def report_store_error(self, kind: str) -> None: ...
    def report_breaker(self, is_open: bool) -> None: ...
    def fold_in(self, seconds: float) -> None: ...
    def report_degradation(self, reason: str) -> None: ...
    def report_version(self, version: int, as_of: str, seconds: float) -> None: ...
    def report_corruption(self, what: str) -> None: ...
