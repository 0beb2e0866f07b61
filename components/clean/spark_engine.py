"""Clean with Spark: rows stay with the executors, which write the table's files themselves."""

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
    """Spark as a CleaningEngine, which documents the methods.

    The executors must reach the lake at the same URI as the step.
    """

    def __init__(self, url: str) -> None:
        """Open a session at one of the URLs that dawnlist.machine.spark takes."""
        self.spark = open_spark_session(url)
        self.connection: IbisConnection = ibis.pyspark.connect(self.spark)
        self._persisted_frames: list[Any] = []

    def close(self) -> None:
        """Free what was materialised. The session stays open for the next step."""
        for frame in self._persisted_frames:
            frame.unpersist()
        for view in self.spark.catalog.listTables():
            if view.isTemporary:
                self.spark.catalog.dropTempView(view.name)

    def create_landed_views(
        self,
        lake: Lake,
        names: list[str],
        prefix: str,
    ) -> list[LandedObject]:
        landed_objects = []
        for number, name in enumerate(names):
            landed_object = LandedObject.from_footer(lake, name, f"{prefix}_{number}")
            rows = self.spark.read.parquet(_convert_to_hadoop_uri(f"{lake.uri}/{name}"))
            first_key = number * OBJECT_KEY_STRIDE + 1
            keyed = rows.selectExpr("*", f"_metadata.row_index + {first_key} AS key")
            renamed = keyed.toDF(*landed_object.view_columns, "key")
            renamed.createOrReplaceTempView(landed_object.view)
            landed_objects.append(landed_object)
        return landed_objects

    def materialise(self, name: str, rows: TableExpression) -> TableExpression:
        frame = self.spark.sql(str(self.connection.compile(rows))).persist()
        self._persisted_frames.append(frame)
        frame.createOrReplaceTempView(name)
        return self.connection.table(name)

    def scan_days(
        self,
        lake: Lake,
        name: str,
        table: Any,
        days: list[date],
    ) -> TableExpression | None:
        if table is None or not days:
            return None
        iso_days = [day.isoformat() for day in days]
        files = table.file_uris(file_pruning_predicate=[("event_date", "in", iso_days)])
        if not files:
            return None
        view = f"{name}_of_days"
        rows = self.spark.read.parquet(*map(_convert_to_hadoop_uri, files))
        rows.createOrReplaceTempView(view)
        return self.connection.table(view)

    def to_arrow(self, rows: TableExpression) -> pa.Table:
        return self.connection.to_pyarrow(rows)

    def write_day_files(
        self,
        lake: Lake,
        name: str,
        rows: TableExpression,
        schema: pa.Schema,
    ) -> list[DayFile]:
        folder = f"spark-{uuid.uuid4()}"
        frame = self.spark.sql(str(self.connection.compile(rows))).repartition("event_date")
        writer = frame.write.partitionBy("event_date").option("compression", "zstd")
        writer.parquet(f"{_convert_to_hadoop_uri(lake.table_uri(name))}/{folder}")
        files = []
        for stored_object in list(lake.walk("tables", name, folder)):
            if stored_object.name.endswith(".parquet"):
                files.append(_describe_day_file(lake, name, stored_object))
            else:  # Hadoop's markers and checksums
                lake.delete(*stored_object.name.split("/"))
        return sorted(files, key=lambda file: file.name)


def _describe_day_file(
    lake: Lake,
    table: str,
    stored_object: StoredObject,
) -> DayFile:
    """Describe a file of a table by its name and its Parquet footer."""
    name = stored_object.name.removeprefix(f"tables/{table}/")
    path = lake.path(*stored_object.name.split("/"))
    footer = pq.read_metadata(path, filesystem=lake.filesystem)
    nulls: Counter[str] = Counter()
    for group in range(footer.num_row_groups):
        for index in range(footer.num_columns):
            column = footer.row_group(group).column(index)
            nulls[column.path_in_schema] += column.statistics.null_count
    day = name.split("/")[1].removeprefix("event_date=")
    return DayFile(name, day, footer.num_rows, stored_object.size, dict(nulls))


def _convert_to_hadoop_uri(uri: str) -> str:
    """Write a URI as Hadoop reads it: its path is not quoted, and s3 is called s3a."""
    scheme, _, path = uri.rpartition("://")
    if scheme == "s3":
        return f"s3a://{path}"
    return f"{scheme or 'file'}://{unquote(path)}"
