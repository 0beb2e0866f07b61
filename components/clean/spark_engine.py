"""Spark as the engine of the clean step: the rows stay with its executors, which write the table's files themselves."""

import uuid
from collections import Counter
from datetime import date
from typing import Any
from urllib.parse import unquote

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from dawnlist.components.clean.engine import TableExpression
from dawnlist.components.clean.landed_objects import OBJECT_KEY_STRIDE, LandedObject
from dawnlist.lake.commits import DayFile
from dawnlist.lake.lake import Lake
from dawnlist.lake.objects import StoredObject
from dawnlist.machine.spark import open_spark_session
from dawnlist.rows.sql_dialects import IbisConnection


class SparkEngine:
    """See dawnlist.components.clean.engine.Engine. Executors must reach the lake at the URI that opens it."""

    def __init__(self, url: str) -> None:
        """A session at one of the URLs of components.spark."""
        self.spark = open_spark_session(url)
        self.connection: IbisConnection = ibis.pyspark.connect(self.spark)
        self._kept: list[Any] = []

    def close(self) -> None:
        """Give back what was kept; the session stays for the next."""
        for frame in self._kept:
            frame.unpersist()
        for view in self.spark.catalog.listTables():
            if view.isTemporary:
                self.spark.catalog.dropTempView(view.name)

    def load(self, lake: Lake, names: list[str], prefix: str) -> list[LandedObject]:
        parts = []
        for number, name in enumerate(names):
            part = LandedObject.of(lake, name, f"{prefix}_{number}")
            rows = self.spark.read.parquet(_convert_to_hadoop_uri(f"{lake.uri}/{name}"))
            keyed = rows.selectExpr(
                "*", f"_metadata.row_index + {number * OBJECT_KEY_STRIDE + 1} AS key"
            )
            keyed.toDF(*part.places, "key").createOrReplaceTempView(part.view)
            parts.append(part)
        return parts

    def keep(self, name: str, rows: TableExpression) -> TableExpression:
        frame = self.spark.sql(str(self.connection.compile(rows))).persist()
        self._kept.append(frame)
        frame.createOrReplaceTempView(name)
        return self.connection.table(name)

    def stored(self, lake: Lake, name: str, table: Any, days: list[date]) -> TableExpression | None:
        if table is None or not days:
            return None
        texts = [day.isoformat() for day in days]
        files = table.file_uris(file_pruning_predicate=[("event_date", "in", texts)])
        if not files:
            return None
        view = f"{name}_of_days"
        self.spark.read.parquet(*map(_convert_to_hadoop_uri, files)).createOrReplaceTempView(view)
        return self.connection.table(view)

    def arrow(self, rows: TableExpression) -> pa.Table:
        return self.connection.to_pyarrow(rows)

    def write(
        self, lake: Lake, name: str, rows: TableExpression, schema: pa.Schema
    ) -> list[DayFile]:
        folder = f"spark-{uuid.uuid4()}"
        frame = self.spark.sql(str(self.connection.compile(rows))).repartition("event_date")
        write = frame.write.partitionBy("event_date").option("compression", "zstd")
        write.parquet(f"{_convert_to_hadoop_uri(lake.table_uri(name))}/{folder}")
        files = []
        for found in list(lake.walk("tables", name, folder)):
            if found.name.endswith(".parquet"):
                files.append(
                    _describe_day_file(lake, found.name.removeprefix(f"tables/{name}/"), found)
                )
            else:  # Hadoop's marks and checksums
                lake.delete(*found.name.split("/"))
        return sorted(files, key=lambda file: file.name)


def _describe_day_file(lake: Lake, name: str, found: StoredObject) -> DayFile:
    footer = pq.read_metadata(lake.path(*found.name.split("/")), filesystem=lake.filesystem)
    nulls: Counter[str] = Counter()
    for group in range(footer.num_row_groups):
        for place in range(footer.num_columns):
            column = footer.row_group(group).column(place)
            nulls[column.path_in_schema] += column.statistics.null_count
    day = name.split("/")[1].removeprefix("event_date=")
    return DayFile(name, day, footer.num_rows, found.size, dict(nulls))


def _convert_to_hadoop_uri(uri: str) -> str:
    """A URI as Hadoop's file systems read it: its path is not quoted, and s3 is s3a."""
    scheme, _, place = uri.rpartition("://")
    return f"s3a://{place}" if scheme == "s3" else f"{scheme or 'file'}://{unquote(place)}"
