"""A lake on S3 and on GCS: fetch, clean, read back and the registry, on real emulators."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dawnlist.als.engine import FitEngine
from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.components.train.fitting import fit_stage
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import hold_lease
from dawnlist.model.config import ALSConfig
from dawnlist.records import registry
from dawnlist.records.run_records import read_step_records, record_step
from dawnlist.settings import Settings
from dawnlist.store.version_reports import VersionReport
from tests.support.literal import two_tastes

ROWS = [
    ("e1", "ann", "A", "view", "2026-01-01T10:00:00Z"),
    ("e2", "bob", "B", "cart", "2026-01-01T23:00:00Z"),
    ("e3", "ann", None, "view", "2026-01-02T10:00:00Z"),
    ("e4", "eve", "B", "purchase", "2026-01-03T10:00:00Z"),
]


@pytest.fixture
def source(tmp_path: Path) -> str:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute(
            "CREATE TABLE interactions (event_id, user_id, item_id, event, event_time, received_at TEXT)"
        )
        connection.executemany("INSERT INTO interactions VALUES (?1, ?2, ?3, ?4, ?5, ?5)", ROWS)
        connection.execute("CREATE TABLE items (item_id, title)")
        connection.executemany("INSERT INTO items VALUES (?, ?)", [("A", "Apple"), ("B", "Bread")])
    return f"sqlite:///{tmp_path / 'shop.db'}"


@pytest.fixture(params=["s3_root", "gcs_root"])
def lake(request: pytest.FixtureRequest) -> Lake:
    return Lake.open(request.getfixturevalue(request.param), "shop")


def night(lake: Lake, source: str, as_of: str) -> dict[str, Any]:
    moment = parse_as_of(as_of)
    landed = fetch_source(lake, source, Settings().source, moment, "run-1", window_days=3)
    report: dict[str, Any] = clean_landed_objects(lake, landed, Settings(), moment, "run-1")
    return report


def events(lake: Lake) -> list[str]:
    rows = lake.rows("interactions")
    assert rows is not None
    return sorted(rows.to_table(columns=["event_id"])["event_id"].to_pylist())


def test_two_nights_and_one_of_them_twice(lake: Lake, source: str) -> None:
    assert night(lake, source, "2026-01-03T00:00:00Z")["days"] == {"2026-01-01": 2}
    assert night(lake, source, "2026-01-03T00:00:00Z")["inserted"] == 0
    assert night(lake, source, "2026-01-04T00:00:00Z")["days"] == {"2026-01-03": 1}
    assert events(lake) == ["e1", "e2", "e4"]
    quarantine, items = lake.rows("quarantine"), lake.rows("items")
    assert quarantine is not None and quarantine.to_table().num_rows == 1
    assert items is not None and sorted(items.to_table()["title"].to_pylist()) == ["Apple", "Bread"]
    assert {"landing", "tables"} <= set(lake.names())


def test_two_runs_of_one_night_at_once(lake: Lake, source: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        inserted = [
            report["inserted"]
            for report in pool.map(lambda _: night(lake, source, "2026-01-04T00:00:00Z"), "ab")
        ]
    assert sorted(inserted) == [0, 3]
    assert events(lake) == ["e1", "e2", "e4"]


def test_the_registry_and_the_run_record(lake: Lake, tmp_path: Path) -> None:
    fitted = fit_stage(
        lake,
        two_tastes(),
        "refit",
        ALSConfig(2, iterations=1).as_dict(),
        FitEngine(),
        tmp_path / "model",
    )
    report = VersionReport(
        version=1, token="1-0", as_of="2026-01-31T00:00:00Z", run="run-1", users=9
    )
    registry.record_publication(
        lake, report, {"model": fitted["model"], "winner": "challenger", "metrics": {"ndcg": 0.5}}
    )
    registry.set_champion(lake, report)
    live = registry.read_champion(lake)
    assert live and live["history"] == [
        {"as_of": "2026-01-31T00:00:00Z", "run": "run-1", "token": "1-0"}
    ]
    assert registry.load_model(lake, live).lineage["as_of"] == "2026-01-31T00:00:00Z"
    with record_step(
        lake.uri.removesuffix("/shop"),
        "shop",
        parse_as_of("2026-01-31T00:00:00Z"),
        "run-1",
        "fetch",
    ) as record:
        record["rows"] = 3
    assert [
        found["report"]
        for found in read_step_records(lake, parse_as_of("2026-01-31T00:00:00Z"), "run-1")
    ] == [{"rows": 3}]


def test_a_lease(lake: Lake) -> None:
    with (
        hold_lease(lake, "compact", "one"),
        pytest.raises(TimeoutError, match="is held by run one on"),
        hold_lease(lake, "compact", "two", wait=0.3),
    ):
        raise AssertionError
    with hold_lease(lake, "compact", "two", wait=0) as held:
        held.check()
