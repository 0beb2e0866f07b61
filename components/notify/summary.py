"""The report in few words: Markdown for the Kubeflow UI, and lines for log and terminal."""

from collections.abc import Sequence

from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.formats import format_count, format_duration, format_score
from dawnlist.components.notify.item_tables import (
    build_withdrawn_table,
    describe_withdrawn_items,
)
from dawnlist.components.notify.model_tables import (
    build_differences_table,
    build_metrics_table,
    build_segments_table,
)
from dawnlist.components.notify.notes import list_edges
from dawnlist.components.notify.outcome import determine_outcome
from dawnlist.components.notify.score_tables import (
    build_gate_table,
    describe_trial,
    list_varying_parameters,
)
from dawnlist.components.notify.step_tables import build_durations_table
from dawnlist.components.notify.tables import (
    TextTable,
    build_late_rows_table,
    build_volumes_table,
    count_quarantined_rows,
    describe_backfill,
    describe_dropped_events,
    describe_passed_over_files,
)
from dawnlist.components.notify.unknown_events import (
    build_unknown_events_table,
    describe_unknown_events,
)
from dawnlist.pages import escape_markdown

ROW_COUNTS = {
    "clean": "clean",
    "duplicates": "duplicates",
    "double_clicks": "double clicks",
}
"""The counts of the step clean in the log, with their names."""
MARKDOWN_TABLES = {
    "Models": build_metrics_table,
    "Differences": build_differences_table,
    "Segments": build_segments_table,
    "Gate": build_gate_table,
    "Rows": build_volumes_table,
    "Unknown events": build_unknown_events_table,
    "Late rows": build_late_rows_table,
    "Withdrawn items": build_withdrawn_table,
    "Steps": build_durations_table,
}
"""The tables of the Markdown summary, by their headings."""
LOG_TABLES = (
    build_metrics_table,
    build_differences_table,
    build_segments_table,
    build_gate_table,
)


def render_markdown_summary(facts: Facts) -> str:
    """Render the Markdown summary. All texts in it are escaped."""
    outcome = determine_outcome(facts)
    lines = [
        f"# {outcome.label}",
        "",
        escape_markdown(outcome.sentence),
        "",
        escape_markdown(f"As of {facts.as_of_text}, run {facts.run}, shop {facts.shop}."),
    ]
    if any(record.get("state") in ("failed", "started") for record in facts.records):
        lines += ["", "If there is a traceback, it is in the HTML report."]
    for title, build_table in MARKDOWN_TABLES.items():
        table = build_table(facts)
        if table is not None:
            lines += ["", f"## {title}", "", *_render_markdown_table(table)]
    lines += ["", escape_markdown(_summarise_time(facts)), ""]
    for line in list_registrations(facts):
        lines += [escape_markdown(line), ""]
    return "\n".join(lines)


def render_log_report(facts: Facts) -> str:
    """Render the lines for the log, the verdict last."""
    outcome = determine_outcome(facts)
    blocks = [
        [f"Dawnlist report as of {facts.as_of_text}, run {facts.run}, shop {facts.shop}"],
        _list_step_summaries(facts),
    ]
    for build_table in LOG_TABLES:
        table = build_table(facts)
        if table is not None:
            blocks.append(align_rows(table))
    blocks.append(_list_step_durations(facts))
    blocks.append(list_registrations(facts))
    blocks.append([f"{outcome.label.upper()}: {outcome.sentence}"])
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def list_registrations(facts: Facts) -> list[str]:
    """List what other systems have of the run, a line for each."""
    return [f"{system}: {text}" for system, text in facts.registrations.items()]


def _list_step_summaries(facts: Facts) -> list[str]:
    lines = []
    for name, text in summarise_steps(facts):
        if text:
            lines.append(f"{name:<9} {text}")
    return lines


def _render_markdown_table(table: TextTable) -> list[str]:
    alignments = ["---:"] * len(table.head)
    for column in table.words:
        alignments[column] = "---"
    lines = [_render_markdown_row(table.head), f"| {' | '.join(alignments)} |"]
    lines += [_render_markdown_row(row) for row in table.rows]
    return lines


def _render_markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escape_markdown, cells))} |"


def summarise_steps(facts: Facts) -> list[tuple[str, str]]:
    """Summarise each of the steps before the models in one line, with a name for the line."""
    return [
        ("rows", _summarise_rows(facts)),
        ("unknown", describe_unknown_events(facts)),
        ("late", describe_backfill(facts)),
        ("files", describe_passed_over_files(facts)),
        ("items", describe_withdrawn_items(facts)),
        ("bots", describe_dropped_events(facts)),
        ("splits", _summarise_splits(facts)),
        ("search", _summarise_search(facts)),
        ("edge", "; ".join(list_edges(facts))),
    ]


def _summarise_rows(facts: Facts) -> str:
    counts = [("fetched", facts.get_value("fetch", "rows", "interactions"))]
    for name, label in ROW_COUNTS.items():
        counts.append((label, facts.get_value("clean", name)))
    counts.append(("quarantined", count_quarantined_rows(facts)))
    texts = []
    for label, count in counts:
        if count is not None:
            texts.append(f"{format_count(count)} {label}")
    return ", ".join(texts)


def _summarise_splits(facts: Facts) -> str:
    report = facts.get_mapping("dataset")
    if not report:
        return ""
    users = format_count(report.get("users"))
    items = format_count(report.get("items"))
    pairs = format_count(report.get("train_pairs"))
    holdout_users = format_count(report.get("holdout_users"))
    text = (
        f"{users} users, {items} items, {pairs} pairs to train on, "
        f"{holdout_users} users in the holdout"
    )
    days = report.get("holdout_days")
    if days is not None and days != 1:
        text += f" of {format_count(days)} days"
    return text


def _summarise_search(facts: Facts) -> str:
    trials = facts.get_listing("tune", "trials")
    if not trials:
        return ""
    searched = str(facts.get_value("tune", "searched") or "")
    if facts.metric not in trials[0] and searched:
        return searched
    parameters = list_varying_parameters(trials)
    best = describe_trial(trials[0], parameters)
    score = format_score(trials[0].get(facts.metric))
    return f"best of {len(trials)}: {best} ({facts.metric} {score} on validation)"


def align_rows(table: TextTable) -> list[str]:
    """Render a table as lines in a fixed-width font."""
    rows = [list(map(_join_words, row)) for row in table.rows]
    if any(table.head):
        rows.insert(0, list(map(_join_words, table.head)))
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, cells)) for cells in columns]
    return [_align_row(row, widths, table.words) for row in rows]


def _join_words(cell: str) -> str:
    """Put the cell on one line, with one space between words."""
    return " ".join(cell.split())


def _align_row(cells: Sequence[str], widths: Sequence[int], word_columns: Sequence[int]) -> str:
    aligned_cells = []
    for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        aligned = cell.ljust(width) if column in word_columns else cell.rjust(width)
        aligned_cells.append(aligned)
    return "  ".join(aligned_cells).rstrip()


def _list_step_durations(facts: Facts) -> list[str]:
    lines = []
    table = build_durations_table(facts, missing=False)
    if table is not None:
        lines += align_rows(table)
    if facts.not_run:
        lines.append(f"did not run: {', '.join(facts.not_run)}")
    lines.append(_summarise_time(facts))
    return lines


def _summarise_time(facts: Facts) -> str:
    text = f"steps took {format_duration(facts.step_seconds)} in all"
    wall_seconds = facts.wall_seconds
    if wall_seconds is not None:
        duration = format_duration(wall_seconds)
        text += f", {duration} from the first start to the last end"
    return text
