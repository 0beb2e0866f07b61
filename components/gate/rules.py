"""Build the rules of the gate."""

from dawnlist.records.verdict import GateRule, RuleBound, RuleUnit


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
    bound: RuleBound,
    unit: RuleUnit,
    note: str,
) -> GateRule:
    return GateRule(
        rule=rule,
        name=name,
        value=round(value, 6),
        limit=round(limit, 6),
        passed=passed,
        bound=bound,
        unit=unit,
        note=note,
    )
