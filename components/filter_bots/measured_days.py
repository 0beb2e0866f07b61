"""Read and write the Delta tables of measured days, which have a partition for each whole day.

The tables are bot_agent_days and bot_user_days. Each commit records the version of
the interactions that was measured and the edition of the features.
"""

from datetime import date
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa

from dawnlist.lake.commits import build_commit_properties, commit_with_retries
from dawnlist.lake.lake import Lake

if TYPE_CHECKING:
    from deltalake import DeltaTable

FEATURES_EDITION: Final = 2
"""Add one whenever the definition of a feature changes; then all days are measured again."""
MEASURED_VERSION_APP_ID: Final = "interactions"
"""App id of the version of the interactions that was measured."""
EDITION_APP_ID: Final = "edition"
"""App id of FEATURES_EDITION."""


def read_measured_version(lake: Lake) -> int:
    """Return the newest version of the interactions that was measured, or -1 if none was."""
    table = lake.table("bot_user_days")
    if table is None:
        return -1
    version = table.transaction_version(MEASURED_VERSION_APP_ID)
    return -1 if version is None else version


def count_measured_events(connection: duckdb.DuckDBPyConnection, lake: Lake) -> dict[date, int]:
    """Count for each day the events whose features are in bot_user_days.

    Features of another edition do not count.
    """
    table = lake.table("bot_user_days")
    if table is None or _has_other_edition(table):
        return {}
    connection.register("stored_rows", lake.scan(table))
    counts = connection.execute(
        "SELECT event_date, sum(events)::BIGINT FROM stored_rows GROUP BY 1"
    ).fetchall()
    connection.unregister("stored_rows")
    return dict(counts)


def write_days(
    connection: duckdb.DuckDBPyConnection, lake: Lake, kind: str, days: list[date], version: int
) -> None:
    """Replace days in the table of a kind with the rows of `{kind}_days`, in one commit.

    `version` is the version of the interactions that was measured.
    """
    name = f"bot_{kind}_days"
    day_list = ", ".join(f"'{day}'" for day in days)
    condition = f"event_date IN ({day_list})"
    rows = connection.sql(
        f"SELECT * FROM {kind}_days WHERE {condition} ORDER BY ALL"
    ).to_arrow_table()

    def write_once(table: "DeltaTable | None") -> None:
        _write_rows(lake, name, table, rows, condition, version)

    commit_with_retries(lake, name, write_once)


def _write_rows(
    lake: Lake,
    name: str,
    table: "DeltaTable | None",
    rows: pa.Table,
    condition: str,
    version: int,
) -> None:
    """Create the table, overwrite it if it is of another edition, or replace some of its rows."""
    from deltalake import WriterProperties, write_deltalake

    options: dict[str, Any]
    if table is None:
        options = {"mode": "error", "partition_by": ["event_date"]}
    elif _has_other_edition(table):
        options = {"mode": "overwrite", "schema_mode": "overwrite"}
    else:
        options = {"mode": "overwrite", "predicate": condition}
    write_deltalake(
        lake.table_uri(name) if table is None else table,
        rows,
        writer_properties=WriterProperties(compression="ZSTD", compression_level=1),
        commit_properties=build_commit_properties(
            {MEASURED_VERSION_APP_ID: version, EDITION_APP_ID: FEATURES_EDITION}
        ),
        **options,
    )


def _has_other_edition(table: "DeltaTable") -> bool:
    return table.transaction_version(EDITION_APP_ID) != FEATURES_EDITION
