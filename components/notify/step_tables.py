"""The tables about splits, the publication, and the steps. All cells are text."""

from typing import Any

from dawnlist.components.notify.facts import AFTER_GATE, Facts
from dawnlist.components.notify.formats import (
    MISSING_VALUE_MARK,
    format_byte_size,
    format_count,
    format_duration,
    format_json_value,
    format_percent,
    parse_finite,
)
from dawnlist.components.notify.tables import TextTable, build_table

SPLIT_SIZES = (
    "users",
    "items",
    "pairs",
    "train_pairs",
    "validation_users",
    "validation_days",
    "holdout_users",
    "holdout_days",
)
SPLIT_CUTS = {
    "validation_start": "validation from",
    "train_end": "holdout from",
    "as_of": "holdout to",
}
"""The times at which the splits are cut, with their names in the report."""
PUBLICATION_VALUES = (
    "version",
    "previous",
    "winner",
    "engine",
    "configured",
    "as_of",
    "users",
    "items",
    "bytes",
    "history_bytes",
    "seconds",
    "reason",
)


def build_splits_table(facts: Facts) -> TextTable | None:
    """Show the sizes of the splits, and the times at which they were cut."""
    report = facts.get_mapping("dataset")
    rows = []
    for name in SPLIT_SIZES:
        if name in report:
            rows.append([name.replace("_", " "), format_count(report[name])])
    if "holdout_repeat_share" in report:
        share = format_percent(report["holdout_repeat_share"])
        rows.append(["repeats in the holdout", share])
    if report.get("disliked_pairs"):
        disliked = format_count(report["disliked_pairs"])
        rows.append(["met in the holdout, then disliked", disliked])
    cuts = facts.get_mapping("dataset", "cuts")
    for name, label in SPLIT_CUTS.items():
        if name in cuts:
            rows.append([label, format_json_value(cuts.get(name))])
    return build_table(["", ""], rows)


def build_publication_table(facts: Facts) -> TextTable | None:
    """Show the version that publish wrote."""
    report = facts.get_mapping("publish")
    rows = []
    for name in PUBLICATION_VALUES:
        if name in report:
            rows.append([name.replace("_", " "), _format_publication_value(name, report[name])])
    return build_table(["", ""], rows)


def _format_publication_value(name: str, value: Any) -> str:
    if "bytes" in name:
        return format_byte_size(value)
    return format_json_value(value)


def build_most_shown_table(facts: Facts) -> TextTable | None:
    """List the items that are in most lists, where odd results are easiest to see."""
    rows = []
    for item in facts.get_listing("recommend", "most_shown"):
        title = format_json_value(item.get("title") or item.get("item_id"))
        rows.append([title, format_percent(item.get("share"))])
    return build_table(["title", "share of lists"], rows)


def build_durations_table(facts: Facts, missing: bool = True) -> TextTable | None:
    """Show each step's state, duration and peak memory.

    With `missing` the steps that did not run are in the table as well.
    """
    rows: list[list[str]] = []
    tones: dict[int, str] = {}
    for record in facts.records:
        state = _describe_state(record.get("state", MISSING_VALUE_MARK))
        if state != "succeeded":
            tones[len(rows)] = "bad"
        step = str(record.get("step", MISSING_VALUE_MARK))
        duration = format_duration(record.get("seconds"))
        rows.append([step, state, duration, _format_memory(record.get("peak_memory_mb"))])
    if missing:
        rows += _list_missing_steps(facts)
    return build_table(["step", "state", "time", "peak memory"], rows, (0, 1), tones)


def _describe_state(state: Any) -> str:
    """Name a step's state; one that started and never ended was killed."""
    return "killed" if state == "started" else str(state)


def _format_memory(value: Any) -> str:
    megabytes = parse_finite(value)
    if megabytes is None:
        return MISSING_VALUE_MARK
    return f"{megabytes:,.0f} MB"


def _list_missing_steps(facts: Facts) -> list[list[str]]:
    rows = []
    for step in facts.not_run:
        state = "did not run"
        if facts.gate_stopped and step in AFTER_GATE:
            state = "not needed"
        rows.append([step, state, MISSING_VALUE_MARK, MISSING_VALUE_MARK])
    return rows
