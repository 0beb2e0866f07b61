"""The tables of what was measured: models, the gate's rules, the search."""

from collections.abc import Sequence
from typing import Any

from dawnlist.components.notify import formats
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.tables import TextTable

HYPER_PARAMETERS = {
    "factors": "factors",
    "regularization": "regularization",
    "alpha": "alpha",
    "alpha0": "alpha0",
    "nu": "nu",
    "half_life": "half-life",
    "popularity_share": "popularity",
    "popularity_half_life": "popularity's half-life",
    "content_share": "content",
    "content_pairs": "content's pairs",
    "iterations": "iterations",
}
OMITTED_METRIC = "hit_rate"
"""Of the models' metrics, unless it decides: recall and MRR say as much, and the run record has it."""
PROGRESS_COLUMNS = {"sweeps": "sweeps", "users": "users judged"}
MAX_TABLE_TRIALS = 24
MAX_BEST_TRIALS = 5
MAX_TRIAL_SCORES = 2
"""Of a trial; the lake has them all."""


def format_arm_name(facts: Facts, arm: str) -> str:
    """The arm as people read it: popularity with its window."""
    window = facts.of_step("evaluate", "popularity_window")
    return (
        f"popularity ({window})"
        if arm == "popularity" and window
        else arm.replace("item_knn", "item-kNN")
    )


def build_metrics_table(facts: Facts) -> TextTable | None:
    """Arms by metrics, the deciding metric first."""
    arms = {
        name: means
        for name, means in facts.mapping("evaluate", "arms").items()
        if isinstance(means, dict)
    }
    return _build_scores_table(
        {format_arm_name(facts, arm): means for arm, means in arms.items()}, facts.metric
    )


def build_popularity_windows_table(facts: Facts) -> TextTable | None:
    """The windows that popularity was tried with."""
    windows = facts.mapping("evaluate", "popularity_windows")
    return _build_scores_table(
        {name: means for name, means in windows.items() if isinstance(means, dict)}, facts.metric
    )


def _build_scores_table(by_name: dict[str, dict[str, Any]], first: str) -> TextTable | None:
    found = dict.fromkeys(name for means in by_name.values() for name in means)
    names = sorted(
        (name for name in found if name == first or not name.startswith(OMITTED_METRIC)),
        key=lambda n: n != first,
    )
    if not by_name:
        return None
    rows = [
        [arm, *(formats.format_score(means.get(name)) for name in names)]
        for arm, means in by_name.items()
    ]
    values = [formats.parse_finite(means.get(first)) for means in by_name.values()]
    known = [value for value in values if value is not None]
    best = {values.index(max(known)): "best"} if known else {}
    # the length of the lists once, at the deciding metric: seven have to stand side by side
    heads = [name if name == first else name.partition("@")[0].replace("_", " ") for name in names]
    return TextTable(["", *heads], rows, tones=best)


def build_differences_table(facts: Facts) -> TextTable | None:
    """The challenger against each other arm, with 95% intervals."""
    rows = [
        [
            format_arm_name(facts, arm),
            formats.format_difference(found.get("mean")),
            f"{formats.format_difference(found.get('low'))} to {formats.format_difference(found.get('high'))}",
            _interpret_interval(
                formats.parse_finite(found.get("low")), formats.parse_finite(found.get("high"))
            ),
        ]
        for arm, found in facts.mapping("evaluate", "differences").items()
        if isinstance(found, dict)
    ]
    return (
        TextTable([f"challenger's {facts.metric} against", "difference", "95% interval", ""], rows)
        if rows
        else None
    )


def build_segments_table(facts: Facts) -> TextTable | None:
    """The deciding metric of each arm among some of the users."""
    found = facts.listing("evaluate", "segments")
    arms = [
        name
        for name in facts.mapping("evaluate", "arms")
        if any(name in _get_arms(row) for row in found)
    ]
    rows = [
        [
            formats.format_json_value(row.get("segment")),
            formats.format_count(row.get("users")),
            *(formats.format_score(_get_arms(row).get(arm)) for arm in arms),
        ]
        for row in found
    ]
    return (
        TextTable(
            [f"{facts.metric} among", "users", *(format_arm_name(facts, arm) for arm in arms)], rows
        )
        if rows
        else None
    )


def _get_arms(row: dict[str, Any]) -> dict[str, Any]:
    arms = row.get("arms")
    return arms if isinstance(arms, dict) else {}


