"""`dawnlist housekeep`: runs that ended without a report are told once, and the lake is tidied."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, Transaction, write_deltalake

from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.lake.commits import WRITER_APP_ID
from dawnlist.lake.lake import Lake
from dawnlist.lake.watermark import build_window_transactions
from dawnlist.pipelines.kubeflow.client import KfpClient
from dawnlist.pipelines.kubeflow.unreported_runs import tell_about_unreported_runs
from dawnlist.records.run_records import record_step
from dawnlist.schema import INTERACTIONS_SCHEMA
from dawnlist.settings import NotifySettings
from tests.support.kfp_api import Done, Fault, Kubeflow, Object, dawnlist
from tests.support.mail import MailServer, mail_server, parts

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

SHOP = ("--source", "postgresql://dawn@db/shop", "--lake", "s3://bucket/lake", "--redis", "redis://store:6379/0",
        "--namespace", "shop")  # fmt: skip
CREATED = datetime(2026, 3, 1, 3, tzinfo=UTC)
NOW = CREATED + timedelta(hours=3)
SETTINGS = NotifySettings(try_seconds=1)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with mail_server() as running:
        monkeypatch.setenv("DAWNLIST_NOTIFY_URLS", running.url)
        yield running


@pytest.fixture
def installed(kubeflow: Kubeflow, package: Path) -> Kubeflow:
    kubeflow.install(package)
    return kubeflow


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path), "shop")


def end_run(
    kubeflow: Kubeflow, state: str = "FAILED", created: datetime = CREATED, *words: str
) -> Object:
    """A run as Kubeflow shows it when its root driver failed: no step of it was started."""
    dawnlist("submit", "--host", kubeflow.url, *SHOP, "--detach", *words)
    run = kubeflow.runs[-1]
    run |= {"state": state, "created_at": format_iso(created)}
    if state in ("FAILED", "CANCELED"):
        run["finished_at"] = format_iso(created + timedelta(seconds=41))
        error = {"code": 2, "message": "can't read the secret of team@shop.example"}
        task = {
            "run_id": run["run_id"],
            "display_name": "root-driver",
            "state": "FAILED",
            "error": error,
        }
        run["run_details"] = {"task_details": [task]}
    return run


def tell(
    kubeflow: Kubeflow, lake: Lake, settings: NotifySettings = SETTINGS, now: datetime = NOW
) -> list[str]:
    client = KfpClient(kubeflow.url)
    return tell_about_unreported_runs(client, "dawnlist-shop", lake, "shop", settings, now)


def record(lake: Lake, run: Object, step: str, day: datetime, fails: bool = False) -> None:
    """What a step of a run leaves in the lake."""
    root = lake.base.removesuffix("/shop")
    with suppress(LookupError), record_step(root, "shop", day, run["run_id"], step):
        if fails:
            raise LookupError("no table 'clicks'")


def subjects(server: MailServer) -> list[str]:
    return [str(mail["Subject"]).strip() for mail in server.mails]


def test_a_run_that_failed_without_a_report_is_told_once(
    installed: Kubeflow, lake: Lake, server: MailServer
) -> None:
    run = end_run(installed)
    lines = tell(installed, lake)
    assert subjects(server) == ["[shop] NO REPORT: the run failed after 41 s, 2026-03-01 03:00 UTC"]
    text = " ".join(parts(server.mails[0])[0].split())
    assert f"The run {run['run_id']} of shop shop, created at 2026-03-01T03:00:00Z, failed" in text
    assert "Kubeflow says: root-driver failed can't read the secret of ***." in text
    assert "team@shop.example" not in text and "Nothing has been published yet." in text
    assert (
        "dawnlist submit \\ --source postgresql://dawn@db/shop \\ --lake s3://bucket/lake" in text
    )
    assert "--as-of" not in text
    assert lines == [f"told mail by 127.0.0.1:{server.port}: {subjects(server)[0]}"]
    assert tell(installed, lake) == [] and len(server.mails) == 1


def test_a_cancelled_run_is_told_and_the_record_says_how_far_it_came(
    installed: Kubeflow, lake: Lake, server: MailServer
) -> None:
    day = parse_as_of("2026-02-20T00:00:00Z")
    run = end_run(installed, "CANCELED", CREATED, "--as-of", format_iso(day))
    record(lake, run, "fetch", day, fails=True)
    tell(installed, lake, NotifySettings(try_seconds=1, kubeflow_url="https://kubeflow.example"))
    [mail] = server.mails
    assert subjects(server) == [
        "[shop] NO REPORT: the run was cancelled after 41 s, 2026-02-20 00:00 UTC"
    ]
    text = parts(mail)[0]
    assert "Its run record says: fetch: no table 'clicks'." in text
    assert f"https://kubeflow.example/#/runs/details/{run['run_id']}" in text
    assert "--as-of 2026-02-20T00:00:00Z" in text


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_with_a_report_is_not_told(
    installed: Kubeflow, lake: Lake, server: MailServer, fails: bool
) -> None:
    run = end_run(installed)
    record(lake, run, "notify", CREATED, fails)  # when notify fails, it has sent an alarm itself
    assert tell(installed, lake) == [] and server.mails == []


def test_a_run_whose_notify_was_killed_is_told(
    installed: Kubeflow, lake: Lake, server: MailServer
) -> None:
    run = end_run(installed)
    record(lake, run, "notify", CREATED)
    path = ("runs", "20260301T030000Z", run["run_id"], "notify.json")
    lake.write_json({**lake.read_json(*path), "state": "started"}, *path)
    tell(installed, lake)
    assert len(server.mails) == 1


@pytest.mark.parametrize(("seconds", "mails"), [(0, 1), (1, 0)])
def test_a_run_of_more_than_a_week_ago_is_not_told(
    installed: Kubeflow, lake: Lake, server: MailServer, seconds: int, mails: int
) -> None:
    end_run(installed)
    tell(installed, lake, now=CREATED + timedelta(days=7, seconds=seconds))
    assert len(server.mails) == mails


@pytest.mark.parametrize(("seconds", "mails"), [(0, 0), (1, 1)])
def test_a_run_that_does_not_end_is_told_after_a_day(
    installed: Kubeflow, lake: Lake, server: MailServer, seconds: int, mails: int
) -> None:
    end_run(installed, "PENDING")
    installed.failing = "none of them"
    tell(installed, lake, now=CREATED + timedelta(hours=24, seconds=seconds))
    assert len(server.mails) == mails
    for subject in subjects(server):
        assert subject.startswith("[shop] NOT ENDED: the run has not ended after 24 h (running), ")


def test_a_run_that_succeeded_is_not_told(
    installed: Kubeflow, lake: Lake, server: MailServer
) -> None:
    end_run(installed, "SUCCEEDED")
    assert tell(installed, lake) == [] and server.mails == []


def test_a_message_that_no_server_takes_stays_for_the_next_time(
    installed: Kubeflow, lake: Lake, server: MailServer
) -> None:
    end_run(installed)
    server.refused = {"oncall@shop.example"}
    assert "in the outbox for the next run" in tell(installed, lake)[-1]
    server.refused = set()
    tell(installed, lake)
    assert len(server.mails) == 1


def test_nobody_is_told_where_nobody_wants_it(
    installed: Kubeflow, lake: Lake, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_run(installed)
    assert tell(installed, lake, NotifySettings(when="never")) == [] and server.mails == []
    monkeypatch.delenv("DAWNLIST_NOTIFY_URLS")
    installed.requests.clear()
    assert tell(installed, lake) == [
        "runs without a report are not told: DAWNLIST_NOTIFY_URLS lists no recipients"
    ]
    assert "run_service_list_runs" not in installed.requests


def fill(lake: Lake) -> None:
    """A table of interactions, as clean commits it."""
    day = datetime(2026, 1, 31, tzinfo=UTC)
    transactions = {**build_window_transactions((day, day + timedelta(days=1))), WRITER_APP_ID: 1}
    said = [Transaction(app, version) for app, version in transactions.items()]
    write_deltalake(
        lake.table_uri("interactions"), pa.Table.from_pylist([], schema=INTERACTIONS_SCHEMA),
        partition_by=["event_date"], commit_properties=CommitProperties(app_transactions=said),
    )  # fmt: skip


def housekeep(kubeflow: Kubeflow, tmp_path: Path) -> Done:
    return dawnlist(
        "housekeep", "--host", kubeflow.url, "--lake", str(tmp_path), "--namespace", "shop"
    )


def test_the_command_tells_and_tidies(
    installed: Kubeflow, lake: Lake, tmp_path: Path, server: MailServer
) -> None:
    fill(lake)
    end_run(installed, created=datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3))
    done = housekeep(installed, tmp_path)
    lines = done.out.splitlines()
    assert lines[0].startswith("told mail by ") and "ages count back from 2026-02-01" in lines[1]
    assert (done.code, done.err, len(server.mails)) == (0, "", 1)


@pytest.mark.parametrize("kind", ["500", "403", "drop", "page"])
def test_without_the_api_the_lake_is_tidied_all_the_same(
    installed: Kubeflow, lake: Lake, tmp_path: Path, server: MailServer, kind: str
) -> None:
    fill(lake)
    installed.faults = [Fault("GET .*experiments", kind)]
    done = housekeep(installed, tmp_path)
    [line] = done.err.splitlines()
    assert line.startswith("dawnlist: runs without a report were not looked for: ")
    assert "ages count back from 2026-02-01" in done.out and done.code == 1


def test_a_lake_is_needed() -> None:
    assert dawnlist("housekeep").err == "dawnlist: housekeeping is done in a lake: give --lake\n"
