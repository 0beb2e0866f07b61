"""A run's parameters and metrics as a tracking server keeps them: flat names, texts and numbers."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.formats import parse_finite
from dawnlist.components.notify.outcome import determine_outcome
from dawnlist.components.notify.score_tables import PARAMETER_LABELS
from dawnlist.records.mlflow_tracking import TrackedRun, TrackedStatus
from dawnlist.urls import mask_passwords

STEP_COUNTS: Final = {
    "clean": ("rows_in", "clean", "quarantined"),
    "dataset": ("users", "items", "train_pairs", "holdout_users"),
    "evaluate": ("evaluated_users",),
    "publish": ("version", "users", "items"),
}
"""The counts of steps that become metrics."""


def build_tracked_run(facts: Facts, parameters: Mapping[str, Any]) -> TrackedRun:
    """Build what is logged about a run, from its record and the parameters it was started with."""
    outcome = determine_outcome(facts)
    status: TrackedStatus = "FAILED" if outcome.tone == "bad" else "FINISHED"
    start, end = _read_times(facts)
    tags = {"dawnlist.outcome": outcome.state, "dawnlist.as_of": facts.as_of_text}
    tags["mlflow.note.content"] = outcome.sentence
    return TrackedRun(
        run=facts.run,
        name=f"{facts.as_of_text} {facts.run}",
        status=status,
        start=start,
        end=end,
        parameters={**_flatten_parameters(parameters), **_read_best_trial(facts)},
        metrics=collect_metrics(facts),
        tags=tags,
    )


def _read_times(facts: Facts) -> tuple[datetime, datetime]:
    """Return when the first step began and the last one ended; now, if the record doesn't say."""
    times = []
    for record in facts.records:
        for name in ("started", "ended"):
            try:
                times.append(datetime.fromisoformat(record[name]))
            except (KeyError, TypeError, ValueError):
                continue
    if not times:
        times.append(datetime.now(UTC))
    return min(times), max(times)


def _flatten_parameters(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters as texts; an entry of an object is called e.g. `search/factors`."""
    texts = {}
    for name, value in parameters.items():
        if isinstance(value, dict):
            for key, text in _flatten_parameters(value).items():
                texts[f"{name}/{key}"] = text
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        texts[name] = mask_passwords(text)
    return texts


def _read_best_trial(facts: Facts) -> dict[str, Any]:
    """Return the hyper-parameters of the best trial, e.g. `best/factors`."""
    trials = facts.get_listing("tune", "trials")
    if not trials:
        return {}
    best = trials[0]
    return {f"best/{name}": best[name] for name in PARAMETER_LABELS if name in best}


def collect_metrics(facts: Facts) -> dict[str, float]:
    """Collect a run's figures, e.g. `evaluate/challenger/ndcg@20`, `gate/passed`, `seconds/tune`."""
    metrics: dict[str, float] = {}
    for arm in facts.get_mapping("evaluate", "arms"):
        _add_figures(metrics, f"evaluate/{arm}", facts.get_mapping("evaluate", "arms", arm))
    for arm in facts.get_mapping("evaluate", "differences"):
        difference = facts.get_mapping("evaluate", "differences", arm)
        _add_figures(metrics, f"evaluate/challenger_over_{arm}", difference)
    for rule in facts.get_listing("gate", "rules"):
        _add_figures(metrics, "gate", {str(rule.get("rule")): rule.get("value")})
    if facts.succeeded("gate"):
        metrics["gate/passed"] = float(facts.get_value("gate", "passed") is True)
    for step, names in STEP_COUNTS.items():
        report = facts.get_mapping(step)
        _add_figures(metrics, step, {name: report.get(name) for name in names})
    for record in facts.records:
        _add_figures(metrics, "seconds", {str(record.get("step")): record.get("seconds")})
    return metrics


def _add_figures(metrics: dict[str, float], prefix: str, figures: Mapping[str, Any]) -> None:
    """Add those figures that are finite numbers."""
    for name, value in figures.items():
        number = parse_finite(value)
        if number is not None:
            metrics[f"{prefix}/{name}"] = number
