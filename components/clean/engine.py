"""The interface of the engines that clean: DuckDB in the step's own process, or Spark.

Both run the same Ibis expressions.
"""

from datetime import date
from typing import Any, Protocol

import pyarrow as pa

from dawnlist.components.clean.landed_objects import LandedObject
from dawnlist.lake.commits import DayFile
from dawnlist.lake.lake import Lake
from dawnlist.rows.sql_dialects import IbisConnection

TableExpression = Any
"""An Ibis table expression."""


class CleaningEngine(Protocol):
    """What the clean step needs from an engine."""

    connection: IbisConnection
    """The Ibis connection on which all expressions of the step are built."""

    def create_landed_views(
        self,
        lake: Lake,
        names: list[str],
        prefix: str,
    ) -> list[LandedObject]:
        """Create a view of each landing object, named `prefix` and a number."""

    def materialise(self, name: str, rows: TableExpression) -> TableExpression:
        """Compute rows once and keep them under a name until the end of the step.

        They must be narrow.
        """

    def scan_days(
        self,
        lake: Lake,
        name: str,
        table: Any,
        days: list[date],
    ) -> TableExpression | None:
        """Read some days of a Delta table lazily.

        None when there is no table, no day, or no row of the days.
        """

    def close(self) -> None:
        """Free what was materialised."""

    def to_arrow(self, rows: TableExpression) -> pa.Table:
        """Return the rows as an Arrow table. They must fit in memory."""

    def write_day_files(
        self,
        lake: Lake,
        name: str,
        rows: TableExpression,
        schema: pa.Schema,
    ) -> list[DayFile]:
        """Write rows into files of one day each, below the folder of the table `name`.

        Nothing is committed.
        """
