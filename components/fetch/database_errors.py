"""Translate errors of databases and drivers to built-in exceptions with a line for a message."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import adbc_driver_manager
import pyarrow as pa
import sqlalchemy as sa

from dawnlist.secret_values import read_secret
from dawnlist.urls import SOURCE_PASSWORD, mask_passwords

_DENIED = {"42501", 1142, 1143, 229}
"""No SELECT right: the SQLSTATE of PostgreSQL, the numbers of MySQL and of SQL Server."""
_TIMED_OUT = {"57014", 1969, 3024}
_UNREACHABLE_MYSQL = {1040, 1044, 1045, 1049, 1698, 2002, 2003, 2006, 2013, 2026}
_UNREACHABLE_SQL_SERVER = {18456, 20002, 20009, 20047}
_UNREACHABLE = _UNREACHABLE_MYSQL | _UNREACHABLE_SQL_SERVER
_UNREACHABLE_CLASSES = ("08", "28", "3D", "53", "57P")
"""Classes of SQLSTATE: connection, login, no such database, too many connections, shutdown."""


@contextmanager
def translate_database_errors(url: str) -> Iterator[None]:
    """Translate what a driver raises in the block.

    Raises:
        PermissionError: The user has no SELECT right.
        TimeoutError: A statement took longer than the settings allow.
        ConnectionError: The server does not answer, or refuses the user.
        ValueError: The database can't be read for another reason.
    """
    try:
        yield
    except sa.exc.DBAPIError as error:
        is_operational = isinstance(error, sa.exc.OperationalError)
        raise _translate_error(url, error.orig, is_operational) from None
    except adbc_driver_manager.Error as error:
        is_operational = isinstance(error, adbc_driver_manager.OperationalError)
        raise _translate_error(url, error, is_operational) from None
    except (OSError, pa.ArrowException) as error:
        # In the middle of a stream, Arrow passes on only the text of the driver's error.
        raise _translate_error(url, error, "ERROR:" not in str(error)) from None


def _translate_error(
    url: str,
    error: Any,
    is_operational: bool,
) -> Exception:
    source = f"the source {mask_passwords(url)!r}"
    code, line = _read_error_code(error), _read_error_line(error)
    if code in _DENIED:
        return PermissionError(
            f"{source} refuses ({line}): give the user the SELECT right on the tables of the shop"
        )
    if code in _TIMED_OUT or "statement timeout" in line:
        return TimeoutError(
            f"{source} took too long ({line}): check that the time column is indexed; "
            "if it is, raise the settings, source.statement_timeout_seconds"
        )
    if _is_unreachable(code, is_operational):
        return ConnectionError(
            f"{source} does not answer or refuses ({line}): check the host, the database, "
            f"the user, and that {SOURCE_PASSWORD} holds the password"
        )
    return ValueError(
        f"{source} can't be read ({line}): check the file or database, the user's rights, "
        "and the tables named in the settings, source"
    )


def _is_unreachable(code: str | int | None, is_operational: bool) -> bool:
    """Whether the server does not answer or refuses the user."""
    if code is None:
        return is_operational
    return code in _UNREACHABLE or str(code).startswith(_UNREACHABLE_CLASSES)


def _read_error_code(error: Any) -> str | int | None:
    """Return the number that MySQL and SQL Server give, or the SQLSTATE; None without either."""
    first_argument = error.args[0] if error.args else None
    if isinstance(first_argument, int) and not isinstance(error, OSError):
        return first_argument
    return getattr(error, "sqlstate", None)


def _read_error_line(error: Any) -> str:
    """Return the first line of the server's or the driver's message, without the password."""
    has_number = len(error.args) > 1 and isinstance(error.args[0], int)
    message = error.args[1] if has_number else str(error)
    if isinstance(message, bytes):
        message = message.decode(errors="replace")
    text = str(message).strip() or "no reason given"
    line = text.splitlines()[0]
    password = read_secret(SOURCE_PASSWORD)
    return line.replace(password, "***") if password else line
