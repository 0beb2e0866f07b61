"""Whatever dies, and whoever runs at the same time: at the end the lake holds the truth, row for row."""

import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dawnlist.components.clean import cleaning
from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.lake.lake import Lake
from dawnlist.pipelines.lake import backfill_windows
from dawnlist.settings import Settings, SourceSettings
from dawnlist.upkeep import housekeeping
from tests.support.traffic import DAY, FIRST, HOUR, Event, traffic

PROVE = "DAWNLIST_PROVE" in os.environ
SETTINGS = Settings(
    source=SourceSettings(double_click_seconds=0)
)  # a click is a click: the truth counts each
DAYS = 14 if PROVE else 3
KILLS = 10 if PROVE else 3  # of each day's run
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "tests.test_crashes",
        "pandas",
        "pyarrow.dataset",
        "ibis.backends.duckdb",
        "sqlglot.dialects.duckdb",
    ]
    + [
        f"sqlglot.{part}.{name}"
        for part in ("dialects", "parsers", "generators")
        for name in ("postgres", "sqlite")
    ]
    + ["adbc_driver_sqlite.dbapi", "dawnlist.lake.local"]
)  # a process then costs no imports, and is killed at work


def run_day(root: str, source: str, as_of: datetime, run: str) -> dict[str, Any]:
    """The steps fetch and clean of one run; what fetch landed."""
    lake = Lake.open(root, "shop")
    landed = fetch_source(lake, source, SETTINGS.source, as_of, run, DAYS + 10)
    clean_landed_objects(lake, landed, SETTINGS, as_of, run)
    return landed


def tidy(root: str) -> None:
    """The housekeeping, beside a run."""
    housekeeping.expire_lake(Lake.open(root, "shop"), Settings().keep, datetime.now(UTC))


def held(lake: Lake) -> list[Event]:
    rows = lake.rows("interactions")
    if rows is None:
        return []
    columns = ("user_id", "item_id", "event_type", "event_time")
    table = rows.to_table(columns=list(columns))
    return sorted(zip(*(table[name].to_pylist() for name in columns), strict=True))


def quarantined(lake: Lake) -> int:
    rows = lake.rows("quarantine")
    return 0 if rows is None else int(rows.count_rows())


def evening(day: int) -> Any:
    """The as_of of a day's run, at some minutes past three at night of the next."""
    return FIRST + (day + 1) * DAY + 3 * HOUR + timedelta(minutes=17)


@contextmanager
def running(function: Any, *arguments: Any) -> Iterator[Any]:
    process = SERVER.Process(target=function, args=arguments)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
        process.close()


def finish(*runs: tuple[Any, ...]) -> None:
    """Run each, at the same time, to its end."""
    processes = [SERVER.Process(target=function, args=arguments) for function, *arguments in runs]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def kill_at_random(rng: random.Random, seconds: float, *arguments: Any) -> bool:
    """Kill a day's run within the time that one takes; whether it was alive to be killed."""
    with running(run_day, *arguments) as process:
        time.sleep(
            rng.uniform(0, 1.6 * seconds)
        )  # on a lake that has grown it takes longer than it did
        return bool(process.is_alive())


@pytest.mark.timeout(1200)
def test_killed_at_random_the_lake_holds_the_truth(tmp_path: Path) -> None:
    rng, said, root = random.Random(1), traffic(1, DAYS, 400), str(tmp_path / "lake")
    seconds, killed = (
        _seconds(tmp_path, said.write(tmp_path / "shop.db", evening(0)), evening(0)),
        0,
    )
    for day in range(DAYS + 4):  # rows arrive up to three days late
        as_of = evening(day)
        source = said.write(tmp_path / "shop.db", evening(day))
        for attempt in range(KILLS):
            # every other one as Kubeflow retries: under the name of the run that comes to its end
            name = f"killed-{day}-{attempt}" if attempt % 2 else f"last-{day}"
            hit = kill_at_random(rng, seconds, root, source, as_of, name)
            killed += hit
            seconds *= (
                1.1 if hit else 0.7
            )  # a busy machine may have been slow only when it was measured
        finish(
            (run_day, root, source, as_of, f"last-{day}"), *([(tidy, root)] if day % 3 == 2 else [])
        )
    lake = Lake.open(root, "shop")
    landed, committed = _reached(lake)
    print(
        f"{killed} runs were killed over {DAYS + 4} days, {landed} of them after they had landed something and "
        f"{committed} after they had committed; {len(said.rows)} rows, {len(said.events)} events"
    )
    assert killed >= (100 if PROVE else 6)
    assert held(lake) == said.events
    assert quarantined(lake) == said.broken


