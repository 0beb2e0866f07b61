"""`dawnlist ablate`: what each bot rule is worth to people."""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import CommitProperties, Transaction, write_deltalake
from rich.console import Console

from dawnlist.components.filter_bots.report import render_drop_markdown
from dawnlist.components.filter_bots.verdicts import judge_interactions
from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.lake.watermark import build_window_transactions
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.ids import IdMap
from dawnlist.pipelines.ablation.command import _read_champion_config, _show_ablation
from dawnlist.pipelines.ablation.report import average_by_user, summarize_ablation
from dawnlist.pipelines.ablation.simulated_truth import read_human_ids
from dawnlist.pipelines.ablation.study import (
    AblationStudy,
    InteractionsVersion,
    list_last_days,
    run_ablation,
)
from dawnlist.pipelines.cli import app
from dawnlist.records import ablations
from dawnlist.schema import USERS_SCHEMA
from dawnlist.settings import BotSettings, Settings
from tests.support.literal import AS_OF, interactions

WINDOW = (AS_OF - timedelta(days=5), AS_OF)
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
CONFIG = ALSConfig(factors=1, regularization=0.1, alpha=1.0, iterations=5)
OLD, LATE = [f"old{number}" for number in range(6)], [f"late{number}" for number in range(6)]
ROBOTS = [f"robot{number}" for number in range(30)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Six people liked a hit long ago, six like it on the last day; thirty crawlers went for spam instead.

    sue, of the staff, and bob, who once sent a link, like the hit on the last day, too.
    """
    opened = Lake.open(str(tmp_path / "lake"), "default")
    rows = [(user, item, 100.0) for user in OLD for item in ("start", "hit")]
    rows += [(user, item, 100.0) for user in ROBOTS for item in ("start", "spam")]
    rows += [
        (user, item, hours)
        for user in [*LATE, "sue", "bob"]
        for item, hours in (("start", 90.0), ("hit", 5.0))
    ]
    table = interactions(*rows, ("bob", "start", 80.0))
    agents = [GOOGLE if user in ROBOTS else "Firefox" for user, _, _ in rows] + ["Slackbot 1.0"]
    place = table.schema.get_field_index("user_agent")
    table = table.set_column(place, table.schema.field(place), pa.array(agents, pa.string()))
    marks = [
        Transaction(name, number) for name, number in build_window_transactions(WINDOW).items()
    ]
    write_deltalake(opened.table_uri("interactions"), table, partition_by=["event_date"],
                    commit_properties=CommitProperties(app_transactions=marks))  # fmt: skip
    write_deltalake(
        opened.table_uri("users"),
        pa.table([["sue"], ["sue@shop.example"], ["staff"]], schema=USERS_SCHEMA),
    )
    return opened


@pytest.fixture
def truth(tmp_path: Path) -> str:
    """A database with the truth: the crawlers are none of the humans, nor is sue."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE truth (user_id TEXT, kind TEXT)")
        labels = [(user, "human") for user in [*OLD, *LATE, "bob"]]
        labels += [(user, "crawler") for user in ROBOTS] + [("sue", "staff")]
        connection.executemany("INSERT INTO truth VALUES (?, ?)", labels)
    return f"sqlite:///{tmp_path / 'shop.db'}"


def study(lake: Lake, people: pa.StringArray | None, **bots: Any) -> AblationStudy:
    return AblationStudy(
        InteractionsVersion(lake, 0), Settings(bots=BotSettings(**bots)), 5, 1, people
    )


