"""`dawnlist schedule --catch-up`: missing days are found in the lake and run with their own as_of."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dawnlist.cuts import format_iso, format_stamp, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.pipelines.kubeflow.catch_up import find_missing_days
from tests.support.kfp_api import Done, Kubeflow, Object, dawnlist

NIGHT = "0 0 3 * * *"


def keep_gates(lake: Lake, *days: str | datetime) -> None:
    """Leave a gate of a run for each day, as the gate step does."""
    for number, day in enumerate(days):
        moment = day if isinstance(day, datetime) else parse_as_of(day)
        lake.write_json({}, "gates", format_stamp(moment), f"run-{number}.json")


def find(lake: Lake, now: str, schedule: str = NIGHT) -> list[str]:
    return [format_iso(day) for day in find_missing_days(lake, schedule, parse_as_of(now))]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path), "shop")


def test_days_without_a_gate_are_missing_and_the_first_gate_bounds_them(lake: Lake) -> None:
    keep_gates(lake, "2026-03-02T03:00:20Z", "2026-03-05T03:00:20Z")
    assert find(lake, "2026-03-06T12:00:00Z") == [
        "2026-03-03T03:00:00Z", "2026-03-04T03:00:00Z", "2026-03-06T03:00:00Z",
    ]  # fmt: skip
    assert find(lake, "2026-03-05T12:00:00Z") == ["2026-03-03T03:00:00Z", "2026-03-04T03:00:00Z"]


def test_a_lake_without_a_gate_misses_nothing(lake: Lake) -> None:
    assert find(lake, "2026-03-06T12:00:00Z") == []


def test_nothing_was_due_since_the_first_gate(lake: Lake) -> None:
    keep_gates(lake, "2026-03-06T03:00:00Z")
    assert find(lake, "2026-03-06T12:00:00Z") == []


def test_a_run_that_came_late_is_the_run_of_its_day(lake: Lake) -> None:
    keep_gates(lake, "2026-03-02T03:00:00Z", "2026-03-04T02:59:59Z", "2026-03-04T03:00:00Z")
    assert find(lake, "2026-03-04T12:00:00Z") == []


@pytest.mark.parametrize(
    ("now", "missing"),
    [("2026-03-03T03:59:59Z", []), ("2026-03-03T04:00:00Z", ["2026-03-03T03:00:00Z"])],
)
def test_what_was_due_within_the_hour_may_still_start(
    lake: Lake, now: str, missing: list[str]
) -> None:
    keep_gates(lake, "2026-03-02T03:00:00Z")
    assert find(lake, now) == missing


def test_days_whose_gates_would_not_count_any_more_are_left_out(lake: Lake) -> None:
    keep_gates(lake, "2026-01-01T03:00:00Z")
    found = find(lake, "2026-03-06T03:00:00Z")
    assert found[0] == "2026-02-07T03:00:00Z"  # 28 days before is excluded, one later is not
    assert found[-1] == "2026-03-05T03:00:00Z" and len(found) == 27


def test_an_hourly_schedule_misses_one_run_a_day(lake: Lake) -> None:
    keep_gates(lake, "2026-03-02T23:00:10Z")
    assert find(lake, "2026-03-04T05:30:00Z", "0 0 * * * *") == ["2026-03-03T23:00:00Z"]


def test_days_without_a_due_time_are_not_missing(lake: Lake) -> None:
    keep_gates(lake, "2026-02-26T03:00:00Z")  # a Thursday
    assert find(lake, "2026-03-03T12:00:00Z", "0 0 3 * * MON-FRI") == [
        "2026-02-27T03:00:00Z", "2026-03-02T03:00:00Z", "2026-03-03T03:00:00Z",
    ]  # fmt: skip


@pytest.fixture
def installed(kubeflow: Kubeflow, package: Path) -> Kubeflow:
    """An API that has a version of the pipeline."""
    kubeflow.install(package)
    return kubeflow


def due_hours_ago(hours: int) -> datetime:
    """A time of day that was due some hours ago today or yesterday, whole hours."""
    now = datetime.now(UTC)
    return now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours)


def catch_up(kubeflow: Kubeflow, root: str, due: datetime, *words: str) -> Done:
    return dawnlist(
        "schedule", f"0 {due.hour} * * *", "--host", kubeflow.url, "--source", "postgresql://dawn@db/shop",
        "--lake", root, "--redis", "redis://store:6379/0", "--namespace", "shop", "--catch-up", *words,
    )  # fmt: skip


def list_run_days(kubeflow: Kubeflow) -> list[str | None]:
    return [run["runtime_config"]["parameters"].get("as_of") for run in kubeflow.runs]


def test_missing_days_run_one_after_the_other_with_their_as_of(
    installed: Kubeflow, s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = due_hours_ago(12)
    days = [due - timedelta(days=number) for number in range(4)]
    keep_gates(Lake.open(s3_root, "shop"), days[3], days[1])
    create = Kubeflow.run_service_create_run
    active_runs = []

    def create_run(self: Kubeflow, body: Object) -> Object:
        active_runs.append([run for run in self.runs if run["state"] in ("PENDING", "RUNNING")])
        return create(self, body)

    monkeypatch.setattr(Kubeflow, "run_service_create_run", create_run)
    done = catch_up(installed, s3_root, due)
    assert list_run_days(installed) == [format_iso(days[2]), format_iso(days[0])]
    assert active_runs == [[], []] and done.code == 0
    assert [run["display_name"] for run in installed.runs] == [
        f"dawnlist-daily-shop {format_iso(days[2])}", f"dawnlist-daily-shop {format_iso(days[0])}",
    ]  # fmt: skip
    [recurring_run] = installed.recurring
    assert recurring_run["no_catchup"] is True
    assert "as_of" not in recurring_run["runtime_config"]["parameters"]
    message = f"catch-up: 2 days are missing, from {format_iso(days[2])} to {format_iso(days[0])}"
    assert message in done.out.splitlines()


def test_nothing_is_submitted_when_no_day_is_missing(installed: Kubeflow, s3_root: str) -> None:
    due = due_hours_ago(12)
    keep_gates(Lake.open(s3_root, "shop"), due)
    done = catch_up(installed, s3_root, due)
    assert (done.out.splitlines()[-1], done.code) == ("catch-up: no day is missing", 0)
    assert installed.runs == [] and len(installed.recurring) == 1


def test_a_running_run_is_waited_for(installed: Kubeflow, s3_root: str) -> None:
    due = due_hours_ago(12)
    keep_gates(Lake.open(s3_root, "shop"), due - timedelta(days=1))
    words = ("--source", "s", "--lake", "s3://b/l", "--redis", "redis://h", "--namespace", "shop")
    dawnlist("submit", "--host", installed.url, *words, "--detach")
    [first] = installed.runs
    done = catch_up(installed, s3_root, due)
    lines = done.out.splitlines()
    assert f"catch-up: waiting for the run {first['run_id']}, which is pending" in lines
    first, second = installed.runs
    assert first["finished_at"] < second["created_at"] and done.code == 0


def test_a_failed_run_ends_it(installed: Kubeflow, s3_root: str) -> None:
    due = due_hours_ago(12)
    keep_gates(Lake.open(s3_root, "shop"), due - timedelta(days=2))
    installed.failing = "fetch"
    done = catch_up(installed, s3_root, due)
    assert list_run_days(installed) == [format_iso(due - timedelta(days=1))] and done.code == 1
    assert done.out.splitlines()[-1].startswith(
        "catch-up: stopped, since a run failed: 2 days are missing"
    )


def test_no_day_starts_right_before_the_next_run(installed: Kubeflow, s3_root: str) -> None:
    due = due_hours_ago(23)  # due again within the hour, and a run is assumed to take one
    keep_gates(Lake.open(s3_root, "shop"), due - timedelta(days=1))
    done = catch_up(installed, s3_root, due)
    next_run = format_iso(due + timedelta(days=1))
    line = done.out.splitlines()[-1]
    assert line.startswith(f"catch-up: stopped, since the next run is due at {next_run}, before")
    assert installed.runs == [] and done.code == 1


def test_a_lake_that_can_not_be_read_changes_nothing(installed: Kubeflow, s3_root: str) -> None:
    done = catch_up(installed, "s3://no-such-bucket/lake", due_hours_ago(12))
    assert len(done.err.splitlines()) == 1 and done.code == 1
    assert installed.recurring == []
