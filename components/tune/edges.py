"""Say which hyper-parameters of the best trial are on the edge of what was tried."""

from typing import Any

from dawnlist.components.tune.grid import SearchPlan
from dawnlist.components.tune.grid_values import NEVER_EXTENDED, find_value_beyond
from dawnlist.model.hyper_parameters import BY_NAME, FIT_PARAMETERS, HyperParameter


def describe_edges(plan: SearchPlan, best: dict[str, Any]) -> list[str]:
    """Return a sentence for each value of the best trial that is the least or greatest tried.

    A share of 0, below which there is nothing, is no edge.
    """
    sentences = []
    for name, values in _collect_tried_values(plan).items():
        sentence = _describe_edge(BY_NAME[name], sorted(values), best.get(name))
        if sentence:
            sentences.append(sentence)
    return sentences


def _collect_tried_values(plan: SearchPlan) -> dict[str, set[float]]:
    """Collect the values that were tried of each hyper-parameter."""
    tried: dict[str, set[float]] = {}
    for name in FIT_PARAMETERS:
        tried[name] = {getattr(config, name) for config in plan.configs}
    tried["popularity_share"] = {share for share, _ in plan.blends}
    tried["repeat_share"] = {share for share, _ in plan.repeats}
    tried["content_share"] = {share for share, _ in plan.contents}
    # The half-life and the pairs of a share of 0 say nothing.
    tried["popularity_half_life"] = {days for share, days in plan.blends if share}
    tried["repeat_half_life"] = {days for share, days in plan.repeats if share}
    tried["content_pairs"] = {pairs for share, pairs in plan.contents if share}
    return tried


def _describe_edge(parameter: HyperParameter, values: list[float], value: Any) -> str:
    if value not in values or len(values) < 2 or value not in (values[0], values[-1]):
        return ""
    kind = "greatest" if value == values[-1] else "least"
    edge = f"{parameter.label} {value:g} is the {kind} value that was tried"
    if parameter.name in NEVER_EXTENDED:
        return f"{edge}; give more values with --{parameter.name.replace('_', '-')} to go beyond it"
    beyond = find_value_beyond(values, value, parameter)
    if beyond is None:
        return ""
    return f"{edge}; if it goes live, the next run tries {beyond:g} too"
