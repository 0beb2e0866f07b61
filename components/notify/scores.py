"""The tables of what was measured: models, the gate's rules, the search."""

from collections.abc import Sequence
from typing import Any

from dawnlist.components.notify import formats
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.tables import Table

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
LEFT_OUT = "hit_rate"
"""Of the models' metrics, unless it decides: recall and MRR say as much, and the run record has it."""
PROGRESS = {"sweeps": "sweeps", "users": "users judged"}
MOST_TRIALS = 24
FEW_TRIALS = 5
MOST_SCORES = 2
"""Of a trial; the lake has them all."""


def arm_name(facts: Facts, arm: str) -> str:
    """The arm as people read it: popularity with its window."""
    window = facts.of_step("evaluate", "popularity_window")
    return f"popularity ({window})" if arm == "popularity" and window else arm.replace("item_knn", "item-kNN")


def metrics(facts: Facts) -> Table | None:
    """Arms by metrics, the deciding metric first."""
    arms = {name: means for name, means in facts.mapping("evaluate", "arms").items() if isinstance(means, dict)}
    return _scores({arm_name(facts, arm): means for arm, means in arms.items()}, facts.metric)


def popularity_windows(facts: Facts) -> Table | None:
    """The windows that popularity was tried with."""
    windows = facts.mapping("evaluate", "popularity_windows")
    return _scores({name: means for name, means in windows.items() if isinstance(means, dict)}, facts.metric)


def _scores(by_name: dict[str, dict[str, Any]], first: str) -> Table | None:
    found = dict.fromkeys(name for means in by_name.values() for name in means)
    names = sorted((name for name in found if name == first or not name.startswith(LEFT_OUT)), key=lambda n: n != first)
    if not by_name:
        return None
    rows = [[arm, *(formats.score(means.get(name)) for name in names)] for arm, means in by_name.items()]
    values = [formats.real(means.get(first)) for means in by_name.values()]
    known = [value for value in values if value is not None]
    best = {values.index(max(known)): "best"} if known else {}
    # the length of the lists once, at the deciding metric: seven have to stand side by side
    heads = [name if name == first else name.partition("@")[0].replace("_", " ") for name in names]
    return Table(["", *heads], rows, tones=best)


def differences(facts: Facts) -> Table | None:
    """The challenger against each other arm, with 95% intervals."""
    rows = [
        [
            arm_name(facts, arm),
            formats.signed(found.get("mean")),
            f"{formats.signed(found.get('low'))} to {formats.signed(found.get('high'))}",
            _reading(formats.real(found.get("low")), formats.real(found.get("high"))),
        ]
        for arm, found in facts.mapping("evaluate", "differences").items()
        if isinstance(found, dict)
    ]
    return Table([f"challenger's {facts.metric} against", "difference", "95% interval", ""], rows) if rows else None


def segments(facts: Facts) -> Table | None:
    """The deciding metric of each arm among some of the users."""
    found = facts.listing("evaluate", "segments")
    arms = [name for name in facts.mapping("evaluate", "arms") if any(name in _arms(row) for row in found)]
    rows = [
        [
            formats.plain(row.get("segment")),
            formats.count(row.get("users")),
            *(formats.score(_arms(row).get(arm)) for arm in arms),
        ]
        for row in found
    ]
    return Table([f"{facts.metric} among", "users", *(arm_name(facts, arm) for arm in arms)], rows) if rows else None


def _arms(row: dict[str, Any]) -> dict[str, Any]:
    arms = row.get("arms")
    return arms if isinstance(arms, dict) else {}


def compared(facts: Facts) -> list[str]:
    """Lift, churn, and whether the day was judged on another holdout before, each in a sentence."""
    lift, told = facts.mapping("evaluate", "lift"), []
    if lift:
        span = " to ".join(f"{formats.real(lift.get(name)) or 0:.2f}" for name in ("low", "high"))
        told.append(f"{formats.real(lift.get('value')) or 0:.2f} times popularity's {facts.metric} ({span}).")
    churn = facts.of_step("evaluate", "churn")
    if churn is not None:
        told.append(f"{formats.percent(churn)} of the incumbent's lists is not in the challenger's.")
    first = facts.of_step("evaluate", "holdout", "first_seen")
    if first is not None:
        told.append(
            f"This day's first run was judged on another holdout ({first}, now "
            f"{facts.of_step('evaluate', 'holdout', 'fingerprint')}): the figures of the two don't compare."
        )
    return [" ".join(told)] if told else []


