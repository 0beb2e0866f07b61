from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dawnlist.components.gate.evidence import Evidence
from dawnlist.components.gate.history import build_gate_record
from dawnlist.components.gate.page import render_gate_markdown, render_gate_page
from dawnlist.components.gate.verdict import decide_verdict
from dawnlist.cuts import format_iso
from dawnlist.records.verdict import ForcedPass
from dawnlist.settings import GateSettings
from tests.support.gates import DAY, LIVE, broken, evaluation, past, spread_out, verdict
from tests.support.literal import AS_OF

EVEN = [0.1] * 100
STRICT = GateSettings(margin=0)


@pytest.mark.parametrize(
    ("challenger", "popularity", "winner"),
    [
        (0.10, 0.05, "challenger"),
        (0.05, 0.10, "popularity"),
        (0.10, 0.10, "popularity"),
    ],  # a tie: the simpler one
)
def test_without_an_incumbent_the_winner_goes_live(
    challenger: float, popularity: float, winner: str
) -> None:
    found = decide_verdict(
        evaluation([challenger] * 100, None, popularity), GateSettings(), AS_OF, None
    )
    assert (found.passed, found.winner) == (True, winner)
    assert found.reason.startswith(
        f"there is no incumbent, so the winner of challenger and popularity goes live: {winner}"
    )


@pytest.mark.parametrize(
    ("challenger", "popularity", "expected"),
    [
        (0.11, 0.05, {}),
        (0.0995, 0.05, {}),  # lower by less than the margin
        (0.0985, 0.05, {"incumbent": False}),
        (0.11, 0.14, {"popularity": False}),  # popularity beats them both
        (0.10, 0.105, {}),  # not for sure
    ],
)
def test_with_an_incumbent_every_rule_must_pass(
    challenger: float, popularity: float, expected: dict[str, Any]
) -> None:
    found = verdict(evaluation([challenger] * 100, EVEN, popularity))
    assert broken(found) == expected
    assert (found.passed, found.is_renewal) == (True, bool(expected))
    assert found.winner == ("incumbent" if expected else "challenger")


def test_an_identical_model_passes_a_strict_gate() -> None:
    users = spread_out(0.1)
    assert verdict(evaluation(users, users), settings=STRICT).passed
    worse = evaluation([value - 0.0001 for value in users], users)
    assert verdict(worse, settings=STRICT).winner == "incumbent"


def test_too_few_users_are_no_evidence() -> None:
    few = verdict(evaluation([0.2] * 99, [0.1] * 99))
    assert broken(few) == {"users": None, "incumbent": None}
    names = "enough users in the holdout, ndcg@20 against the incumbent, lower bound"
    assert few.reason == (
        f"not enough evidence: {names}; "
        "the live configuration (als of 2026-01-30) was renewed on this day's rows"
    )
    first = decide_verdict(evaluation([0.2] * 99, None), GateSettings(), AS_OF, None)
    assert (first.passed, first.winner) == (True, "popularity")  # something must go live
    assert broken(verdict(evaluation([0.2] * 99, [0.1] * 99), [past(1, users=1)])) == {}


def test_nobody_to_judge_on_and_nobody_hit_are_no_evidence() -> None:
    empty = evaluation(
        [0.0], [0.0], evaluated_users=0, per_user={"challenger": [], "incumbent": []}
    )
    empty = replace(empty, arms={arm: {} for arm in empty.arms})
    assert {"users": None, "incumbent": None}.items() <= broken(verdict(empty)).items()
    assert (
        broken(verdict(evaluation([0.0] * 100, [0.0] * 100, popularity=1e-9)))["incumbent"] is None
    )


NOISY = evaluation([0.1, 0.1] * 50, spread_out(0.1, 100))  # the same mean, and +-6% between bounds


def test_gates_before_decide_what_today_can_not() -> None:
    assert broken(verdict(NOISY)) == {"incumbent": None}
    sure = [past(day, users=10_000, error=0.001) for day in (1, 2)]
    found = verdict(NOISY, sure)
    assert found.passed
    assert next(rule.note for rule in found.rules if rule.rule == "incumbent") == (
        "20,100 users of 3 gates: with the users of the last gates"
    )
    lost = [past(day, users=10_000, error=0.001, share=-0.05) for day in (1, 2)]
    assert broken(verdict(NOISY, lost)) == {"incumbent": False}


