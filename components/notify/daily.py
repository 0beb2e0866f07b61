"""The report of one run, made from its run record: a page, a summary, and lines for the log."""

from datetime import datetime
from pathlib import Path

from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.outcome import determine_outcome
from dawnlist.components.notify.report_index import update_report_index
from dawnlist.components.notify.summary import render_log_report, render_markdown_summary
from dawnlist.cuts import format_stamp
from dawnlist.lake.lake import Lake
from dawnlist.records.run_records import read_step_records


def write_report(lake: Lake, facts: Facts, html: Path, markdown: Path) -> str:
    """Write the page to `html` and to the lake with the index page, and the summary to `markdown`.

    The report follows from the run record alone, so a second call writes the same again.

    Returns:
        The lines for the log.
    """
    # page brings matplotlib, which the report for the terminal does without
    from dawnlist.components.notify.page import render_run_page

    page = render_run_page(facts).encode()
    _write_file(html, page)
    _write_file(markdown, render_markdown_summary(facts).encode())
    lake.write(page, "reports", format_stamp(facts.as_of), f"{facts.run}.html")
    update_report_index(lake, facts.as_of, facts.run, determine_outcome(facts).label)
    return render_log_report(facts)


def _write_file(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def render_text_report(lake: Lake, as_of: datetime, run: str) -> str:
    """Render the lines for the terminal, the verdict last."""
    return render_log_report(read_run_facts(lake, as_of, run))


def read_run_facts(lake: Lake, as_of: datetime, run: str) -> Facts:
    """Read the run as its record describes it now."""
    shop = lake.uri.rpartition("/")[2]
    return Facts.of(as_of, run, shop, read_step_records(lake, as_of, run))
