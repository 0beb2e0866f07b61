"""What people are told of a run, from real run records, by a real mail server; once, and never at the run's cost."""

import configparser
import html as html_words
import inspect
import re
import shlex
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer.main
from kfp import dsl

from dawnlist.components.notify import outbox, rerun, tables
from dawnlist.components.notify.component import notify
from dawnlist.components.notify.daily import read_run_facts
from dawnlist.components.notify.notification import alarm_on_error, notify_recipients
from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.messages.message import Message
from dawnlist.pipelines.cli import app
from dawnlist.records.run_parameters import PARAMETER_OPTIONS, PIPELINE_DEFAULTS
from tests.support.mail import MailServer, hook, mail_server, parts
from tests.support.servers import free_port
from tests.test_notify import AS_OF, HOSTILE, Night, evaluation

# apprise looks for what Python 3.13 lacks
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

GIVEN = {**PIPELINE_DEFAULTS, "shop_source": "postgresql://dawn@db/shop", "shop_lake": "gs://bucket/lake",
         "shop_store": "redis://s:6379/0", "as_of": format_iso(AS_OF), "shop": "shop", "shop_settings": "",
         "list_length": 10, "search": {"factors": [16.0, 32.0]}}  # fmt: skip
SEARCH = GIVEN["search"]
LEAKY = (
    "could not log in as 'bob' to postgresql://dawn:hush-1@db/shop with hush-22 from 10.1.2.3:\n"
    "user_id=17850, mail anna@mail.example\n" + HOSTILE
)
CHAMPION = {"version": 3, "token": "3-x", "as_of": "2026-01-29T03:00:00Z", "run": "run-0", "model": "m",
            "winner": "challenger", "metrics": {}, "history": []}  # fmt: skip


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with mail_server() as running:
        monkeypatch.setenv("DAWNLIST_NOTIFY_URLS", running.url)
        yield running


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    monkeypatch.setattr(outbox, "DELIVERY_PAUSES", (0.05,))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    made = Night(tmp_path)
    made.lake.write_json(CHAMPION, "champion.json")
    return made


def told(night: Night, **given: Any) -> list[str]:
    """What `notify_recipients` returns for the run, with a server tried for at most a second."""
    settings = night.folder / "settings.yaml"
    if not settings.exists():
        settings.write_text("notify: {try_seconds: 1}")
    facts = read_run_facts(night.lake, AS_OF, night.run)
    return notify_recipients(night.lake, facts, {**GIVEN, "shop_settings": str(settings), **given})


def broken(night: Night) -> None:
    night.steps(fetch={"rows": {"interactions": 1000}}, clean={"rows_in": 1000, "clean": 900})
    night.fails("filter_bots", ValueError(LEAKY))


def published(night: Night) -> None:
    night.judged(evaluation(0.3, 0.2, 0.1))
    night.published("challenger")


