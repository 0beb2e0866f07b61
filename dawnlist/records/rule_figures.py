"""Figures of the gate's rules in words, as both the gate's page and the daily report show them."""

from typing import Final

FIGURE_FORMATS: Final = {"count": "{:,.0f}", "share": "{:.2%}"}
SCORE_FORMAT: Final = "{:.4f}"


def format_figure(value: float, unit: str) -> str:
    """Format a rule's value or limit in the rule's unit; an unknown unit is shown as a score."""
    return FIGURE_FORMATS.get(unit, SCORE_FORMAT).format(value)


def format_rule_answer(passed: bool | None) -> str:
    """Say `pass`, `FAIL` or, for None, `not enough evidence`."""
    if passed is None:
        return "not enough evidence"
    if passed:
        return "pass"
    return "FAIL"


def format_metric_name(metric: str, k: int | str) -> str:
    """Name a metric together with the length of the lists it is measured on, e.g. `ndcg@20`."""
    return f"{metric}@{k}"
