"""The paragraphs above the tables of the report."""

from typing import Any

from dawnlist.components.notify import model_tables, score_tables, tables, unknown_events
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.formats import (
    capitalise,
    format_count,
    format_duration,
    format_percent,
)

BROKEN_STEP_VALUES = ("step", "host", "pid", "started", "ended")


def note_broken_step(facts: Facts) -> list[str]:
    """Say which step broke, where and when."""
    record = facts.broken_record or {}
    values = [f"{name} {record[name]}" for name in BROKEN_STEP_VALUES if name in record]
    return [", ".join(values)]


def format_traceback(facts: Facts) -> str:
    """Return the traceback of the step that broke, without the marks below lines of code."""
    if facts.broken_record is None:
        return ""
    error = facts.broken_record.get("error")
    text = None
    if isinstance(error, dict):
        text = error.get("traceback") or error.get("message")
    if not text:
        text = "It left no traceback: a process that is killed can't write one."
    lines = []
    for line in str(text).splitlines():
        is_blank = not line.strip()
        is_mark = not line.strip(" ^~")
        if is_blank or not is_mark:
            lines.append(line)
    return "\n".join(lines)


def note_evaluation(facts: Facts) -> list[str]:
    """Say how many users were evaluated, and how the challenger compares."""
    users = format_count(facts.get_value("evaluate", "evaluated_users"))
    repeats = format_percent(facts.get_value("evaluate", "repeat_share"))
    consequence = "which no list can hit."
    if model_tables.OWN_ITEMS_ARM in facts.get_mapping("evaluate", "arms"):
        consequence = "which count as hits."
    sentence = (
        f"Over {users} users with history; {repeats} of the holdout are repeats, {consequence}"
    )
    return [sentence, *model_tables.describe_comparison(facts)]


def note_gate_reason(facts: Facts) -> list[str]:
    """Say why the gate decided as it did."""
    reason = str(facts.get_value("gate", "reason") or "")
    return [f"{capitalise(reason)}."] if reason else []


def note_search(facts: Facts) -> list[str]:
    """Say what was searched, and which hyper-parameters were equal in all trials."""
    trials = facts.get_listing("tune", "trials")
    notes = []
    searched = str(facts.get_value("tune", "searched") or "")
    if searched:
        notes.append(f"{capitalise(searched)}.")
    for edge in list_edges(facts):
        notes.append(f"{capitalise(edge)}.")
    sentences = []
    if len(trials) > score_tables.MAX_TABLE_TRIALS:
        sentences.append(f"The best {score_tables.MAX_TABLE_TRIALS} of {len(trials)} trials.")
    equal_parameters = _list_equal_parameters(facts)
    if equal_parameters:
        description = score_tables.describe_trial(trials[0], equal_parameters)
        sentences.append(f"Equal in all trials: {description}.")
    notes.append(" ".join(sentences))
    notes += _explain_bars(trials)
    return notes


def _explain_bars(trials: list[dict[str, Any]]) -> list[str]:
    """Say what the labels and the colours of the picture's bars mean."""
    varying_parameters = score_tables.list_varying_parameters(trials)
    if not varying_parameters:
        return []
    names = " / ".join(score_tables.PARAMETER_LABELS[name] for name in varying_parameters)
    return [
        f"A bar of the picture is a trial: its rank, then {names}. Blue is the best, dark grey made "
        "as many sweeps, light grey was dropped earlier."
    ]


def list_edges(facts: Facts) -> list[str]:
    """List what the best trial has on the edge of the values that were tried, in sentences."""
    edges = facts.get_value("tune", "edges")
    return [str(edge) for edge in edges] if isinstance(edges, list) else []


def _list_equal_parameters(facts: Facts) -> list[str]:
    trials = facts.get_listing("tune", "trials")
    varying_parameters = score_tables.list_varying_parameters(trials)
    parameters = []
    for name in score_tables.PARAMETER_LABELS:
        if name in trials[0] and name not in varying_parameters:
            parameters.append(name)
    return parameters


def note_dropped_events(facts: Facts) -> list[str]:
    """Say how many events the bot filter dropped."""
    return [f"{tables.describe_dropped_events(facts)}."]


def note_unknown_events(facts: Facts) -> list[str]:
    """Say how to bring back the rows of unknown events."""
    return [capitalise(unknown_events.describe_unknown_events(facts))]


def note_backfill(facts: Facts) -> list[str]:
    """Say how to fetch late rows."""
    return [capitalise(tables.describe_backfill(facts))]


def note_durations(facts: Facts) -> list[str]:
    """Say how long the steps and the whole run took."""
    steps = format_duration(facts.step_seconds)
    run = format_duration(facts.wall_seconds)
    return [f"Steps took {steps} in all; the run {run}."]


def note_missing_steps(facts: Facts) -> list[str]:
    """Say which steps did not run."""
    if not facts.not_run:
        return []
    return [f"Did not run: {', '.join(facts.not_run)}."]
