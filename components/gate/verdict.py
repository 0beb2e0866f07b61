"""The verdict: whether, and which, model goes live."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from dawnlist.components.gate import quality_rules
from dawnlist.components.gate.advice import list_advice
from dawnlist.components.gate.day_rules import apply_day_rules
from dawnlist.components.gate.history import GateRecord
from dawnlist.components.gate.list_rules import check_churn
from dawnlist.cuts import parse_as_of
from dawnlist.model.evaluation import Evaluation
from dawnlist.records.registry import Publication
from dawnlist.records.run_parameters import parse_force_reason
from dawnlist.records.verdict import ForcedPass, GateRule, Verdict
from dawnlist.records.winner_names import get_configured_day, get_engine
from dawnlist.settings import GateSettings

SECONDS_PER_DAY = 86_400


def decide_verdict(
    evaluation: Evaluation,
    settings: GateSettings,
    as_of: datetime,
    live: Publication | None,
    gates: Sequence[GateRecord] = (),
    force: str = "",
) -> Verdict:
    """Decide on the evaluation of the day `as_of`.

    With an incumbent the challenger's configuration goes live if every rule on it passes, else the
    live configuration again; both are fitted on the day's rows. Nothing changes where a rule on the
    day's data fails, or where the live configuration loses by being fitted anew. Without an
    incumbent something must go live: the challenger if every rule passes and it beats popularity,
    else popularity. A day that is not newer than the live one never goes live, forced or not.

    Args:
        live: What the store has active, or None.
        gates: What dawnlist.components.gate.history.read_recent_gates returned.
        force: The reason of a forced pass, with which the challenger goes live whatever the rules
            say; empty or `no` for none.

    Raises:
        ValueError: The reason of the forced pass is too short or too long.
    """
    force_reason = parse_force_reason(force)
    live_engine = "als" if live is None else get_engine(live)
    churn_rules = check_churn(evaluation, settings, live_engine)
    data_rules = apply_day_rules(evaluation, settings)
    rules = quality_rules.apply_quality_rules(evaluation, settings, list(gates)) + churn_rules
    rules += quality_rules.check_renewal(evaluation, settings) + data_rules
    is_comparable = all(rule.passed for rule in [*data_rules, *churn_rules])
    verdict = _decide_by_rules(evaluation, rules, live, as_of)
    verdict = replace(verdict, comparable=is_comparable)
    if force_reason:
        verdict = _force_pass(verdict, force_reason)
    if live is not None and as_of <= parse_as_of(live["as_of"]):
        verdict = _keep_live_version(verdict, live)
    return verdict


def _force_pass(verdict: Verdict, force_reason: str) -> Verdict:
    return replace(
        verdict,
        passed=True,
        winner="challenger",
        reason=f"FORCED: {force_reason} (without it: {verdict.reason})",
        forced=ForcedPass(force_reason),
    )


def _keep_live_version(verdict: Verdict, live: Publication) -> Verdict:
    """Refuse to replace a version whose day is as new as the run's, or newer."""
    reason = (
        f"version {live['version']} of {live['as_of']} is live and not older than this run, "
        f"so it stays; {verdict.reason}"
    )
    return replace(verdict, passed=False, winner="incumbent", reason=reason)


def _decide_by_rules(
    evaluation: Evaluation, rules: list[GateRule], live: Publication | None, as_of: datetime
) -> Verdict:
    """Return the verdict of the rules alone."""
    if "incumbent" not in evaluation.arms:
        return _decide_first_run(evaluation, rules)
    age = _describe_age(live, as_of)
    data_rules = [rule for rule in rules if rule.kind == "data" and not rule.passed]
    if data_rules:
        names = ", ".join(rule.name for rule in data_rules)
        reason = f"the day's data failed: {names}; {_explain_frozen_lists(data_rules, age)}"
        return Verdict(False, "incumbent", reason, rules)
    objections = _describe_objections([rule for rule in rules if rule.kind == "model"])
    if not objections:
        return Verdict(True, "challenger", "the challenger passed every rule", rules)
    renewal_rules = [rule for rule in rules if rule.kind == "renewal" and not rule.passed]
    if renewal_rules:
        reason = (
            f"{objections}; and the live configuration loses when it is fitted anew; "
            f"{_explain_frozen_lists(renewal_rules, age)}"
        )
        return Verdict(False, "incumbent", reason, rules)
    reason = f"{objections}; {_name_live_configuration(live)} was renewed on this day's rows"
    return Verdict(True, "incumbent", reason, rules)


def _explain_frozen_lists(rules: list[GateRule], age: str) -> str:
    """Say what stays live and how old it is, and what to do about the rules that failed."""
    advice = " ".join(text for _, text in list_advice(rules))
    return f"nothing is published, {age}. {advice}".rstrip(".")


def _name_live_configuration(live: Publication | None) -> str:
    if live is None:
        return "the live configuration"
    return f"the live configuration ({get_engine(live)} of {get_configured_day(live)[:10]})"


def _describe_age(live: Publication | None, as_of: datetime) -> str:
    if live is None:
        return "and the store has no version"
    days = (as_of - parse_as_of(live["as_of"])).total_seconds() / SECONDS_PER_DAY
    return f"and version {live['version']} of {live['as_of']} stays, {days:.1f} days old"


def _decide_first_run(evaluation: Evaluation, rules: list[GateRule]) -> Verdict:
    objections = _describe_objections(rules)
    challenger = quality_rules.get_primary_metric(evaluation, "challenger")
    popularity = quality_rules.get_primary_metric(evaluation, "popularity")
    winner = "popularity"
    if challenger > popularity and not objections:
        winner = "challenger"
    reason = (
        f"there is no incumbent, so the winner of challenger and popularity goes live: {winner}"
    )
    if objections:
        reason += f" ({objections})"
    return Verdict(True, winner, reason, rules)


def _describe_objections(rules: list[GateRule]) -> str:
    """List the rules that speak against the challenger; empty when none does."""
    failed = [rule.name for rule in rules if rule.passed is False]
    unproven = [rule.name for rule in rules if rule.passed is None]
    objections = []
    if failed:
        objections.append(f"the challenger failed: {', '.join(failed)}")
    if unproven:
        objections.append(f"not enough evidence: {', '.join(unproven)}")
    return "; ".join(objections)
