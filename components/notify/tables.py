"""The tables of what was done: rows, bots, splits, the publication, the steps; all cells are text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dawnlist.components.notify import formats
from dawnlist.components.notify.facts import AFTER_GATE, Facts

ROW_LABELS = {
    "rows_in": "read by clean",
    "clean": "clean",
    "known": "clean, and there already",
    "inserted": "clean and new",
    "duplicates": "duplicates",
    "double_clicks": "double clicks",
}


@dataclass(frozen=True)
class TextTable:
    """Rows of cells; a column is of words or else of figures."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: tuple[int, ...] = (0,)
    """The columns of words, which read from the left."""
    tones: dict[int, str] = field(default_factory=dict)
    """Row -> `best`, `good` or `bad`."""


def build_volumes_table(facts: Facts) -> TextTable | None:
    """Rows in and out, to the last quarantined one."""
    landed = facts.of_step("fetch", "rows")
    found = (
        [(f"fetched {name}", rows) for name, rows in landed.items()]
        if isinstance(landed, dict)
        else []
    )
    found += [(text, facts.of_step("clean", name)) for name, text in ROW_LABELS.items()]
    found.append(("quarantined", count_quarantined_rows(facts)))
    found += [
        (f"quarantined: {reason}", rows) for reason, rows in rank_quarantine_reasons(facts).items()
    ]
    found += [
        (f"{name} rejected", facts.of_step("clean", name, "rejected"))
        for name in ("items", "users")
    ]
    rows = [
        [name, formats.format_count(value), _format_row_share(facts, name, value)]
        for name, value in found
        if value is not None
    ]
    return TextTable(["", "rows", "of those read"], rows) if rows else None


def _format_row_share(facts: Facts, name: str, value: Any) -> str:
    part, whole = (
        formats.parse_finite(value),
        formats.parse_finite(facts.of_step("clean", "rows_in")),
    )
    return (
        ""
        if name.startswith("fetched") or name.endswith(" rejected") or part is None or not whole
        else formats.format_percent(part / whole)
    )


def build_late_rows_table(facts: Facts) -> TextTable | None:
    """Days of which the source holds more rows than were fetched: they arrived later than the overlap."""
    found = facts.listing("fetch", "late")
    rows = [
        [
            formats.format_json_value(day.get("day")),
            *(formats.format_count(day.get(name)) for name in ("source", "lake")),
        ]
        for day in found
    ]
    return TextTable(["day", "rows in the source", "rows fetched"], rows) if rows else None


def describe_backfill(facts: Facts) -> str:
    """What to do about late rows, in a sentence without a full stop; empty when there are none."""
    days = sorted(
        formats.format_json_value(day.get("day")) for day in facts.listing("fetch", "late")
    )
    if not days:
        return ""
    # options only: the source and the lake are the run's own
    return f"rows of {len(days)} days came later than the overlap: dawnlist backfill --from {days[0]} --to {days[-1]}"


def build_freshness_table(facts: Facts) -> TextTable | None:
    """How new what was learnt from is, and how far the last day is from those before."""
    window, volume = facts.of_step("fetch", "window"), facts.mapping("clean", "profile", "volume")
    arrived = max(facts.mapping("fetch", "arrivals"), default=None)
    rows = (
        [["fetched from", formats.format_json_value(window[0])]]
        if isinstance(window, list) and window
        else []
    )
    if arrived:
        rows.append(["newest row arrived in the hour from", formats.format_json_value(arrived)])
    if late_days := facts.listing("fetch", "late"):
        rows.append(["days with rows that came late", formats.format_count(len(late_days))])
    if volume:
        usual = f"{formats.format_count(volume.get('rows'))}, usual are {formats.format_count(volume.get('usual'))}"
        rows.append([f"clean rows of {formats.format_json_value(volume.get('day'))}", usual])
    rows += [[str(rule.get("name")), formats.format_score(rule.get("value"))]
             for rule in facts.listing("gate", "rules") if rule.get("rule") == "drift"]  # fmt: skip
    if (churn := facts.of_step("evaluate", "churn")) is not None:
        rows.append(["of the lists is new", formats.format_percent(churn)])
    if (new := facts.of_step("dataset", "new_items")) is not None:
        rows.append(["items that nobody has met yet", formats.format_count(new)])
    return TextTable(["", ""], rows) if rows else None


def count_quarantined_rows(facts: Facts) -> Any:
    """How many rows clean rejected."""
    value = facts.of_step("clean", "quarantined")
    return (
        sum(formats.parse_finite(rows) or 0 for rows in value.values())
        if isinstance(value, dict)
        else value
    )


