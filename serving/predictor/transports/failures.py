"""The status for each kind of failure, the same over HTTP and gRPC."""

from collections.abc import Mapping
from typing import Final

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


def choose_status(failure: Exception) -> int:
    """Return the HTTP status of a failure; 500 for one that should never be raised."""
    for kind, status in FAILURE_STATUSES.items():
        if isinstance(failure, kind):
            return status
    return INTERNAL_ERROR_STATUS
