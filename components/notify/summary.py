"""The report in few words: Markdown for the Kubeflow UI, plain lines for the log and the terminal."""

from dawnlist.components.notify import formats, scores, tables
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.outcome import outcome
from dawnlist.components.notify.tables import Table
from dawnlist.pages import as_markdown


def summary(facts: Facts) -> str:
    """The Markdown summary; nothing in it but its own headings and tables is markup."""
    verdict = outcome(facts)
    parts = [f"# {verdict.label}", "", as_markdown(verdict.sentence), "", _facts(facts)]
    if any(record.get("state") in ("failed", "started") for record in facts.records):
        parts += ["", "The traceback, if there is one, stands in the HTML report."]
    for title, table in _shown(facts):
        if table:
            parts += ["", f"## {title}", "", *_markdown_table(table)]
    return "\n".join([*parts, "", as_markdown(_time(facts)), ""])


def text(facts: Facts) -> str:
    """The lines for the log, the verdict last."""
    verdict = outcome(facts)
    blocks = [[f"Dawnlist report as of {facts.as_of}, run {facts.run}, shop {facts.shop}"]]
    blocks.append([f"{name:<9} {told}" for name, told in lines(facts) if told])
    shown = (scores.metrics(facts), scores.differences(facts), scores.segments(facts), scores.gate(facts))
    blocks += [aligned(table) for table in shown if table]
    blocks += [_steps(facts), [f"{verdict.label.upper()}: {verdict.sentence}"]]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _shown(facts: Facts) -> list[tuple[str, Table | None]]:
    return [
        ("Models", scores.metrics(facts)),
        ("Differences", scores.differences(facts)),
        ("Segments", scores.segments(facts)),
        ("Gate", scores.gate(facts)),
        ("Rows", tables.volumes(facts)),
        ("Late rows", tables.late(facts)),
        ("Steps", tables.durations(facts)),
    ]


def _facts(facts: Facts) -> str:
    return as_markdown(f"As of {facts.as_of}, run {facts.run}, shop {facts.shop}.")


def _markdown_table(table: Table) -> list[str]:
    rules = ["---" if place in table.words else "---:" for place in range(len(table.head))]
    rows = [[as_markdown(cell) for cell in row] for row in (table.head, *table.rows)]
    return [f"| {' | '.join(row)} |" for row in (rows[0], rules, *rows[1:])]


def lines(facts: Facts) -> list[tuple[str, str]]:
    """One line for each of the steps before the models."""
    return [
        ("rows", _rows(facts)),
        ("late", tables.fill(facts)),
        ("bots", tables.dropped(facts)),
        ("splits", _splits(facts)),
        ("search", _search(facts)),
    ]


def _rows(facts: Facts) -> str:
    fetched = facts.of_step("fetch", "rows", "interactions")
    found = [("fetched", fetched), ("quarantined", tables.quarantined(facts))]
    found[1:1] = [(name, facts.of_step("clean", name)) for name in ("clean", "duplicates", "double_clicks")]
    said = ((name.replace("_", " "), value) for name, value in found if value is not None)
    return ", ".join(f"{formats.count(value)} {name}" for name, value in said)


def _splits(facts: Facts) -> str:
    found = facts.mapping("dataset")
    if not found:
        return ""
    users, items, pairs, judged = (
        formats.count(found.get(name)) for name in ("users", "items", "train_pairs", "holdout_users")
    )
    return f"{users} users, {items} items, {pairs} pairs to train on, {judged} users in the holdout"


def _search(facts: Facts) -> str:
    trials = facts.listing("tune", "trials")
    if not trials:
        return ""
    best = scores.named(trials[0], scores.varying(trials))
    return f"best of {len(trials)}: {best} ({facts.metric} {formats.score(trials[0].get(facts.metric))} on validation)"


def aligned(table: Table) -> list[str]:
    """A table's rows as lines of a fixed-width font."""
    head = [table.head] if any(table.head) else []
    rows = [[" ".join(cell.split()) for cell in row] for row in (*head, *table.rows)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(table.head))]
    return ["  ".join(_cell(cell, widths[p], p in table.words) for p, cell in enumerate(row)).rstrip() for row in rows]


def _cell(cell: str, width: int, left: bool) -> str:
    return cell.ljust(width) if left else cell.rjust(width)


def _steps(facts: Facts) -> list[str]:
    table = tables.durations(facts, missing=False)
    missing = [f"did not run: {', '.join(facts.not_run)}"] if facts.not_run else []
    return [*(aligned(table) if table else []), *missing, _time(facts)]


def _time(facts: Facts) -> str:
    wall = facts.wall_seconds
    whole = "" if wall is None else f", {formats.seconds(wall)} from the first start to the last end"
    return f"steps took {formats.seconds(facts.step_seconds)} in all{whole}"
