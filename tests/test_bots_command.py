"""`dawnlist bots`: access logs and tables judged, users explained."""

import gzip
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, Transaction, write_deltalake

from dawnlist.components.filter_bots.decision import list_suspects, list_user_agents
from dawnlist.components.filter_bots.explanation import explain_user
from dawnlist.components.filter_bots.mute_rules import explain_mute_rules
from dawnlist.lake.lake import Lake
from dawnlist.lake.watermark import build_window_transactions
from dawnlist.pipelines.bots.file_judging import judge_file
from dawnlist.rows.access_log import find_network, load_access_log
from dawnlist.schema import USERS_SCHEMA
from dawnlist.settings import BotSettings, Settings
from tests.support.literal import AS_OF, interactions

NAMED = Settings(bots=BotSettings(behaviour="off"))
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def line(address: str, path: str, agent: str, time: str = "10/Oct/2025:13:55:36 -0700") -> str:
    return f'{address} - - [{time}] "GET {path} HTTP/1.1" 200 512 "https://shop.example/" "{agent}"'


LOG = [
    line("192.0.2.1", "/item/7?ref=mail", CHROME),
    line("192.0.2.1", "/static/app.js?v=3", CHROME),
    line("192.0.2.9", "/item/7", GOOGLE),
    line("192.0.2.9", "/robots.txt", GOOGLE),
    "what\x1b[31m is this",
    "",
    line("2001:db8:7:1::2", "/item/8", "UptimeRobot/2.0"),
]


def written(path: Path, *lines: str) -> Path:
    path.write_bytes(
        "\n".join(lines).encode()
        if path.suffix != ".gz"
        else gzip.compress("\n".join(lines).encode())
    )
    return path


