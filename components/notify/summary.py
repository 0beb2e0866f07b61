"""The report in few words: Markdown for the Kubeflow UI, plain lines for the log and the terminal."""

from dawnlist.components.notify import formats, score_tables, tables
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.outcome import determine_outcome
from dawnlist.components.notify.tables import TextTable
from dawnlist.pages import escape_markdown


def render_markdown_summary(facts: Facts) -> str:
    """The Markdown summary; nothing in it but its own headings and tables is markup."""
    verdict = determine_outcome(facts)
    parts = [f"# {verdict.label}", "", escape_markdown(verdict.sentence), "", _describe_run(facts)]
    if any(record.get("state") in ("failed", "started") for record in facts.records):
        parts += ["", "The traceback, if there is one, stands in the HTML report."]
    for title, table in _build_tables(facts):
        if table:
            parts += ["", f"## {title}", "", *_render_markdown_table(table)]
    return "\n".join([*parts, "", escape_markdown(_summarise_time(facts)), ""])


def render_log_report(facts: Facts) -> str:
    """The lines for the log, the verdict last."""
    verdict = determine_outcome(facts)
    blocks = [[f"Dawnlist report as of {facts.as_of}, run {facts.run}, shop {facts.shop}"]]
    blocks.append([f"{name:<9} {told}" for name, told in summarise_steps(facts) if told])
    shown = (
        score_tables.build_metrics_table(facts),
        score_tables.build_differences_table(facts),
        score_tables.build_segments_table(facts),
        score_tables.build_gate_table(facts),
    )
    blocks += [align_rows(table) for table in shown if table]
    blocks += [_list_step_durations(facts), [f"{verdict.label.upper()}: {verdict.sentence}"]]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _build_tables(facts: Facts) -> list[tuple[str, TextTable | None]]:
    return [
        ("Models", score_tables.build_metrics_table(facts)),
        ("Differences", score_tables.build_differences_table(facts)),
        ("Segments", score_tables.build_segments_table(facts)),
        ("Gate", score_tables.build_gate_table(facts)),
        ("Rows", tables.build_volumes_table(facts)),
        ("Late rows", tables.build_late_rows_table(facts)),
        ("Steps", tables.build_durations_table(facts)),
    ]


def _describe_run(facts: Facts) -> str:
    return escape_markdown(f"As of {facts.as_of}, run {facts.run}, shop {facts.shop}.")


def _render_markdown_table(table: TextTable) -> list[str]:
    rules = ["---" if place in table.words else "---:" for place in range(len(table.head))]
    rows = [[escape_markdown(cell) for cell in row] for row in (table.head, *table.rows)]
    return [f"| {' | '.join(row)} |" for row in (rows[0], rules, *rows[1:])]


def summarise_steps(facts: Facts) -> list[tuple[str, str]]:
    """One line for each of the steps before the models."""
    return [
        ("rows", _summarise_rows(facts)),
        ("late", tables.describe_backfill(facts)),
        ("bots", tables.describe_dropped_events(facts)),
        ("splits", _summarise_splits(facts)),
        ("search", _summarise_search(facts)),
    ]


def _summarise_rows(facts: Facts) -> str:
    fetched = facts.of_step("fetch", "rows", "interactions")
    found = [("fetched", fetched), ("quarantined", tables.count_quarantined_rows(facts))]
    found[1:1] = [
        (name, facts.of_step("clean", name)) for name in ("clean", "duplicates", "double_clicks")
    ]
    said = ((name.replace("_", " "), value) for name, value in found if value is not None)
    return ", ".join(f"{formats.format_count(value)} {name}" for name, value in said)


def _summarise_splits(facts: Facts) -> str:
    found = facts.mapping("dataset")
    if not found:
        return ""
    users, items, pairs, judged = (
        formats.format_count(found.get(name))
        for name in ("users", "items", "train_pairs", "holdout_users")
    )
    return f"{users} users, {items} items, {pairs} pairs to train on, {judged} users in the holdout"


def _summarise_search(facts: Facts) -> str:
    trials = facts.listing("tune", "trials")
    if not trials:
        return ""
    best = score_tables.describe_trial(trials[0], score_tables.list_varying_parameters(trials))
    return f"best of {len(trials)}: {best} ({facts.metric} {formats.format_score(trials[0].get(facts.metric))} on validation)"


def align_rows(table: TextTable) -> list[str]:
    """A table's rows as lines of a fixed-width font."""
    head = [table.head] if any(table.head) else []
    rows = [[" ".join(cell.split()) for cell in row] for row in (*head, *table.rows)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(table.head))]
    return [
        "  ".join(
            _align_cell(cell, widths[p], p in table.words) for p, cell in enumerate(row)
        ).rstrip()
        for row in rows
    ]


def _align_cell(cell: str, width: int, left: bool) -> str:
    return cell.ljust(width) if left else cell.rjust(width)


def _list_step_durations(facts: Facts) -> list[str]:
    table = tables.build_durations_table(facts, missing=False)
    missing = [f"did not run: {', '.join(facts.not_run)}"] if facts.not_run else []
    return [*(align_rows(table) if table else []), *missing, _summarise_time(facts)]


def _summarise_time(facts: Facts) -> str:
    wall = facts.wall_seconds
    whole = (
        ""
        if wall is None
        else f", {formats.format_duration(wall)} from the first start to the last end"
    )
    return f"steps took {formats.format_duration(facts.step_seconds)} in all{whole}"
