"""The tables about the gate's rules and about the search."""

from collections.abc import Sequence
from typing import Any, Final

from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.formats import (
    MISSING_VALUE_MARK,
    format_count,
    format_duration,
    format_json_value,
    format_score,
    parse_finite,
)
from dawnlist.components.notify.tables import TextTable, build_table
from dawnlist.model.hyper_parameters import HYPER_PARAMETERS
from dawnlist.records.rule_figures import format_figure, format_rule_answer

PARAMETER_LABELS: Final = {
    **{parameter.name: parameter.label for parameter in HYPER_PARAMETERS},
    "iterations": "iterations",
}
"""Labels of what a trial's row may say, by name."""
PROGRESS_COLUMNS = {"sweeps": "sweeps", "users": "users judged"}
RUNG_COUNTS = ("sweeps", "trials", "users", "kept")
MAX_TABLE_TRIALS = 24
MAX_BEST_TRIALS = 5
MAX_TRIAL_SCORES = 2
"""The table shows so many metrics of a trial; the lake has them all."""


def build_gate_table(facts: Facts) -> TextTable | None:
    """Show the gate's rules."""
    rows = []
    tones = {}
    for index, rule in enumerate(facts.get_listing("gate", "rules")):
        bound = format_json_value(rule.get("bound", ""))
        cells = [
            str(rule.get("name", MISSING_VALUE_MARK)),
            _format_rule_figure(rule, "value"),
            f"{bound} {_format_rule_figure(rule, 'limit')}".strip(),
            _format_rule_answer(rule.get("passed")),
        ]
        rows.append(cells)
        tones[index] = "good" if rule.get("passed") is True else "bad"
    return build_table(["rule", "value", "limit", ""], rows, tones=tones)


def describe_failed_rules(facts: Facts) -> list[str]:
    """Describe the gate's rules that did not pass, each with its value and its limit."""
    table = build_gate_table(facts)
    if table is None:
        return []
    descriptions = []
    for rule, row in zip(facts.get_listing("gate", "rules"), table.rows, strict=True):
        if rule.get("passed") is not True:
            name, value, limit, answer = row
            descriptions.append(f"{name}: {value}, {limit}: {answer}")
    return descriptions


def get_force_reason(facts: Facts) -> str:
    """Return the reason of a forced pass of the gate, or an empty text for none."""
    return str(facts.get_mapping("gate", "forced").get("reason", ""))


def _format_rule_figure(rule: dict[str, Any], key: str) -> str:
    value = parse_finite(rule.get(key))
    if value is None:
        return MISSING_VALUE_MARK
    return format_figure(value, str(rule.get("unit")))


def _format_rule_answer(passed: Any) -> str:
    """Say whether a rule passed; a damaged answer counts as a failure."""
    if passed is None:
        return format_rule_answer(None)
    return format_rule_answer(passed is True)


def build_trials_table(facts: Facts) -> TextTable | None:
    """Show the trials of the search, best first."""
    trials = facts.get_listing("tune", "trials")[:MAX_TABLE_TRIALS]
    if not trials:
        return None
    parameters = list_varying_parameters(trials)
    metrics = _list_trial_metrics(trials, facts.metric)
    rows = []
    for rank, trial in enumerate(trials, 1):
        rows.append([str(rank), *_format_trial(trial, parameters, metrics)])
    labels = [PARAMETER_LABELS[name] for name in parameters]
    head = ["#", *labels, *metrics, *PROGRESS_COLUMNS.values(), "time"]
    return TextTable(head, rows, tones={0: "best"})


def _format_trial(
    trial: dict[str, Any], parameters: Sequence[str], metrics: Sequence[str]
) -> list[str]:
    cells = []
    for name in parameters:
        cells.append(format_json_value(trial.get(name)))
    for metric in metrics:
        cells.append(format_score(trial.get(metric)))
    for name in PROGRESS_COLUMNS:
        cells.append(format_count(trial.get(name)))
    cells.append(format_duration(trial.get("seconds")))
    return cells


def _list_trial_metrics(trials: Sequence[dict[str, Any]], deciding_metric: str) -> list[str]:
    """List the first metrics of the trials, the deciding one first."""
    metrics: dict[str, None] = {}
    for trial in trials:
        for name in trial:
            if "@" in name:
                metrics[name] = None
    if deciding_metric in metrics:
        metrics = {deciding_metric: None} | metrics
    return list(metrics)[:MAX_TRIAL_SCORES]


def build_best_trials_table(facts: Facts) -> TextTable | None:
    """Show the best trials, each one's hyper-parameters in one cell."""
    trials = facts.get_listing("tune", "trials")[:MAX_BEST_TRIALS]
    parameters = list_varying_parameters(trials)
    rows = []
    for rank, trial in enumerate(trials, 1):
        score = format_score(trial.get(facts.metric))
        rows.append([str(rank), describe_trial(trial, parameters), score])
    return build_table(["#", "trial", facts.metric], rows, words=(1,), tones={0: "best"})


def build_rungs_table(facts: Facts) -> TextTable | None:
    """Show the rungs of the successive halving."""
    rows = []
    for number, rung in enumerate(facts.get_listing("tune", "rungs"), 1):
        counts = [format_count(rung.get(name)) for name in RUNG_COUNTS]
        rows.append([str(number), *counts])
    return build_table(["rung", "sweeps", "trials", "users judged", "went on"], rows)


def list_varying_parameters(trials: Sequence[dict[str, Any]]) -> list[str]:
    """List the hyper-parameters in which trials differ, or all that they have if none differs."""
    present = []
    varying = []
    for name in PARAMETER_LABELS:
        if any(name in trial for trial in trials):
            present.append(name)
        if len({str(trial.get(name)) for trial in trials}) > 1:
            varying.append(name)
    return varying or present


def describe_trial(trial: dict[str, Any], parameters: Sequence[str]) -> str:
    """Describe some of a trial's hyper-parameters, e.g. `factors 64, alpha 10`."""
    descriptions = []
    for name in parameters:
        value = format_json_value(trial.get(name))
        descriptions.append(f"{PARAMETER_LABELS[name]} {value}")
    return ", ".join(descriptions)