def read(path: Path, **options: Any) -> tuple[Any, list[tuple[Any, ...]]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        log = load_access_log(connection, path, path.name, **options)
        columns = "event_id, user_id, item_id, event_time::VARCHAR, user_agent, ip"
        return log, connection.execute(f"SELECT {columns} FROM source ORDER BY event_id").fetchall()


def test_lines_of_a_log_are_events(tmp_path: Path) -> None:
    log, rows = read(written(tmp_path / "access.log", *LOG))
    assert (log.lines, log.unreadable, log.assets, log.events) == (6, 1, 1, 4)
    assert log.first_unreadable == "line 5: 'what?[31m is this'"
    assert rows[0] == (
        "000000000001", f"192.0.2.1 {CHROME}", "/item/7", "2025-10-10 20:55:36+00", CHROME, "192.0.2.0/24",
    )  # fmt: skip
    assert [(row[2], row[5]) for row in rows[1:]] == [
        ("/item/7", "192.0.2.0/24"), ("/robots.txt", "192.0.2.0/24"), ("/item/8", "2001:db8:7::/48"),
    ]  # fmt: skip
    whole, rows = read(written(tmp_path / "access.log", *LOG), assets=True)
    assert (whole.assets, whole.events, rows[1][2]) == (0, 5, "/static/app.js")


@pytest.mark.parametrize(
    ("text", "user", "item"),
    [
        (f"shop.example:443 {line('192.0.2.1', '/a', 'x')} 0.004 more", "192.0.2.1 x", "/a"),
        (
            '2001:db8::1 - ann lee [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 304 -',
            "2001:db8::1",
            "/a",
        ),
        (line("host.example", "/a", r"say \"hi\" \\"), r"host.example say \"hi\" \\", "/a"),
        (
            line("192.0.2.1", "/a", "-").replace("GET /a HTTP/1.1", r"\x16\x03\x01"),
            "192.0.2.1",
            r"\x16\x03\x01",
        ),
        (line("192.0.2.1", "/a b", "é").replace("GET /a b HTTP/1.1", "-"), "192.0.2.1 é", "-"),
    ],
)
def test_other_lines(text: str, user: str, item: str, tmp_path: Path) -> None:
    log, [row] = read(written(tmp_path / "access.log", text, ""))
    assert (log.lines, log.unreadable, row[1], row[2]) == (1, 0, user, item)


def test_a_line_whose_time_is_none_is_unreadable(tmp_path: Path) -> None:
    log, rows = read(
        written(
            tmp_path / "access.log",
            LOG[0],
            line("192.0.2.1", "/a", "x", "99/Oct/2025:00:00:00 +0000"),
        )
    )
    assert (log.lines, log.unreadable, len(rows)) == (2, 1, 1)
    long = written(tmp_path / "access.log", LOG[0], "x" * 3_000_000, LOG[2])
    assert read(long)[0].first_unreadable == f"line 2: '{'x' * 199}…'"


def test_networks() -> None:
    addresses = ["10.1.2.3", "::ffff:10.1.2.3", "2001:DB8:7:1::2", "::1", "host", "1.2.3.4.5", ""]
    kept = ["10.1.2.0/24", "10.1.2.0/24", "2001:db8:7::/48", "::/48", None, None, None]
    assert [find_network(address) for address in addresses] == kept


BETWEEN = line("192.0.2.1", "/a", CHROME).replace('example/" ', 'example/" 0.004 ')
BARE = line("192.0.2.1", "/a", CHROME).partition(' "https')[0] + " https://shop.example/ curl/8"
COOKIE = line("192.0.2.1", "/a", CHROME).replace('example/" ', 'example/" "id=7; a=\\"b\\"" ')
SECONDS = line("192.0.2.1", "/a", CHROME).replace(" 512 ", " 512 0.004 ")
NGINX = (
    '{"time_local": "10/Oct/2025:13:55:36 -0700", "remote_addr": "192.0.2.1", "status": 200, '
    f'"request": "GET /a?b HTTP/1.1", "http_user_agent": "{CHROME}"}}'
)
CADDY = (
    '{"ts": 1760129736.5, "request": {"remote_ip": "192.0.2.1", "uri": "/a?b", "method": "GET", '
    f'"headers": {{"User-Agent": ["{CHROME}"]}}}}, "status": 200}}'
)
TRAEFIK = (
    '{"ClientHost": "192.0.2.1", "RequestPath": "/a?b", "StartUTC": "2025-10-10T20:55:36.1Z", '
    f'"request_User-Agent": "{CHROME}"}}'
)


@pytest.mark.parametrize(
    "text",
    [
        BETWEEN,
        COOKIE,
        SECONDS,
        f"shop.example {line('192.0.2.1', '/a', CHROME)}",
        f"shop.example:443 {BETWEEN}",
        NGINX,
        CADDY,
        TRAEFIK,
    ],
    ids=["between", "cookie", "seconds", "host", "host-between", "nginx", "caddy", "traefik"],
)
def test_agents_are_found_in_other_formats(text: str, tmp_path: Path) -> None:
    log, [row] = read(written(tmp_path / "access.log", text, ""))
    assert (log.lines, log.unreadable) == (1, 0)
    assert row[1:3] == (f"192.0.2.1 {CHROME}", "/a")
    assert row[3].startswith("2025-10-10 20:55:36")
    assert row[4:] == (CHROME, "192.0.2.0/24")


def test_lines_that_do_not_fit_the_log_s_format_are_counted_and_shown(tmp_path: Path) -> None:
    short = '192.0.2.7 - - [10/Oct/2025:13:55:36 +0000] "GET /a HTTP/1.1" 304 -'
    log, rows = read(written(tmp_path / "access.log", BETWEEN, BETWEEN, LOG[0], short))
    assert (log.lines, log.unreadable, len(rows)) == (4, 1, 3)
    assert log.first_unreadable is not None
    assert log.first_unreadable.startswith("line 3: '192.0.2.1 - - ")
    assert (rows[2][1], rows[2][4]) == ("192.0.2.7", None)
    log, rows = read(written(tmp_path / "access.log", NGINX, "no JSON", '{"status": 200}', "[1]"))
    assert (log.lines, log.unreadable, log.first_unreadable, len(rows)) == (
        4,
        3,
        "line 2: 'no JSON'",
        1,
    )


def test_an_address_with_a_port_is_no_host(tmp_path: Path) -> None:
    _, [row] = read(written(tmp_path / "access.log", line("192.0.2.1:4711", "/a", CHROME)))
    assert row[1] == f"192.0.2.1:4711 {CHROME}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("access.log", b"GET / 200\n", "is no access log in the combined format (its first line: 'GET / 200'); name"),
        ("access.log", b'{"a": 1}\n', "holds lines of JSON without the address of a request: expected one of "),
        ("access.log", b'{"ip": "::1", "ts": 1, "uri": "/"}\n', "holds lines of JSON without the agent of a request"),
        ("access.log", BETWEEN.replace(CHROME, "x").encode(), "no user agent is seen in '"),
        ("access.log", BARE.encode(), "but a line is '192.0.2.1 - - [10/Oct/2025:13:55:36 -0700] "),
        ("empty", b"\n\n", "is no access log in the combined format (its first line: '')"),
        ("nul.log", f"{LOG[0]}\0".encode(), r"has NUL bytes in it, as a crash leaves them: take them out with tr"),
        ("access.log.gz", gzip.compress(LOG[0].encode(), mtime=0)[:-9], "is damaged or was cut off"),
        ("events.csv", b"user_id,when\n1,2\n", "has no column for item_id and none for event_time and none for "),
        ("events.csv", b"user_id,item_id,event,ts\n1,2,view\n", "has 3 fields instead of 4"),
        ("events.parquet", b"PAR1", "minimum file footer (8 bytes)): copy it again"),
    ],
    ids=["text", "json", "json-agent", "between", "bare", "blank", "nul", "cut-off", "columns", "fields", "parquet"],
)  # fmt: skip
def test_a_file_that_is_neither_is_one_line(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as caught, judge_file(str(tmp_path / name), NAMED, assets=False):
        pass
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_log_is_judged(tmp_path: Path) -> None:
    with judge_file(str(written(tmp_path / "access.log.1.gz", *LOG)), NAMED, assets=False) as found:
        assert list_suspects(found.connection).to_pylist() == [
            {"user_id": f"192.0.2.9 {GOOGLE}", "event_id": None, "events": 2, "rule": "declared_crawlers",
             "evidence": f"2 of 2 events by {GOOGLE}", "action": "drop"},
            {"user_id": "2001:db8:7:1::2 UptimeRobot/2.0", "event_id": None, "events": 1,
             "rule": "previews_and_monitors", "evidence": "1 of 1 events by UptimeRobot/2.0", "action": "drop"},
        ]  # fmt: skip
        assert list_user_agents(found.connection, NAMED.bots).to_pylist() == [
            {"user_agent": GOOGLE, "users": 1, "events": 2, "rule": "declared_crawlers"},
            {"user_agent": CHROME, "users": 1, "events": 1, "rule": None},
            {
                "user_agent": "UptimeRobot/2.0",
                "users": 1,
                "events": 1,
                "rule": "previews_and_monitors",
            },
        ]
        assert (found.report["dropped_events"], found.report["events"]) == (3, 4)
        assert found.summary == (
            "6 lines: 4 events, 1 of assets left out (--assets judges them too), "
            "1 can't be read (first: line 5: 'what?[31m is this')"
        )


EVENTS = """Visitor;SKU;TS;Event;UA;client_ip
ann;i1;2025-10-10T10:00:00Z;view;Mozilla/5.0;192.0.2.1
ann;i2;2025-10-10T11:00:00Z;view;Mozilla/5.0;192.0.2.1
ann;i2;2025-10-10T12:00:00Z;view;Slackbot 1.0;192.0.2.1
bob;i1;1760090400;cart;curl/8.5.0;198.51.100.4
bob;i1;1760090400;cart;curl/8.5.0;198.51.100.4
eve;i1;2025-10-10T10:00:00Z;view;;10.9.8.7
;i1;2025-10-10T10:00:00Z;view;;
eve;i1;2999-01-01T00:00:00Z;view;;
"""


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_of_events_is_judged_as_the_daily_run_would(ending: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(EVENTS)
    if ending == "parquet":
        with duckdb.connect() as connection:
            rows = connection.sql(f"FROM read_csv('{path}', all_varchar = true)").to_arrow_table()
        path = tmp_path / "events.parquet"
        pq.write_table(rows, path)
    bots = BotSettings(
        behaviour="off", staff="shadow", internal_networks=["10.0.0.0/8"], allow=["bob"]
    )
    settings = Settings.model_validate(
        {"source": {"columns": {"user_id": ["visitor_id", "Visitor"]}}, "bots": bots}
    )
    with judge_file(str(path), settings, assets=False) as found:
        rows = [
            tuple(row.values())
            for row in list_suspects(found.connection).drop(["event_id"]).to_pylist()
        ]
        assert rows == [
            ("ann", 1, "previews_and_monitors", "event by Slackbot 1.0", "drop"),
            ("bob", 1, "declared_crawlers", "1 of 1 events by curl/8.5.0", "keep"),
            ("eve", 1, "staff", "1 of 1 events from 10.9.8.0/24", "shadow"),
        ]
        assert found.summary == (
            "8 rows: 5 events, 1 duplicates, 2 rejected (time in the future 1, user_id missing 1)"
        )


TOO_FEW_EVENTS = "nobody is judged: no user has 30 events of which at most 10% are purchases"
NO_AGENT = "no event has a user agent; if the source has them, name their column in source.columns"


@pytest.mark.parametrize(
    ("text", "bots", "mute_rules"),
    [
        (
            "user_id,item_id,time,event\nann,i,2025-10-10T10:00:00Z,view\n",
            {"internal_networks": ["10.0.0.0/8"]},
            {
                "declared_crawlers": NO_AGENT,
                "previews_and_monitors": NO_AGENT,
                "staff": "staff_ids is empty, no event has an address to compare with "
                "internal_networks, no account has a role or an e-mail address",
                "behaviour": TOO_FEW_EVENTS,
                "deny": "deny and deny_agents are empty",
            },
        ),
        (
            EVENTS.replace(";", ",").replace("Visitor", "user_id"),
            {"internal_networks": ["10.0.0.0/8"], "behaviour": "off", "deny_agents": ["x"]},
            {},
        ),
        (
            "user_id,item_id,time,event\nann,i,2025-10-10T10:00:00Z,view\n",
            {
                "declared_crawlers": "off",
                "previews_and_monitors": "shadow",
                "staff_ids": ["sue"],
                "deny": ["tom"],
            },
            {
                "previews_and_monitors": NO_AGENT,
                "behaviour": TOO_FEW_EVENTS,
            },
        ),
    ],
    ids=["nothing", "everything", "some"],
)
def test_rules_that_judged_nobody_say_why(
    text: str, bots: dict[str, Any], mute_rules: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "events.csv").write_text(text)
    settings = Settings(bots=BotSettings(**bots))
    with judge_file(str(tmp_path / "events.csv"), settings, assets=False) as found:
        assert explain_mute_rules(found.connection, settings.bots) == mute_rules


def test_behaviour_judges_from_thirty_events_of_a_user_on(tmp_path: Path) -> None:
    rows = [f"ann,i{number},2025-10-{number % 28 + 1:02}T10:00:00Z,view" for number in range(30)]
    settings = Settings()
    for count, is_mute in ((30, False), (29, True)):
        text = "\n".join(["user_id,item_id,time,event", *rows[:count]])
        (tmp_path / "events.csv").write_text(text)
        with judge_file(str(tmp_path / "events.csv"), settings, assets=False) as found:
            mute_rules = explain_mute_rules(found.connection, settings.bots)
        assert ("behaviour" in mute_rules) == is_mute


def dawnlist(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dawnlist.pipelines.cli", "bots", *words],
        capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


def test_judge_on_a_terminal_and_into_a_file(tmp_path: Path) -> None:
    path = written(tmp_path / "access.log", *LOG, line("192.0.2.5", "/x", "curl/8 \x1b[31m"))
    done = dawnlist("judge", str(path))
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert [text.split()[0] for text in done.stdout.splitlines()] == [
        "user_id",
        "192.0.2.9",
        "192.0.2.5",
        "2001:db8:7:1::2",
    ]
    assert done.stderr.splitlines() == [
        "7 lines: 5 events, 1 of assets left out (--assets judges them too), "
        "1 can't be read (first: line 5: 'what?[31m is this')",
        "declared_crawlers (on): 2 users, 3 events",
        "previews_and_monitors (on): 1 users, 1 events",
        "dropped: 4 of 5 events (80.0%), 3 of 4 users",
        "staff judged nobody: staff_ids is empty, internal_networks is empty, "
        "no account has a role or an e-mail address",
        f"behaviour judged nobody: {TOO_FEW_EVENTS}",
        "deny judged nobody: deny and deny_agents are empty",
    ]  # fmt: skip
    out = tmp_path / "verdicts.parquet"
    assert (
        dawnlist(
            "judge", str(path), "--by", "agent", "--output", str(out), "--limit", "1"
        ).returncode
        == 0
    )
    assert pq.read_table(out).to_pylist() == [
        {"user_agent": GOOGLE, "users": 1, "events": 2, "rule": "declared_crawlers"}
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["judge", "nowhere.log"], "source 'nowhere.log' does not exist"),
        (["judge", "x.csv", "--by", "day"], "--by is 'day': give user or agent"),
        (
            ["judge", "x.csv", "--format", "xml"],
            "--format is 'xml': give table, csv, json, parquet",
        ),
        (
            ["explain", "ann", "--lake", "nowhere"],
            "holds no interactions yet: check --lake and --namespace",
        ),
    ],
)
def test_a_failure_is_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    done = dawnlist(*words)
    [text] = done.stderr.splitlines()
    assert (done.returncode, text.startswith("dawnlist: ") and message in text) == (1, True)


WINDOW = AS_OF - timedelta(days=30), AS_OF


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """ann and sue are people, sue of the shop's; bob has one preview among his events, crawl is a crawler."""
    opened = Lake.open(str(tmp_path_factory.mktemp("bots") / "lake"), "default")
    named = [("ann", CHROME), ("ann", None), ("bob", CHROME), ("bob", CHROME), ("bob", "Slackbot 1.0"),
             ("crawl", f"{GOOGLE}\x1b[31m"), ("sue", CHROME)]  # fmt: skip
    rows = interactions(*((user, "i", hours + 1.0) for hours, (user, _) in enumerate(named)))
    rows = rows.set_column(rows.schema.get_field_index("user_agent"), rows.schema.field("user_agent"),
                           pa.array([agent for _, agent in named]))  # fmt: skip
    marks = [Transaction(app, number) for app, number in build_window_transactions(WINDOW).items()]
    write_deltalake(opened.table_uri("interactions"), rows, partition_by=["event_date"],
                    commit_properties=CommitProperties(app_transactions=marks))  # fmt: skip
    people = pa.table([["sue"], ["sue@shop.example"], ["staff"]], schema=USERS_SCHEMA)
    write_deltalake(opened.table_uri("users"), people)
    return opened


def explained(lake: Lake, user: str, **bots: Any) -> dict[str, Any]:
    return explain_user(lake, 0, WINDOW, BotSettings(**bots), user)


def test_explain_tells_what_each_rule_says(lake: Lake) -> None:
    found = explained(lake, "bob")
    assert {
        name: found[name] for name in ("events", "days", "agents", "networks", "verdict", "because")
    } == {
        "events": 3,
        "days": 1,
        "agents": [
            {"user_agent": CHROME, "events": 2, "rule": None},
            {"user_agent": "Slackbot 1.0", "events": 1, "rule": "previews_and_monitors"},
        ],
        "networks": [{"ip": None, "events": 3}],
        "verdict": "kept, but for single events",
        "because": "found by previews_and_monitors",
    }
    assert [
        (rule["rule"], rule["mode"], rule["evidence"], rule["events"]) for rule in found["rules"]
    ] == [
        ("declared_crawlers", "on", None, 0),
        ("previews_and_monitors", "on", "single events (1): event by Slackbot 1.0", 1),
        ("staff", "on", None, 0),
        ("behaviour", "on", None, 0),
        ("deny", "on", None, 0),
    ]
    assert found["signs"] == []  # too few events to be judged


@pytest.mark.parametrize(
    ("user", "bots", "decision"),
    [
        ("ann", {}, "kept: no rule has found anything"),
        ("crawl", {}, "dropped: found by declared_crawlers"),
        ("crawl", {"staff_ids": ["crawl"]}, "dropped: found by declared_crawlers and staff"),
        (
            "crawl",
            {"declared_crawlers": "off"},
            "kept: found only by declared_crawlers, which is off",
        ),
        ("sue", {"staff": "shadow"}, "kept: found only by staff, which is in shadow"),
        ("bob", {"allow": ["bob"]}, "kept: the id is in allow, which wins over all rules but deny"),
        (
            "ann",
            {"allow": ["ann"], "deny": ["ann"]},
            "dropped: found by deny, which wins over everything",
        ),
        (
            "crawl",
            {"allow": ["crawl"], "deny_agents": ["Googlebot"]},
            "dropped: found by deny, which wins over everything",
        ),
        (
            "bob",
            {"allow": ["bob"], "deny_agents": ["Slackbot"]},
            "kept, but for single events: the id is in allow, and deny found the events",
        ),
    ],
)
def test_explain_says_what_decided(
    user: str, bots: dict[str, Any], decision: str, lake: Lake
) -> None:
    found = explained(lake, user, **bots)
    assert f"{found['verdict']}: {found['because']}" == decision


def test_explain_on_a_terminal(lake: Lake) -> None:
    root = lake.uri.rpartition("/")[0]
    done = dawnlist("explain", "crawl", "--lake", root)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert done.stdout.splitlines()[0] == "user crawl is dropped: found by declared_crawlers"
    assert f"declared_crawlers      on    drops   1 of 1 events by {GOOGLE}?[31m" in done.stdout
    unknown = dawnlist(
        "explain",
        "nobody",
        "--lake",
        root,
        "--as-of",
        "2026-01-31T00:00:00Z",
        "--window-days",
        "30",
    )
    assert unknown.stderr == (
        "dawnlist: user 'nobody' has no events in [2026-01-01T00:00:00Z, 2026-01-31T00:00:00Z): give the id as the "
        "source has it\n"
    )
