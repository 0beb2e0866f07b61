"""What local runs leave in their folder, and the exit code of a run that publishes nothing."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl

from dawnlist.components.image import component
from dawnlist.pipelines.local_files import (
    KEEP_LOCAL_FILES,
    delete_expired_files,
    keep_earlier_log,
)
from tests.support.kfp_api import Done, dawnlist

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def make_file(path: Path, age: timedelta) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    set_age(path, age)
    return path


def set_age(path: Path, age: timedelta) -> None:
    moment = (NOW - age).timestamp()
    os.utime(path, (moment, moment))


def test_the_log_of_the_run_before_is_kept_with_its_time(tmp_path: Path) -> None:
    keep_earlier_log(tmp_path)
    assert list(tmp_path.iterdir()) == []  # there was none
    make_file(tmp_path / "run.log", timedelta(0))
    keep_earlier_log(tmp_path)
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.log")] == [
        Path("logs/20260301T120000Z.log")
    ]


def test_logs_that_end_in_the_same_second_are_all_kept(tmp_path: Path) -> None:
    for text in ("first", "second", "third"):
        (tmp_path / "run.log").write_text(text)
        os.utime(tmp_path / "run.log", (1_767_225_600, 1_767_225_600))
        keep_earlier_log(tmp_path)
    logs = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert logs == {
        "20260101T000000Z.log": "first",
        "20260101T000000Z-2.log": "second",
        "20260101T000000Z-3.log": "third",
    }


@pytest.mark.parametrize(("seconds", "kept"), [(0, True), (1, False)])
def test_logs_and_artifacts_go_after_their_time(tmp_path: Path, seconds: int, kept: bool) -> None:
    age = KEEP_LOCAL_FILES + timedelta(seconds=seconds)
    log = make_file(tmp_path / "logs" / "20260101T000000Z.log", age)
    artifact = make_file(tmp_path / "artifacts" / "dawnlist-daily-1" / "tune" / "trial", age)
    run = artifact.parents[1]
    set_age(run, age)
    others = [make_file(tmp_path / name, age) for name in ("run.log", "lake/a", "valkey/b")]
    delete_expired_files(tmp_path, NOW)
    assert (log.exists(), run.exists()) == (kept, kept)
    assert all(path.exists() for path in others)


def test_a_folder_without_runs_is_left_alone(tmp_path: Path) -> None:
    delete_expired_files(tmp_path, NOW)
    assert list(tmp_path.iterdir()) == []


@component  # type: ignore[untyped-decorator]
def publish(lake: str, as_of: str, namespace: str, run: str, force: str) -> None:
    from dawnlist.cuts import parse_as_of
    from dawnlist.records.run_records import record_step

    with record_step(lake, namespace, parse_as_of(as_of), run, "publish") as report:
        report["published"] = force != ""
        print(f"published: {force}")


@pytest.fixture(scope="module")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline with the parameters of the daily one and one step, which says that it published."""

    @dsl.pipeline(name="tiny")  # type: ignore[untyped-decorator]  # kfp ships no types
    def tiny(
        shop_source: str,
        shop_lake: str,
        shop_store: str,
        shop: str,
        shop_settings: str,
        as_of: str,
        history_days: int,
        list_length: int,
        search: dict[str, Any],
        force_publish: str = "",
    ) -> None:
        run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
        day = {"lake": shop_lake, "as_of": as_of, "namespace": shop, "run": run}
        publish(**day, force=force_publish)

    path = tmp_path_factory.mktemp("tiny") / "tiny.yaml"
    compiler.Compiler().compile(tiny, str(path))
    return path


def run(package: Path, home: Path, store: str, *words: str) -> Done:
    return dawnlist(
        "run", "--local", "--package", str(package), "--home", str(home), "--redis", store,
        "--as-of", "2026-03-01T00:00:00Z", *words,
    )  # fmt: skip


def test_a_run_that_publishes_nothing_has_a_code_where_one_asks_for_it(
    tiny_package: Path, tmp_path: Path, valkey: str
) -> None:
    assert run(tiny_package, tmp_path, valkey).code == 0
    done = run(tiny_package, tmp_path, valkey, "--require-published")
    assert done.code == 3
    assert done.err.splitlines()[-1] == "dawnlist: nothing was published (--require-published)"
    done = run(
        tiny_package, tmp_path, valkey, "--require-published", "--force", "lists were checked"
    )
    assert done.code == 0
    assert "published: lists were checked" in (tmp_path / "run.log").read_text()
    earlier_logs = [path.read_text() for path in sorted((tmp_path / "logs").iterdir())]
    assert len(earlier_logs) == 2 and all("published: \n" in text for text in earlier_logs)
