"""A rule of the gate as JSON: its key, its name in words, its value, its limit, and whether it passed."""

from typing import Any, Literal

Rule = dict[str, Any]
Unit = Literal["count", "score", "share"]


def at_least(rule: str, name: str, value: float, limit: float, unit: Unit = "score", note: str = "") -> Rule:
    """Passed when the value is not below the limit."""
    return _rule(rule, name, value, limit, value >= limit, "at least", unit, note)


def at_most(rule: str, name: str, value: float, limit: float, unit: Unit = "score", note: str = "") -> Rule:
    """Passed when the value is not above the limit."""
    return _rule(rule, name, value, limit, value <= limit, "at most", unit, note)


def decided(rule: str, name: str, value: float, limit: float, passed: bool | None, unit: Unit, note: str = "") -> Rule:
    """At least the limit, where more than the two decides; None is `not enough evidence`, and no pass."""
    return _rule(rule, name, value, limit, passed, "at least", unit, note)


def _rule(
    rule: str, name: str, value: float, limit: float, passed: bool | None, bound: str, unit: Unit, note: str
) -> Rule:
    rounded = {"value": round(value, 6), "limit": round(limit, 6)}
    return {"rule": rule, "name": name, **rounded, "passed": passed, "bound": bound, "unit": unit, "note": note}


def figure(rule: Rule, key: str) -> str:
    """The rule's value or limit as people read it."""
    value = rule[key]
    return f"{value:,.0f}" if rule["unit"] == "count" else f"{value:.2%}" if rule["unit"] == "share" else f"{value:.4f}"


def answer(rule: Rule) -> str:
    """`pass`, `FAIL` or `not enough evidence`."""
    return {True: "pass", False: "FAIL", None: "not enough evidence"}[rule["passed"]]
