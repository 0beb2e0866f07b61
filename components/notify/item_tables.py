"""What the report says of items: those that no list may have, and an items table that is damaged."""

from typing import Final

from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.formats import format_count, format_json_value
from dawnlist.components.notify.tables import TextTable, build_table

WITHDRAWAL_LABELS: Final = {
    "left": "left the items table",
    "unavailable": "not available",
    "blocked": "blocked in the settings",
    "withdrawn": "withdrawn by a command",
}
"""The reasons for which items are in no list, with their names in the report."""


def build_withdrawn_table(facts: Facts) -> TextTable | None:
    """Count the items that no list has, by reason, and tell what is wrong with the items table."""
    counts = facts.get_mapping("recommend", "withdrawn")
    rows = []
    for reason, label in WITHDRAWAL_LABELS.items():
        if reason in counts:
            rows.append([label, format_count(counts[reason])])
    problem = get_items_problem(facts)
    if problem:
        rows.append([problem, ""])
    return build_table(["", "items"], rows)


def describe_withdrawn_items(facts: Facts) -> str:
    """Say in one line how many items no list has, and what is wrong with the items table."""
    counts = facts.get_mapping("recommend", "withdrawn")
    texts = []
    for reason, label in WITHDRAWAL_LABELS.items():
        if reason in counts:
            texts.append(f"{format_count(counts[reason])} {label}")
    sentences = []
    if texts:
        sentences.append(f"in no list: {', '.join(texts)}")
    problem = get_items_problem(facts)
    if problem:
        sentences.append(problem)
    return "; ".join(sentences)


def get_items_problem(facts: Facts) -> str:
    """Return what is wrong with the source's items table, or an empty text."""
    problem = facts.get_value("clean", "items", "problem")
    if problem is None:
        return ""
    return format_json_value(problem)
