"""The daily report, from real run records: every way that a run can end."""

import json
import os
import re
import signal
import subprocess
import sys
import xml.dom.minidom
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dawnlist.components.gate.verdict import decide_verdict
from dawnlist.components.notify import formats
from dawnlist.components.notify.daily import read_run_facts, render_text_report, write_report
from dawnlist.components.notify.facts import DAG_STEPS
from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.dataclass_json import to_json
from dawnlist.lake.lake import Lake
from dawnlist.model.evaluation import Evaluation
from dawnlist.pages import escape_markdown
from dawnlist.records.run_records import record_step
from dawnlist.records.verdict import Verdict
from dawnlist.settings import GateSettings

AS_OF = parse_as_of("2026-01-31T03:00:00Z")
HOSTILE = "<script>alert('x')</script> | `b` [a](http://evil) \x1b[31m $x_1$ & more"
Report = dict[str, Any]

CLEAN = {
    "rows_in": 1000,
    "clean": 940,
    "quarantined": 40,
    "reasons": {"time unreadable": 30, "user_id missing": 10},
    "duplicates": 20,
    "days": {"2026-01-29": 440, "2026-01-30": 500},
}
TRIALS = [
    {"engine": "als", "factors": 64, "alpha": 2.0, "seed": 7, "ndcg@20": 0.3, "seconds": 1.5},
    {"engine": "als", "factors": 32, "alpha": 2.0, "seed": 7, "ndcg@20": 0.2, "seconds": 1.0},
]


def means(value: float) -> Report:
    return {"recall@20": value, "ndcg@20": value, "map@20": value, "coverage@20": 0.5}


def evaluation(challenger: float, incumbent: float | None, popularity: float) -> Report:
    arms = {"challenger": means(challenger), "popularity": means(popularity)}
    per_user = {}
    if incumbent is not None:
        arms["incumbent"] = means(incumbent)
        per_user = {"per_user": {"challenger": [challenger] * 300, "incumbent": [incumbent] * 300}}
    return {
        "k": 20,
        "metric": "ndcg",
        "evaluated_users": 300,
        "items": 50,
        "repeat_share": 0.25,
        "popularity_window": "7d",
        "arms": arms,
        "popularity_windows": {"whole": means(0.01), "7d": means(popularity), "24h": means(0.02)},
        "differences": {"popularity": {"mean": challenger - popularity, "low": 0.05, "high": 0.15}},
        **per_user,
    }


SEGMENTS = [
    {"segment": "history 1-4", "users": 1200, "arms": {"challenger": 0.1, "popularity": 0.05}},
    {"segment": "cold users", "users": 7, "arms": {"challenger": 0.2, "popularity": 0.2}},
]


def decided(scored: Report, live: Report | None = None, force: str = "") -> Verdict:
    """The gate's verdict on an evaluation."""
    holdout = {"from": "2026-01-30T03:00:00Z", "to": AS_OF, **scored.get("holdout", {})}
    parsed = Evaluation.from_dict({**scored, "holdout": holdout})
    return decide_verdict(parsed, GateSettings(), AS_OF, live, force=force)


class Night:
    """One run in a lake of its own."""

    def __init__(self, folder: Path, run: str = "run-1") -> None:
        self.folder, self.run, self.lake = folder, run, Lake.open(str(folder / "lake"), "shop")

    def step(self, name: str, report: Report) -> None:
        with record_step(str(self.folder / "lake"), "shop", AS_OF, self.run, name) as record:
            record.update(report)

    def fails(self, name: str, error: Exception) -> None:
        with (
            pytest.raises(type(error)),
            record_step(str(self.folder / "lake"), "shop", AS_OF, self.run, name),
        ):
            raise error

    def steps(self, **reports: Report) -> None:
        for name, report in reports.items():
            self.step(name, report)

    def judged(self, scored: Report) -> bool:
        """Everything up to and with the gate."""
        self.steps(
            fetch={"rows": {"interactions": 1000, "items": 50}},
            clean=CLEAN,
            filter_bots=BOTS,
            dataset={
                "users": 80,
                "items": 50,
                "pairs": 500,
                "train_pairs": 400,
                "holdout_users": 300,
            },
            tune={"trials": TRIALS, "metric": "ndcg", "k": 20},
            train={"users": 80},
            evaluate=scored,
            gate=to_json(verdict := decided(scored)),
        )
        return verdict.passed

    def published(self, winner: str) -> None:
        report = {
            "version": 4,
            "winner": winner,
            "users": 80,
            "items": 50,
            "bytes": 2_500_000,
            "previous": None,
        }
        self.steps(refit={}, recommend={}, publish=report)

    def reported(self) -> tuple[str, str, str]:
        """Log, page and summary."""
        html, markdown = self.folder / "out" / "report.html", self.folder / "out" / "summary.md"
        with record_step(str(self.folder / "lake"), "shop", AS_OF, self.run, "notify"):
            text = write_report(
                self.lake, read_run_facts(self.lake, AS_OF, self.run), html, markdown
            )
        assert (
            self.lake.read("reports", "20260131T030000Z", f"{self.run}.html") == html.read_bytes()
        )
        assert text == render_text_report(self.lake, AS_OF, self.run)
        return text, html.read_text(), markdown.read_text()


