"""What a database or its driver says when it refuses, as one line of ours and a built-in exception."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import adbc_driver_manager
import pyarrow as pa
import sqlalchemy as sa

from dawnlist.urls import SOURCE_PASSWORD, mask_passwords, read_password

_DENIED = {"42501", 1142, 1143, 229}
"""No SELECT right: SQLSTATE of PostgreSQL, numbers of MySQL and of SQL Server."""
_TIMED_OUT = {"57014", 1969, 3024}
_UNREACHABLE = {
    1040,
    1044,
    1045,
    1049,
    1698,
    2002,
    2003,
    2006,
    2013,
    2026,
    18456,
    20009,
    20002,
    20047,
}
_UNREACHABLE_CLASSES = ("08", "28", "3D", "53", "57P")
"""Classes of SQLSTATE: connection, authorization, no such database, too many connections, shut down or killed."""


@contextmanager
def translate_database_errors(url: str) -> Iterator[None]:
    """Raise what a driver raises in the block as PermissionError, TimeoutError, ConnectionError or ValueError."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise _translate_error(
            url, error.orig, isinstance(error, sa.exc.OperationalError)
        ) from None
    except adbc_driver_manager.Error as error:
        raise _translate_error(
            url, error, isinstance(error, adbc_driver_manager.OperationalError)
        ) from None
    except (OSError, pa.ArrowException) as error:  # in the middle of a stream there is only a text
        raise _translate_error(url, error, "ERROR:" not in str(error)) from None


def _translate_error(url: str, error: Any, operational: bool) -> Exception:
    source, code = f"the source {mask_passwords(url)!r}", _read_error_code(error)
    said = _read_error_line(error)
    if code in _DENIED:
        return PermissionError(
            f"{source} refuses ({said}): give the user the SELECT right on the tables of the shop"
        )
    if code in _TIMED_OUT or "statement timeout" in said:
        return TimeoutError(
            f"{source} took too long ({said}): is the time column indexed? if so, raise the settings, "
            "source.statement_timeout_seconds"
        )
    if (
        code in _UNREACHABLE
        or str(code).startswith(_UNREACHABLE_CLASSES)
        or (code is None and operational)
    ):
        return ConnectionError(
            f"{source} does not answer or refuses ({said}): check the host, the database, the user, and that "
            f"{SOURCE_PASSWORD} holds the password"
        )
    return ValueError(
        f"{source} can't be read ({said}): check the file or database, the user's rights, and the tables named in "
        "the settings, source"
    )


def _read_error_code(error: Any) -> str | int | None:
    """The number that MySQL and SQL Server give, or the SQLSTATE; None when neither is known."""
    first = error.args[0] if error.args else None
    is_number = isinstance(first, int) and not isinstance(error, OSError)
    return first if is_number else getattr(error, "sqlstate", None)


def _read_error_line(error: Any) -> str:
    """The first line of what the server or the driver said, without the password."""
    numbered = len(error.args) > 1 and isinstance(error.args[0], int)
    text = error.args[1] if numbered else str(error)
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    line = (text.strip() or "no reason given").splitlines()[0]
    secret = read_password(SOURCE_PASSWORD)
    return line.replace(secret, "***") if secret else line
