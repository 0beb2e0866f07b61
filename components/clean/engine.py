"""What cleans: DuckDB in the step's own process, or Spark. Both run the same Ibis expressions."""

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
    """What the clean step asks of an engine."""

    connection: IbisConnection

    def load(self, lake: Lake, names: list[str], prefix: str) -> list[LandedObject]:
        """Show landing objects as views."""

    def keep(self, name: str, rows: TableExpression) -> TableExpression:
        """Compute rows once, under a name; narrow ones, since they are kept until the end of the step."""

    def stored(self, lake: Lake, name: str, table: Any, days: list[date]) -> TableExpression | None:
        """The rows that a Delta table has of some days, lazily; None when it has none."""

    def close(self) -> None:
        """Give back what was kept."""

    def arrow(self, rows: TableExpression) -> pa.Table:
        """A few rows."""

    def write(
        self, lake: Lake, name: str, rows: TableExpression, schema: pa.Schema
    ) -> list[DayFile]:
        """Write rows into files of one day each, below the folder of the table `name`; nothing is committed."""