@pytest.mark.parametrize(
    "changed",
    [
        {"metric": "recall"},
        {"k": 10},
        {"comparable": False},
        {"end": AS_OF},  # overlaps today's holdout
        {"end": AS_OF - timedelta(days=1) + timedelta(microseconds=1)},
        {"evidence": Evidence(10_000, 0.0, 0.0, 1000.0)},  # the challenger was the incumbent itself
    ],
)
def test_gates_that_are_no_evidence_for_today_are_left_out(changed: dict[str, Any]) -> None:
    assert broken(verdict(NOISY, [past(1, users=10_000, error=0.001, **changed)])) == {
        "incumbent": None
    }


def test_only_disjoint_holdouts_are_pooled_and_none_from_before_a_forced_pass() -> None:
    twice = [past(1, users=10_000, error=0.001), past(2, users=7, end=AS_OF)]
    assert "10,100 users of 2 gates" in str(verdict(NOISY, twice).rules)
    forced = [
        past(1, users=10_000, error=0.001, forced="a new catalogue"),
        past(2, users=10_000, error=0.001),
    ]
    assert broken(verdict(NOISY, forced)) == {"incumbent": None}


def test_holdouts_of_several_days_overlap_and_count_once() -> None:
    """Of seven nights with holdouts of three days, two are disjoint with today's and each other."""
    gates = []
    for day in range(1, 8):
        start = AS_OF - timedelta(days=day + 3)
        gates.append(past(day, users=10_000, error=0.001, start=start))
    today = replace(
        NOISY, holdout=replace(NOISY.holdout, start=format_iso(AS_OF - timedelta(days=3)))
    )
    assert "20,100 users of 3 gates" in str(verdict(today, gates).rules)


def test_other_days_do_not_excuse_a_loss_that_today_shows() -> None:
    worse = evaluation(
        EVEN, [0.1009 + (0.002 if user % 2 else -0.002) for user in range(100)]
    )  # by 0.4% to 1.3%
    sure = [past(day, users=100_000, error=0.0001) for day in (1, 2)]
    found = verdict(worse, sure)
    assert broken(found) == {"incumbent": None}
    assert "a loss for sure" in str(found.rules)


def test_small_losses_do_not_add_up() -> None:
    """Half a percent is within the margin; a week of gates that all lose it is not."""
    worse = evaluation([0.0995] * 100, EVEN)
    assert (
        broken(verdict(worse, [past(day, share=-0.005, error=0.003) for day in range(1, 6)])) == {}
    )
    found = verdict(worse, [past(day, share=-0.005, error=0.003) for day in range(1, 7)])
    assert broken(found) == {"four_weeks": False}
    assert (
        broken(verdict(worse, [past(day, share=0.001, error=0.003) for day in range(1, 7)])) == {}
    )


@pytest.mark.parametrize(
    ("popularity", "challenger", "expected"),
    [
        (0.05, 0.0999, {}),  # the usual lift of 2
        (0.055, 0.0999, {"lift": False}),
        (0.055, 0.1, {}),  # to refuse it would keep what is no better
        (0.052, 0.0999, {}),  # 3% below and less, by the upper bound
    ],
)
def test_lift_does_not_fall(popularity: float, challenger: float, expected: dict[str, Any]) -> None:
    gates = [past(day) for day in range(1, 8)]
    assert broken(verdict(evaluation([challenger] * 100, EVEN, popularity), gates)) == expected
    assert (
        broken(verdict(evaluation([challenger] * 100, EVEN, popularity), gates[1:])) == {}
    )  # no history yet


def test_lift_that_scatters_from_day_to_day_has_a_wider_bound() -> None:
    gates = [past(day, lift=2.0 + 0.2 * (day % 3 - 1)) for day in range(1, 8)]
    assert broken(verdict(evaluation([0.0999] * 100, EVEN, 0.055), gates)) == {}


def shown(
    challenger: int, incumbent: int | None, better: float = 0.0, users: int = 100, items: int = 1000
) -> Any:
    """What the rule on coverage says of lists that show so many of the items."""
    metrics = None if incumbent is None else [0.1] * users
    found = evaluation([0.1 + better] * users, metrics, items=items)
    found.arms["challenger"]["coverage@20"] = challenger / items
    if incumbent is not None:
        found.arms["incumbent"]["coverage@20"] = incumbent / items
    [rule] = [rule for rule in verdict(found).rules if rule.rule == "coverage"]
    return rule.value, rule.limit, rule.passed


