"""The verdict: whether, and which, model goes live."""

from collections.abc import Sequence
from typing import Any

from dawnlist.components.gate import day, quality
from dawnlist.components.gate.history import Gate
from dawnlist.components.gate.rules import Rule
from dawnlist.cuts import parse_as_of
from dawnlist.records.registry import Publication
from dawnlist.settings import GateSettings
from dawnlist.urls import shown

LETTERS = range(10, 501)
"""A reason shorter than these says nothing, a longer one belongs where it is linked to."""


def decide(
    evaluation: dict[str, Any],
    settings: GateSettings,
    as_of: str,
    live: Publication | None,
    gates: Sequence[Gate] = (),
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
    reason = checked_force(force)
    first = "incumbent" not in evaluation["arms"]
    on_day = day.rules(evaluation, settings, None if first else (live or {}).get("winner"))
    rules = [*quality.rules(evaluation, settings, list(gates)), *on_day]
    verdict = {
        **(_first(evaluation, rules) if first else _next(rules)),
        "rules": rules,
        "forced": None,
        "comparable": all(rule["passed"] for rule in on_day),
    }
    if reason:
        said = f"FORCED: {reason} (without it: {verdict['reason']})"
        verdict |= {"passed": True, "winner": "challenger", "reason": said, "forced": {"reason": reason}}
    if live is None or parse_as_of(as_of) > parse_as_of(live["as_of"]):
        return verdict
    stays = f"version {live['version']} of {live['as_of']} is live and not older than this run, so it stays"
    return {**verdict, "passed": False, "winner": "incumbent", "reason": f"{stays}; {verdict['reason']}"}


def checked_force(force: str) -> str:
    """The reason of a forced pass on one line, or an empty text for none. ValueError for a reason that is none."""
    reason = shown(force)
    if force and len(reason) not in LETTERS:
        raise ValueError(
            f"the reason of a forced pass is {reason[:40]!r}: say why in {LETTERS[0]} to {LETTERS[-1]} letters, e.g. "
            "'new shop system, lists were checked by hand'"
        )
    return reason


def _first(evaluation: dict[str, Any], rules: list[Rule]) -> dict[str, Any]:
    against = _against(rules)
    ahead = quality.value(evaluation, "challenger") > quality.value(evaluation, "popularity")
    winner = "challenger" if ahead and not against else "popularity"
    reason = f"there is no incumbent, so the winner of challenger and popularity goes live: {winner}"
    if against:
        reason += f" ({against})"
    return {"passed": True, "winner": winner, "reason": reason}


def _next(rules: list[Rule]) -> dict[str, Any]:
    against = _against(rules)
    if against:
        return {"passed": False, "winner": "incumbent", "reason": f"{against}; the incumbent stays"}
    return {"passed": True, "winner": "challenger", "reason": "the challenger passed every rule"}


def _against(rules: list[Rule]) -> str:
    """What speaks against the challenger; empty when nothing does."""
    failed = [rule["name"] for rule in rules if rule["passed"] is False]
    unproven = [rule["name"] for rule in rules if rule["passed"] is None]
    said = [f"the challenger failed: {', '.join(failed)}"] if failed else []
    return "; ".join(said + ([f"not enough evidence: {', '.join(unproven)}"] if unproven else []))