def describe_comparison(facts: Facts) -> list[str]:
    """Lift, churn, and whether the day was judged on another holdout before, each in a sentence."""
    lift, told = facts.mapping("evaluate", "lift"), []
    if lift:
        span = " to ".join(
            f"{formats.parse_finite(lift.get(name)) or 0:.2f}" for name in ("low", "high")
        )
        told.append(
            f"{formats.parse_finite(lift.get('value')) or 0:.2f} times popularity's {facts.metric} ({span})."
        )
    churn = facts.of_step("evaluate", "churn")
    if churn is not None:
        told.append(
            f"{formats.format_percent(churn)} of the incumbent's lists is not in the challenger's."
        )
    first = facts.of_step("evaluate", "holdout", "first_seen")
    if first is not None:
        told.append(
            f"This day's first run was judged on another holdout ({first}, now "
            f"{facts.of_step('evaluate', 'holdout', 'fingerprint')}): the figures of the two don't compare."
        )
    return [" ".join(told)] if told else []


def _interpret_interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return formats.MISSING_VALUE_MARK
    return "better" if low > 0 else "worse" if high < 0 else "no clear difference"


def build_gate_table(facts: Facts) -> TextTable | None:
    """The gate's rules."""
    rules = facts.listing("gate", "rules")
    rows = [
        [
            str(rule.get("name", formats.MISSING_VALUE_MARK)),
            _format_rule_figure(rule, "value"),
            f"{formats.format_json_value(rule.get('bound', ''))} {_format_rule_figure(rule, 'limit')}".strip(),
            _format_rule_answer(rule),
        ]
        for rule in rules
    ]
    tones = {
        place: "good" if rule.get("passed") is True else "bad" for place, rule in enumerate(rules)
    }
    return TextTable(["rule", "value", "limit", ""], rows, tones=tones) if rows else None


def get_force_reason(facts: Facts) -> str:
    """The reason of a forced pass of the gate; empty when there was none."""
    return str(facts.mapping("gate", "forced").get("reason", ""))


def _format_rule_figure(rule: dict[str, Any], key: str) -> str:
    value, unit = formats.parse_finite(rule.get(key)), rule.get("unit")
    if value is not None and unit == "share":
        return f"{value:.2%}"
    return formats.format_count(value) if unit == "count" else formats.format_score(value)


def _format_rule_answer(rule: dict[str, Any]) -> str:
    passed = rule.get("passed")
    return "pass" if passed is True else "not enough evidence" if passed is None else "FAIL"


def build_trials_table(facts: Facts) -> TextTable | None:
    """The search, best first."""
    found = facts.listing("tune", "trials")[:MAX_TABLE_TRIALS]
    settings = list_varying_parameters(found)
    scores = list(dict.fromkeys(name for trial in found for name in trial if "@" in name))
    scores = sorted(scores, key=lambda name: name != facts.metric)[:MAX_TRIAL_SCORES]
    rows = [
        [
            str(place),
            *(formats.format_json_value(trial.get(name)) for name in settings),
            *(formats.format_score(trial.get(name)) for name in scores),
            *(formats.format_count(trial.get(name)) for name in PROGRESS_COLUMNS),
            formats.format_duration(trial.get("seconds")),
        ]
        for place, trial in enumerate(found, 1)
    ]
    head = [
        "#",
        *(HYPER_PARAMETERS[name] for name in settings),
        *scores,
        *PROGRESS_COLUMNS.values(),
        "time",
    ]
    return TextTable(head, rows, tones={0: "best"}) if rows else None


def build_best_trials_table(facts: Facts) -> TextTable | None:
    """The best trials, each in words."""
    found = facts.listing("tune", "trials")[:MAX_BEST_TRIALS]
    names = list_varying_parameters(found)
    rows = [[str(place), describe_trial(trial, names), formats.format_score(trial.get(facts.metric))]
            for place, trial in enumerate(found, 1)]  # fmt: skip
    return TextTable(["#", "trial", facts.metric], rows, (1,), {0: "best"}) if rows else None


def build_rungs_table(facts: Facts) -> TextTable | None:
    """The halving, rung by rung."""
    rows = [
        [
            str(place),
            *(
                formats.format_count(rung.get(name))
                for name in ("sweeps", "trials", "users", "kept")
            ),
        ]
        for place, rung in enumerate(facts.listing("tune", "rungs"), 1)
    ]
    return (
        TextTable(["rung", "sweeps", "trials", "users judged", "went on"], rows) if rows else None
    )


def list_varying_parameters(trials: Sequence[dict[str, Any]]) -> list[str]:
    """The hyper-parameters in which trials differ; all that they have when they don't."""
    known = [name for name in HYPER_PARAMETERS if any(name in trial for trial in trials)]
    return [name for name in known if len({str(trial.get(name)) for trial in trials}) > 1] or known


def describe_trial(trial: dict[str, Any], names: Sequence[str]) -> str:
    """Some of a trial's hyper-parameters in words, e.g. `factors 64, alpha 10`."""
    return ", ".join(
        f"{HYPER_PARAMETERS[name]} {formats.format_json_value(trial.get(name))}" for name in names
    )