def test_coverage_is_asked_of_the_incumbents_and_a_popular_list_has_enough() -> None:
    assert shown(50, 100) == (50, 50, True)
    assert shown(49, 100) == (49, 50, False)
    assert shown(50, 101) == (50, 51, False)
    assert shown(20, 20) == (20, 20, True)  # popularity against popularity
    assert shown(19, 20) == (19, 20, False)
    assert shown(20, None) == (20, 20, True)  # without an incumbent
    assert shown(19, None) == (19, 20, False)
    assert shown(7, 7, items=7) == (7, 7, True)  # a catalogue of seven


def test_coverage_is_no_reason_against_a_challenger_that_is_shown_to_be_better() -> None:
    assert shown(20, 100, better=0.001) == (20, 20, True)
    assert shown(19, 100, better=0.001) == (19, 20, False)
    assert shown(20, 100, better=-0.001) == (20, 50, False)
    assert shown(20, 100, better=0.001, users=99) == (20, 50, False)  # too few to show it


def test_no_segment_loses_much() -> None:
    def segment(users: int, challenger: float) -> dict[str, Any]:
        return {
            "segment": f"of {users}",
            "users": users,
            "arms": {"challenger": challenger, "incumbent": 0.1},
        }

    users = [
        value + (0.01 if place % 4 < 2 else -0.01) for place, value in enumerate(spread_out(0.1))
    ]
    sure = [past(1, 100_000, error=0.0001)]
    segments = [segment(300, 0.1), segment(200, 0.07), segment(10, 0.0)]
    found = verdict(evaluation(spread_out(0.1), users, segments=segments), sure)
    assert broken(found) == {"segments": False}
    assert "of segment of 200" in found.reason
    few = evaluation(
        spread_out(0.1), users, segments=[segment(20, 0.075)]
    )  # three errors of 20 users are 0.007
    assert broken(verdict(few, sure)) == {}


@pytest.mark.parametrize(
    ("traffic", "expected"),
    [
        ({}, {}),
        ({"events": 700}, {}),
        ({"events": 500}, {"volume": False}),
        ({"events": 99, "before": [990] * 5}, {"events": False, "volume": False}),
        ({"events": 99, "before": [99] * 5}, {"events": False}),  # this weekday is not known yet
        ({"events": 99, "before": [99] * 13}, {"events": False}),
        ({"events": 99, "before": [99] * 14}, {}),  # as many as usual on this weekday
        ({"events": 60, "before": [100] * 14}, {}),
        ({"events": 59, "before": [100] * 14}, {"events": False, "volume": False}),
        ({"events": 0, "before": ([900] * 6 + [0]) * 2, "mix": {}}, {}),  # closed on Saturdays
        ({"events": 0, "before": [900] * 14, "mix": {}}, {"events": False, "volume": False}),
        ({"events": 1000, "dropped": 4000}, {}),  # 80%
        ({"events": 1000, "dropped": 4001}, {"dropped": False}),
        ({"known_items": 0.1}, {}),
        ({"known_items": 0.0999}, {"items": False}),  # the ids changed
        ({"events": 0, "dropped": 0, "before": ([900] * 6 + [0]) * 2, "mix": {}}, {}),
        ({"before": []}, {}),  # the first day
        (
            {"events": 500, "before": [1000] * 6 + [500] + [1000] * 6 + [500] * 15},
            {},
        ),  # as on this weekday
        (
            {"events": 500, "before": [1000] * 6 + [500]},
            {"volume": False},
        ),  # of one weekday only: all days
        ({"before": [0] * 28}, {}),
        ({"mix": {"view": 0.9, "cart": 0.1}}, {"drift": False}),
        ({"mix": {"view": 0.6, "cart": 0.4}, "mix_before": {"view": 0.7, "cart": 0.3}}, {}),
        ({"mix": {"view": 1.0}, "mix_before": {"view": 0.9, "cart": 0.1}}, {"drift": False}),
        ({"mix_before": {}}, {}),
        # A day may be a fifth below the weakest of the same weekdays, 400.
        ({"events": 320, "before": ([900] * 6 + [400] + [900] * 6 + [900]) * 2}, {}),
        ({"events": 319, "before": ([900] * 6 + [400] + [900] * 6 + [900]) * 2}, {"volume": False}),
        # Few events on this weekday: the days before count, too.
        ({"events": 2, "before": ([150] * 6 + [10]) * 4, "mix": {"view": 1.0}}, {}),
        ({"events": 2, "before": [94] + ([150] * 5 + [10] + [150]) * 4}, {}),
        (
            {"events": 2, "before": [93] + ([150] * 5 + [10] + [150]) * 4},
            {"events": False, "volume": False},
        ),
        # On a day with few events chance moves the mix, and new items may be all there is.
        ({"events": 10, "before": [10] * 28, "mix": {"view": 0.6, "cart": 0.4}}, {}),
        ({"events": 99, "before": [99] * 28, "known_items": 0.0}, {}),
        ({"events": 100, "known_items": 0.0, "before": [100] * 28}, {"items": False}),
    ],
)
def test_the_day_must_be_like_others(traffic: dict[str, Any], expected: dict[str, Any]) -> None:
    found = verdict(evaluation(EVEN, EVEN, traffic={**DAY, **traffic}))
    assert broken(found) == expected
    assert found.comparable == (not expected)
    assert found.passed == (not expected)  # nothing moves on a day that can't be trusted


