"""Rules on the challenger's lists: how many items they show, and how much of them is new."""

from math import ceil

from dawnlist.components.gate.evidence import Evidence
from dawnlist.components.gate.rules import rule_at_least, rule_at_most
from dawnlist.model.evaluation import Evaluation
from dawnlist.records.rule_figures import format_metric_name
from dawnlist.records.verdict import GateRule
from dawnlist.settings import GateSettings

NEARLY_ALL_ITEMS = 0.99
"""When more than this share of the live model's items is still there, the note leaves it out."""


def check_coverage(
    evaluation: Evaluation, settings: GateSettings, today: Evidence, pooled: Evidence
) -> GateRule:
    """Require that the lists show enough distinct items.

    A list of popular items shows k, and so few always pass when nothing is live, or when the
    challenger is shown to be better than the incumbent. Otherwise the lists must show a share of
    what the incumbent's lists show.
    """
    name = "items that the lists show"
    shown = _count_shown_items(evaluation, "challenger")
    floor = min(evaluation.k, evaluation.items, evaluation.k * evaluation.evaluated_users)
    if "incumbent" not in evaluation.arms:
        return rule_at_least("coverage", name, shown, floor, "count")
    incumbent_items = _count_shown_items(evaluation, "incumbent")
    note = f"the incumbent's lists show {incumbent_items:,}"
    # A product such as .1 * 30 is a little above 3, which must not round up to 4.
    limit = max(floor, ceil(settings.min_coverage * incumbent_items - 1e-9))
    if shown < limit and _is_shown_better(settings, today, pooled):
        limit = floor
        note += "; the challenger is shown to be better"
    return rule_at_least("coverage", name, shown, limit, "count", note)


def _count_shown_items(evaluation: Evaluation, arm: str) -> int:
    """Count the distinct items in an arm's lists, from the share that the evaluation has."""
    metric_name = format_metric_name("coverage", evaluation.k)
    return round(evaluation.arms[arm].get(metric_name, 0.0) * evaluation.items)


def _is_shown_better(settings: GateSettings, today: Evidence, pooled: Evidence) -> bool:
    enough = [evidence for evidence in (today, pooled) if evidence.users >= settings.min_users]
    return any(evidence.low > 0 for evidence in enough)


def check_churn(evaluation: Evaluation, settings: GateSettings, live_engine: str) -> list[GateRule]:
    """Limit the share of the live lists that the challenger replaces."""
    # The lists of popularity resemble nobody else's. Without this exception the first challenger
    # after popularity would always fail.
    if evaluation.kept_items is None or live_engine == "popularity":
        return []
    kept_share = evaluation.kept_items
    name = f"churn of the top {evaluation.k} against the live lists"
    # There is no churn when no item of the live model is left, since no user then has two lists.
    churn = 1 - kept_share * (1 - (evaluation.churn or 0.0))
    note = ""
    if kept_share <= NEARLY_ALL_ITEMS:
        note = f"{1 - kept_share:.0%} of the live model's items are gone from the window"
    return [rule_at_most("churn", name, churn, settings.max_churn, "share", note)]
