"""The tables about rows: those that were read, rejected, late or dropped. All cells are text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.formats import (
    format_count,
    format_json_value,
    format_percent,
    format_quantity,
    format_score,
    parse_finite,
)

ROW_LABELS = {
    "rows_in": "read by clean",
    "clean": "clean",
    "known": "clean, already in the lake",
    "inserted": "clean and new",
    "duplicates": "duplicates",
    "double_clicks": "double clicks",
}
"""The counts of the step clean, with their names in the report."""


@dataclass(frozen=True)
class TextTable:
    """A table whose columns hold either words or figures."""

    head: Sequence[str]
    """The heading of each column, or an empty text."""
    rows: Sequence[Sequence[str]]
    """The cells, row by row."""
    words: tuple[int, ...] = (0,)
    """The indexes of the columns with words, which are aligned to the left."""
    tones: dict[int, str] = field(default_factory=dict)
    """The index of a row -> `best`, `good` or `bad`."""


def build_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    words: tuple[int, ...] = (0,),
    tones: dict[int, str] | None = None,
) -> TextTable | None:
    """Build a table, or return None when it would have no rows."""
    if not rows:
        return None
    return TextTable(head, rows, words, tones or {})


def build_volumes_table(facts: Facts) -> TextTable | None:
    """Count the rows that went into and out of the first two steps, by result."""
    rows = []
    total = parse_finite(facts.get_value("clean", "rows_in"))
    for label, count in _list_row_counts(facts):
        if count is not None:
            share = _format_row_share(label, count, total)
            rows.append([label, format_count(count), share])
    return build_table(["", "rows", "of those read"], rows)


def _list_row_counts(facts: Facts) -> list[tuple[str, Any]]:
    """List the counts with their labels; a count may be None or of any type."""
    counts = []
    for name, rows in facts.get_mapping("fetch", "rows").items():
        counts.append((f"fetched {name}", rows))
    for name, label in ROW_LABELS.items():
        counts.append((label, facts.get_value("clean", name)))
    counts.append(("quarantined", count_quarantined_rows(facts)))
    for reason, rows in rank_quarantine_reasons(facts).items():
        counts.append((f"quarantined: {reason}", rows))
    for name in ("items", "users"):
        counts.append((f"{name} rejected", facts.get_value("clean", name, "rejected")))
    return counts


def _format_row_share(label: str, count: Any, total: float | None) -> str:
    """Format the share of the rows that clean read; empty for rows that are not among them."""
    number = parse_finite(count)
    if label.startswith("fetched") or label.endswith(" rejected"):
        return ""
    if number is None or not total:
        return ""
    return format_percent(number / total)


def build_late_rows_table(facts: Facts) -> TextTable | None:
    """List the days with rows that arrived in the source after the fetch had covered them."""
    rows = []
    for day in facts.get_listing("fetch", "late"):
        name = format_json_value(day.get("day"))
        in_source = format_count(day.get("source"))
        in_lake = format_count(day.get("lake"))
        rows.append([name, in_source, in_lake])
    return build_table(["day", "rows in the source", "rows fetched"], rows)


def describe_backfill(facts: Facts) -> str:
    """Say how to fetch late rows, without a full stop; empty when there are none."""
    late_days = facts.get_listing("fetch", "late")
    if not late_days:
        return ""
    days = sorted(format_json_value(day.get("day")) for day in late_days)
    return (
        f"rows of {format_quantity(len(days), 'day')} arrived too late to be fetched; "
        f"fetch them with: dawnlist backfill --from {days[0]} --to {days[-1]}"
    )


def describe_passed_over_files(facts: Facts) -> str:
    """Name the files of the source that were not read; empty when there are none."""
    sentences = facts.get_value("fetch", "passed_over")
    if not isinstance(sentences, list):
        return ""
    return "; ".join(format_json_value(sentence) for sentence in sentences)


def build_passed_over_table(facts: Facts) -> TextTable | None:
    """List the files of the source that were not read, each in a sentence."""
    text = describe_passed_over_files(facts)
    rows = [[text]] if text else []
    return build_table(["files that were not read"], rows)


def build_freshness_table(facts: Facts) -> TextTable | None:
    """Show how recent the rows are, and how much the last day differs from those before."""
    rows = _list_fetch_times(facts)
    volume = facts.get_mapping("clean", "profile", "volume")
    if volume:
        day = format_json_value(volume.get("day"))
        count = format_count(volume.get("rows"))
        usual = format_count(volume.get("usual"))
        rows.append([f"clean rows of {day}", f"{count}, usually {usual}"])
    for rule in facts.get_listing("gate", "rules"):
        if rule.get("rule") == "drift":
            rows.append([str(rule.get("name")), format_score(rule.get("value"))])
    churn = facts.get_value("evaluate", "churn")
    if churn is not None:
        rows.append(["share of the lists that is new", format_percent(churn)])
    new_items = facts.get_value("dataset", "new_items")
    if new_items is not None:
        rows.append(["items without any interaction yet", format_count(new_items)])
    return build_table(["", ""], rows)


def _list_fetch_times(facts: Facts) -> list[list[str]]:
    rows = []
    window = facts.get_value("fetch", "window")
    if isinstance(window, list) and window:
        rows.append(["fetched from", format_json_value(window[0])])
    newest_arrival = max(facts.get_mapping("fetch", "arrivals"), default=None)
    if newest_arrival:
        hour = format_json_value(newest_arrival)
        rows.append(["newest row arrived in the hour from", hour])
    late_days = facts.get_listing("fetch", "late")
    if late_days:
        rows.append(["days with rows that arrived late", format_count(len(late_days))])
    return rows


def count_quarantined_rows(facts: Facts) -> Any:
    """Count the rows that clean rejected; a damaged count is returned as it is."""
    value = facts.get_value("clean", "quarantined")
    if not isinstance(value, dict):
        return value
    return sum(parse_finite(rows) or 0 for rows in value.values())


def rank_quarantine_reasons(facts: Facts) -> dict[str, Any]:
    """Return the rejected rows by reason, the most frequent reason first."""
    counts = facts.get_mapping("clean", "quarantined") or facts.get_mapping("clean", "reasons")
    return dict(sorted(counts.items(), key=_rank_reason))


def _rank_reason(reason_and_rows: tuple[str, Any]) -> tuple[float, str]:
    reason, rows = reason_and_rows
    return -(parse_finite(rows) or 0), reason


def build_bots_table(facts: Facts) -> TextTable | None:
    """Show what each rule of the bot filter drops or would drop, with its heaviest example."""
    rows = []
    for rule in facts.get_listing("filter_bots", "rules"):
        cells = [
            format_json_value(rule.get("rule")),
            format_json_value(rule.get("mode")),
            format_count(rule.get("users")),
            format_count(rule.get("events")),
            format_percent(rule.get("share")),
            _format_first_example(rule.get("examples")),
        ]
        rows.append(cells)
    head = ["rule", "mode", "users", "events", "share", "e.g."]
    return build_table(head, rows, words=(0, 1, 5))


def _format_first_example(examples: Any) -> str:
    if isinstance(examples, list) and examples and isinstance(examples[0], dict):
        return format_json_value(examples[0].get("evidence"))
    return ""


def describe_dropped_events(facts: Facts) -> str:
    """Say how many events and users the bot filter dropped, without a full stop."""
    report = facts.get_mapping("filter_bots")
    if not report:
        return ""
    dropped_events = format_count(report.get("dropped_events"))
    dropped_users = format_count(report.get("dropped_users"))
    events = format_count(report.get("events"))
    users = format_count(report.get("users"))
    share = format_percent(report.get("share"))
    sentence = (
        f"{dropped_events} of {events} events dropped ({share}), "
        f"by {dropped_users} of {users} users"
    )
    if report.get("shadow_reason"):
        sentence += "; the rule behaviour went into shadow by itself, see the drop report"
    return sentence
