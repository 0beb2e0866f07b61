"""The status for each kind of failure, the same over HTTP and gRPC."""

from collections.abc import Callable, Mapping
from typing import Final, ParamSpec, TypeVar

from dawnlist.serving.predictor.request_limiter import OverloadedError
from dawnlist.serving.predictor.transports.auth import ForbiddenError, UnauthenticatedError

INTERNAL_ERROR_STATUS: Final = 500
FAILURE_STATUSES: Final[Mapping[type[Exception], int]] = {
    ValueError: 400,
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    OverloadedError: 503,
}
"""HTTP statuses of the failures that a caller may be told about."""


Parameters = ParamSpec("Parameters")
Parsed = TypeVar("Parsed")


def parse_untrusted(
    parse: Callable[Parameters, Parsed], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Parsed:
    """Call a parser with what a caller sent.

    Whatever it raises is about the caller's request. It must not count as an error of the
    predictor, which would send a message to the predictor's owner.

    Raises:
        ValueError: the request is not valid, or can't be read at all.
    """
    try:
        return parse(*args, **kwargs)
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(
            f"the request can't be read ({type(error).__name__}): see /openapi.json"
        ) from None


def choose_status(failure: Exception) -> int:
    """Return the HTTP status of a failure; 500 for one that should never be raised."""
    for kind, status in FAILURE_STATUSES.items():
        if isinstance(failure, kind):
            return status
    return INTERNAL_ERROR_STATUS
