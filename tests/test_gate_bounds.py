"""The bounds of the gate: the value exactly on each bound, the one beyond it, and the figures themselves."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf, log, sqrt
from typing import Any

import pytest
from pydantic import ValidationError

from dawnlist.components.gate.day_rules import (
    apply_day_rules,
    estimate_chance_drift,
    population_stability_index,
)
from dawnlist.components.gate.evidence import CRITICAL_Z, Evidence, weigh_evidence
from dawnlist.components.gate.history import GateRecord, build_gate_record
from dawnlist.components.gate.list_rules import check_churn
from dawnlist.components.gate.quality_rules import (
    apply_quality_rules,
    check_renewal,
    get_primary_metric,
)
from dawnlist.components.gate.rules import rule_at_least, rule_at_most
from dawnlist.components.gate.verdict import decide_verdict
from dawnlist.components.gate.volume import PeriodVolume, measure_volume
from dawnlist.model.evaluation import Evaluation
from dawnlist.records.run_parameters import parse_force_reason
from dawnlist.records.verdict import GateRule
from dawnlist.settings import GateSettings
from tests.support.gates import DAY, LIVE, broken, evaluation, past, spread_out, verdict
from tests.support.literal import AS_OF

EVEN = [0.1] * 100
SETTINGS = GateSettings()


def find_rule(
    found: Evaluation,
    name: str,
    gates: Sequence[GateRecord] = (),
    settings: GateSettings = SETTINGS,
) -> GateRule:
    rules = apply_quality_rules(found, settings, list(gates)) + apply_day_rules(found, settings)
    [rule] = [rule for rule in rules if rule.rule == name]
    return rule


# evidence


def test_the_interval_shares_five_percent_between_two_looks() -> None:
    assert pytest.approx(2.2414027) == CRITICAL_Z
    evidence = Evidence(users=100, total=3.0, spread=4.0, incumbent=10.0)
    assert evidence.low == pytest.approx((3 - 2 * CRITICAL_Z) / 10)
    assert evidence.high == pytest.approx((3 + 2 * CRITICAL_Z) / 10)
    assert evidence.relative_difference() == pytest.approx(0.3)
    assert evidence.relative_difference(1) == pytest.approx(0.5)


def test_two_users_are_evidence_and_one_is_none() -> None:
    assert Evidence.from_users({"challenger": [0.3], "incumbent": [0.1]}) == Evidence()
    assert Evidence.from_users(None) == Evidence()
    two = Evidence.from_users({"challenger": [0.5, 0.25], "incumbent": [0.25, 0.25]})
    assert two == Evidence(users=2, total=0.25, spread=0.0625, incumbent=0.5)


def test_evidence_is_pooled_sum_by_sum() -> None:
    parts = [Evidence(1, 2.0, 3.0, 4.0), Evidence(10, 20.0, 30.0, 40.0)]
    assert Evidence.pool(parts) == Evidence(11, 22.0, 33.0, 44.0)
    assert Evidence.pool([]) == Evidence()


def test_hits_and_differences_of_either_model() -> None:
    assert not Evidence(10).has_hits and not Evidence(10).has_differences
    assert Evidence(10, incumbent=0.1).has_hits and not Evidence(10, incumbent=0.1).has_differences
    assert Evidence(10, total=0.1).has_hits and Evidence(10, total=0.1).has_differences
    assert Evidence(10, spread=0.1).has_differences and not Evidence(10, spread=0.1).has_hits


def test_a_difference_to_an_incumbent_without_hits_is_infinite() -> None:
    assert Evidence(10, total=0.1).relative_difference() == inf
    assert Evidence(10, total=-0.1).relative_difference() == -inf
    assert Evidence(10).relative_difference() == 0


def test_a_loss_of_exactly_the_margin_is_not_worse() -> None:
    evidence = Evidence(users=100, total=-5.0, spread=1.0, incumbent=100.0)
    assert evidence.is_not_worse(-evidence.low, 100) is True
    assert evidence.is_not_worse(-evidence.low - 1e-9, 100) is None
    assert evidence.is_not_worse(-evidence.high, 100) is None
    assert evidence.is_not_worse(-evidence.high - 1e-9, 100) is False
    assert evidence.is_not_worse(-evidence.low, 101) is None
    assert Evidence(users=100).is_not_worse(1.0, 100) is None  # nobody had a hit


def test_a_loss_that_may_be_none_is_decided_by_the_other_days() -> None:
    sure = Evidence(users=10_000, total=0.0, spread=0.01, incumbent=1_000.0)
    may_be_none = Evidence(users=100, total=-CRITICAL_Z, spread=1.0, incumbent=100.0)
    assert may_be_none.high == 0
    answer, used, note = weigh_evidence(may_be_none, sure, 0.01, 100)
    assert (answer, used, note) == (True, sure, "with the users of the last gates")
    for_sure = replace(may_be_none, total=-CRITICAL_Z - 1e-9)
    answer, used, note = weigh_evidence(for_sure, sure, 0.01, 100)
    assert (answer, used) == (None, for_sure) and note.startswith("a loss for sure")
    assert weigh_evidence(for_sure, for_sure, 0.01, 100) == (None, for_sure, "")
    nobody = Evidence(users=100)
    note = "no user had a hit with either model"
    assert weigh_evidence(nobody, nobody, 0.01, 100) == (None, nobody, note)


# rules on the model


def test_rules_pass_on_their_limit_and_keep_six_digits() -> None:
    assert rule_at_least("r", "n", 0.5, 0.5).passed and rule_at_most("r", "n", 0.5, 0.5).passed
    assert not rule_at_least("r", "n", 0.5 - 1e-9, 0.5).passed
    assert not rule_at_most("r", "n", 0.5 + 1e-9, 0.5).passed
    rule = rule_at_least("r", "n", 0.1234564, 0.9876543)
    assert (rule.value, rule.limit) == (0.123456, 0.987654)


def test_four_weeks_are_the_daily_rate_with_one_error_in_its_favour() -> None:
    gates = [past(day, share=-0.02, error=0.003) for day in range(1, 7)]
    found = evaluation(EVEN, EVEN)
    rule = find_rule(found, "four_weeks", gates)
    pooled = Evidence.pool([gate.evidence for gate in gates])
    total = pooled.total + sqrt(pooled.spread)
    assert rule.value == pytest.approx(28 * total / (pooled.incumbent + 10), abs=1e-6)
    assert rule.limit == -SETTINGS.max_lift_fall
    nobody = evaluation([0.0] * 100, [0.0] * 100)
    without_hits = [past(day).model_copy(update={"evidence": Evidence(9, 1.0)}) for day in range(9)]
    assert "four_weeks" not in {
        rule.rule for rule in apply_quality_rules(nobody, SETTINGS, without_hits)
    }


def test_the_upper_bound_against_popularity_passes_on_the_margin() -> None:
    found = evaluation(EVEN, EVEN, popularity=0.2)
    exact = {"popularity": {"mean": -0.1, "low": -0.2, "high": -0.2 * 0.25}}
    settings = GateSettings(margin=0.25)
    rule = find_rule(replace_differences(found, exact), "popularity", settings=settings)
    assert (rule.passed, rule.value, rule.limit) == (True, 0.15, 0.15)
    exact["popularity"]["high"] -= 1e-9
    assert not find_rule(replace_differences(found, exact), "popularity", settings=settings).passed


def replace_differences(found: Evaluation, differences: dict[str, Any]) -> Evaluation:
    other = evaluation(EVEN, EVEN, differences=differences)
    return replace(found, differences=other.differences)


def test_the_lift_may_be_two_deviations_below_the_usual_one() -> None:
    lifts = [1.8, 1.9, 2.0, 2.1, 2.2, 2.3, 1.7]  # the median 2.0, and of the deviations 0.2
    gates = [past(day, lift=lift) for day, lift in enumerate(lifts, start=1)]
    found = evaluation([0.0999] * 100, EVEN, 0.0666)
    rule = find_rule(found, "lift", gates)
    assert rule.value == pytest.approx(1.5 + 2 * 1.4826 * 0.2, abs=1e-6)
    assert rule.limit == pytest.approx(2.0 * (1 - SETTINGS.max_lift_fall))
    assert rule.note == "today 1.500, the median of 7 gates 2.000"
    ahead = find_rule(evaluation([0.0999] * 100, [0.0999] * 100, 0.0999), "lift", gates)
    assert ahead.passed and ahead.note.endswith("; ahead of the incumbent")


def test_without_a_user_nobody_is_ahead_of_the_incumbent() -> None:
    nobody: dict[str, list[float]] = {"challenger": [], "incumbent": []}
    found = evaluation(EVEN, EVEN, 0.0999, per_user=nobody)
    assert not find_rule(found, "lift", [past(day) for day in range(1, 8)]).passed


def segment(users: int, challenger: float) -> dict[str, Any]:
    arms = {"challenger": challenger, "incumbent": 0.1}
    return {"segment": f"{users} users", "users": users, "arms": arms}


def test_a_segment_counts_from_the_least_number_of_users_on() -> None:
    few = evaluation(EVEN, EVEN, segments=[segment(99, 0.0)])
    assert "segments" not in broken(verdict(few))
    enough = evaluation(EVEN, EVEN, segments=[segment(100, 0.0)])
    assert broken(verdict(enough))["segments"] is False


def test_a_segment_has_three_standard_errors_of_slack() -> None:
    users = [
        value + (0.01 if place % 4 < 2 else -0.01) for place, value in enumerate(spread_out(0.1))
    ]
    found = evaluation(spread_out(0.1), users, segments=[segment(200, 0.09), segment(300, 0.095)])
    variance = Evidence.from_users(found.per_user).spread / 400
    rule = find_rule(found, "segments")
    assert "of segment 200 users" in rule.name  # the one nearest to its limit
    fall = SETTINGS.max_segment_fall
    assert rule.limit == pytest.approx(0.1 * (1 - fall) - 3 * sqrt(variance / 200), abs=1e-6)
    wide = evaluation(spread_out(0.1), spread_out(0.1)[::-1], segments=[segment(100, 0.0)])
    assert find_rule(wide, "segments").limit >= 0


def test_a_renewal_that_loses_exactly_the_margin_passes() -> None:
    incumbent, live = [0.099] * 100, [0.1] * 100
    [rule] = check_renewal(evaluation(EVEN, incumbent, live=live), SETTINGS)
    assert (rule.passed, rule.value, rule.limit, rule.kind) == (True, -0.01, -0.01, "renewal")
    [rule] = check_renewal(evaluation(EVEN, [0.09899] * 100, live=live), SETTINGS)
    assert rule.passed is False
    [rule] = check_renewal(evaluation(EVEN, [9.0] * 100, live=live), SETTINGS)
    assert rule.value == 9.99  # JSON has no infinity, so shares are clipped
    assert check_renewal(evaluation(EVEN[:99], incumbent[:99], live=live[:99]), SETTINGS) == []


def test_a_renewal_that_loses_stops_no_challenger() -> None:
    found = verdict(evaluation([0.3] * 100, [0.0989] * 100, live=EVEN))
    assert (found.passed, found.winner, broken(found)) == (True, "challenger", {"renewal": False})


def test_churn_counts_the_items_that_are_gone() -> None:
    def churn(kept: float | None, changed: float | None, engine: str = "als") -> list[Any]:
        found = evaluation(EVEN, EVEN, kept_items=kept, churn=changed)
        return [(rule.value, rule.note) for rule in check_churn(found, SETTINGS, engine)]

    assert churn(1.0, 0.0) == [(0.0, "")]
    assert churn(1.0, None) == [(0.0, "")]
    assert churn(1.0, 0.25) == [(0.25, "")]
    gone = "1% of the live model's items are gone from the window"
    assert churn(0.99, 0.5) == [(0.505, gone)]
    assert churn(0.991, 0.5) == [(0.5045, "")]
    assert churn(None, 0.5) == churn(1.0, 0.5, "popularity") == []


# rules on the day


SERIES = list(range(1, 29))
"""The events of the 28 days before, newest first: of the same weekday are 7, 14, 21 and 28."""


def test_the_yardstick_is_the_same_weekday() -> None:
    assert measure_volume(0, SERIES, 17) == PeriodVolume(1, 0, 17.5, 7, True)
    assert measure_volume(5, SERIES, 17) == PeriodVolume(1, 5, 17.5, 7, True)


def test_a_period_is_as_long_as_it_takes_and_a_week_at_most() -> None:
    even = [10] * 28
    assert measure_volume(3, even, 10) == PeriodVolume(1, 3, 10, 10, True)
    assert measure_volume(3, even, 11) == PeriodVolume(2, 13, 20, 20, True)
    assert measure_volume(3, even, 70) == PeriodVolume(7, 63, 70, 70, True)
    assert measure_volume(3, even, 71) == PeriodVolume(7, 63, 70, 70, True)
    # The week of the days 28 to 34 is not known as a whole.
    assert measure_volume(3, SERIES, 29) == PeriodVolume(2, 4, 29, 15, True)


def test_two_weeks_are_needed_to_know_a_weekday() -> None:
    assert measure_volume(3, SERIES[:13], 1) == PeriodVolume(1, 3, 7, 7, False)
    assert measure_volume(3, SERIES[:14], 1) == PeriodVolume(1, 3, 10.5, 7, True)
    assert measure_volume(3, [], 1) == PeriodVolume(1, 3, 0, 0, False)
    # The second day needs the sixteenth.
    assert measure_volume(3, SERIES[:14], 99) == PeriodVolume(1, 3, 10.5, 7, True)
    assert measure_volume(3, SERIES[:15], 99) == PeriodVolume(2, 4, 22, 15, True)


def test_chance_moves_the_mix_by_three_deviations_twice() -> None:
    assert estimate_chance_drift(0, 10) == estimate_chance_drift(1, 10) == 0
    assert estimate_chance_drift(2, 10) == pytest.approx(2 * (1 + 3 * sqrt(2)) / 10)
    assert estimate_chance_drift(4, 100) == pytest.approx(2 * (3 + 3 * sqrt(6)) / 100)


def test_a_missing_event_type_has_a_smallest_share() -> None:
    index = population_stability_index({"view": 1.0}, {"view": 0.5, "cart": 0.5})
    assert index == pytest.approx(0.5 * log(2) + (0.5 - 1e-4) * log(0.5 / 1e-4))
    index = population_stability_index({"view": 0.5, "cart": 0.5}, {"view": 1.0}, 0.05)
    assert index == pytest.approx(0.5 * log(2) + 0.45 * log(10))
    assert population_stability_index({"view": 1.0}, {"view": 1.0}) == 0


@pytest.mark.parametrize(("events", "share"), [(1_000_000, 1e-4), (1_000, 5e-4)])
def test_on_a_day_of_few_events_a_missing_type_counts_as_half_an_event(
    events: int, share: float
) -> None:
    mixes = {"mix": {"view": 1.0}, "mix_before": {"view": 0.5, "cart": 0.5}}
    rule = find_rule(evaluation(EVEN, EVEN, traffic={**DAY, "events": events, **mixes}), "drift")
    expected = 0.5 * log(2) + (0.5 - share) * log(0.5 / share)
    assert rule.value == pytest.approx(expected, abs=1e-6)
    limit = SETTINGS.max_drift + estimate_chance_drift(2, events)
    assert rule.limit == pytest.approx(limit, abs=1e-6)


def volume_rule(events: int, before: list[int]) -> GateRule:
    return find_rule(
        evaluation(EVEN, EVEN, traffic={**DAY, "events": events, "before": before}), "volume"
    )


def test_the_volume_says_what_is_usual() -> None:
    rule = volume_rule(1_000, [1_000] * 28)
    assert (rule.value, rule.limit, rule.note) == (1.0, 0.6, "usual on this weekday: 1,000")
    uneven = ([900] * 6 + [400] + [900] * 6 + [900]) * 2
    rule = volume_rule(1_000, uneven)
    assert rule.note == "usual on this weekday: 650, at the least 400"
    few = volume_rule(2, ([150] * 6 + [10]) * 4)
    assert few.note == "usual in 2 days up to this weekday: 160"


def test_shares_of_dropped_events() -> None:
    rule = find_rule(
        evaluation(EVEN, EVEN, traffic={**DAY, "events": 300, "dropped": 100}), "dropped"
    )
    assert (rule.value, rule.note, rule.kind) == (0.25, "100 of 400 events", "data")
    for traffic in ({"events": 0, "dropped": 0}, {"events": 300, "dropped": None}):
        found = evaluation(EVEN, EVEN, traffic={**DAY, **traffic})
        assert "dropped" not in {rule.rule for rule in apply_day_rules(found, SETTINGS)}


# the verdict and its record


@pytest.mark.parametrize("length", [10, 500])
def test_a_reason_of_a_forced_pass_has_ten_to_five_hundred_letters(length: int) -> None:
    assert parse_force_reason("x" * length) == "x" * length
    with pytest.raises(ValueError, match="say why in 10 to 500 letters"):
        parse_force_reason("x" * {10: 9, 500: 501}[length])


def test_a_tie_of_challenger_and_popularity_goes_to_popularity() -> None:
    for popularity, winner in ((0.1, "popularity"), (0.1 - 1e-9, "challenger")):
        found = evaluation(EVEN, None, popularity)
        assert decide_verdict(found, SETTINGS, AS_OF, None).winner == winner


def test_a_day_that_is_a_moment_newer_than_the_live_one_goes_live() -> None:
    from datetime import timedelta

    live_end = AS_OF - timedelta(days=1)
    found = evaluation(EVEN, EVEN)
    assert not decide_verdict(found, SETTINGS, live_end, LIVE).passed
    later = live_end + timedelta(microseconds=1)
    assert decide_verdict(found, SETTINGS, later, LIVE).passed


def test_a_record_of_a_gate_does_not_change_and_has_no_lift_without_popularity() -> None:
    gate = past(1)
    with pytest.raises(ValidationError, match="frozen"):
        gate.k = 3
    nobody = evaluation(EVEN, EVEN, 1e-300)
    nobody = replace(nobody, arms={**nobody.arms, "popularity": {"ndcg@20": 0.0}})
    record = build_gate_record(nobody, verdict(nobody), AS_OF, "run")
    assert record.lift == {}
    assert record.live_lift == {"challenger": None, "popularity": 1.0}.get(record.winner)


def test_without_a_metric_an_arm_has_none() -> None:
    found = evaluation(EVEN, EVEN)
    found = replace(found, arms={**found.arms, "challenger": {}})
    assert get_primary_metric(found, "challenger") == 0
    assert find_rule(found, "coverage").value == 0


def test_today_s_users_are_named_alone_where_they_decide() -> None:
    sure = [past(day, users=10_000, error=0.001) for day in (1, 2)]
    assert find_rule(evaluation(EVEN, EVEN), "incumbent", sure).note == "100 users"
    assert (
        find_rule(evaluation(EVEN, EVEN), "users", sure).note
        == "100 today, the others of the last gates"
    )
    assert find_rule(evaluation(EVEN, EVEN), "users").note == ""


def test_a_lift_exactly_on_its_limit_passes() -> None:
    gates = [past(day) for day in range(1, 8)]
    settings = GateSettings(max_lift_fall=0.5)
    lift = {"value": 0.5, "low": 0.25, "high": 1.0}
    worse = evaluation([0.0999] * 100, EVEN, lift=lift)
    rule = find_rule(worse, "lift", gates, settings)
    assert (rule.passed, rule.value, rule.limit) == (True, 1.0, 1.0)
    lift["high"] = 1.0 - 1e-9
    worse = evaluation([0.0999] * 100, EVEN, lift=lift)
    assert find_rule(worse, "lift", gates, settings).passed is False


def test_a_segment_without_an_incumbent_is_not_judged() -> None:
    new = {"segment": "new users", "users": 500, "arms": {"challenger": 0.0}}
    rules = apply_quality_rules(evaluation(EVEN, EVEN, segments=[new]), SETTINGS, [])
    assert "segments" not in {rule.rule for rule in rules}
    nobody: dict[str, list[float]] = {"challenger": [], "incumbent": []}
    found = evaluation(EVEN, EVEN, segments=[segment(500, 0.0)], per_user=nobody)
    assert "segments" not in {rule.rule for rule in apply_quality_rules(found, SETTINGS, [])}


@pytest.mark.parametrize(("incumbent", "passed"), [(0.09899999, True), (0.0989996, False)])
def test_a_renewal_is_compared_to_six_digits(incumbent: float, passed: bool) -> None:
    [rule] = check_renewal(evaluation(EVEN, [incumbent] * 100, live=EVEN), SETTINGS)
    assert rule.passed is passed


def test_enough_items_are_enough_whoever_is_better() -> None:
    def coverage(shown: int, gates: Sequence[GateRecord] = (), better: float = 0.0) -> GateRule:
        found = evaluation([0.1 + better] * 100, EVEN)
        found.arms["challenger"]["coverage@20"] = shown / 1000
        found.arms["incumbent"]["coverage@20"] = 0.1
        return find_rule(found, "coverage", gates)

    assert (coverage(50, better=0.001).limit, coverage(49, better=0.001).limit) == (50, 20)
    assert coverage(49, better=0.001).note.endswith("; the challenger is shown to be better")
    # Four weeks together may show what today can't.
    better_before = [past(day, users=10_000, share=0.05, error=0.001) for day in (1, 2)]
    assert (coverage(49).limit, coverage(49, better_before).limit) == (50, 20)
