"""Who is dropped, on what evidence, and what is kept."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import crawleruseragents
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from dawnlist.components.dataset.verdicts import build_keep_filter
from dawnlist.components.filter_bots.previous_report import read_previous_report
from dawnlist.components.filter_bots.report import (
    escape_markup,
    render_drop_markdown,
    render_drop_page,
)
from dawnlist.components.filter_bots.verdicts import judge_interactions
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.records.ablations import find_newest_ablation, save_ablation
from dawnlist.records.run_records import record_step
from dawnlist.rows.user_agents import classify_user_agents, join_patterns
from dawnlist.schema import INTERACTIONS_SCHEMA, USERS_SCHEMA, VERDICTS_SCHEMA
from dawnlist.settings import BotSettings, Settings

START = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = (START, START + timedelta(days=30))
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
Event = tuple[str, str | None, float]
"""User, agent, hours after START."""


@pytest.fixture
def lake(tmp_path: Any) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


def interactions(
    rows: list[Event],
    items: list[str] | None = None,
    kinds: list[str] | None = None,
    addresses: Sequence[str | None] = (),
) -> pa.Table:
    times = [START + timedelta(hours=hours) for _, _, hours in rows]
    columns: dict[str, Any] = {
        "event_id": [f"e{number}" for number in range(len(rows))],
        "user_id": [user for user, _, _ in rows],
        "item_id": items or ["i"] * len(rows),
        "event_type": kinds or ["view"] * len(rows),
        "weight": [1.0] * len(rows),
        "event_time": times,
        "event_date": [time.date() for time in times],
        "session_id": [None] * len(rows),
        "user_agent": [agent for _, agent, _ in rows],
        "ip": addresses or [None] * len(rows),
        "source": ["literal"] * len(rows),
    }
    return pa.table(columns, schema=INTERACTIONS_SCHEMA)


def judged(lake: Lake, table: pa.Table, **bots: Any) -> tuple[pa.Table, dict[str, Any]]:
    write_deltalake(
        lake.table_uri("interactions"), table, partition_by=["event_date"], mode="overwrite"
    )
    written = lake.table("interactions")
    assert written is not None
    return judge_interactions(lake, written.version(), WINDOW, Settings(bots=BotSettings(**bots)))


def accounts(lake: Lake, *rows: tuple[str, str | None, str | None]) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    write_deltalake(
        lake.table_uri("users"), pa.table(columns, schema=USERS_SCHEMA), mode="overwrite"
    )


def shop() -> pa.Table:
    """ann is a person, bob once opened a link preview, crawl is a crawler, sue works here, tom is only known by id."""
    rows: list[Event] = [
        ("ann", CHROME, 1),
        ("ann", None, 2),
        ("bob", CHROME, 1),
        ("bob", CHROME, 2),
    ]
    rows += [
        ("bob", "Slackbot-LinkExpanding 1.0", 3),
        ("crawl", GOOGLE, 1),
        ("crawl", GOOGLE, 2),
        ("crawl", None, 3),
    ]
    return interactions([*rows, ("sue", CHROME, 1), ("tom", None, 24 * 29)])


VERDICTS_OF_SHOP = [
    ("crawl", None, "declared_crawlers", f"2 of 2 events by {GOOGLE}", "drop", False),
    (None, "e4", "previews_and_monitors", "event by Slackbot-LinkExpanding 1.0", "drop", False),
    ("sue", None, "staff", "e-mail at shop.example", "drop", False),
]


def listed(verdicts: pa.Table) -> list[tuple[Any, ...]]:
    assert verdicts.schema == VERDICTS_SCHEMA
    return list(zip(*(column.to_pylist() for column in verdicts.columns), strict=True))


def test_verdicts_and_counts(lake: Lake) -> None:
    accounts(lake, ("sue", "sue@shop.example", "customer"), ("ann", "ann@mail.example", None))
    verdicts, report = judged(lake, shop(), staff_domains=["Shop.Example"])
    assert listed(verdicts) == VERDICTS_OF_SHOP
    counts = {name: report[name] for name in report if name not in ("rules", "signs", "seconds")}
    assert counts == {
        "users": 5,
        "events": 10,
        "agents": 3,
        "dropped_users": 2,
        "dropped_events": 5,
        "kept_users": 3,
        "kept_events": 5,
        "share": 0.5,
        "shadow_reason": None,
    }
    assert [(rule["rule"], rule["users"], rule["events"]) for rule in report["rules"]] == [
        ("declared_crawlers", 1, 3),
        ("previews_and_monitors", 1, 1),
        ("staff", 1, 1),
        ("behaviour", 0, 0),
        ("deny", 0, 0),
    ]
    assert shop().filter(build_keep_filter(verdicts))["event_id"].to_pylist() == [
        "e0",
        "e1",
        "e2",
        "e3",
        "e9",
    ]
    written = lake.rows("interactions")
    assert written is not None
    assert written.filter(build_keep_filter(verdicts)).count_rows() == 5


def test_half_of_the_events_are_no_majority(lake: Lake) -> None:
    rows: list[Event] = [
        ("half", GOOGLE, 1), ("half", CHROME, 2), ("more", GOOGLE, 1), ("more", GOOGLE, 2), ("more", CHROME, 3),
        ("unnamed", GOOGLE, 1), ("unnamed", None, 2), ("unnamed", None, 3),
    ]  # fmt: skip
    verdicts, report = judged(lake, interactions(rows))
    assert sorted(verdicts["user_id"].drop_null().to_pylist()) == ["more", "unnamed"]
    assert verdicts["event_id"].drop_null().to_pylist() == ["e0"]
    assert (report["dropped_users"], report["dropped_events"], report["kept_events"]) == (2, 7, 1)


def test_an_event_of_a_dropped_user_counts_once(lake: Lake) -> None:
    rows: list[Event] = []
    for user in ("both", "one", "two"):
        rows += [(user, GOOGLE, 1), (user, CHROME, 2)]
    verdicts, report = judged(lake, interactions(rows), deny=["both"])
    assert verdicts["user_id"].drop_null().to_pylist() == ["both"]
    assert sorted(verdicts["event_id"].drop_null().to_pylist()) == ["e0", "e2", "e4"]
    assert (report["dropped_users"], report["dropped_events"], report["kept_users"]) == (1, 4, 2)
    assert report["share"] == 4 / 6


def test_window_is_half_open(lake: Lake) -> None:
    table = interactions([("a", GOOGLE, -1), ("b", GOOGLE, 0), ("c", GOOGLE, 30 * 24)])
    assert [row[0] for row in listed(judged(lake, table)[0])] == ["b"]


def test_shadow_reports_and_drops_nothing(lake: Lake) -> None:
    verdicts, report = judged(
        lake, shop(), declared_crawlers="shadow", previews_and_monitors="shadow"
    )
    assert [row[-1] for row in listed(verdicts)] == [True, True]
    assert shop().filter(build_keep_filter(verdicts)).num_rows == 10
    assert (
        report["dropped_events"],
        report["rules"][0]["events"],
        report["rules"][1]["events"],
    ) == (0, 3, 1)
    off = judged(lake, shop(), declared_crawlers="off", previews_and_monitors="off")
    assert listed(off[0]) == []


def test_allow_wins_over_rules_and_deny_over_allow(lake: Lake) -> None:
    verdicts, report = judged(lake, shop(), allow=["crawl", "bob", "tom"], deny=["tom", "nobody"])
    assert [(row[0], row[1], row[2], row[4]) for row in listed(verdicts)] == [
        ("crawl", None, "declared_crawlers", "keep"),
        ("tom", None, "deny", "drop"),
        (None, "e4", "previews_and_monitors", "keep"),
    ]
    assert (shop().filter(build_keep_filter(verdicts)).num_rows, report["kept_events"]) == (9, 9)


def test_staff_by_id_and_role(lake: Lake) -> None:
    accounts(lake, ("sue", "sue@mail.example", "test"))
    verdicts = judged(
        lake, shop(), staff_ids=["tom"], declared_crawlers="off", previews_and_monitors="off"
    )[0]
    assert [(row[0], row[3]) for row in listed(verdicts)] == [
        ("sue", "role test"),
        ("tom", "id in staff_ids"),
    ]


def test_staff_by_network(lake: Lake) -> None:
    """Who mostly comes from inside is staff; who did once keeps the rest; what is no address lies nowhere."""
    rows: list[Event] = [("desk" if hour < 5 else "guest", CHROME, hour) for hour in range(9)]
    addresses = ["10.1.2.0/24", "10.1.2.0/24", "192.0.2.0/24", None, None]
    addresses += ["192.0.2.0/24", "2001:db8:7::/48", "999.1.1.0/24", "203.0.113.0/24"]
    networks = ["10.0.0.0/8", "2001:db8::/32", "198.51.100.0/24"]
    verdicts = judged(lake, interactions(rows, addresses=addresses), internal_networks=networks)[0]
    assert listed(verdicts) == [
        ("desk", None, "staff", "2 of 3 events from 10.1.2.0/24", "drop", False),
        (None, "e6", "staff", "event from 2001:db8:7::/48", "drop", False),
    ]


def test_an_account_is_found_as_staff_once(lake: Lake) -> None:
    table = interactions([("sue", CHROME, 1)], addresses=["10.1.2.0/24"])
    verdicts = judged(lake, table, staff_ids=["sue"], internal_networks=["10.0.0.0/8"])[0]
    assert [row[3] for row in listed(verdicts)] == ["id in staff_ids"]


CRAWLERS = [GOOGLE, "curl/8.5.0", "python-requests/2.31.0", "Scrapy/2.11"]
PREVIEWS = ["facebookexternalhit/1.1", "Slackbot 1.0", "WhatsApp/2.23.1 A", "TelegramBot (like TwitterBot)",
            "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", "LinkedInBot/1.0",
            "Mozilla/5.0+(compatible; UptimeRobot/2.0)", "Pingdom.com_bot_version_1.4", "StatusCake"]  # fmt: skip
IN_FACEBOOK = CHROME.replace("Chrome/", "Version/4.0 Chrome/") + " MetaIAB Facebook"


def test_known_agents() -> None:
    agents = pa.chunked_array([[*CRAWLERS, *PREVIEWS, CHROME, ""]])
    found = ["declared_crawlers"] * 4 + ["previews_and_monitors"] * 9 + [None] * 2
    assert classify_user_agents(agents, []).to_pylist() == found
    assert classify_user_agents(agents.slice(0, 0), []).to_pylist() == []
    own = pa.chunked_array([["ShopApp/3.1 okhttp/4.12", "okhttp/4.12", IN_FACEBOOK]])
    assert classify_user_agents(own, ["ShopApp/", *BotSettings().allow_agents]).to_pylist() == [
        None,
        "declared_crawlers",
        None,
    ]


def test_agents_of_the_library_are_found() -> None:
    known = crawleruseragents.CRAWLER_USER_AGENTS_DATA
    named = [agent for entry in known for agent in entry["instances"]]
    rules = classify_user_agents(pa.chunked_array([named]), []).to_pylist()
    missed = [agent for agent, rule in zip(named, rules, strict=True) if rule is None]
    # Their names stand where an Android agent names its device.
    assert len(missed) <= 0.002 * len(named)


SAY_SO = [
    "AcmeBot/1.0", "acme_b0t", "My robot 3", "acme-crawler", "PriceSpider 2", "shop scraper",
    "LinkChecker 9", "site-monitoring", "Acme Link Preview", "SEOscanners", "acme uptime probe",
    "Acme Agent", "acme-webhooks/2", "Mozilla/5.0 (compatible; acmepages.com)",
    "Acme/1.0 (+https://acme.example/about)", "Acme/2 (ops@acme.example)", "okhttp/4.12.0",
    "python-httpx/0.27", "aiohttp/3.9", "Java/17.0.1", "Go-http-client/2.0", "node-fetch/1.0",
    "Wget/1.21", "Apache-HttpClient/5.1", "libwww-perl/6.67", "axios/1.6", "reqwest/0.11",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/41.0 Mobile Safari/537.36 (compatible; AcmeBot/2.1)",
    "Sogou web spider/4.0(+http://www.sogou.com/docs/help/webmasters.htm#07)",
]  # fmt: skip
ANDROID = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
PEOPLE = [
    f"Mozilla/5.0 (Linux; Android 12; CUBOT P60) {ANDROID}",
    f"Mozilla/5.0 (Linux; Android 5.1; CUBOT_NOTE_S Build/LMY47I) {ANDROID}",
    f"Mozilla/5.0 (Linux; U; Android 4.1.1; de-de; HTC Butterfly Build/JRO03C) {ANDROID}",
    f"Mozilla/5.0 (Linux; Android 9; ID bot 61 Build/PPR1) {ANDROID}",
    f"Mozilla/5.0 (Linux; Android 11; POWER BOT) {ANDROID}",
    f"Mozilla/5.0 (Linux; Android 8.1.0; Crawler X Build/O1) {ANDROID}",
    "Mozilla/5.0 (Linux; U; Android 5.1; zh-cn; 1501_M02 Build/LMY47D) AppleWebKit/534.30 (KHTML, like Gecko) "
    "Version/4.0 Mobile Safari/534.30 SogouMSE,SogouMobileBrowser/4.1.0",
    f"Mozilla/5.0 (Linux; Android 10; K) {ANDROID} [FB_IAB/FB4A;FBAV/412.0.0.22.115;]",
    "Android - Native Mobile App", "iOS - Native Mobile App", "ShopApp/3.1", "Shop.com/2.8.0 (Android 14)",
    "Mozilla/5.0 (X11) User-Agent: Mozilla/5.0",
    "ShopApp/3 CFNetwork/1408.0.4 Darwin/22.5.0", "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A)",
    "Botanist/2 (iPhone; iOS 17.4)", "Abbott/1.0 (iPhone; iOS 17.4)",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1; Trident/4.0; Embedded Web Browser from: http://bsalsa.com/)",
]  # fmt: skip


def test_programs_that_no_list_knows_are_found_by_words_and_people_are_not() -> None:
    found = classify_user_agents(pa.chunked_array([SAY_SO]), []).to_pylist()
    assert [agent for agent, rule in zip(SAY_SO, found, strict=True) if rule is None] == []
    kept = classify_user_agents(pa.chunked_array([PEOPLE]), []).to_pylist()
    assert [agent for agent, rule in zip(PEOPLE, kept, strict=True) if rule is not None] == []


def test_patterns_that_re2_cannot_read_are_left_out() -> None:
    assert join_patterns(["a(?!b)", "cu+rl", "x"], "(?i)") == ["(?i)cu+rl|x"]
    assert join_patterns(["bot"]) == ["bot"]
    assert join_patterns([]) == []


def test_denied_agents_win_over_allowed_ones(lake: Lake) -> None:
    rows: list[Event] = [("own", "PriceWatch/2 App", 1), ("own", "PriceWatch/2 App", 2)]
    rows += [
        ("ann", CHROME, 1),
        ("ann", CHROME, 2),
        ("ann", "PriceWatch/1", 3),
        ("bob", "pricewatch", 4),
    ]
    table = interactions(rows)
    denied = {"deny_agents": ["PriceWatch/"], "allow_agents": [" App"], "allow": ["own", "ann"]}
    verdicts = listed(judged(lake, table, **denied)[0])
    assert verdicts == [
        ("own", None, "deny", "2 of 2 events by PriceWatch/2 App", "drop", False),
        (None, "e4", "deny", "event by PriceWatch/1", "drop", False),
    ]
    assert listed(judged(lake, table)[0]) == []
    with pytest.raises(ValueError, match="a blank text would match everybody"):
        BotSettings(deny_agents=[" "])


def test_examples_are_first_those_whom_no_other_rule_has_found(lake: Lake) -> None:
    _, report = judged(lake, shop(), deny=["crawl", "tom", "ann"])
    shown = {
        rule["rule"]: [example["user_id"] for example in rule["examples"]]
        for rule in report["rules"]
    }
    assert (shown["deny"], shown["declared_crawlers"], shown["staff"]) == (
        ["ann", "tom", "crawl"],
        ["crawl"],
        [],
    )


HOSTILE = (
    "curl/8 <script>alert(1)</script> [x](javascript:alert(1)) | `y` **z** _b_ www.evil.example "
    "\u202e \x1b[31m\n# h"
)


def test_hostile_agents_are_only_text(lake: Lake) -> None:
    _, report = judged(lake, interactions([("<img src=x>", HOSTILE, 1)]))
    assert report["dropped_events"] == 1
    for page in (render_drop_markdown(report), render_drop_page(report)):
        assert "<script>alert" not in page
        assert "<img" not in page
        assert not set("\x1b\u202e") & set(page)
        assert "8238" not in page
    last = render_drop_markdown(report).splitlines()[-1]
    assert last.count("|") == 4
    assert not set("<>[]`*_#") & set(last.replace("&#", ""))
    assert "www." not in last
    assert "://" not in escape_markup("see http://evil.example")
    assert escape_markup("a_b _c\n<i>. 1.5" + "x" * 200).startswith(
        "a_b &#95;c &#60;i&#62;. 1.5xxx"
    )


RECORDED = {"dropped_users": 1, "dropped_events": 2, "users": 4, "events": 8, "share": 0.25}
RULE = {"rule": "staff", "mode": "on", "users": 1, "events": 2, "share": 0.25, "examples": []}


def record(lake: Lake, day: str, run: str, **counts: Any) -> None:
    """A filter_bots step as the run record has it."""
    with record_step(
        lake.uri.rpartition("/")[0], "shop", parse_as_of(day), run, "filter_bots"
    ) as report:
        report.update({**RECORDED, "rules": [RULE], **counts})


def test_the_run_before_is_the_newest_that_ended_well_on_an_older_day(lake: Lake) -> None:
    assert read_previous_report(lake, parse_as_of("2026-01-31T00:00:00Z")) is None
    record(lake, "2026-01-29T00:00:00Z", "b")
    record(lake, "2026-01-30T00:00:00Z", "b", users=5)
    record(lake, "2026-01-30T00:00:00Z", "a", users=6)
    record(lake, "2026-01-31T00:00:00Z", "a", users=7)
    with pytest.raises(RuntimeError), record_step(lake.uri.rpartition("/")[0], "shop",
                                               parse_as_of("2026-01-30T12:00:00Z"), "c",
                                               "filter_bots"):  # fmt: skip
        raise RuntimeError("full")
    rules = {"staff": {"mode": "on", "users": 1, "events": 2, "share": 0.25}}
    assert read_previous_report(lake, parse_as_of("2026-01-31T00:00:00Z")) == {
        "as_of": "20260130T000000Z",
        **RECORDED,
        "users": 6,
        "rules": rules,
    }


def test_report_says_what_changed(lake: Lake) -> None:
    record(lake, "2026-01-30T00:00:00Z", "a")
    _, report = judged(lake, shop(), staff_ids=["sue"])
    page = render_drop_markdown(
        report | {"before": read_previous_report(lake, parse_as_of("2026-01-31T00:00:00Z"))}
    )
    assert (
        "The run before, as of 2026-01-30 00:00, dropped 25.0%: +3 events, +1 users, +25.00 points."
        in page
    )
    assert "| staff | on | 1 | 0 | 1 | -1 | 10.00% | -15.00 points |" in page
    assert "| declared_crawlers | on | 1 |  | 3 |  | 30.00% |  |" in page
    assert "There is no earlier run to compare with." in render_drop_markdown(report)


def test_report_carries_the_newest_ablation(lake: Lake) -> None:
    row = {
        "without": "staff",
        "ndcg": 0.1,
        "with": 0.12,
        "difference": 0.02,
        "low": 0.01,
        "high": 0.03,
        "users": 7,
    }
    table = {
        "as_of": "2026-01-30T00:00:00Z",
        "judged_on": "users every rule keeps",
        "metric": "ndcg@20",
        "users": 7,
    }
    assert find_newest_ablation(lake, parse_as_of("2026-01-31T00:00:00Z")) is None
    for day, users in (("2026-01-29", 6), ("2026-01-30", 7), ("2026-02-01", 8)):
        save_ablation(
            lake, parse_as_of(f"{day}T00:00:00Z"), {**table, "users": users, "rows": [row]}
        )
    found = find_newest_ablation(lake, parse_as_of("2026-01-31T00:00:00Z"))
    assert found == {**table, "rows": [row]}
    _, report = judged(lake, shop())
    assert "| staff | 7 | 0.1000 | 0.1200 | +0.0200 | +0.0100 | +0.0300 |" in render_drop_markdown(
        report, found
    )
    assert "<td>+0.0200</td>" in render_drop_page(report, found)
    assert "worth" not in render_drop_page(report)


def test_empty_window(lake: Lake) -> None:
    verdicts, report = judged(lake, interactions([("a", GOOGLE, 24 * 40)]))
    assert (verdicts.num_rows, report["events"], report["share"]) == (0, 0, 0.0)
    assert "0 of 0 events" in render_drop_markdown(report)
    with pytest.raises(ValueError, match="run clean first"):
        judge_interactions(Lake.open(lake.uri.rpartition("/")[0], "other"), 0, WINDOW, Settings())