def _reached(lake: Lake) -> tuple[int, int]:
    """How many of the killed runs left a landing object, and rows in the table."""
    landed = {found.name.rpartition("/")[2] for found in lake.walk("landing", "interactions")}
    rows = lake.rows("interactions")
    sources = (
        set() if rows is None else set(rows.to_table(columns=["source"])["source"].to_pylist())
    )
    committed = {str(source).rpartition("/")[2] for source in sources}
    return sum(name.startswith("killed") for name in landed), sum(
        name.startswith("killed") for name in committed
    )


def _seconds(folder: Path, source: str, as_of: datetime) -> float:
    """How long a run takes from its start to its end, on a lake of its own; not the first, which imports."""
    finish((run_day, str(folder / "measured"), source, as_of, "first"))
    clock = time.monotonic()
    finish((run_day, str(folder / "measured"), source, as_of, "measured"))
    return time.monotonic() - clock


def test_two_runs_of_a_day_at_the_same_time(tmp_path: Path) -> None:
    said, root = traffic(2, 3, 400), str(tmp_path / "lake")
    for day in range(7):
        as_of, source = evening(day), said.write(tmp_path / "shop.db", evening(day))
        finish(*((run_day, root, source, as_of, f"run-{day}-{name}") for name in "ab"))
    lake = Lake.open(root, "shop")
    assert held(lake) == said.events
    assert quarantined(lake) == said.broken


def fill(place: backfill_windows.BackfillTarget, days: list[Any]) -> None:
    backfill_windows.run_backfill(place, days, days, 2, lambda window, report: None)


def test_a_backfill_beside_a_daily_run(tmp_path: Path) -> None:
    said, root = traffic(3, 12, 200), str(tmp_path / "lake")
    (tmp_path / "settings.yaml").write_text("source: {double_click_seconds: 0}")
    lake = Lake.open(root, "shop")
    source = said.write(tmp_path / "shop.db", evening(9))
    landed = fetch_source(lake, source, SETTINGS.source, evening(9), "first", 3)
    clean_landed_objects(lake, landed, SETTINGS, evening(9), "first")
    source = said.write(tmp_path / "shop.db", evening(16))
    place = backfill_windows.BackfillTarget(
        root, "shop", source, str(tmp_path / "settings.yaml"), "backfill"
    )
    before = [(FIRST + number * DAY).date() for number in range(8)]
    finish((fill, place, before), (run_day, root, source, evening(16), "second"))
    assert held(lake) == said.events
    assert quarantined(lake) == said.broken
    assert not backfill_windows.find_gaps(
        lake, source, SETTINGS, [(FIRST + number * DAY).date() for number in range(16)]
    )


def test_rows_later_than_the_overlap_are_told_and_filled(tmp_path: Path) -> None:
    said, root = traffic(4, 4, 200, missed=True), str(tmp_path / "lake")
    (tmp_path / "settings.yaml").write_text("source: {double_click_seconds: 0}")
    told: dict[str, dict[str, Any]] = {}
    for day in range(10):
        source = said.write(tmp_path / "shop.db", evening(day))
        told |= {
            found["day"]: found
            for found in run_day(root, source, evening(day), f"run-{day}")["late"]
        }
    lake = Lake.open(root, "shop")
    missing = len(said.events) - len(held(lake))
    assert missing > 0
    place = backfill_windows.BackfillTarget(
        root, "shop", source, str(tmp_path / "settings.yaml"), "backfill"
    )
    days = [(FIRST + number * DAY).date() for number in range(10)]
    lacking = [gap.day for gap in backfill_windows.find_gaps(lake, source, SETTINGS, days)]
    assert [day.isoformat() for day in lacking] == sorted(told)
    assert sum(found["source"] - found["lake"] for found in told.values()) >= missing
    backfill_windows.run_backfill(place, days, lacking, 1, lambda window, report: None)
    assert held(lake) == said.events
    assert backfill_windows.find_gaps(lake, source, SETTINGS, days) == []


@pytest.mark.parametrize("step", ["append_quarantine", "merge_interactions"])
def test_a_run_that_ends_before_either_commit_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    said, root = traffic(6, 2, 200), str(tmp_path / "lake")
    source, as_of = said.write(tmp_path / "shop.db", evening(6)), evening(6)

    def ends(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(cleaning, step, ends)
        run_day(root, source, as_of, "ended")
    lake = Lake.open(root, "shop")
    assert (
        lake.table("interactions") is None
    )  # so the window is fetched again, with its rejected rows
    run_day(root, source, as_of, "next")
    assert (held(lake), quarantined(lake)) == (said.events, said.broken)
