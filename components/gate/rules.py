"""A rule of the gate as JSON: key, name in words, value, limit, and whether it passed."""

from typing import Any, Literal

GateRule = dict[str, Any]
"""It is written to the run record, with the keys that `_build_rule` sets."""
RuleUnit = Literal["count", "score", "share"]


def rule_at_least(
    rule: str, name: str, value: float, limit: float, unit: RuleUnit = "score", note: str = ""
) -> GateRule:
    """Build a rule that passes when the value is at or above the limit."""
    return _build_rule(rule, name, value, limit, value >= limit, "at least", unit, note)


def rule_at_most(
    rule: str, name: str, value: float, limit: float, unit: RuleUnit = "score", note: str = ""
) -> GateRule:
    """Build a rule that passes when the value is at or below the limit."""
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
    """Build an "at least" rule whose result does not follow from value and limit alone.

    `passed` is None when there is not enough evidence; the gate does not pass such a rule.
    """
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
    return {
        "rule": rule,
        "name": name,
        "value": round(value, 6),
        "limit": round(limit, 6),
        "passed": passed,
        "bound": bound,
        "unit": unit,
        "note": note,
    }