def rank_quarantine_reasons(facts: Facts) -> dict[str, Any]:
    """Rejected rows by reason, most first."""
    found = facts.mapping("clean", "quarantined") or facts.mapping("clean", "reasons")
    return dict(
        sorted(found.items(), key=lambda pair: (-(formats.parse_finite(pair[1]) or 0), pair[0]))
    )


def build_bots_table(facts: Facts) -> TextTable | None:
    """What each rule would drop, with its heaviest example."""
    rows = []
    for rule in facts.listing("filter_bots", "rules"):
        examples = rule.get("examples")
        first = examples[0] if isinstance(examples, list) and examples else None
        evidence = (
            formats.format_json_value(first.get("evidence")) if isinstance(first, dict) else ""
        )
        counted = [
            formats.format_count(rule.get("users")),
            formats.format_count(rule.get("events")),
            formats.format_percent(rule.get("share")),
        ]
        rows.append(
            [
                formats.format_json_value(rule.get("rule")),
                formats.format_json_value(rule.get("mode")),
                *counted,
                evidence,
            ]
        )
    head = ["rule", "mode", "users", "events", "share", "e.g."]
    return TextTable(head, rows, (0, 1, 5)) if rows else None


def describe_dropped_events(facts: Facts) -> str:
    """How many events and users the bot filter dropped, in a sentence without a full stop."""
    found = facts.mapping("filter_bots")
    if not found:
        return ""
    events, users, of_events, of_users = (
        formats.format_count(found.get(name))
        for name in ("dropped_events", "dropped_users", "events", "users")
    )
    share = formats.format_percent(found.get("share"))
    return f"{events} of {of_events} events dropped ({share}), by {users} of {of_users} users"


def build_splits_table(facts: Facts) -> TextTable | None:
    """Sizes of the splits, and where they were cut."""
    found = facts.mapping("dataset")
    names = ("users", "items", "pairs", "train_pairs", "validation_users", "holdout_users")
    rows = [
        [name.replace("_", " "), formats.format_count(found[name])]
        for name in names
        if name in found
    ]
    if "holdout_repeat_share" in found:
        rows.append(
            ["repeats in the holdout", formats.format_percent(found["holdout_repeat_share"])]
        )
    cuts = facts.mapping("dataset", "cuts")
    known = {
        "validation_start": "validation from",
        "train_end": "holdout from",
        "as_of": "holdout to",
    }
    rows += [
        [text, formats.format_json_value(cuts.get(name))]
        for name, text in known.items()
        if name in cuts
    ]
    return TextTable(["", ""], rows) if rows else None


def build_publication_table(facts: Facts) -> TextTable | None:
    """The version that publish wrote."""
    found = facts.mapping("publish")
    rows = [
        [
            name.replace("_", " "),
            formats.format_byte_size(found[name])
            if "bytes" in name
            else formats.format_json_value(found[name]),
        ]
        for name in (
            "version",
            "previous",
            "winner",
            "as_of",
            "users",
            "items",
            "bytes",
            "history_bytes",
            "seconds",
            "reason",
        )
        if name in found
    ]
    return TextTable(["", ""], rows) if rows else None


def build_most_shown_table(facts: Facts) -> TextTable | None:
    """The items that stand in most lists: where odd results show first."""
    rows = [
        [
            formats.format_json_value(item.get("title") or item.get("item_id")),
            formats.format_percent(item.get("share")),
        ]
        for item in facts.listing("recommend", "most_shown")
    ]
    return TextTable(["title", "share of lists"], rows) if rows else None


def build_durations_table(facts: Facts, missing: bool = True) -> TextTable | None:
    """Each step with its state, duration and peak memory; with `missing`, those that did not run as well."""
    rows: list[list[str]] = []
    tones: dict[int, str] = {}
    for record in facts.records:
        state = (
            "killed"
            if record.get("state") == "started"
            else str(record.get("state", formats.MISSING_VALUE_MARK))
        )
        if state != "succeeded":
            tones[len(rows)] = "bad"
        memory = formats.parse_finite(record.get("peak_memory_mb"))
        peak = formats.MISSING_VALUE_MARK if memory is None else f"{memory:,.0f} MB"
        rows.append(
            [
                str(record.get("step", formats.MISSING_VALUE_MARK)),
                state,
                formats.format_duration(record.get("seconds")),
                peak,
            ]
        )
    unwanted = AFTER_GATE if facts.gate_stopped else ()
    for step in facts.not_run if missing else ():
        rows.append(
            [
                step,
                "not needed" if step in unwanted else "did not run",
                formats.MISSING_VALUE_MARK,
                formats.MISSING_VALUE_MARK,
            ]
        )
    return (
        TextTable(["step", "state", "time", "peak memory"], rows, (0, 1), tones) if rows else None
    )
