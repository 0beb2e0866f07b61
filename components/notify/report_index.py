"""The index page of the reports: `reports/index.html` in the lake links to each run's page.

reports/index.json     the page of each run, below reports/ -> what happened in the run
reports/index.html     the same for people, the newest day first
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dawnlist.components.notify.formats import MISSING_VALUE_MARK
from dawnlist.cuts import format_stamp
from dawnlist.lake.damaged_objects import DamagedObjectError
from dawnlist.lake.lake import Lake
from dawnlist.pages import render_page
from dawnlist.upkeep.retention import parse_end_stamp

_FOLDER: Final = "reports"
_SUFFIX: Final = ".html"


@dataclass(frozen=True)
class IndexedReport:
    """A row of the index."""

    path: str
    """The page's path below reports/."""
    day: str
    """The run's as_of, for people."""
    run: str
    """The run's id."""
    outcome: str
    """What happened, in one or two words."""


def update_report_index(lake: Lake, as_of: datetime, run: str, outcome: str) -> None:
    """Add a run's page to the index, and leave out pages that have expired.

    Of two runs that end at the same moment one may lose its outcome; both pages are listed.
    """
    outcomes = _read_outcomes(lake)
    outcomes[f"{format_stamp(as_of)}/{run}{_SUFFIX}"] = outcome
    reports = list_reports(lake, outcomes)
    kept_outcomes = {report.path: report.outcome for report in reports}
    lake.write_json(kept_outcomes, _FOLDER, "index.json")
    shop = lake.uri.rpartition("/")[2]
    page = render_page("components/notify/report_index.html", shop=shop, reports=reports)
    lake.write(page.encode(), _FOLDER, "index.html")


def list_reports(lake: Lake, outcomes: dict[str, str]) -> list[IndexedReport]:
    """List the pages in the lake, the newest day first."""
    reports = []
    for stamp in sorted(lake.names(_FOLDER), reverse=True):
        moment = parse_end_stamp(stamp)
        if moment is None:  # the index itself
            continue
        day = f"{moment:%Y-%m-%d %H:%M}"
        for name in lake.names(_FOLDER, stamp):
            if name.endswith(_SUFFIX):
                path = f"{stamp}/{name}"
                outcome = str(outcomes.get(path, MISSING_VALUE_MARK))
                reports.append(IndexedReport(path, day, name.removesuffix(_SUFFIX), outcome))
    return reports


def _read_outcomes(lake: Lake) -> dict[str, str]:
    """Read what happened in the runs so far; empty if Dawnlist did not write the object."""
    try:
        return dict(lake.read_json(_FOLDER, "index.json", types={}) or {})
    except DamagedObjectError:
        return {}
