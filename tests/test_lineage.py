import math
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from dawnlist.cuts import parse_as_of
from dawnlist.records.lineage import select_finite_figures, write_lineage
from tests.support.browsing import fetched


@dataclass
class Artifact:
    metadata: dict[str, Any] = field(default_factory=dict)


def test_an_artifact_says_where_it_comes_from() -> None:
    rows = Artifact({"table": "s3://b/shop/tables/interactions", "table_version": "7", "rows": 12})
    model, page = Artifact({"kind": "als"}), Artifact()
    write_lineage(
        [model, page],
        [rows],
        "s3://b",
        "shop",
        parse_as_of("2026-01-31T04:00:00+01:00"),
        "r1",
        factors=8,
    )
    told = {
        "table": "s3://b/shop/tables/interactions",
        "table_version": "7",
        "lake": "s3://b/shop",
        "namespace": "shop",
        "as_of": "2026-01-31T03:00:00Z",
        "run": "r1",
        "code_version": version("dawnlist"),
        "factors": 8,
    }
    assert model.metadata == {"kind": "als", **told}
    assert page.metadata == told


def test_figures_are_finite_numbers() -> None:
    report = {
        "rows": 3,
        "share": 0.5,
        "passed": True,
        "nothing": math.nan,
        "most": math.inf,
        "who": "a",
        "none": None,
    }
    assert select_finite_figures(report) == {"rows": 3, "share": 0.5, "passed": 1.0}
    assert select_finite_figures(report, "rows", "nothing", "absent") == {"rows": 3}


def test_what_a_page_would_fetch_is_found() -> None:
    page = """
        <link rel="stylesheet" href="https://a.example/1.css"><script src="//b.example/2.js"></script>
        <style>@import "https://c.example/3.css"; p { background: url('https://d.example/4.png') }</style>
        <p style="background: url(https://e.example/5.png)"><img src="data:image/png;base64,AA=="><a href="https://f.example">
        <svg><image href="https://g.example/6.png"/><use xlink:href="#here"/></svg><iframe src="/7"></iframe>
        <meta http-equiv="refresh" content="0; url=https://h.example">
    """
    found = ["https://a.example/1.css", "//b.example/2.js", "https://c.example/3.css", "https://d.example/4.png",
             "https://e.example/5.png", "https://g.example/6.png", "/7", "0; url=https://h.example"]  # fmt: skip
    assert fetched(page) == found