def brought(report: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Rule -> what it brings on top of the others, and alone."""
    return {
        row["without"]: (row["difference"], row["alone"]["difference"]) for row in report["rows"]
    }


def test_a_rule_is_worth_what_people_get_for_it(lake: Lake, truth: str) -> None:
    """Without the crawlers everybody gets the hit; with them the spam, and nobody wants it."""
    report = run_ablation(study(lake, read_human_ids(truth)), [AS_OF], [CONFIG], None)
    assert (report["judged_on"], report["metric"], report["users"], report["user_days"]) == (
        "the truth's humans", "ndcg@1", 7, 7,
    )  # fmt: skip
    nothing = {"difference": 0, "low": 0, "high": 0}
    everything = {"difference": 1, "low": 1, "high": 1}
    rows = {row["without"]: row for row in report["rows"]}
    assert rows["declared_crawlers"] == {
        "without": "declared_crawlers", "ndcg": 0, "with": 1, "users": 7, **everything, "alone": everything,
    }  # fmt: skip
    assert rows["staff"] == {
        "without": "staff",
        "ndcg": 1,
        "with": 1,
        "users": 7,
        **nothing,
        "alone": nothing,
    }
    assert list(rows) == [
        "declared_crawlers",
        "previews_and_monitors",
        "staff",
        "behaviour",
        "all rules",
    ]
    assert brought(report)["all rules"] == (1, 1)
    assert [row["change"] for row in report["changes"]][1:] == [
        "another seed",
        "only the truth's humans",
    ]
    assert report["found"]["declared_crawlers"] == {"users": 30, "events": 60}
    assert report["said"] == [
        "All rules together change ndcg@1 by +1.0000 (95% interval +1.0000 to +1.0000): better."
    ]


def test_on_real_data_those_are_judged_whom_every_rule_keeps(lake: Lake) -> None:
    """sue and bob are not among them, though no rule that is on drops sue; the deny list is a rule, too."""
    plan = study(lake, None, staff="shadow", deny=ROBOTS)
    report = run_ablation(plan, list_last_days(AS_OF, 2), [CONFIG], None)
    assert (report["judged_on"], report["days"], report["users"], report["user_days"]) == (
        "users whom every rule keeps", 2, len(LATE), len(LATE),
    )  # fmt: skip
    assert brought(report) == {
        "declared_crawlers": (0, 1), "previews_and_monitors": (0, 0), "behaviour": (0, 0), "deny": (0, 1),
        "all rules": (1, 1),
    }  # fmt: skip


def test_other_interactions_are_judged_by_the_same_people(lake: Lake, tmp_path: Path) -> None:
    """A table in which the hit goes by another name recommends it to nobody."""
    other = Lake.open(str(tmp_path / "other"), "default")
    rows = [(user, item, 100.0) for user in OLD for item in ("start", "hit.0")]
    write_deltalake(other.table_uri("interactions"), interactions(*rows, *((user, "start", 90.0) for user in LATE)),
                    partition_by=["event_date"])  # fmt: skip
    plan = study(lake, None)
    plan.other_tables.update(
        {"names as they come": InteractionsVersion(other, 0, apply_bot_rules=False)}
    )
    report = run_ablation(plan, [AS_OF], [CONFIG], None)
    assert report["changes"][-1] == {
        "change": "names as they come", "ndcg": 0, "difference": -1, "low": -1, "high": -1,
    }  # fmt: skip


def test_nobody_to_judge_by(lake: Lake) -> None:
    with pytest.raises(
        ValueError,
        match="nobody met a new item in the 24 hours before 2026-01-30T00:00:00Z: give",
    ):
        run_ablation(study(lake, None), [AS_OF - timedelta(days=1)], [CONFIG], None)


def test_a_user_of_several_days_counts_once() -> None:
    users = [pa.array(["b", "a"]), pa.array(["b"])]
    assert average_by_user(users, [np.array([1.0, 0.5]), np.array([0.0])]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("difference", "low", "said"),
    [
        (0.5, 0.1, "bring more than any change of them"),
        (
            0.2,
            -0.1,
            "bring more than the best in place of the median, LESS than in place of the worst",
        ),
        (0.05, -0.1, "bring LESS than the best in place of the median"),
    ],
)
def test_the_report_says_whether_hyper_parameters_bring_more(
    difference: float, low: float, said: str
) -> None:
    whole = {"difference": difference, "low": low, "high": 0.6}
    grid = {"settings": 3, "best_over_used": 0.0, "best_over_median": 0.1, "best_over_worst": 0.3}
    first, second = summarize_ablation({"metric": "ndcg@20", "rows": [whole], "grid": grid})
    assert first.endswith("better." if low > 0 else "it may be chance.")
    assert said in second


def test_the_command_keeps_the_table_for_the_drop_report(
    lake: Lake,
    truth: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # a narrow terminal breaks the table's cells, and rich reads the width once, when another test may have imported it
    monkeypatch.setattr("dawnlist.pipelines.terminal.out", Console(width=200, highlight=False))
    words = [
        "ablate",
        "--truth",
        truth,
        "--lake",
        str(tmp_path / "lake"),
        "--days",
        "1",
        "--window-days",
        "5",
    ]
    words += [
        "--factors",
        "1,2",
        "--regularization",
        "30",
        "--alpha",
        "1",
        "--half-life",
        "0",
        "--iterations",
        "5",
        "-k",
        "1",
    ]
    app([*words, "--format", "json"], standalone_mode=False)
    report = json.loads(capsys.readouterr().out)
    assert report == ablations.find_newest_ablation(lake, AS_OF)
    assert (report["chosen"], report["grid"]["settings"]) == (
        "best of 2 by the first day's validation",
        2,
    )
    _show_ablation(report)
    shown = capsys.readouterr().out
    assert (
        "ndcg@1 of 7 users, the truth's humans, on 1 days up to 2026-01-31T00:00:00Z (7 lists an arm)"
        in shown
    )
    assert "+1.0000 (+1.0000 to +1.0000)" in shown
    page = render_drop_markdown(judge_interactions(lake, 0, WINDOW, Settings())[1], report)
    assert "| declared_crawlers | 7 | 0.0000 | 1.0000 | +1.0000 | +1.0000 | +1.0000 |" in page
    assert (
        "What other changes are worth" in page and "Of 2 settings of the hyper-parameters" in page
    )


def test_the_champion_gives_its_hyper_parameters(lake: Lake, tmp_path: Path) -> None:
    assert _read_champion_config(lake) is None
    ids = (IdMap(pa.array(["u"])), IdMap(pa.array(["i"])))
    ones = np.ones((1, 1), np.float32)
    FactorModel(*ids, ones, ones, CONFIG.as_dict(), {"as_of": format_iso(AS_OF)}).save(
        tmp_path / "model"
    )
    lake.upload_folder(tmp_path / "model", "models", "m")
    lake.write_json(
        {"version": 1, "as_of": format_iso(AS_OF), "model": "m", "history": []}, "champion.json"
    )
    assert _read_champion_config(lake) == CONFIG


def test_the_truth_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("user_id,kind\n007,human\n8,crawler\n")
    assert (
        read_human_ids(str(tmp_path)).to_pylist()
        == read_human_ids(tmp_path.as_uri()).to_pylist()
        == ["007"]
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "xml"], "--format is 'xml': give table or json"),
        (["--lake", "{folder}/none"], "holds no interactions yet"),
        (
            ["--lake", "{folder}/lake", "--truth", "{folder}"],
            "has no truth table with user_id and kind",
        ),
        (["--lake", "{folder}/lake", "--truth", "ftp://x/y"], "is of a kind that can't be read"),
    ],
)
def test_a_wrong_word_is_one_line(
    lake: Lake, tmp_path: Path, words: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        app(["ablate", *(word.format(folder=tmp_path) for word in words)], standalone_mode=False)
