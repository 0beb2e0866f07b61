"""The verdict: whether, and which, model goes live."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from dawnlist.components.gate import day_rules, quality_rules
from dawnlist.components.gate.history import GateRecord
from dawnlist.cuts import parse_as_of
from dawnlist.model.evaluation import Evaluation
from dawnlist.records.registry import Publication
from dawnlist.records.verdict import ForcedPass, GateRule, Verdict
from dawnlist.settings import GateSettings
from dawnlist.urls import format_error

REASON_LENGTHS = range(10, 501)
"""A shorter reason says nothing. A longer one belongs in a document that the reason links to."""


def decide_verdict(
    evaluation: Evaluation,
    settings: GateSettings,
    as_of: datetime,
    live: Publication | None,
    gates: Sequence[GateRecord] = (),
    force: str = "",
) -> Verdict:
    """Decide on the evaluation of the day `as_of`.

    With an incumbent the challenger goes live if every rule passes; else nothing changes. Without
    one something must go live: the challenger if every rule passes and it beats popularity, else
    popularity. A day that is not newer than the live one never goes live, forced or not.

    Args:
        live: What the store has active, or None.
        gates: What dawnlist.components.gate.history.read_recent_gates returned.
        force: The reason of a forced pass, with which the challenger goes live whatever the rules
            say; empty for none.

    Raises:
        ValueError: The reason of the forced pass is too short or too long.
    """
    force_reason = validate_force_reason(force)
    live_winner = None
    if live is not None and "incumbent" in evaluation.arms:
        live_winner = live.get("winner")
    rules_on_day = day_rules.apply_day_rules(evaluation, settings, live_winner)
    rules = quality_rules.apply_quality_rules(evaluation, settings, list(gates)) + rules_on_day
    is_comparable = all(rule.passed for rule in rules_on_day)
    verdict = replace(_decide_by_rules(evaluation, rules), comparable=is_comparable)
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


def validate_force_reason(force: str) -> str:
    """Return the reason of a forced pass on one line, or an empty text for none.

    Raises:
        ValueError: The reason is too short or too long.
    """
    reason = format_error(force)
    if force and len(reason) not in REASON_LENGTHS:
        raise ValueError(
            f"the reason of a forced pass is {reason[:40]!r}: say why in {REASON_LENGTHS[0]} to "
            f"{REASON_LENGTHS[-1]} letters, e.g. 'new shop system, lists were checked by hand'"
        )
    return reason


def _decide_by_rules(evaluation: Evaluation, rules: list[GateRule]) -> Verdict:
    """Return the verdict of the rules alone."""
    if "incumbent" not in evaluation.arms:
        return _decide_first_run(evaluation, rules)
    objections = _describe_objections(rules)
    if objections:
        reason = f"{objections}; the incumbent stays"
        return Verdict(False, "incumbent", reason, rules)
    return Verdict(True, "challenger", "the challenger passed every rule", rules)


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
