"""What differs between databases: drivers, read-only transactions, and how values land."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import INET

from dawnlist.components.fetch.driver_values import BLOB_MARK
from dawnlist.secret_values import read_secret
from dawnlist.settings import SourceSettings
from dawnlist.urls import SOURCE_PASSWORD, mask_passwords

SOURCE_CONNECT_SECONDS = 10
DATABASE_URL_FORMS = "sqlite:///FILE, postgresql://USER@HOST/DATABASE, mysql://… or mssql://…"
_DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "mssql": "mssql+pymssql",
}
DATABASE_SCHEMES = ("sqlite", *_DRIVERS)
_LIBPQ = {
    "connect_timeout": str(SOURCE_CONNECT_SECONDS),
    "application_name": "dawnlist",
    # With these, a server that went away is noticed within a minute, not after TCP's two hours.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
_EXTRA_READ_SECONDS = 30
"""How long MySQL's client waits beyond the statement timeout, in case the server is gone."""
_MAX_TIMEOUT_MILLISECONDS = 2**31 - 1
_PLAIN = (sa.Integer, sa.Float, sa.Boolean, sa.String, sa.DateTime, sa.Date)
"""PostgreSQL's types that Arrow has too. Others land as text: numeric, enum, uuid, json, ..."""

# Arguments of SQL Server's CONVERT.
_NVARCHAR_MAX: Any = sa.literal_column("NVARCHAR(max)")
_NVARCHAR_40: Any = sa.literal_column("NVARCHAR(40)")
_HEX_STYLE: Any = sa.literal_column("2")
_ISO_STYLE: Any = sa.literal_column("126")


def parse_database_url(url: str) -> sa.URL:
    """Parse a URL to SQLAlchemy's form, with the driver and the password.

    Raises:
        ValueError: It is not the URL of a database.
        FileNotFoundError: The SQLite file does not exist.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ValueError(
            f"source {mask_passwords(url)!r} is no database URL: give {DATABASE_URL_FORMS}"
        ) from None
    if parsed.get_backend_name() == "sqlite":
        # Open the file read-only, by a URI: SQLite would otherwise create a missing file.
        database = f"file:{quote(str(_find_sqlite_file(url, parsed).resolve()))}"
        return sa.URL.create("sqlite", database=database, query={"mode": "ro", "uri": "true"})
    scheme = url.partition("://")[0].partition("+")[0]
    driver = _DRIVERS[scheme]
    parsed = parsed.set(drivername=driver, password=read_secret(SOURCE_PASSWORD))
    if driver.startswith("postgresql"):
        parsed = parsed.set(query={**_LIBPQ, **parsed.query})
    return parsed


def create_source_engine(url: sa.URL, settings: SourceSettings) -> sa.Engine:
    """Create an engine with timeouts for connecting and, where the client has one, for reading.

    Raises:
        RuntimeError: The driver is not installed. The message names the extra to install.
    """
    backend = url.get_backend_name()
    timeout = settings.statement_timeout_seconds
    arguments: dict[str, Any] = {}
    if backend == "mysql":
        arguments["connect_timeout"] = SOURCE_CONNECT_SECONDS
        arguments["read_timeout"] = timeout + _EXTRA_READ_SECONDS
    elif backend == "mssql":
        arguments["login_timeout"] = SOURCE_CONNECT_SECONDS
        arguments["timeout"] = max(1, round(timeout))
    try:
        return sa.create_engine(url, connect_args=arguments)
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"a {backend} source needs {error.name}: "
            f"install it with `pip install 'dawnlist[{backend}]'`"
        ) from None


def list_opening_statements(dialect: Any, settings: SourceSettings) -> list[str]:
    """List the statements that open a read-only transaction with one snapshot, a timeout and UTC.

    SQLite needs none: it is read-only by its URI, and it has no timeout. SQL Server has no
    read-only transactions, and its timeout is the client's, but it can limit the wait for a lock.
    """
    milliseconds = round(settings.statement_timeout_seconds * 1000)
    milliseconds = min(milliseconds, _MAX_TIMEOUT_MILLISECONDS)
    if dialect.name == "postgresql":
        return [
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            f"SET LOCAL statement_timeout = {milliseconds}",
            "SET LOCAL TimeZone = 'UTC'",
            "SET LOCAL DateStyle = 'ISO'",
        ]
    if dialect.name == "mysql":
        timeout = f"max_execution_time = {milliseconds}"
        if dialect.is_mariadb:
            timeout = f"max_statement_time = {milliseconds / 1000}"
        return [
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            f"SET SESSION {timeout}",
            "SET SESSION time_zone = '+00:00'",
        ]
    if dialect.name == "mssql":
        return [f"SET LOCK_TIMEOUT {milliseconds}"]
    return []


def cast_for_landing(column: sa.ColumnClause[Any], dialect: str) -> Any:
    """Select a column as it lands: with its own type where Arrow has that too, else as text."""
    kind = column.type
    if dialect == "postgresql" and isinstance(kind, _PLAIN) and not isinstance(kind, sa.Enum):
        return column
    if isinstance(kind, INET):
        # A cast to text would add /32 to an address.
        return sa.func.abbrev(column).label(column.name)
    if dialect == "mssql" and isinstance(kind, sa.Float):
        # SQL Server's text of a float has only six digits.
        return column
    if isinstance(kind, sa.types._Binary):
        if dialect == "mssql":
            digits = sa.func.convert(_NVARCHAR_MAX, column, _HEX_STYLE)
            return sa.func.lower(digits).label(column.name)
        # A cast to text would write '?' for each byte that is not UTF-8, and make one id of many.
        return column
    if dialect == "sqlite":
        return _mark_blobs(column).label(column.name)
    return cast_to_text(column, dialect).label(column.name)


def _mark_blobs(column: sa.ColumnClause[Any]) -> Any:
    """Select a column of SQLite as text, and its BLOBs as a mark and hexadecimal digits."""
    is_blob = sa.func.typeof(column) == sa.literal_column("'blob'")
    mark: Any = sa.literal_column(f"'{BLOB_MARK}'")
    return sa.case((is_blob, mark.op("||")(sa.func.hex(column))), else_=sa.cast(column, sa.Text))


def cast_to_text(value: Any, dialect: str) -> Any:
    """Cast a value to the database's text of it; a time becomes ISO-8601."""
    if dialect != "mssql":
        return sa.cast(value, sa.Text)
    if isinstance(value.type, sa.DateTime | sa.Date):
        # A plain cast would give 'Jan  2 2026  3:04AM'.
        return sa.func.convert(_NVARCHAR_40, value, _ISO_STYLE)
    return sa.cast(value, sa.NVARCHAR)


def _find_sqlite_file(url: str, parsed: sa.URL) -> Path:
    """Find the file as the URL writes it, or else with %20 and the like decoded."""
    written_path = url.partition(":///")[2]
    for path in (written_path, parsed.database):
        if path and Path(path).is_file():
            return Path(path)
    raise FileNotFoundError(f"source {url!r}: there is no file {written_path!r}, check the path")