def test_all_lists_at_once_do_not_change() -> None:
    assert broken(verdict(evaluation(EVEN, EVEN, churn=0.9))) == {}
    other = verdict(evaluation(EVEN, EVEN, churn=0.9001))
    assert broken(other) == {"churn": False}
    assert (other.is_renewal, other.comparable) == (True, False)
    for over in ({"winner": "popularity"}, {"winner": "incumbent", "engine": "popularity"}):
        live = {**LIVE, **over}
        found = decide_verdict(evaluation(EVEN, EVEN, churn=0.95), GateSettings(), AS_OF, live)
        assert found.winner == "challenger"


def test_a_catalogue_with_new_ids_publishes_nothing() -> None:
    # no user has a list of the live version's
    new_ids = verdict(evaluation(EVEN, EVEN, kept_items=0.0, churn=None))
    assert broken(new_ids) == {"churn": False, "catalogue": False}
    assert not new_ids.passed
    assert "100% of the live model's items are gone" in str(new_ids.rules)
    assert "run the day again with --force" in new_ids.reason
    few_left = evaluation(EVEN, EVEN, kept_items=0.1, churn=0.0)
    assert "catalogue" not in broken(verdict(few_left))
    fewer_left = evaluation(EVEN, EVEN, kept_items=0.0999, churn=0.0)
    assert "catalogue" in broken(verdict(fewer_left))


def test_a_day_that_breaks_a_rule_says_how_old_the_lists_are_and_what_to_do() -> None:
    little = evaluation(EVEN, EVEN, traffic={**DAY, "events": 599})
    old = {**LIVE, "as_of": "2026-01-28T12:00:00Z"}
    found = decide_verdict(little, GateSettings(), AS_OF, old)
    assert (found.passed, found.winner) == (False, "incumbent")
    assert found.reason == (
        "the day's data failed: events against the same weekday; nothing is published, and version "
        "3 of 2026-01-28T12:00:00Z stays, 2.5 days old. Part of the day's events is missing. See "
        "the fetch step, and run the day again"
    )
    assert decide_verdict(little, GateSettings(), AS_OF, None).reason.startswith(
        "the day's data failed: events against the same weekday; nothing is published, and the "
        "store has no version. "
    )


@pytest.mark.parametrize(
    ("incumbent", "live", "renewed"),
    [
        (EVEN, None, True),  # the live version has seen the holdout
        (EVEN, EVEN, True),
        ([0.099] * 100, EVEN, True),  # lower by the margin
        ([0.0989] * 100, EVEN, False),
        (spread_out(0.0989, 100), EVEN, True),  # not for sure
        ([0.2] * 100, EVEN, True),
    ],
)
def test_the_live_configuration_is_renewed_unless_that_is_shown_to_lose(
    incumbent: list[float], live: list[float] | None, renewed: bool
) -> None:
    found = verdict(evaluation([0.04] * 100, incumbent, live=live))
    assert found.winner == "incumbent" and found.passed == found.is_renewal == renewed
    assert ("renewal" in broken(found)) == (not renewed)
    if not renewed:
        assert "loses when it is fitted anew; nothing is published, and version 3" in found.reason
    better = verdict(evaluation([0.3] * 100, incumbent, live=live))
    if renewed:
        assert better.winner == "challenger"


