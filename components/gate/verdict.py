"""The verdict: whether, and which, model goes live."""

from collections.abc import Sequence
from typing import Any

from dawnlist.components.gate import day_rules, quality_rules
from dawnlist.components.gate.history import GateRecord
from dawnlist.components.gate.rules import GateRule
from dawnlist.cuts import parse_as_of
from dawnlist.records.registry import Publication
from dawnlist.settings import GateSettings
from dawnlist.urls import format_error

REASON_LENGTHS = range(10, 501)
"""A reason shorter than these says nothing, a longer one belongs where it is linked to."""


def decide_verdict(
    evaluation: dict[str, Any],
    settings: GateSettings,
    as_of: str,
    live: Publication | None,
    gates: Sequence[GateRecord] = (),
    force: str = "",
) -> dict[str, Any]:
    """The verdict on an evaluation of the day `as_of`, `live` being what the store has active.

    With an incumbent the challenger goes live if every rule passes; else nothing changes. Without one something must
    go live: the challenger if every rule passes and it is the better one, else popularity. `force`, the reason of a
    forced pass, lets the challenger go live whatever the rules say. A day that is not newer than the live one is
    judged and never goes live, forced or not. `gates`: what dawnlist.components.gate.history.last found.

    Returns `passed`, `winner` ("challenger", "popularity" or "incumbent"), `reason`, `rules`, `forced` (None or
    {"reason"}) and `comparable` (no rule on the day was broken). ValueError for a reason that is none.
    """
    reason = validate_force_reason(force)
    first = "incumbent" not in evaluation["arms"]
    on_day = day_rules.apply_day_rules(
        evaluation, settings, None if first else (live or {}).get("winner")
    )
    rules = [*quality_rules.apply_quality_rules(evaluation, settings, list(gates)), *on_day]
    verdict = {
        **(_decide_first_run(evaluation, rules) if first else _decide_against_incumbent(rules)),
        "rules": rules,
        "forced": None,
        "comparable": all(rule["passed"] for rule in on_day),
    }
    if reason:
        said = f"FORCED: {reason} (without it: {verdict['reason']})"
        verdict |= {
            "passed": True,
            "winner": "challenger",
            "reason": said,
            "forced": {"reason": reason},
        }
    if live is None or parse_as_of(as_of) > parse_as_of(live["as_of"]):
        return verdict
    stays = f"version {live['version']} of {live['as_of']} is live and not older than this run, so it stays"
    return {
        **verdict,
        "passed": False,
        "winner": "incumbent",
        "reason": f"{stays}; {verdict['reason']}",
    }


def validate_force_reason(force: str) -> str:
    """The reason of a forced pass on one line, or an empty text for none. ValueError for a reason that is none."""
    reason = format_error(force)
    if force and len(reason) not in REASON_LENGTHS:
        raise ValueError(
            f"the reason of a forced pass is {reason[:40]!r}: say why in {REASON_LENGTHS[0]} to {REASON_LENGTHS[-1]} letters, e.g. "
            "'new shop system, lists were checked by hand'"
        )
    return reason


def _decide_first_run(evaluation: dict[str, Any], rules: list[GateRule]) -> dict[str, Any]:
    against = _describe_objections(rules)
    ahead = quality_rules.get_primary_metric(
        evaluation, "challenger"
    ) > quality_rules.get_primary_metric(evaluation, "popularity")
    winner = "challenger" if ahead and not against else "popularity"
    reason = (
        f"there is no incumbent, so the winner of challenger and popularity goes live: {winner}"
    )
    if against:
        reason += f" ({against})"
    return {"passed": True, "winner": winner, "reason": reason}


def _decide_against_incumbent(rules: list[GateRule]) -> dict[str, Any]:
    against = _describe_objections(rules)
    if against:
        return {"passed": False, "winner": "incumbent", "reason": f"{against}; the incumbent stays"}
    return {"passed": True, "winner": "challenger", "reason": "the challenger passed every rule"}


def _describe_objections(rules: list[GateRule]) -> str:
    """What speaks against the challenger; empty when nothing does."""
    failed = [rule["name"] for rule in rules if rule["passed"] is False]
    unproven = [rule["name"] for rule in rules if rule["passed"] is None]
    said = [f"the challenger failed: {', '.join(failed)}"] if failed else []
    return "; ".join(said + ([f"not enough evidence: {', '.join(unproven)}"] if unproven else []))