BOTS: Report = {
    "users": 83,
    "events": 1000,
    "dropped_users": 3,
    "dropped_events": 125,
    "share": 0.125,
    "rules": [
        {"rule": "declared_crawlers", "mode": "on", "users": 3, "events": 125, "share": 0.125,
         "examples": [{"user_id": "7", "events": 100, "evidence": "Googlebot/2.1"}]},
    ],
}  # fmt: skip


class Page(HTMLParser):
    """Tags and visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.pictures: list[bytes] = []
        self.headings: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            source = dict(attrs)["src"] or ""
            assert source.startswith("data:image/svg+xml;base64,")
            self.pictures.append(b64decode(source.partition(",")[2]))

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["h2"] and data.strip():
            self.headings.append(data)
        self.text += data


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_published(night: Night) -> None:
    assert night.judged(evaluation(0.3, 0.28, 0.2))
    night.published("challenger")
    text, html, markdown = night.reported()
    page = Page(html)
    assert text.splitlines()[-1] == (
        "PUBLISHED: Version 4 is live: the challenger's lists for 80 users. "
        "ndcg@20: challenger 0.3000, popularity 0.2000, incumbent 0.2800."
    )
    assert re.search(r"^popularity \(7d\) +0\.2000 ", text, re.MULTILINE)
    assert re.search(
        r"^rows +1,000 fetched, 940 clean, 20 duplicates, 40 quarantined$", text, re.MULTILINE
    )
    assert re.search(
        r"^search +best of 2: factors 64 \(ndcg@20 0\.3000 on validation\)$", text, re.MULTILINE
    )
    assert re.search(r"^steps took \d+\.\d+ s in all, ", text, re.MULTILINE)
    assert "did not run" not in text
    assert page.headings == [
        "Models", "Gate", "Publication", "Search", "Rows", "Bots", "Splits", "Popularity by window", "Steps",
        "Words",
    ]  # fmt: skip
    assert len(page.pictures) == 4
    assert all(xml.dom.minidom.parseString(picture).documentElement for picture in page.pictures)
    for shown in (
        "2.5 MB",
        "quarantined: time unreadable",
        "3.0%",
        "12.5%",
        "+0.0500 to +0.1500",
        "better",
        "A bar of the picture is a trial: its rank, then factors.",
        "the configuration that is live, fitted on the same rows as the challenger",
    ):
        assert shown in page.text
    assert "| challenger | 0.3000 | 0.3000 | 0.3000 | 0.5000 |" in markdown


def test_the_same_record_gives_the_same_page(night: Night) -> None:
    night.judged(evaluation(0.3, 0.28, 0.2))
    assert night.reported() == night.reported()


def test_a_first_run_that_popularity_won(night: Night) -> None:
    assert night.judged(evaluation(0.1, None, 0.2))
    night.published("popularity")
    text, html, _ = night.reported()
    sentence = "Version 4 is live: popularity's lists for 80 users. It is the first run, without an incumbent, and "
    sentence += "popularity won. The challenger passed every rule, but its ndcg@20 is not above popularity's. "
    assert sentence + "ndcg@20: " in text
    assert sentence + "ndcg@20: " in Page(html).text


def test_a_first_run_that_popularity_won_names_the_rule_that_decided(night: Night) -> None:
    scored = evaluation(0.3, None, 0.2)
    scored["arms"]["challenger"]["coverage@20"] = 0.002
    assert night.judged(scored)
    night.published("popularity")
    rule = "items that the lists show: 0, at least 20: FAIL"
    assert f"popularity won. The challenger did not pass: {rule}. ndcg@20: " in night.reported()[0]


def test_unknown_events_are_named_with_the_command_that_brings_them_back(night: Night) -> None:
    windows = [
        ["2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"],
        ["2026-01-03T00:00:00Z", "2026-01-31T00:00:01Z"],
    ]
    night.step("fetch", {"rows": {"interactions": 1000}, "windows": windows})
    report = {
        "reasons": {"event unknown": 12},
        "profile": {"unknown_events": {"scroll": 9, "b|c": 2}},
    }
    night.step("clean", {**CLEAN, **report})
    text, html, markdown = night.reported()
    said = (
        "12 rows of unknown events were rejected: 9 'scroll', 2 'b|c', 1 of other names; name them in source.events "
        "or source.weights (0: not wanted), then fetch them again, with the run's --source, --lake and --settings: "
        "dawnlist backfill --from 2026-01-01 --to 2026-01-31 --all"
    )
    assert f"unknown   {said}" in text.splitlines()
    assert "Unknown events" in Page(html).headings and said in Page(html).text
    assert "| scroll | 9 |" in markdown
    arrivals = {"2026-01-20T05:00:00Z": 3, "2026-01-09T23:00:00Z": 997}
    night.step("fetch", {"rows": {"interactions": 1000}, "windows": windows, "arrivals": arrivals})
    assert "dawnlist backfill --from 2026-01-09 --to 2026-01-20 --all\n" in night.reported()[0]
    assert "Unknown events" not in Page(night_without_unknown_events(night)).headings


def night_without_unknown_events(night: Night) -> str:
    """The page of another run of the same day whose events are all known."""
    other = Night(night.folder, "run-2")
    other.step("clean", CLEAN)
    return other.reported()[1]


def test_a_challenger_that_was_refused_leaves_the_live_configuration_renewed(
    night: Night,
) -> None:
    live = {"version": 3, "as_of": "2026-01-30T03:00:00Z", "winner": "incumbent", "engine": "als",
            "configured": "2026-01-12T03:00:00Z"}  # fmt: skip
    scored = evaluation(0.1, 0.3, 0.2)
    assert night.judged(scored)
    night.step("gate", to_json(decided(scored, live)))
    night.published("incumbent")
    text, html, _ = night.reported()
    assert text.splitlines()[-1].startswith(
        "PUBLISHED: Version 4 is live: the renewed lists for 80 users. The challenger failed: "
        "ndcg@20 against the incumbent, lower bound; the live configuration (als of 2026-01-12) was "
        "renewed on this day's rows. "
    )
    assert re.search(
        r"^ndcg@20 against the incumbent, lower bound +-66\.67% +at least -1\.00% +FAIL$",
        text,
        re.MULTILINE,
    )
    assert "Publication" in Page(html).headings


def test_a_gate_that_does_not_pass_leaves_a_complete_report(night: Night) -> None:
    traffic = {"events": 50, "before": [1000] * 28, "mix": {}, "mix_before": {}}
    assert not night.judged({**evaluation(0.1, 0.3, 0.2), "traffic": traffic})
    text, html, _ = night.reported()
    page = Page(html)
    assert text.splitlines()[-1] == (
        "NOT PUBLISHED: The gate did not pass and the store is untouched: the day's data failed: "
        "events of the last 24 hours, events against the same weekday; nothing is published, and "
        "the store has no version. Too few events came in. Check that tracking and fetch work. "
        "Part of the day's events is missing. See the fetch step, and run the day again."
    )
    assert re.search(r"^events of the last 24 hours +50 +at least 100 +FAIL$", text, re.MULTILINE)
    assert "did not run: refit, recommend, publish" in text
    assert page.text.count("not needed") == 3
    assert len(page.pictures) == 4
    assert "Publication" not in page.headings


def test_a_day_that_is_not_newer_than_the_live_one(night: Night) -> None:
    scored = evaluation(0.3, 0.28, 0.2)
    night.judged(scored)
    night.step("gate", to_json(decided(scored, {"version": 9, "as_of": format_iso(AS_OF)})))
    assert night.reported()[0].splitlines()[-1] == (
        "NOT PUBLISHED: Every rule passed, yet nothing was published: version 9 of 2026-01-31T03:00:00Z is live and "
        "not older than this run, so it stays; the challenger passed every rule."
    )


def test_a_forced_pass_says_so_everywhere(night: Night) -> None:
    scored = evaluation(0.1, 0.3, 0.2)
    night.judged(scored)
    night.step(
        "gate",
        to_json(decided(scored, force=f"a new catalogue {HOSTILE}")),
    )
    night.published("challenger")
    text, html, markdown = night.reported()
    assert " The gate was FORCED: a new catalogue <script>" in text.splitlines()[-1]
    assert "The gate was FORCED: a new catalogue" in Page(html).text and "<script" not in html
    assert "The gate was FORCED: a new catalogue &lt;script" in markdown


def test_a_publish_that_did_not_switch(night: Night) -> None:
    night.judged(evaluation(0.3, 0.28, 0.2))
    night.steps(
        refit={}, recommend={}, publish={"published": False, "reason": "version 9 is newer"}
    )
    assert night.reported()[0].endswith("NOT PUBLISHED: Nothing was published: version 9 is newer.")


def test_late_rows_say_how_to_fill_them(night: Night) -> None:
    days = [
        {"day": "2026-01-27", "source": 1204, "lake": 1200},
        {"day": "2026-01-29", "source": 9, "lake": 0},
    ]
    night.step("fetch", {"rows": {"interactions": 7}, "late": days})
    text, html, markdown = night.reported()
    said = (
        "rows of 2 days arrived too late to be fetched; "
        "fetch them with: dawnlist backfill --from 2026-01-27 --to 2026-01-29"
    )
    assert re.search(rf"^late +{said}$", text, re.MULTILINE)
    assert "Late rows" in Page(html).headings and said[1:] in Page(html).text
    assert "| 2026-01-27 | 1,204 | 1,200 |" in markdown


def test_a_single_late_day_is_one_day(night: Night) -> None:
    days = [{"day": "2026-01-27", "source": 12, "lake": 7}]
    night.step("fetch", {"rows": {"interactions": 7}, "late": days})
    assert "late      rows of 1 day arrived too late" in night.reported()[0]


def test_a_failed_step(night: Night) -> None:
    night.step("fetch", {"rows": {"interactions": 7}})
    night.fails("clean", ValueError("no column `when`\nin redis://me:hun@ter/2@host:6379/0"))
    text, html, markdown = night.reported()
    page = Page(html)
    assert text.splitlines()[-1] == (
        "FAILED: The step clean failed; the store is untouched. ValueError: no column `when`"
    )
    assert (
        "did not run: filter_bots, dataset, tune, train, evaluate, gate, refit, recommend, publish"
        in text
    )
    assert page.headings == ["Failure", "Rows", "Steps"]
    assert "Traceback (most recent call last)" in page.text
    assert "in redis://me:***@host:6379/0" in page.text
    assert "hun@ter" not in text + html + markdown
    assert "ter/2" not in text + html + markdown
    assert r"no column \`when\`" in markdown


def test_a_failed_publish_does_not_claim_that_the_store_is_untouched(night: Night) -> None:
    night.judged(evaluation(0.3, 0.28, 0.2))
    night.fails("publish", ConnectionError("lost"))
    assert (
        "FAILED: The step publish failed; see `dawnlist versions` for what the store has active."
        in night.reported()[0]
    )


def test_a_killed_step(night: Night) -> None:
    night.step("fetch", {"rows": {"interactions": 7}})
    code = (
        "import datetime, os, signal, sys\n"
        "from dawnlist.records.run_records import record_step\n"
        f"with record_step(sys.argv[1], 'shop', {AS_OF!r}, 'run-1', 'clean'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(night.folder / "lake")], check=False, cwd=Path.cwd()
    )
    assert done.returncode == -signal.SIGKILL
    text, html, markdown = night.reported()
    said = (
        r"The step clean was killed \(out of memory, pre-empted or stopped\): "
        r"it started at \S+Z on \S+ and never ended"
    )
    for shown in (text, Page(html).text, markdown):
        assert re.search(said, shown)
    assert os.uname().nodename in text
    assert re.search(
        rf"^clean +killed +{formats.MISSING_VALUE_MARK} +{formats.MISSING_VALUE_MARK}$",
        text,
        re.MULTILINE,
    )
    assert "It left no traceback" in html


def test_a_run_that_stopped_without_a_failure(night: Night) -> None:
    night.step("fetch", {"rows": {"interactions": 7}})
    text, _, _ = night.reported()
    assert text.splitlines()[-1].startswith(
        "INCOMPLETE: The run stopped before clean and no step recorded a failure: "
    )


def test_nothing_recorded_at_all(night: Night) -> None:
    text, html, markdown = night.reported()
    assert (
        text.splitlines()[-1]
        == "NOTHING RAN: No step left a record, so no step of this run ever started."
    )
    assert Page(html).headings == ["Steps"]
    assert markdown.startswith("# Nothing ran\n")


def test_hostile_text_everywhere(tmp_path: Path) -> None:
    night = Night(tmp_path, run="<b onclick=x>run")
    scored = evaluation(0.3, 0.28, 0.2)
    scored["arms"][HOSTILE] = means(0.1)
    night.judged(scored)
    night.steps(
        clean={**CLEAN, "reasons": {HOSTILE: 3}, "days": {HOSTILE: 3, "2026-01-30": 4}},
        filter_bots={"rules": [{"rule": "declared_crawlers", "examples": [{"evidence": HOSTILE}]}]},
        tune={
            "trials": [
                {**trial, "factors": f"{HOSTILE}{place}"} for place, trial in enumerate(TRIALS)
            ]
        },
        gate={"passed": False, "reason": HOSTILE, "rules": [{"name": HOSTILE, "passed": False}]},
    )
    night.steps(recommend={"most_shown": [{"item_id": "1", "title": HOSTILE, "share": 0.5}]})
    night.fails("refit", RuntimeError(HOSTILE))
    text, html, markdown = night.reported()
    page = Page(html)
    assert not {"script", "b", "iframe", "link"} & set(page.tags)
    assert page.text.count("<script>alert('x')</script>") >= 6
    assert len(page.pictures) == 4
    assert "<script" not in markdown
    assert "](http" not in re.sub(r"\\.", "", markdown)
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {4, 5, 6}
    assert "\x1b" not in text + html + markdown


ODD: list[Any] = [[], "text", 7, float("nan"), [None], {"a": float("inf")}]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("whole", [True, False], ids=["report", "values"])
def test_odd_reports_never_hide_the_verdict(night: Night, odd: Any, whole: bool) -> None:
    """What each step reported, or each value of it, is something that nobody expects."""
    night.judged(evaluation(0.3, 0.28, 0.2))
    night.published("challenger")
    for name in DAG_STEPS:
        _damage(night, name, odd, whole)
    text, html, markdown = night.reported()
    assert text.splitlines()[-1].startswith("PUBLISHED: ")
    assert markdown.startswith("# Published")
    assert "can't be shown" not in html


@pytest.mark.parametrize("name", DAG_STEPS)
def test_a_step_that_reported_nothing(night: Night, name: str) -> None:
    night.judged(evaluation(0.3, 0.28, 0.2))
    night.published("challenger")
    _damage(night, name, None, whole=True)
    text, html, _ = night.reported()
    assert text.splitlines()[-1].startswith("PUBLISHED: ")
    assert "can't be shown" not in html


def _damage(night: Night, name: str, odd: Any, whole: bool) -> None:
    place = ("runs", "20260131T030000Z", night.run, f"{name}.json")
    record = night.lake.read_json(*place)
    report = odd if whole else dict.fromkeys(record["report"], odd)
    damaged = json.dumps({**record, "report": report, "seconds": odd, "peak_memory_mb": odd})
    night.lake.write(damaged.encode(), *place)


def test_one_part_that_fails_leaves_the_others(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.judged(evaluation(0.3, 0.28, 0.2))
    monkeypatch.setattr("dawnlist.components.notify.charts.encode_svg", _broken)
    page = Page(night.reported()[1])
    assert page.text.count("This part can't be shown: OSError: no <fonts>") == 4
    assert "Gate" in page.headings


def _broken(figure: object) -> str:
    raise OSError("no <fonts>")


def test_formats() -> None:
    assert [formats.format_count(value) for value in (1234, 0, None, "x", True, float("nan"))] == [
        "1,234",
        "0",
        *[formats.MISSING_VALUE_MARK] * 4,
    ]
    assert [formats.format_duration(value) for value in (0.123, 41.23, 185, 179.7, None)] == [
        "0.12 s",
        "41.2 s",
        "3 min 05 s",
        "3 min 00 s",
        formats.MISSING_VALUE_MARK,
    ]
    assert [formats.format_byte_size(value) for value in (0, 999, 1500, 2_500_000, 3e12)] == [
        "0 bytes", "999 bytes", "1.5 kB", "2.5 MB", "3000.0 GB",
    ]  # fmt: skip
    assert formats.format_difference(-0.01234) == "\N{MINUS SIGN}0.0123"
    assert escape_markdown("a|b\n<i> & `c`") == r"a\|b &lt;i&gt; &amp; \`c\`"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at redis://u:pw@h:6379/0 now", "at redis://u:***@h:6379/0 now"),
        ("'postgresql://:p@ss/w:d@h/db'", "'postgresql://:***@h/db'"),
        ("http://h:8080/path and me@home", "http://h:8080/path and me@home"),
        ("postgresql://h/db?user=u&password=pw&x=1", "postgresql://h/db?user=u&password=***&x=1"),
    ],
)
def test_passwords_are_masked_wherever_they_stand(text: str, shown: str) -> None:
    assert formats.sanitise_json({"a": [text]}) == {"a": [shown]}


def test_segments_lift_and_churn_are_told(night: Night) -> None:
    told = {
        "segments": SEGMENTS,
        "lift": {"value": 1.5, "low": 1.4, "high": 1.6},
        "churn": 0.25,
        "holdout": {"fingerprint": "fedcba9876543210", "first_seen": "0123456789abcdef"},
    }
    night.judged({**evaluation(0.3, 0.28, 0.2), **told})
    text, page, markdown = night.reported()
    assert re.search(r"^ndcg@20 among +users +challenger +popularity \(7d\)$", text, re.MULTILINE)
    assert re.search(r"^history 1-4 +1,200 +0\.1000 +0\.0500$", text, re.MULTILINE)
    assert "| cold users | 7 | 0.2000 | 0.2000 |" in markdown
    for words in (
        "1.50 times popularity&#39;s ndcg@20 (1.40 to 1.60).",
        "25.0% of the live lists are not in the challenger&#39;s.",
        "judged on another holdout (0123456789abcdef, now fedcba9876543210)",
    ):
        assert words in page


def test_repeats_that_count_are_told_with_both_parts_of_the_truth(night: Night) -> None:
    found = evaluation(0.3, 0.28, 0.2)
    segments = [
        {**SEGMENTS[0], "difference": {"mean": 0.012, "low": 0.01, "high": -0.014}},
        SEGMENTS[1],
    ]
    night.judged(
        {**found, "segments": segments, "arms": {**found["arms"], "own_items": {"ndcg@20": 0.25}}}
    )
    text, page, markdown = night.reported()
    assert "of the holdout are repeats, which count as hits." in page
    assert re.search(r"^own items +0\.2500", text, re.MULTILINE)
    assert (
        "| history 1-4 | 1,200 | 0.1000 | 0.0500 | +0.0120 (+0.0100 to \u22120.0140) |" in markdown
    )
    assert "| cold users | 7 | 0.2000 | 0.2000 | \u2013 |" in markdown


def test_repeats_that_do_not_count_are_told_as_such(night: Night) -> None:
    night.judged(evaluation(0.3, 0.28, 0.2))
    _, page, markdown = night.reported()
    assert "of the holdout are repeats, which no list can hit." in page
    assert "challenger against incumbent" not in markdown


def test_items_that_no_list_has_and_a_damaged_table(night: Night) -> None:
    problem = "the items table covers 3%: it seems to be damaged"
    night.steps(
        clean={**CLEAN, "items": {"rows": 9, "rejected": 0, "duplicates": 0, "problem": problem}},
        recommend={"withdrawn": {"left": 1200, "blocked": 2, "withdrawn": 1}},
    )
    text, html, markdown = night.reported()
    assert (
        "\nitems     in no list: 1,200 left the items table, 2 blocked in the settings, 1 withdrawn by "
        f"a command; {problem}\n"
    ) in text
    assert "Withdrawn items" in Page(html).headings
    assert "## Withdrawn items" in markdown
    assert problem in Page(html).text


def test_without_withdrawn_items_nothing_is_said_of_them(night: Night) -> None:
    night.steps(clean=CLEAN, recommend={"withdrawn": {}})
    text, html, markdown = night.reported()
    assert "items     " not in text
    assert "Withdrawn items" not in html + markdown