def test_a_live_configuration_that_hits_nobody_is_renewed_too() -> None:
    nobody = [0.0] * 100
    found = verdict(evaluation(nobody, nobody, popularity=1e-9, live=nobody))
    assert found.is_renewal and "renewal" not in {rule.rule for rule in found.rules}


def test_too_few_users_say_nothing_about_a_renewal() -> None:
    few = verdict(evaluation([0.04] * 99, [0.05] * 99, live=[0.1] * 99))
    assert few.is_renewal and "renewal" not in {rule.rule for rule in few.rules}


@pytest.mark.parametrize("force", ["", "lists were checked by hand"])
def test_a_day_that_is_not_newer_than_the_live_one_never_goes_live(force: str) -> None:
    for days in (1, 2):
        found = decide_verdict(
            evaluation(EVEN, EVEN), GateSettings(), AS_OF - timedelta(days=days), LIVE, force=force
        )
        assert (found.passed, found.winner) == (False, "incumbent")
        assert "version 3 of 2026-01-30T00:00:00Z is live and not older" in found.reason


def test_a_forced_pass_is_written_down() -> None:
    bad = evaluation([0.05] * 100, EVEN)
    found = decide_verdict(
        bad, GateSettings(), AS_OF, LIVE, force="a new catalogue,\n checked by hand"
    )
    assert (found.passed, found.winner) == (True, "challenger")
    assert found.forced == ForcedPass("a new catalogue, checked by hand")
    assert found.reason == (
        "FORCED: a new catalogue, checked by hand (without it: the challenger failed: "
        "ndcg@20 against the incumbent, lower bound; the live configuration (als of 2026-01-30) was "
        "renewed on this day's rows)"
    )
    assert "## Gate: FORCED" in render_gate_markdown(found)
    assert build_gate_record(bad, found, AS_OF, "r").forced == "a new catalogue, checked by hand"
    first = decide_verdict(
        evaluation([0.01] * 100, None), GateSettings(), AS_OF, None, force="a new catalogue"
    )
    assert (first.passed, first.winner) == (True, "challenger")


@pytest.mark.parametrize("force", [" ", "\n", "because", "x" * 501])
def test_a_reason_that_is_none_is_refused(force: str) -> None:
    with pytest.raises(
        ValueError, match=r"the reason of a forced pass is .*: say why in 10 to 500 letters"
    ):
        decide_verdict(evaluation(EVEN, EVEN), GateSettings(), AS_OF, LIVE, force=force)


def test_markdown_shows_each_rule() -> None:
    text = render_gate_markdown(verdict(evaluation([0.1] * 100, [0.09] * 100, 0.14)))
    assert "## Gate: renewed" in text
    assert (
        "| ndcg@20 against the incumbent, lower bound | 11.11% | at least -1.00% | pass | 100 users |"
        in text
    )
    assert (
        "| ndcg@20 against popularity, upper bound | 0.1100 | at least 0.1386 | FAIL |  |" in text
    )
    assert "| events of the last 24 hours | 1,000 | at least 100 | pass |  |" in text


def test_the_page_shows_rules_advice_and_the_gates_before() -> None:
    scored = evaluation([0.098] * 100, EVEN)
    found = decide_verdict(
        scored, GateSettings(), AS_OF, LIVE, [], force="<b>we know</b> what it is"
    )
    gates = [past(1), past(2, comparable=False), past(3, forced="<i>new shop</i>"), past(4)]
    shown = render_gate_page(found, build_gate_record(scored, found, AS_OF, "run"), gates, 0.01)
    assert "FORCED past the rules." in shown and "&lt;b&gt;we know&lt;/b&gt; what it is" in shown
    assert "Compare the trials and the configuration" in shown
    assert shown.count("<svg") == 3  # today, the day before, both together
    assert "2 gates" in shown and "<b>we" not in shown and "<i>" not in shown
    first = evaluation(EVEN, None)
    alone = decide_verdict(first, GateSettings(), AS_OF, None)
    assert "user by user" not in render_gate_page(
        alone, build_gate_record(first, alone, AS_OF, "run"), [], 0.01
    )
