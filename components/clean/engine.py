"""What cleans: DuckDB in the step's own process, or Spark. Both run the same Ibis expressions."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from dawnlist.components.clean.landed import Connection, Landed
from dawnlist.lake.commits import DayFile
from dawnlist.lake.lake import Lake
from dawnlist.settings import EngineSettings

Rows = Any
"""An Ibis table expression."""


class Engine(Protocol):
    """What the clean step asks of an engine."""

    connection: Connection

    def load(self, lake: Lake, names: list[str], prefix: str) -> list[Landed]:
        """Show landing objects as views."""

    def keep(self, name: str, rows: Rows) -> Rows:
        """Compute rows once, under a name; narrow ones, since they are kept until the end of the step."""

    def stored(self, lake: Lake, name: str, table: Any, days: list[date]) -> Rows | None:
        """The rows that a Delta table has of some days, lazily; None when it has none."""

    def close(self) -> None:
        """Give back what was kept."""

    def arrow(self, rows: Rows) -> pa.Table:
        """A few rows."""

    def write(self, lake: Lake, name: str, rows: Rows, schema: pa.Schema) -> list[DayFile]:
        """Write rows into files of one day each, below the folder of the table `name`; nothing is committed."""


@contextmanager
def opened(settings: EngineSettings, folder: Path) -> Iterator[Engine]:
    """The engine that the settings name; `folder` is for what it has to put somewhere for the time of the step."""
    engine: Engine
    if settings.clean == "spark":
        from dawnlist.components.clean.on_spark import SparkEngine

        engine = SparkEngine(settings.spark)
    else:
        from dawnlist.components.clean.on_duckdb import DuckDBEngine

        engine = DuckDBEngine(folder)
    try:
        yield engine
    finally:
        engine.close()
