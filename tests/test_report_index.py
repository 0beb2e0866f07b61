"""The index page of the reports."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dawnlist.components.notify.formats import MISSING_VALUE_MARK
from dawnlist.components.notify.report_index import update_report_index
from dawnlist.cuts import format_stamp
from dawnlist.lake.lake import Lake

FIRST = datetime(2026, 1, 30, 3, tzinfo=UTC)
SECOND = datetime(2026, 1, 31, 3, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path), "shop")


def report(lake: Lake, day: datetime, run: str, outcome: str) -> None:
    lake.write(b"page", "reports", format_stamp(day), f"{run}.html")
    update_report_index(lake, day, run, outcome)


def rows(lake: Lake) -> list[tuple[str, ...]]:
    """Link, day, outcome and run of each row."""
    page = (lake.read("reports", "index.html") or b"").decode()
    pattern = (
        r'<a href="([^"]*)">([^<]*)</a></td><td class="word">([^<]*)</td><td class="word">([^<]*)'
    )
    return re.findall(pattern, page)


def test_the_newest_day_comes_first_and_links_lead_to_pages(lake: Lake) -> None:
    report(lake, FIRST, "run-1", "Published")
    report(lake, SECOND, "run-2", "Failed")
    assert rows(lake) == [
        ("20260131T030000Z/run-2.html", "2026-01-31 03:00", "Failed", "run-2"),
        ("20260130T030000Z/run-1.html", "2026-01-30 03:00", "Published", "run-1"),
    ]
    for path, *_ in rows(lake):
        assert lake.read("reports", *path.split("/")) == b"page"


def test_a_page_that_expired_is_left_out_and_one_without_outcome_stays(lake: Lake) -> None:
    report(lake, FIRST, "run-1", "Published")
    lake.delete("reports", format_stamp(FIRST), "run-1.html")
    lake.write(b"page", "reports", format_stamp(FIRST), "run-0.html")
    lake.write(b"{}", "reports", format_stamp(FIRST), "run-0", "told-1.json")
    lake.write(b"page", "reports", "somebody's", "page.html")
    report(lake, SECOND, "run-2", "Published")
    assert [(run, outcome) for *_, outcome, run in rows(lake)] == [
        ("run-2", "Published"),
        ("run-0", MISSING_VALUE_MARK),
    ]


def test_a_second_call_writes_the_same(lake: Lake) -> None:
    report(lake, FIRST, "run-1", "Published")
    before = lake.read("reports", "index.html")
    report(lake, FIRST, "run-1", "Published")
    assert lake.read("reports", "index.html") == before


@pytest.mark.parametrize("data", [b"", b"[1]", b"{", b'"x"'])
def test_an_index_that_dawnlist_did_not_write_stops_no_report(lake: Lake, data: bytes) -> None:
    lake.write(data, "reports", "index.json")
    report(lake, FIRST, "run-1", "Published")
    assert len(rows(lake)) == 1


def test_text_is_escaped(lake: Lake) -> None:
    report(lake, FIRST, "run-1", "<b>Published")
    [(*_, outcome, _)] = rows(lake)
    assert outcome == "&lt;b&gt;Published"
