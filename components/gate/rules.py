"""A rule of the gate as JSON: its key, its name in words, its value, its limit, and whether it passed."""

from typing import Any, Literal

GateRule = dict[str, Any]
RuleUnit = Literal["count", "score", "share"]


def rule_at_least(
    rule: str, name: str, value: float, limit: float, unit: RuleUnit = "score", note: str = ""
) -> GateRule:
    """Passed when the value is not below the limit."""
    return _build_rule(rule, name, value, limit, value >= limit, "at least", unit, note)


def rule_at_most(
    rule: str, name: str, value: float, limit: float, unit: RuleUnit = "score", note: str = ""
) -> GateRule:
    """Passed when the value is not above the limit."""
    return _build_rule(rule, name, value, limit, value <= limit, "at most", unit, note)


def rule_with_verdict(
    rule: str,
    name: str,
    value: float,
    limit: float,
    passed: bool | None,
    unit: RuleUnit,
    note: str = "",
) -> GateRule:
    """At least the limit, where more than the two decides; None is `not enough evidence`, and no pass."""
    return _build_rule(rule, name, value, limit, passed, "at least", unit, note)


def _build_rule(
    rule: str,
    name: str,
    value: float,
    limit: float,
    passed: bool | None,
    bound: str,
    unit: RuleUnit,
    note: str,
) -> GateRule:
    rounded = {"value": round(value, 6), "limit": round(limit, 6)}
    return {
        "rule": rule,
        "name": name,
        **rounded,
        "passed": passed,
        "bound": bound,
        "unit": unit,
        "note": note,
    }


def format_figure(rule: GateRule, key: str) -> str:
    """The rule's value or limit as people read it."""
    value = rule[key]
    return (
        f"{value:,.0f}"
        if rule["unit"] == "count"
        else f"{value:.2%}"
        if rule["unit"] == "share"
        else f"{value:.4f}"
    )


def format_rule_answer(rule: GateRule) -> str:
    """`pass`, `FAIL` or `not enough evidence`."""
    return {True: "pass", False: "FAIL", None: "not enough evidence"}[rule["passed"]]
