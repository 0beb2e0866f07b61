"""DuckDB and Spark clean the same rows into identical tables, with the same counts."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.machine import spark
from dawnlist.schema import INTERACTIONS_SCHEMA, QUARANTINE_SCHEMA
from dawnlist.settings import EngineSettings, Settings
from dawnlist.simulate import ShopConfig, simulate_shop
from tests.support.spark_sessions import connect_server, needs_spark

PROVE = bool(os.environ.get("DAWNLIST_PROVE"))
TWO = "local-cluster[2,1,512]"
WINDOWS = [
    ("2025-01-01T00:00:00Z", "2025-01-05T00:00:00Z"),
    ("2025-01-04T23:00:00Z", "2025-01-07T00:00:00Z"),
]


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Six days of a shop with every kind of dirt, among it the renamed column and days without sessions."""
    config = ShopConfig(
        users=1500,
        items=300,
        days=6,
        seed=5,
        corrupt_share=0.01,
        rename_day=3,
        sessionless_days=(4, 5),
    )
    return simulate_shop(config).interactions


def cleaned(
    root: Path, rows: pa.Table, engines: EngineSettings
) -> tuple[Lake, list[dict[str, Any]]]:
    """Two windows that overlap by an hour, so that the second finds rows which the lake has."""
    lake, reports = Lake.open(str(root), "shop"), []
    for number, (start, end) in enumerate(WINDOWS):
        arrived = rows["received_at"]
        window = rows.filter(pc.and_(pc.greater_equal(arrived, start), pc.less(arrived, end)))
        name = f"landing/interactions/{number}/r.parquet"
        Path(lake.path(*name.split("/"))).parent.mkdir(parents=True)
        pq.write_table(window, lake.path(*name.split("/")), row_group_size=5_000)
        landed: dict[str, Any] = {
            "interactions": [name],
            "items": None,
            "users": None,
            "windows": [(start, end)],
            "arrivals": {},
        }
        report = clean_landed_objects(
            lake, landed, Settings(engines=engines), parse_as_of(end), f"r{number}"
        )
        reports.append({key: value for key, value in report.items() if key != "seconds"})
    return lake, reports


def table(lake: Lake, name: str, schema: pa.Schema, *by: str) -> pa.Table:
    found = lake.rows(name)
    assert found is not None
    return (
        found.to_table(columns=schema.names)
        .sort_by([(column, "ascending") for column in by])
        .cast(schema)
    )


@pytest.fixture(scope="module")
def expected(
    tmp_path_factory: pytest.TempPathFactory, rows: pa.Table
) -> tuple[Lake, list[dict[str, Any]]]:
    """What DuckDB makes of them."""
    return cleaned(tmp_path_factory.mktemp("duckdb"), rows, EngineSettings())


@pytest.fixture(params=["executors", *(["connect"] if PROVE else [])])
def url(request: pytest.FixtureRequest, quick_java: None) -> Iterator[str]:
    """Two executors in processes of their own, or a server by Spark Connect."""
    with nullcontext(TWO) if request.param == "executors" else connect_server() as place:
        yield place
        spark.stop_spark_session()


@needs_spark
def test_spark_gives_the_tables_and_counts_of_duckdb(
    tmp_path: Path, rows: pa.Table, expected: tuple[Lake, list[dict[str, Any]]], url: str
) -> None:
    one, counts = expected
    two, counted = cleaned(tmp_path, rows, EngineSettings(clean="spark", spark=url))
    assert counted == counts
    assert (
        counts[1]["known"] > 0 and counts[1]["double_clicks"] > 0 and len(counts[0]["reasons"]) == 6
    )
    for name, schema, by in (
        ("interactions", INTERACTIONS_SCHEMA, ("event_id",)),
        ("quarantine", QUARANTINE_SCHEMA, ("source_object", "row_number")),
    ):
        assert table(two, name, schema, *by).equals(table(one, name, schema, *by))
