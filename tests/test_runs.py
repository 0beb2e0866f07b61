import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dawnlist.cuts import format_iso, format_stamp, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.records.run_records import (
    RUN_SEARCH_DAYS,
    find_step_report,
    index_run_days,
    read_step_records,
    record_step,
    resolve_as_of,
)

AS_OF = parse_as_of("2026-01-31T00:00:00Z")
LEFT = "[[ScheduledTime.2006-01-02T15:04:05Z]]"
"""As Kubeflow leaves it in a run of a pipeline of version 2 (kubeflow/pipelines#12494)."""


def test_a_step_leaves_what_it_did(tmp_path: Path) -> None:
    with record_step(str(tmp_path), "shop", AS_OF, "run-1", "fetch") as record:
        record["rows"] = 3
    [found] = read_step_records(Lake.open(str(tmp_path), "shop"), AS_OF, "run-1")
    assert (found["step"], found["state"], found["report"]) == ("fetch", "succeeded", {"rows": 3})
    assert found["seconds"] >= 0 and found["peak_memory_mb"] > 1
    assert find_step_report([found], "fetch") == {"rows": 3}
    assert find_step_report([found], "clean") == {}


def test_a_failing_step_leaves_its_error_and_still_fails(tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        record_step(str(tmp_path), "shop", AS_OF, "run-1", "clean") as record,
    ):
        record["rows"] = 1 / 0
    [found] = read_step_records(Lake.open(str(tmp_path), "shop"), AS_OF, "run-1")
    assert (found["state"], found["error"]["type"]) == ("failed", "ZeroDivisionError")
    assert "1 / 0" in found["error"]["traceback"]


def test_a_report_that_is_no_json_is_a_failure(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="Out of range"),
        record_step(str(tmp_path), "shop", AS_OF, "run-1", "tune") as record,
    ):
        record["ndcg"] = float("nan")
    [found] = read_step_records(Lake.open(str(tmp_path), "shop"), AS_OF, "run-1")
    assert (found["state"], found["report"]) == ("failed", {})
    assert "the step's report is not valid JSON" in found["error"]["message"]


def test_a_password_never_reaches_the_record(tmp_path: Path) -> None:
    with pytest.raises(OSError), record_step(str(tmp_path), "shop", AS_OF, "run-1", "fetch"):
        raise OSError("no answer from postgresql://me:s3cret@db/shop")
    [text] = [file.read_text() for file in tmp_path.rglob("fetch.json")]
    assert "postgresql://me:***@db/shop" in text and "s3cret" not in text


def test_a_secret_of_the_step_never_reaches_the_record_however_a_driver_quotes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAWNLIST_SOURCE_PASSWORD", "s3cret-word")
    with pytest.raises(OSError), record_step(str(tmp_path), "shop", AS_OF, "run-1", "fetch"):
        raise OSError("login of me by s3cret-word failed for user 17")
    [found] = read_step_records(Lake.open(str(tmp_path), "shop"), AS_OF, "run-1")
    assert found["error"]["message"] == "login of me by *** failed for user 17"
    assert "s3cret-word" not in found["error"]["traceback"]


def test_a_killed_step_has_started_and_never_ended(tmp_path: Path) -> None:
    code = (
        "import datetime, os, signal\nfrom dawnlist.records.run_records import record_step\n"
        f"with record_step({str(tmp_path)!r}, 'shop', {AS_OF!r}, 'run-1', 'tune'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, env=os.environ)
    [found] = read_step_records(Lake.open(str(tmp_path), "shop"), AS_OF, "run-1")
    assert (done.returncode, found["state"], "ended" in found) == (
        -signal.SIGKILL,
        "started",
        False,
    )


def test_no_run_has_no_records(tmp_path: Path) -> None:
    assert read_step_records(Lake.open(str(tmp_path), "shop"), AS_OF, "run-9") == []


def test_where_kubeflow_puts_in_no_time_the_first_step_says_the_day_of_its_run(
    tmp_path: Path,
) -> None:
    began = datetime.now(UTC).replace(microsecond=0)
    first = resolve_as_of(str(tmp_path), "shop", LEFT, "run-1")
    assert began <= first <= datetime.now(UTC)
    with pytest.raises(OSError), record_step(str(tmp_path), "shop", AS_OF, "run-1", "fetch"):
        raise OSError("tried again later")
    for macro in ("", " ", LEFT, "[[CurrentTime.2006-01-02T15:04:05Z]]"):
        assert (
            resolve_as_of(str(tmp_path), "shop", macro, "run-1") == AS_OF
        )  # by the record of the first try
    assert resolve_as_of(str(tmp_path), "shop", LEFT, "run-2") >= began > AS_OF


def test_a_day_that_was_given_is_taken_and_no_lake_asked() -> None:
    assert resolve_as_of("gs://no-such-bucket", "shop", format_iso(AS_OF), "run-1") == AS_OF
    with pytest.raises(ValueError, match="is a macro that Kubeflow Pipelines does not replace"):
        resolve_as_of("gs://no-such-bucket", "shop", "[[Index]]", "run-1")


def test_runs_are_looked_for_in_the_last_thirty_days(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path), "shop")
    days = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(31)]
    for day in days:
        lake.write_json({}, "runs", format_stamp(day), f"run of {day.day}", "fetch.json")
    found = index_run_days(lake)
    assert RUN_SEARCH_DAYS == len(found) == 30
    assert "run of 1" not in found
    assert (found["run of 2"], found["run of 31"]) == (days[1], days[-1])
