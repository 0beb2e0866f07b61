"""The search in the daily report, from a real search's record."""

import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from dawnlist.als.engine import FitEngine
from dawnlist.components.notify import charts, drawing, score_tables
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.page import render_run_page
from dawnlist.components.tune.daily_search import run_daily_search
from dawnlist.components.tune.grid import Grid
from dawnlist.lake.lake import Lake
from dawnlist.records.run_records import read_step_records, record_step
from tests.support.literal import two_tastes

AS_OF = "2026-01-31T00:00:00Z"


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    """Of a run of which only the search has been done."""
    lake = Lake.open(str(tmp_path), "shop")
    grid = Grid((2, 4, 8), alpha=(1, 10), nu=(0, 1), popularity_share=(0, 0.1), iterations=10)
    with record_step(str(tmp_path), "shop", AS_OF, "run-1", "tune") as record:
        record.update(
            run_daily_search(
                lake, two_tastes(), grid, "full", "ndcg", 5, FitEngine(), "run-1", None
            )
        )
    return Facts.of(AS_OF, "run-1", "shop", read_step_records(lake, AS_OF, "run-1"))


def drawn(picture: Figure | None) -> str:
    assert picture is not None
    return b64decode(charts.encode_svg(picture).partition(",")[2]).decode().lower()


def test_trials_and_rungs_are_tables(facts: Facts) -> None:
    trials, rungs = score_tables.build_trials_table(facts), score_tables.build_rungs_table(facts)
    assert trials is not None and rungs is not None
    # whether a share of popularity helps the best hangs on how a machine rounds
    assert [name for name in trials.head if name != "popularity"] == [
        "#", "factors", "alpha", "nu", "ndcg@5", "recall@5", "sweeps", "users judged", "time",
    ]  # fmt: skip
    assert len(trials.rows) == 12
    assert rungs.rows == [
        ["1", "3", "12", "40", "4"],
        ["2", "4", "4", "40", "3"],
        ["3", "10", "3", "40", "1"],
    ]


def test_the_pictures_tell_the_best_the_finalists_and_the_dropped_apart(facts: Facts) -> None:
    for picture in (charts.plot_trials, charts.plot_learning_curves, charts.plot_trade_off):
        svg = drawn(picture(facts))
        assert all(colour.lower() in svg for colour in (drawing.BLUE, drawing.SLATE, drawing.GREY))
        assert drawn(picture(facts)) == svg


def test_the_page_says_what_was_searched(facts: Facts) -> None:
    shown = render_run_page(facts)
    assert re.findall(r"<h2>(Search|Learning curves|Trade-off)</h2>", shown) == [
        "Search",
        "Learning curves",
        "Trade-off",
    ]
    assert "The full grid." in shown


def test_a_search_of_one_trial_has_no_curves(facts: Facts) -> None:
    report: dict[str, Any] = facts.records[0]["report"]
    one = {**report, "trials": report["trials"][3:4]}
    one["trials"][0]["curve"] = one["trials"][0]["curve"][:1]
    alone = Facts(facts.as_of, facts.run, facts.shop, [{**facts.records[0], "report": one}])
    assert charts.plot_learning_curves(alone) is None and charts.plot_trade_off(alone) is None
    assert charts.plot_trials(alone) is not None
