"""The report of one run: a page, a summary and lines for the log, from its run record."""

from pathlib import Path

from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.summary import summary, text
from dawnlist.cuts import parse_as_of, stamp
from dawnlist.lake.lake import Lake
from dawnlist.records.runs import records


def write_report(lake: Lake, facts: Facts, html: Path, markdown: Path) -> str:
    """Write the page to `html` and into the lake, the summary to `markdown`; returns the lines for the log.

    Decides from the run record alone what happened. A second call writes the same again.
    """
    from dawnlist.components.notify.page import (
        page,  # brings matplotlib, which who only reads the text need not wait for
    )

    rendered = page(facts).encode()
    for path, data in ((html, rendered), (markdown, summary(facts).encode())):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    lake.write(rendered, "reports", stamp(parse_as_of(facts.as_of)), f"{facts.run}.html")
    return text(facts)


def text_report(lake: Lake, as_of: str, run: str) -> str:
    """The lines for the terminal alone, the verdict last."""
    return text(facts_of(lake, as_of, run))


def facts_of(lake: Lake, as_of: str, run: str) -> Facts:
    """The run as its record has it now."""
    return Facts.of(as_of, run, lake.uri.rpartition("/")[2], records(lake, as_of, run))
