from typing import Any

import pytest

from components.gate.verdict import decide, markdown
from components.settings import GateSettings

SETTINGS = GateSettings(margin=0.01, min_users=20, min_coverage=0.05)
AS_OF = "2026-01-31T00:00:00Z"
LIVE = {"version": 3, "as_of": "2026-01-30T00:00:00Z"}


def evaluation(challenger: float, popularity: float, incumbent: float | None = None, **changed: Any) -> dict[str, Any]:
    arms = {"challenger": challenger, "popularity": popularity}
    if incumbent is not None:
        arms["incumbent"] = incumbent
    return {
        "k": 20,
        "metric": "ndcg",
        "evaluated_users": 100,
        "items": 1000,
        "arms": {arm: {"ndcg@20": value, "coverage@20": 0.3} for arm, value in arms.items()},
        **changed,
    }


@pytest.mark.parametrize(
    ("challenger", "popularity", "incumbent", "passed", "winner"),
    [
        (0.10, 0.05, None, True, "challenger"),
        (0.05, 0.10, None, True, "popularity"),
        (0.10, 0.10, None, True, "popularity"),  # a tie goes to the simpler one
        (0.10, 0.05, 0.09, True, "challenger"),
        (0.0995, 0.05, 0.10, True, "challenger"),  # lower by less than the margin
        (0.0985, 0.05, 0.10, False, "incumbent"),
        (0.10, 0.12, 0.09, False, "incumbent"),  # popularity beats them both
    ],
)
def test_verdicts(challenger: float, popularity: float, incumbent: float | None, passed: bool, winner: str) -> None:
    live = None if incumbent is None else LIVE
    verdict = decide(evaluation(challenger, popularity, incumbent), SETTINGS, AS_OF, live)
    assert (verdict["passed"], verdict["winner"]) == (passed, winner)
    assert winner in verdict["reason"]


def test_too_few_users_are_no_evidence() -> None:
    few = evaluation(0.5, 0.1, 0.1, evaluated_users=19)
    assert decide(few, SETTINGS, AS_OF, LIVE)["reason"] == (
        "the challenger failed: enough users in the holdout; the incumbent stays"
    )
    first = decide(evaluation(0.5, 0.1, evaluated_users=19), SETTINGS, AS_OF, None)
    assert (first["passed"], first["winner"]) == (True, "popularity")  # something must go live


def test_nobody_to_judge_on_is_no_crash() -> None:
    empty = evaluation(0, 0, 0, evaluated_users=0)
    empty["arms"] = {arm: {} for arm in empty["arms"]}
    assert not decide(empty, SETTINGS, AS_OF, LIVE)["passed"]


def test_coverage_is_asked_of_what_so_few_lists_could_show() -> None:
    """25 lists of 20 show at most 0.5% of 100,000 items, so 5% of that is enough."""
    wide = evaluation(0.5, 0.1, 0.1, evaluated_users=25, items=100_000)
    wide["arms"]["challenger"]["coverage@20"] = 0.004
    assert decide(wide, SETTINGS, AS_OF, LIVE)["passed"]
    wide["arms"]["challenger"]["coverage@20"] = 0.0002
    assert not decide(wide, SETTINGS, AS_OF, LIVE)["passed"]


def test_lists_that_show_a_handful_of_items_fail() -> None:
    narrow = evaluation(0.5, 0.1, 0.1)
    narrow["arms"]["challenger"]["coverage@20"] = 0.01
    assert "coverage@20" in decide(narrow, SETTINGS, AS_OF, LIVE)["reason"]


@pytest.mark.parametrize("as_of", ["2026-01-30T00:00:00Z", "2026-01-29T00:00:00Z"])
def test_a_day_that_is_not_newer_than_the_live_one_never_goes_live(as_of: str) -> None:
    verdict = decide(evaluation(0.5, 0.1, 0.1), SETTINGS, as_of, LIVE)
    assert (verdict["passed"], verdict["winner"]) == (False, "incumbent")
    assert "version 3 of 2026-01-30T00:00:00Z is live and not older" in verdict["reason"]


def test_markdown_shows_each_rule() -> None:
    text = markdown(decide(evaluation(0.10, 0.12, 0.09), SETTINGS, AS_OF, LIVE))
    assert "## Gate: not passed" in text
    assert "| ndcg@20 against incumbent, less 1% | 0.1 | 0.0891 | pass |" in text
    assert "| ndcg@20 against popularity, less 1% | 0.1 | 0.1188 | FAIL |" in text
