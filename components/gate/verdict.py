"""The gate's rules: each shows its value, its limit, and whether it passed."""

from typing import Any

from components.cuts import parse_as_of
from components.registry import Publication
from components.settings import GateSettings

Rule = dict[str, Any]


def decide(evaluation: dict[str, Any], settings: GateSettings, as_of: str, live: Publication | None) -> dict[str, Any]:
    """The verdict on an evaluation of the day `as_of`, `live` being what the store has active.

    With an incumbent the challenger goes live if every rule passes; else nothing changes. Without one something must
    go live: the challenger if every rule passes and it is the better one, else popularity. A day that is not newer
    than the live one is judged and never goes live. Returns `passed`, `winner` ("challenger", "popularity" or
    "incumbent"), `reason` and `rules`.
    """
    verdict = _judged(evaluation, settings)
    if live is None or parse_as_of(as_of) > parse_as_of(live["as_of"]):
        return verdict
    reason = f"version {live['version']} of {live['as_of']} is live and not older than this run, so it stays"
    return {**verdict, "passed": False, "winner": "incumbent", "reason": f"{reason}; {verdict['reason']}"}


def _judged(evaluation: dict[str, Any], settings: GateSettings) -> dict[str, Any]:
    rules = _rules(evaluation, settings)
    failed = [rule["name"] for rule in rules if not rule["passed"]]
    first = "incumbent" not in evaluation["arms"]
    if first:
        ahead = _value(evaluation, "challenger") > _value(evaluation, "popularity")
        winner = "challenger" if ahead and not failed else "popularity"
        reason = f"there is no incumbent, so the winner of challenger and popularity goes live: {winner}"
        if winner == "popularity" and failed:
            reason += f" (the challenger failed: {', '.join(failed)})"
        return {"passed": True, "winner": winner, "reason": reason, "rules": rules}
    if failed:
        reason = f"the challenger failed: {', '.join(failed)}; the incumbent stays"
        return {"passed": False, "winner": "incumbent", "reason": reason, "rules": rules}
    return {"passed": True, "winner": "challenger", "reason": "the challenger passed every rule", "rules": rules}


def markdown(verdict: dict[str, Any]) -> str:
    """The verdict as a Markdown table, one row a rule."""
    rows = [
        f"| {rule['name']} | {rule['value']:g} | {rule['limit']:g} | {'pass' if rule['passed'] else 'FAIL'} |"
        for rule in verdict["rules"]
    ]
    title = "passed" if verdict["passed"] else "not passed"
    head = ["| rule | value | at least | |", "|---|---|---|---|"]
    return "\n".join([f"## Gate: {title}", "", f"{verdict['reason']}.", "", *head, *rows, ""])


def _rules(evaluation: dict[str, Any], settings: GateSettings) -> list[Rule]:
    k, metric = evaluation["k"], evaluation["metric"]
    challenger = _value(evaluation, "challenger")
    rules = [
        _rule("enough users in the holdout", evaluation["evaluated_users"], settings.min_users),
        _rule(
            f"coverage@{k} of the catalogue",
            evaluation["arms"]["challenger"].get(f"coverage@{k}", 0.0),
            settings.min_coverage * min(1.0, evaluation["evaluated_users"] * k / max(1, evaluation["items"])),
        ),
    ]
    for other in ("incumbent", "popularity"):
        if other in evaluation["arms"]:
            limit = _value(evaluation, other) * (1 - settings.margin)
            rules.append(_rule(f"{metric}@{k} against {other}, less {settings.margin:.0%}", challenger, limit))
    return rules


def _rule(name: str, value: float, limit: float) -> Rule:
    return {"name": name, "value": round(value, 6), "limit": round(limit, 6), "passed": value >= limit}


def _value(evaluation: dict[str, Any], arm: str) -> float:
    """The primary metric of an arm; 0 when no user was evaluated."""
    return float(evaluation["arms"][arm].get(f"{evaluation['metric']}@{evaluation['k']}", 0.0))
