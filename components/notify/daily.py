"""The report of one run: a page, a summary and lines for the log, from its run record."""

from pathlib import Path

from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.summary import render_log_report, render_markdown_summary
from dawnlist.cuts import format_stamp, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.records.run_records import read_step_records


def write_report(lake: Lake, facts: Facts, html: Path, markdown: Path) -> str:
    """Write the page to `html` and into the lake, the summary to `markdown`; returns the lines for the log.

    Decides from the run record alone what happened. A second call writes the same again.
    """
    from dawnlist.components.notify.page import render_run_page

    rendered = render_run_page(facts).encode()
    for path, data in ((html, rendered), (markdown, render_markdown_summary(facts).encode())):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    lake.write(rendered, "reports", format_stamp(parse_as_of(facts.as_of)), f"{facts.run}.html")
    return render_log_report(facts)


def render_text_report(lake: Lake, as_of: str, run: str) -> str:
    """The lines for the terminal alone, the verdict last."""
    return render_log_report(read_run_facts(lake, as_of, run))


def read_run_facts(lake: Lake, as_of: str, run: str) -> Facts:
    """The run as its record has it now."""
    return Facts.of(as_of, run, lake.uri.rpartition("/")[2], read_step_records(lake, as_of, run))
