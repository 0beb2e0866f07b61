"""What each kind of database wants: its driver, how a read-only transaction opens, what its values land as."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import INET

from dawnlist.settings import SourceSettings
from dawnlist.urls import SOURCE_PASSWORD, mask_passwords, read_password

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
    # a server that went away is noticed within a minute, not after TCP's two hours
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
# PostgreSQL's strict types; numeric, enum, uuid, json, arrays and the like land as their text
_PLAIN = (sa.Integer, sa.Float, sa.Boolean, sa.String, sa.DateTime, sa.Date)


def parse_database_url(url: str) -> sa.URL:
    """The URL as SQLAlchemy's, with driver and password. ValueError for none, FileNotFoundError for no SQLite file."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ValueError(
            f"source {mask_passwords(url)!r} is no database URL: give {DATABASE_URL_FORMS}"
        ) from None
    if parsed.get_backend_name() == "sqlite":
        # read-only and by URI: SQLite would otherwise create a missing file
        database = f"file:{quote(str(_find_sqlite_file(url, parsed).resolve()))}"
        return sa.URL.create("sqlite", database=database, query={"mode": "ro", "uri": "true"})
    driver = _DRIVERS[url.partition("://")[0].partition("+")[0]]
    full = parsed.set(drivername=driver, password=read_password(SOURCE_PASSWORD))
    return full.set(query={**_LIBPQ, **full.query}) if driver.startswith("postgresql") else full


def create_source_engine(url: sa.URL, settings: SourceSettings) -> sa.Engine:
    """An engine with a connect timeout. RuntimeError that names the extra to install when the driver is missing."""
    backend, seconds = url.get_backend_name(), settings.statement_timeout_seconds
    arguments: dict[str, dict[str, Any]] = {
        # what the server does not end, because it is gone, the client gives up soon after
        "mysql": {"connect_timeout": SOURCE_CONNECT_SECONDS, "read_timeout": seconds + 30},
        "mssql": {"login_timeout": SOURCE_CONNECT_SECONDS, "timeout": max(1, round(seconds))},
    }
    try:
        return sa.create_engine(url, connect_args=arguments.get(backend, {}))
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"a {backend} source needs {error.name}: install it with `pip install 'dawnlist[{backend}]'`"
        ) from None


def list_opening_statements(dialect: Any, settings: SourceSettings) -> list[str]:
    """The statements that a transaction opens with: read-only, one snapshot, a statement timeout, times in UTC.

    SQLite has no timeout and is read-only by its URI; SQL Server has neither a read-only transaction nor a timeout of
    its own (its driver's is set), but waits for a lock no longer.
    """
    milliseconds = min(round(settings.statement_timeout_seconds * 1000), 2**31 - 1)
    if dialect.name == "postgresql":
        return [
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            f"SET LOCAL statement_timeout = {milliseconds}",
            "SET LOCAL TimeZone = 'UTC'",
            "SET LOCAL DateStyle = 'ISO'",
        ]
    if dialect.name == "mysql":
        timeout = f"max_statement_time = {milliseconds / 1000}"
        return [
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            f"SET SESSION {timeout if dialect.is_mariadb else f'max_execution_time = {milliseconds}'}",
            "SET SESSION time_zone = '+00:00'",
        ]
    return [f"SET LOCK_TIMEOUT {milliseconds}"] if dialect.name == "mssql" else []


def cast_for_landing(column: sa.ColumnClause[Any], dialect: str) -> Any:
    """The column as it lands: as the database has it where Arrow has that type too, else as the database's text."""
    kind = column.type
    if dialect == "postgresql" and isinstance(kind, _PLAIN) and not isinstance(kind, sa.Enum):
        return column
    if isinstance(kind, INET):  # its cast to text adds /32
        return sa.func.abbrev(column).label(column.name)
    if dialect == "mssql" and isinstance(kind, sa.Float):
        return column  # its text of a float has six digits
    if dialect in ("mysql", "mssql") and isinstance(kind, sa.types._Binary):
        return _cast_bytes_to_text(column, dialect).label(column.name)
    return cast_to_text(column, dialect).label(column.name)


def _cast_bytes_to_text(column: sa.ColumnClause[Any], dialect: str) -> Any:
    """Bytes as hexadecimal digits; on MySQL, which has texts in such columns too, those that are UTF-8 as they are.

    A cast to text would write '?' for what is none, and make one id of many such as the UUIDs in a BINARY(16).
    """
    if dialect == "mssql":
        return sa.func.lower(
            sa.func.convert(sa.literal_column("NVARCHAR(max)"), column, sa.literal_column("2"))
        )
    digits = sa.func.lower(sa.func.hex(column))
    if isinstance(column.type, sa.BINARY):
        return digits
    text = sa.cast(column, sa.Text)
    return sa.case((sa.cast(text, sa.LargeBinary) == column, text), else_=digits)


def cast_to_text(value: Any, dialect: str) -> Any:
    """The database's text of a value; ISO-8601 of a time."""
    if dialect != "mssql":
        return sa.cast(value, sa.Text)
    if isinstance(value.type, sa.DateTime | sa.Date):  # a plain cast gives 'Jan  2 2026  3:04AM'
        return sa.func.convert(sa.literal_column("NVARCHAR(40)"), value, sa.literal_column("126"))
    return sa.cast(value, sa.NVARCHAR)


def _find_sqlite_file(url: str, parsed: sa.URL) -> Path:
    """The file as the URL writes it, or, when there is none, with %20 and the like decoded."""
    written = url.partition(":///")[2]
    places = [Path(place) for place in (written, parsed.database) if place]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"source {url!r}: there is no file {written!r}, check the path")
    return found
