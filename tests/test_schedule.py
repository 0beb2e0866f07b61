"""`dawnlist schedule`, `unschedule` and `status`: the real commands and kfp's client against the API's definition."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.pipelines.kubeflow import schedules
from dawnlist.pipelines.kubeflow.client import KfpClient
from dawnlist.pipelines.kubeflow.recurring_runs import RecurringRunSpec, ensure_recurring_run
from dawnlist.pipelines.kubeflow.submission import PipelineVersion
from dawnlist.pipelines.package import build_version_name
from dawnlist.records.run_records import record_step
from tests.support.kfp_api import Done, Fault, Kubeflow, Object, dawnlist
from tests.support.published import publish, shop
from tests.support.servers import free_port

SHOP = ("--source", "postgresql://dawn@db/shop", "--lake", "s3://bucket/lake", "--redis", "redis://store:6379/0",
        "--namespace", "shop")  # fmt: skip
NIGHT = "0 3 * * *"


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """What is due is asked at a noon: a test that looks at the clock too fails where it strikes three in between."""
    moment, due = datetime(2026, 3, 2, 12, tzinfo=UTC), schedules.compute_due_times

    def asked(schedule: str, after: datetime, count: int) -> list[datetime]:
        assert abs(datetime.now(UTC) - after) < timedelta(hours=1)
        return due(schedule, moment, count)

    monkeypatch.setattr(schedules, "compute_due_times", asked)
    return moment


@pytest.fixture
def installed(kubeflow: Kubeflow, package: Path) -> Kubeflow:
    """An API that has a version of the pipeline, which is then the newest."""
    kubeflow.install(package)
    return kubeflow


def schedule(kubeflow: Kubeflow, when: str, *words: str) -> Done:
    return dawnlist("schedule", when, "--host", kubeflow.url, *SHOP, *words)


def test_one_recurring_run_stands_however_often_one_asks(
    kubeflow: Kubeflow, package: Path, noon: datetime
) -> None:
    first, again = (schedule(kubeflow, NIGHT, "--package", str(package)) for _ in range(2))
    [standing] = kubeflow.recurring
    assert standing["display_name"] == "dawnlist-daily-shop"
    assert standing["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (standing["mode"], standing["no_catchup"], standing["max_concurrency"]) == (
        "ENABLE",
        True,
        "1",
    )
    assert standing["service_account"] == "dawnlist-pipeline"
    assert standing["runtime_config"]["parameters"] == {
        "shop_source": "postgresql://dawn@db/shop", "shop_lake": "s3://bucket/lake",
        "shop_store": "redis://store:6379/0", "shop": "shop", "shop_settings": "/settings/settings.yaml",
    }  # fmt: skip
    name = build_version_name(package.read_bytes())
    times = ", ".join(f"{noon + timedelta(days=day):%Y-%m-%d} 03:00:00" for day in (1, 2, 3))
    told = ["0 0 3 * * *: At 03:00, UTC", f"next: {times}"]
    assert first.out.splitlines() == [
        f"version {name}: uploaded",
        "dawnlist-daily-shop: scheduled",
        *told,
    ]
    unchanged = [
        f"version {name}: already uploaded",
        "dawnlist-daily-shop: unchanged",
        *told,
    ]
    assert again.out.splitlines() == unchanged and (first.code, again.code) == (0, 0)
    assert kubeflow.requests.count("recurring_run_service_create_recurring_run") == 1
    assert "recurring_run_service_delete_recurring_run" not in kubeflow.requests


def test_another_time_replaces_it(installed: Kubeflow) -> None:
    schedule(installed, NIGHT)
    [before] = installed.recurring
    done = schedule(installed, "0 0 4 * * MON-FRI", "--set", "list_length=10")
    [after] = installed.recurring
    assert after["recurring_run_id"] != before["recurring_run_id"]
    assert after["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * MON-FRI"
    assert done.out.splitlines()[1:6] == [
        "dawnlist-daily-shop: replaced",
        "  schedule: 0 0 3 * * * → 0 0 4 * * MON-FRI",
        "  parameter list_length: none → 10",
        "0 0 4 * * MON-FRI: At 04:00, Monday through Friday, UTC",
        done.out.splitlines()[5],
    ]
    made, deleted = (f"recurring_run_service_{verb}_recurring_run" for verb in ("create", "delete"))
    asked = [name for name in installed.requests if name in (made, deleted)]
    assert asked == [made, made, deleted]  # never none


def test_every_trait_is_compared(installed: Kubeflow) -> None:
    schedule(installed, NIGHT)
    changes: list[Callable[[Object], Any]] = [
        lambda one: one.update(mode="DISABLE"),
        lambda one: one.update(max_concurrency="2"),
        lambda one: one.update(no_catchup=False),
        lambda one: one.update(service_account="somebody"),
        lambda one: one["runtime_config"]["parameters"].update(list_length=3),
        lambda one: one["runtime_config"]["parameters"].pop("shop_lake"),
        lambda one: one.update(trigger={"periodic_schedule": {"interval_second": "3600"}}),
    ]
    for change in changes:
        [standing] = installed.recurring
        change(standing)
        done = schedule(installed, NIGHT)
        assert "dawnlist-daily-shop: replaced" in done.out and len(installed.recurring) == 1
    assert "dawnlist-daily-shop: unchanged" in schedule(installed, NIGHT).out


def test_another_version_replaces_it(installed: Kubeflow, package: Path, tmp_path: Path) -> None:
    before = installed.versions[0]["display_name"]
    schedule(installed, NIGHT)
    other = tmp_path / "other.yaml"
    other.write_bytes(
        package.read_bytes().replace(b"dawnlist-python:", b"registry.example/dawnlist-python:")
    )
    done = schedule(installed, NIGHT, "--package", str(other))
    assert (
        f"  version: {before} → {build_version_name(other.read_bytes())}" in done.out.splitlines()
    )
    assert len(installed.recurring) == 1


def test_a_crash_between_the_new_and_the_old_heals(installed: Kubeflow) -> None:
    schedule(installed, NIGHT)
    installed.faults = [Fault("DELETE", "500")]
    assert schedule(installed, "0 4 * * *").code == 1
    assert [one["trigger"]["cron_schedule"]["cron"] for one in installed.recurring] == [
        "0 0 3 * * *",
        "0 0 4 * * *",
    ]
    installed.faults = []
    done = schedule(installed, "0 4 * * *")
    assert [one["trigger"]["cron_schedule"]["cron"] for one in installed.recurring] == [
        "0 0 4 * * *"
    ]
    assert "dawnlist-daily-shop: unchanged; 1 more of that name deleted" in done.out


def test_more_of_a_name_than_a_page_holds(installed: Kubeflow) -> None:
    schedule(installed, NIGHT)
    installed.recurring += [
        {**installed.recurring[0], "recurring_run_id": f"copy-{number}"} for number in range(5)
    ]
    installed.page = 2
    kept = min(one["recurring_run_id"] for one in installed.recurring)
    schedule(installed, NIGHT)
    assert [one["recurring_run_id"] for one in installed.recurring] == [kept]


def wanted(installed: Kubeflow, when: str) -> RecurringRunSpec:
    [version], [experiment] = installed.versions, installed.experiments
    made = PipelineVersion(
        version["pipeline_id"], version["pipeline_version_id"], version["name"], {}
    )
    parameters = {
        "shop_source": "s",
        "shop_lake": "s3://b/l",
        "shop_store": "redis://h:1",
    }
    return RecurringRunSpec(
        experiment["experiment_id"], "shop", made, when, parameters, "dawnlist-pipeline"
    )


def test_many_that_schedule_the_same_at_once_leave_one(installed: Kubeflow) -> None:
    installed.experiment_service_create_experiment({"display_name": "dawnlist-shop"})
    clients = [KfpClient(installed.url) for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        list(
            threads.map(
                lambda client: ensure_recurring_run(client, wanted(installed, "0 0 3 * * *")),
                clients,
            )
        )
    assert len(installed.recurring) == 1


def test_who_loses_what_it_scheduled_to_somebody_else_is_told(
    installed: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed.experiment_service_create_experiment({"display_name": "dawnlist-shop"})
    ensure_recurring_run(KfpClient(installed.url), wanted(installed, "0 0 3 * * *"))
    delete = Kubeflow.recurring_run_service_delete_recurring_run

    def meanwhile(self: Kubeflow, recurring_run_id: str) -> Object:
        self.recurring[:] = [
            one for one in self.recurring if one["recurring_run_id"] == recurring_run_id
        ]
        return delete(self, recurring_run_id)

    monkeypatch.setattr(Kubeflow, "recurring_run_service_delete_recurring_run", meanwhile)
    with pytest.raises(
        RuntimeError, match="somebody else schedules 'shop' at the same time: run the command again"
    ):
        ensure_recurring_run(KfpClient(installed.url), wanted(installed, "0 0 4 * * *"))


def test_an_api_that_keeps_something_else_is_told_and_nothing_piles_up(
    installed: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule(installed, NIGHT)
    before = list(installed.recurring)
    create = Kubeflow.recurring_run_service_create_recurring_run
    monkeypatch.setattr(
        Kubeflow, "recurring_run_service_create_recurring_run",
        lambda self, body: create(self, {**body, "service_account": "default"}),
    )  # fmt: skip
    done = schedule(installed, "0 4 * * *")
    assert (
        "the API did not store 'dawnlist-daily-shop' as requested (stored, requested): "
        "[{'service account': ('default'," in done.err
    )
    assert (done.code, installed.recurring) == (1, before)


def test_other_shops_are_left_alone(installed: Kubeflow) -> None:
    schedule(installed, NIGHT)
    schedule(installed, NIGHT, "--namespace", "books")
    assert [one["display_name"] for one in installed.recurring] == [
        "dawnlist-daily-shop",
        "dawnlist-daily-books",
    ]
    done = dawnlist("unschedule", "--host", installed.url, "--namespace", "shop")
    assert done.out == "dawnlist-daily-shop: no longer scheduled; it was: 0 0 3 * * *\n"
    assert [one["display_name"] for one in installed.recurring] == ["dawnlist-daily-books"]
    again = dawnlist("unschedule", "--host", installed.url, "--namespace", "shop")
    assert again.out == "dawnlist-daily-shop: nothing was scheduled\n" and again.code == 0


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("0 3 * *", "has 4 fields: give five (minute, hour, day, month, weekday)"),
        ("@daily", "has 1 fields"),
        ("0 25 * * *", "can't be: bad hour"),
        ("0 3 31 2 *", "can't be: bad day-of-month"),
        ("0 3 * * 7", "has a weekday 7: give 0 or SUN"),
        ("0 3 L * *", "holds 'L'"),
        ("0 3 * * 1#2", "holds '1#2'"),
        ("*/0 3 * * *", "can't be: bad minute"),
        ("5/10 3 * * *", "holds '5/10'"),
        ("45-45/5 3 * * *", "holds '45-45/5'"),  # Kubeflow: 45; cronsim: 45, 50, 55
    ],
)
def test_what_is_no_schedule_is_refused(installed: Kubeflow, when: str, message: str) -> None:
    done = schedule(installed, when)
    [line] = done.err.splitlines()
    assert (
        line.startswith(f"dawnlist: the schedule {when!r} ")
        and message in line
        and installed.requests == []
    )


@pytest.mark.parametrize(
    ("when", "fields", "words", "times"),
    [
        ("0 3 * * *", "0 0 3 * * *", "At 03:00", ["2026-01-31T03:00:00", "2026-02-01T03:00:00"]),
        ("30 0 3 ? * *", "30 0 3 * * *", "At 03:00:30", ["2026-01-31T03:00:30", "2026-02-01T03:00:30"]),
        ("0 */6 * * *", "0 0 */6 * * *", "Every 6 hours", ["2026-01-31T06:00:00", "2026-01-31T12:00:00"]),
        ("15 2 1 * *", "0 15 2 1 * *", "At 02:15, on day 1 of the month",
         ["2026-02-01T02:15:00", "2026-03-01T02:15:00"]),
        ("0 3 * * sun", "0 0 3 * * SUN", "At 03:00, only on Sunday", ["2026-02-01T03:00:00", "2026-02-08T03:00:00"]),
        ("0 3,15 * * 1-5", "0 0 3,15 * * 1-5", "At 03:00 and 15:00, Monday through Friday",
         ["2026-02-02T03:00:00", "2026-02-02T15:00:00"]),
    ],
)  # fmt: skip
def test_schedules_in_words_and_times(when: str, fields: str, words: str, times: list[str]) -> None:
    assert schedules.parse_schedule(when) == fields and schedules.describe_schedule(fields) == words
    due = schedules.compute_due_times(fields, datetime(2026, 1, 31, 0, 30, tzinfo=UTC), 2)
    assert [moment.isoformat() for moment in due] == [f"{time}+00:00" for time in times]


@pytest.mark.parametrize("command", ["unschedule", "status"])
@pytest.mark.parametrize("kind", ["401", "403", "409", "500", "page", "drop"])
def test_what_the_api_refuses_is_one_line(installed: Kubeflow, command: str, kind: str) -> None:
    installed.faults = [Fault("experiments", kind)]
    done = dawnlist(command, "--host", installed.url)
    [line] = done.err.splitlines()
    assert line.startswith("dawnlist: ") and installed.url in line and done.code == 1


def test_schedule_tells_a_refusal_and_leaves_what_stands(installed: Kubeflow) -> None:
    schedule(installed, NIGHT)
    before = [dict(one) for one in installed.recurring]
    for where in ("GET .*/recurringruns", "POST .*/recurringruns"):
        for kind in ("403", "409", "drop"):
            installed.faults = [Fault(where, kind)]
            done = schedule(installed, "0 4 * * *")
            [line] = done.err.splitlines()
            assert line.startswith("dawnlist: ") and done.code == 1
    assert installed.recurring == before


def test_status_without_a_cluster_shows_the_lake_and_the_store(tmp_path: Path, valkey: str) -> None:
    host = f"http://127.0.0.1:{free_port()}"
    words = ("status", "--host", host, "--namespace", "shop")
    alone = dawnlist(*words)
    assert alone.err.startswith(f"dawnlist: no Kubeflow Pipelines API answers at {host} (")
    assert (alone.code, alone.out) == (1, "")
    publish(valkey, shop())
    done = dawnlist(*words, "--lake", str(tmp_path), "--redis", valkey)
    first, champion, live = done.out.splitlines()
    assert first.startswith(
        f"no cluster can be reached: no Kubeflow Pipelines API answers at {host} ("
    )
    assert champion == "champion: none yet" and live.startswith("live: version 1 of ")
    assert (done.code, done.err) == (0, "")
    told = json.loads(dawnlist(*words, "--redis", valkey, "--format", "json").out)
    assert (told["runs"], told["schedule"], told["live"]["version"]) == (None, None, 1)
    assert told["no_cluster"] in first


def test_status_of_a_shop_that_never_ran(kubeflow: Kubeflow, tmp_path: Path, valkey: str) -> None:
    words = ("status", "--host", kubeflow.url)
    assert dawnlist(*words).out.splitlines() == ["no run yet", "nothing is scheduled"]
    done = dawnlist(*words, "--lake", str(tmp_path), "--redis", valkey)
    assert done.out.splitlines()[2:] == [
        "champion: none yet",
        "live: nothing has been published yet",
    ]
    assert done.code == 0


def test_status_says_how_runs_went_what_is_next_and_what_is_live(
    installed: Kubeflow, tmp_path: Path, valkey: str, noon: datetime
) -> None:
    schedule(installed, NIGHT)
    for failing in ("", "fetch"):
        installed.failing = failing
        dawnlist("submit", "--host", installed.url, *SHOP, "--as-of", "2026-03-01T03:00:00Z")
    good, bad = installed.runs
    with (
        pytest.raises(LookupError),
        record_step(
            str(tmp_path), "shop", parse_as_of("2026-03-01T03:00:00Z"), bad["run_id"], "fetch"
        ),
    ):
        raise LookupError("no table 'clicks' in postgresql://dawn:s3cret@db/shop")
    champion = {
        "version": 1,
        "as_of": "2026-03-01T03:00:00Z",
        "winner": "challenger",
        "metrics": {"ndcg@20": 0.5},
        "engine": "als",
        "configured": "2026-03-01T03:00:00Z",
    }
    Lake.open(str(tmp_path), "shop").write_json({**champion, "history": []}, "champion.json")
    publish(valkey, shop())
    words = (
        "status",
        "--host",
        installed.url,
        "--namespace",
        "shop",
        "--lake",
        str(tmp_path),
        "--redis",
        valkey,
    )
    why = "fetch: no table 'clicks' in postgresql://dawn:***@db/shop"
    told = json.loads(dawnlist(*words, "--format", "json").out)
    assert [
        (run["run"], run["state"], run["as_of"], run["seconds"], run["error"])
        for run in told["runs"]
    ] == [
        (bad["run_id"], "FAILED", "2026-03-01T03:00:00Z", 17.0, why),
        (good["run_id"], "SUCCEEDED", "2026-03-01T03:00:00Z", 49.0, None),
    ]
    due = "2026-03-03T03:00:00Z"
    [standing] = told["schedule"]
    assert (standing["words"], standing["enabled"], standing["next"]) == ("At 03:00", True, due)
    assert {**champion, "hours": told["champion"]["hours"]} == told["champion"]
    age = (datetime.now(UTC) - datetime(2026, 3, 1, 3, tzinfo=UTC)).total_seconds() / 3600
    live = told["live"]
    assert (live["version"], live["held"]) == (1, False) and live["hours"] == pytest.approx(
        age, abs=0.2
    )
    lines = dawnlist(*words).out.splitlines()
    assert lines[1].split()[:3] == [bad["run_id"], "2026-03-01T03:00:00Z", "failed"]
    assert lines[3] == f"{bad['run_id']}: {told['runs'][0]['error']}; {told['runs'][0]['link']}"
    assert lines[4] == f"scheduled: At 03:00, UTC; next {due}"
    assert [line.split(",")[0] for line in lines[5:]] == [
        "champion: version 1 of 2026-03-01T03:00:00Z", "live: version 1 of 2026-03-01T03:00:00Z",
    ]  # fmt: skip


def test_status_takes_the_day_of_a_run_from_its_record_and_guesses_none(
    installed: Kubeflow, tmp_path: Path
) -> None:
    dawnlist("submit", "--host", installed.url, *SHOP, "--detach")
    [run] = installed.runs
    run["runtime_config"]["parameters"]["as_of"] = "[[ScheduledTime.2006-01-02T15:04:05Z]]"
    dawnlist("submit", "--host", installed.url, *SHOP, "--detach")
    moment = parse_as_of("2026-03-01T03:00:00Z")
    for given in installed.runs:
        with record_step(str(tmp_path), "shop", moment, given["run_id"], "fetch"):
            pass
    words = ("status", "--host", installed.url, "--namespace", "shop", "--format", "json")
    told = json.loads(dawnlist(*words).out)
    assert [run["as_of"] for run in told["runs"]] == [None, None]
    told = json.loads(dawnlist(*words, "--lake", str(tmp_path)).out)
    assert [run["as_of"] for run in told["runs"]] == ["2026-03-01T03:00:00Z"] * 2


def test_status_of_a_schedule_that_somebody_made_in_the_ui(installed: Kubeflow) -> None:
    schedule(installed, NIGHT)
    installed.recurring[0] |= {"mode": "DISABLE", "trigger": {"cron_schedule": {"cron": "@daily"}}}
    assert dawnlist("status", "--host", installed.url, "--namespace", "shop").out.splitlines()[1:] == [
        "scheduled: @daily, UTC; disabled",
    ]  # fmt: skip