class Mail(HTMLParser):
    """Tags with their attributes, and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


def test_a_failure_says_all_that_is_needed_and_nothing_secret(
    night: Night, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAWNLIST_SOURCE_PASSWORD", "hush-22")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    broken(night)
    assert told(night) == [f"told mail by 127.0.0.1:{server.port}: {server.mails[0]['Subject']}"]
    text, html, _ = parts(server.mails[0])
    assert (
        server.mails[0]["Subject"] == "[shop] FAILED: filter_bots: ValueError, 2026-01-31 03:00 UTC"
    )
    for shown in (text, html_words.unescape(html)):
        for words in (
            "The step filter_bots failed; the store is untouched. ValueError: could not log in",
            "Traceback (most recent call last):",
            "postgresql://dawn:***@db/shop with *** from ***:",
            "user_id=***, mail ***",
            "dawnlist submit",
            "--set factors=16,32",
            "2026-01-29T03:00:00Z",
            "2.0 days",
            "postgresql://dawn@db/shop",
            "Did not run: dataset, tune,",
        ):
            assert words in shown, words
    everything = "".join(map(str, server.mails)) + text + html
    assert not [
        word for word in ("hush", "17850", "anna", "10.1.2.3", "\x1b") if word in everything
    ]


def test_a_published_day_says_what_came_of_it(night: Night, server: MailServer) -> None:
    published(night)
    told(night)
    text, html, pictures = parts(server.mails[0])
    assert server.mails[0]["Subject"] == "[shop] Published: version 4, 2026-01-31 03:00 UTC"
    page = Mail(html)
    for title in ("Models", "Gate", "Publication", "Search", "Rows", "Bots", "Steps"):
        assert title in page.text and title.upper() in text.splitlines()
    for row in (
        r"challenger +0\.3000 +0\.3000",
        r"popularity \(7d\) +\+0\.2000 +\+0\.0500 to \+0\.1500 +better",
        r"time unreadable +30 ",
        r"declared_crawlers +on +3 +125 +12\.5%  Googlebot/2\.1",
        r"1  factors 64 +0\.3000",
        r"version +4",
        r"publish +succeeded ",
    ):
        assert re.search(row, text), row
    assert "Run it again" not in page.text and "Live version" not in page.text
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert sources == [f"cid:{name}" for name in pictures] and len(pictures) == 3
    assert all(data.startswith(b"\x89PNG") and len(data) < 80_000 for data in pictures.values())


def test_the_mail_needs_nothing_that_clients_lack(night: Night, server: MailServer) -> None:
    night.steps(fetch={}, clean={"rows_in": 9, "days": {"2026-01-30": 9}, "reasons": {HOSTILE: 3}})
    night.fails("filter_bots", ValueError(HOSTILE))
    told(night)
    page = Mail(parts(server.mails[0])[1])
    assert {tag for tag, _ in page.tags} <= {
        "html", "head", "meta", "title", "body", "table", "tr", "td", "th", "div", "span", "b", "pre", "img", "a",
    }  # fmt: skip
    names = {name for _, attributes in page.tags for name in attributes}
    assert not {name for name in names if name.startswith("on")} | names & {"class", "background"}
    assert not re.search(r"var\(|flex|grid|url\(|@import", str(page.tags))
    assert "<script>alert('x')</script>" in page.text  # as words


def test_a_killed_step_and_a_vanished_pod_are_said(night: Night, server: MailServer) -> None:
    night.steps(fetch={})
    record = {
        "step": "tune",
        "state": "started",
        "started": "2026-01-31T03:05:00Z",
        "pid": 17,
        "host": "pod-1",
    }
    night.lake.write_json(record, "runs", "20260131T030000Z", "run-1", "tune.json")
    told(night)
    night.run = "run-2"
    night.steps(fetch={})
    told(night)
    night.run = "run-3"
    told(night)
    assert [mail["Subject"].partition(", 2026")[0] for mail in server.mails] == [
        "[shop] KILLED: tune", "[shop] INCOMPLETE: before clean", "[shop] NOTHING RAN",
    ]  # fmt: skip
    assert "was killed (out of memory, pre-empted or stopped)" in parts(server.mails[0])[0]
    assert "a process that is killed can't write one" in parts(server.mails[0])[0]


def test_freshness_and_drift_are_told(night: Night) -> None:
    night.steps(
        fetch={
            "window": ["2026-01-30T02:00:00Z", format_iso(AS_OF)],
            "arrivals": {"2026-01-30T23:00:00Z": 4, "2026-01-31T01:00:00Z": 2},
            "late": [{"day": "2026-01-28", "source": 9, "lake": 7}],
        },
        clean={
            "rows_in": 100,
            "profile": {"volume": {"day": "2026-01-30", "rows": 60, "usual": 90.0, "days": 4}},
        },
        dataset={"new_items": 3},
        evaluate={"churn": 0.25},
        gate={
            "passed": True,
            "rules": [{"rule": "drift", "name": "drift of the event mix (PSI)", "value": 0.0361}],
        },
    )
    table = tables.build_freshness_table(read_run_facts(night.lake, AS_OF, night.run))
    assert table is not None
    assert table.rows == [
        ["fetched from", "2026-01-30T02:00:00Z"],
        ["newest row arrived in the hour from", "2026-01-31T01:00:00Z"],
        ["days with rows that arrived late", "1"],
        ["clean rows of 2026-01-30", "60, usually 90"],
        ["drift of the event mix (PSI)", "0.0361"],
        ["share of the lists that is new", "25.0%"],
        ["items without any interaction yet", "3"],
    ]


def test_links_are_those_of_the_settings(night: Night, server: MailServer) -> None:
    urls = "kubeflow_url: https://kf.example/pipeline/, reports_url: https://reports.example"
    (night.folder / "settings.yaml").write_text(f"notify: {{{urls}}}")
    published(night)
    with hook() as web:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DAWNLIST_NOTIFY_URLS", f"{server.url} json://127.0.0.1:{web.port}")
            told(night)
        chat = web.posted[0]["message"]
    links = [
        attributes["href"] for tag, attributes in Mail(parts(server.mails[0])[1]).tags if tag == "a"
    ]
    assert links == ["https://kf.example/pipeline/#/runs/details/run-1",
                     "https://reports.example/20260131T030000Z/run-1.html"]  # fmt: skip
    assert all(link in chat for link in links) and len(chat) < 1500
    assert "Version 4 is live" in chat


def test_a_second_call_sends_no_second_mail_and_a_run_that_went_on_is_told_again(
    night: Night, server: MailServer
) -> None:
    broken(night)
    assert len(told(night)) == 1 and told(night) == []
    assert len(server.mails) == 1
    assert night.lake.names("outbox") == []
    night.step("filter_bots", {"events": 900})  # somebody retried it in the UI
    night.fails("dataset", ValueError("another"))
    told(night)
    assert [mail["Subject"].partition(", 2026")[0] for mail in server.mails] == [
        "[shop] FAILED: filter_bots: ValueError", "[shop] FAILED: dataset: ValueError",
    ]  # fmt: skip


def test_two_that_tell_at_once_send_one_mail(night: Night, server: MailServer) -> None:
    broken(night)
    threads = [threading.Thread(target=told, args=(night,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.mails) == 1


def test_a_crash_after_sending_sends_the_same_mail_again_rather_than_none(
    night: Night, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(night)
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "write_json", _killed)
        with pytest.raises(SystemExit):
            told(night)
    told(night)
    assert len(server.mails) == 2
    assert server.mails[0]["Message-ID"] == server.mails[1]["Message-ID"]


def _killed(*_: object) -> None:
    raise SystemExit(9)


def test_a_server_that_is_down_costs_the_run_nothing_and_the_next_run_tells(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("DAWNLIST_NOTIFY_URLS", MailServer(port=port).url)
    broken(night)
    said = told(night)
    assert (
        said[0].startswith(f"mail by 127.0.0.1:{port} took no message: ")
        and "Connection refused" in said[0]
    )
    assert said[1:] == [
        "in the outbox for the next run: [shop] FAILED: filter_bots: ValueError, 2026-01-31 03:00 UTC"
    ]
    night.run = "run-2"
    published(night)
    with mail_server(port=port) as server:
        assert len(told(night)) == 2
        assert told(night) == []
    assert [mail["Subject"] for mail in server.mails] == [
        "[shop] Published: version 4, 2026-01-31 03:00 UTC",
        "Late: [shop] FAILED: filter_bots: ValueError, 2026-01-31 03:00 UTC",
    ]


def test_a_server_that_comes_back_is_told_by_the_same_step(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("DAWNLIST_NOTIFY_URLS", MailServer(port=port).url)
    (night.folder / "settings.yaml").write_text("notify: {try_seconds: 60}")
    broken(night)
    telling = threading.Thread(target=told, args=(night,))
    telling.start()
    telling.join(0.5)
    with mail_server(port=port) as server:
        telling.join(120)
    assert len(server.mails) == 1


def test_of_two_channels_only_the_one_that_failed_is_told_again(
    night: Night, server: MailServer
) -> None:
    broken(night)
    with hook() as web, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAWNLIST_NOTIFY_URLS", f"{server.url} json://127.0.0.1:{web.port}")
        web.status = 503
        told(night)
        web.status = 200
        told(night)
    assert len(server.mails) == 1
    assert night.lake.names("outbox") == []


class Odd:
    """A channel that raises, or takes what it gets."""

    name = key = "odd"

    def __init__(self) -> None:
        self.error: Exception | None = TypeError("no such\nthing")
        self.told: list[str] = []

    def send(self, message: Message) -> None:
        if self.error:
            raise self.error
        self.told.append(message.subject)


def test_whatever_a_transport_raises_costs_the_run_nothing_on_any_kind_of_lake(root: str) -> None:
    lake, odd, post = (
        Lake.open(root, "shop"),
        Odd(),
        outbox.MessageLocation("20260131T030000Z", "run-1", "abc"),
    )
    message = Message("shop/run-1/abc", datetime.now(UTC), "a subject", "text", "short")
    assert outbox.post_message(lake, post, message)
    assert outbox.deliver_messages(lake, "run-1", post, [odd], 0.1) == [
        "odd took no message: no such thing", "in the outbox for the next run: a subject",
    ]  # fmt: skip
    odd.error = None
    assert outbox.deliver_messages(lake, "run-2", None, [odd], 5) == ["told odd: Late: a subject"]
    assert odd.told == ["Late: a subject"]
    assert lake.names("outbox") == [] and not outbox.post_message(lake, post, message)


def test_old_news_is_given_up(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWNLIST_NOTIFY_URLS", MailServer(port=free_port()).url)
    monkeypatch.setattr(outbox, "MAX_MESSAGE_AGE", -outbox.MAX_MESSAGE_AGE)
    broken(night)
    assert told(night)[1:] == [
        "given up: [shop] FAILED: filter_bots: ValueError, 2026-01-31 03:00 UTC"
    ]
    assert night.lake.names("outbox") == [] and told(night) == []


@pytest.mark.parametrize(("when", "mails"), [("always", 2), ("failure", 1), ("never", 0)])
def test_when_people_are_told(when: str, mails: int, night: Night, server: MailServer) -> None:
    (night.folder / "settings.yaml").write_text(f"notify: {{when: {when}}}")
    broken(night)
    told(night)
    night.run = "run-2"
    published(night)
    told(night)
    assert len(server.mails) == mails


def test_settings_that_cannot_be_read_keep_nobody_in_the_dark(
    night: Night, server: MailServer
) -> None:
    broken(night)
    said = told(night, shop_settings=str(night.folder / "none.yaml"))
    assert (
        said[0].startswith("the default notify settings apply: settings ")
        and len(server.mails) == 1
    )


def test_nobody_to_tell_is_said(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAWNLIST_NOTIFY_URLS", raising=False)
    broken(night)
    assert told(night) == [
        "no message is sent about this run: DAWNLIST_NOTIFY_URLS lists no recipients"
    ]
    assert night.lake.names("outbox") == []


def test_a_lake_that_is_away_is_told_too(server: MailServer, tmp_path: Path) -> None:
    with (
        pytest.raises(PermissionError),
        alarm_on_error({**GIVEN, "shop_store": "redis://:hush@s/0"}, "run-1"),
    ):
        raise PermissionError("gs://bucket says no to user 17850")
    [mail] = server.mails
    text, html, _ = parts(mail)
    assert mail["Subject"] == "[shop] NO REPORT: PermissionError: gs://bucket says no to user ***"
    assert (
        html == ""
        and "dawnlist run --local" in text
        and "Traceback (most recent call last)" in text
    )
    assert "hush" not in text and "17850" not in text
    assert "--as-of 2026-01-31T03:00:00Z" in text
    with (
        pytest.raises(OSError),
        alarm_on_error({**GIVEN, "as_of": "[[ScheduledTime.2006-01-02T15:04:05Z]]"}, "run-1"),
    ):
        raise OSError
    assert "--as-of" not in parts(server.mails.pop())[0]
    (tmp_path / "settings.yaml").write_text("notify: {when: never}")
    with (
        pytest.raises(OSError),
        alarm_on_error({**GIVEN, "shop_settings": str(tmp_path / "settings.yaml")}, "run-1"),
    ):
        raise OSError
    assert len(server.mails) == 1


def test_the_step_tells_and_its_record_says_whom(night: Night, server: MailServer) -> None:
    published(night)
    artifacts = {name: dsl.Artifact(uri=str(night.folder / name)) for name in ("report", "summary")}
    lake = str(night.folder / "lake")
    notify.python_func(status=None, **artifacts, run="run-1", **{**GIVEN, "shop_lake": lake})
    record = night.lake.read_json("runs", "20260131T030000Z", "run-1", "notify.json")
    subject = "[shop] Published: version 4, 2026-01-31 03:00 UTC"
    assert [mail["Subject"] for mail in server.mails] == [subject]
    told_mail = f"told mail by 127.0.0.1:{server.port}: {subject}"
    assert record["report"] == {"registrations": {}, "told": [told_mail]}


def test_a_run_whose_time_kubeflow_left_out_is_told_with_the_day_of_its_record(
    night: Night, server: MailServer
) -> None:
    broken(night)
    artifacts = {name: dsl.Artifact(uri=str(night.folder / name)) for name in ("report", "summary")}
    given = {
        **GIVEN,
        "shop_lake": str(night.folder / "lake"),
        "as_of": "[[ScheduledTime.2006-01-02T15:04:05Z]]",
    }
    notify.python_func(status=None, **artifacts, run="run-1", **given)
    [mail] = server.mails
    text = parts(mail)[0]
    assert mail["Subject"].endswith(", 2026-01-31 03:00 UTC")
    assert "--as-of 2026-01-31T03:00:00Z" in text and "ScheduledTime" not in text


def test_every_template_is_installed_with_the_package() -> None:
    """An editable installation would find them anyway; the image is none."""
    settings = configparser.ConfigParser()
    settings.read(Path(__file__).parents[1] / "setup.cfg")
    kinds = {
        kind.strip().removeprefix("*") for kind in settings["options.package_data"]["*"].split(",")
    }
    folder = Path(inspect.getfile(outbox)).parent
    assert {
        path.suffix for path in folder.iterdir() if path.is_file() and path.suffix != ".py"
    } <= kinds


# the command to rerun


def test_the_defaults_are_the_pipelines_own() -> None:
    from dawnlist.pipelines.daily import build_daily_pipeline
    from dawnlist.pipelines.placement import Placement

    inputs = build_daily_pipeline(Placement()).component_spec.inputs
    declared = {name: spec.default for name, spec in inputs.items() if spec.default is not None}
    assert declared == PIPELINE_DEFAULTS
    assert set(inspect.signature(notify.python_func).parameters) >= set(inputs)
    assert PIPELINE_DEFAULTS.keys() | PARAMETER_OPTIONS.keys() == set(inputs)


def options_of(name: str) -> set[str]:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    return {option for parameter in command.params for option in parameter.opts}


def test_the_command_of_a_laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    words = shlex.split(
        rerun.build_rerun_command(
            {**GIVEN, "shop_source": "sqlite:///a b.db", "search": {**SEARCH, "seed": 3}}
        ).replace("\\\n", "")
    )
    assert words == [
        "dawnlist", "run", "--local", "--as-of", format_iso(AS_OF), "--source", "sqlite:///a b.db", "--lake", "gs://bucket/lake",
        "--redis", "redis://s:6379/0", "--namespace", "shop", "--k", "10", "--factors", "16,32", "--set", "seed=3",
    ]  # fmt: skip
    assert {word for word in words if word.startswith("--")} <= options_of("run")
    every_option = {*PARAMETER_OPTIONS.values(), *rerun.LAPTOP_OPTIONS.values()}
    assert every_option <= options_of("run")
    named = PARAMETER_OPTIONS.keys() | rerun.LAPTOP_OPTIONS.keys()
    assert rerun.FLAT_DEFAULTS.keys() - named == {"seed"}
    (tmp_path / "valkey").mkdir()
    (tmp_path / "valkey" / "valkey.json").write_text('{"port": 4123}')
    own = {**GIVEN, "shop_lake": str(tmp_path / "lake"), "shop_store": "redis://127.0.0.1:4123/0"}
    assert f"--home {tmp_path}" in rerun.build_rerun_command(
        own
    ) and "--redis" not in rerun.build_rerun_command(own)


def test_the_command_of_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    words = shlex.split(
        rerun.build_rerun_command(
            {**GIVEN, "shop_settings": "gs://b/s.yaml", "search": {**SEARCH, "seed": 3}}
        ).replace("\\\n", "")
    )
    assert words == [
        "dawnlist", "submit", "--as-of", format_iso(AS_OF), "--source", "postgresql://dawn@db/shop", "--lake", "gs://bucket/lake",
        "--redis", "redis://s:6379/0", "--namespace", "shop", "--settings", "gs://b/s.yaml",
        "--set", "list_length=10", "--set", "seed=3", "--set", "factors=16,32",
    ]  # fmt: skip
    assert {word for word in words if word.startswith("--")} <= options_of("submit")