def _reading(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return formats.UNKNOWN
    return "better" if low > 0 else "worse" if high < 0 else "no clear difference"


def gate(facts: Facts) -> Table | None:
    """The gate's rules."""
    rules = facts.listing("gate", "rules")
    rows = [
        [
            str(rule.get("name", formats.UNKNOWN)),
            _measure(rule, "value"),
            f"{formats.plain(rule.get('bound', ''))} {_measure(rule, 'limit')}".strip(),
            _answer(rule),
        ]
        for rule in rules
    ]
    tones = {place: "good" if rule.get("passed") is True else "bad" for place, rule in enumerate(rules)}
    return Table(["rule", "value", "limit", ""], rows, tones=tones) if rows else None


def forced(facts: Facts) -> str:
    """The reason of a forced pass of the gate; empty when there was none."""
    return str(facts.mapping("gate", "forced").get("reason", ""))


def _measure(rule: dict[str, Any], key: str) -> str:
    value, unit = formats.real(rule.get(key)), rule.get("unit")
    if value is not None and unit == "share":
        return f"{value:.2%}"
    return formats.count(value) if unit == "count" else formats.score(value)


def _answer(rule: dict[str, Any]) -> str:
    passed = rule.get("passed")
    return "pass" if passed is True else "not enough evidence" if passed is None else "FAIL"


def trials(facts: Facts) -> Table | None:
    """The search, best first."""
    found = facts.listing("tune", "trials")[:MOST_TRIALS]
    settings = varying(found)
    scores = list(dict.fromkeys(name for trial in found for name in trial if "@" in name))
    scores = sorted(scores, key=lambda name: name != facts.metric)[:MOST_SCORES]
    rows = [
        [
            str(place),
            *(formats.plain(trial.get(name)) for name in settings),
            *(formats.score(trial.get(name)) for name in scores),
            *(formats.count(trial.get(name)) for name in PROGRESS),
            formats.seconds(trial.get("seconds")),
        ]
        for place, trial in enumerate(found, 1)
    ]
    head = ["#", *(HYPER_PARAMETERS[name] for name in settings), *scores, *PROGRESS.values(), "time"]
    return Table(head, rows, tones={0: "best"}) if rows else None


def best(facts: Facts) -> Table | None:
    """The best trials, each in words."""
    found = facts.listing("tune", "trials")[:FEW_TRIALS]
    names = varying(found)
    rows = [[str(place), named(trial, names), formats.score(trial.get(facts.metric))]
            for place, trial in enumerate(found, 1)]  # fmt: skip
    return Table(["#", "trial", facts.metric], rows, (1,), {0: "best"}) if rows else None


def rungs(facts: Facts) -> Table | None:
    """The halving, rung by rung."""
    rows = [
        [str(place), *(formats.count(rung.get(name)) for name in ("sweeps", "trials", "users", "kept"))]
        for place, rung in enumerate(facts.listing("tune", "rungs"), 1)
    ]
    return Table(["rung", "sweeps", "trials", "users judged", "went on"], rows) if rows else None


def varying(trials: Sequence[dict[str, Any]]) -> list[str]:
    """The hyper-parameters in which trials differ; all that they have when they don't."""
    known = [name for name in HYPER_PARAMETERS if any(name in trial for trial in trials)]
    return [name for name in known if len({str(trial.get(name)) for trial in trials}) > 1] or known


def named(trial: dict[str, Any], names: Sequence[str]) -> str:
    """Some of a trial's hyper-parameters in words, e.g. `factors 64, alpha 10`."""
    return ", ".join(f"{HYPER_PARAMETERS[name]} {formats.plain(trial.get(name))}" for name in names)
