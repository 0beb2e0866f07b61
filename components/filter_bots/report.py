"""The drop report, for people. User agents and ids in it are hostile text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dawnlist.pages import render_page
from dawnlist.urls import replace_unprintable

DropReport = dict[str, Any]
_MAX_LINE_LENGTH = 160
# dots inside of words, but not of numbers: www.… becomes a link; colons before a slash; underscores around words
_MARKUP = re.compile(
    r"[^\w ,;/%()'+.:-]|[^\x00-\x7f]|(?<!\d)\.(?=\S)|\.(?=[^\s\d])|:(?![ \d])|\b_|_\b"
)


@dataclass(frozen=True)
class DropReportSection:
    """A table of the report, its cells one line of text each."""

    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[int]
    """Places of the columns that are words; the others are numbers."""
    bars: Sequence[float] = ()
    """A share of each row, to be shown as a bar."""


def escape_markup(text: object) -> str:
    """One line of text that is only text, in Markdown as in HTML: neither reads character references as markup."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", _fit_one_line(text))


def render_drop_markdown(report: DropReport, ablation: DropReport | None = None) -> str:
    """The report that `judge` returns, with `before` and the newest ablation where there are any, as Markdown."""
    lines = ["# Dropped interactions", "", *map(escape_markup, _summarise_drops(report))]
    for section in _build_sections(report, ablation):
        lines += ["", f"## {escape_markup(section.title)}", ""]
        lines += [escape_markup(section.note), ""] if section.note else []
        rulers = ("---" if place in section.words else "---:" for place in range(len(section.head)))
        for cells in (section.head, None, *section.rows):
            lines.append(
                f"| {' | '.join(map(escape_markup, cells))} |" if cells else f"|{'|'.join(rulers)}|"
            )
    return "\n".join(lines) + "\n"


def render_drop_page(report: DropReport, ablation: DropReport | None = None) -> str:
    """The same as a whole HTML page that needs nothing from outside itself."""
    sections = _build_sections(report, ablation)
    return render_page(
        "components/filter_bots/report.html",
        report=report,
        sentences=_summarise_drops(report),
        sections=sections,
    )


def _summarise_drops(report: DropReport) -> list[str]:
    now = (
        f"{report['dropped_events']:,} of {report['events']:,} events ({report['share']:.1%}) by "
        f"{report['dropped_users']:,} of {report['users']:,} users were dropped; "
        f"{report['agents']:,} user agents were seen."
    )
    before = report.get("before")
    if before is None:
        return [now, "There is no earlier run to compare with."]
    return [
        now,
        f"The run before, as of {_format_stamp(before['as_of'])}, dropped {before['share']:.1%}: {_describe_change(report)}.",
    ]


def _describe_change(report: DropReport) -> str:
    before = report["before"]
    events, users = (report[name] - before[name] for name in ("dropped_events", "dropped_users"))
    return f"{_format_signed(events)} events, {_format_signed(users)} users, {_format_points(report['share'] - before['share'])}"


def _build_sections(report: DropReport, ablation: DropReport | None) -> list[DropReportSection]:
    worth = (
        [_build_ablation_section(ablation), *_build_change_sections(ablation)] if ablation else []
    )
    return [
        _build_rules_section(report),
        *worth,
        *(_build_examples_section(rule) for rule in report["rules"] if rule["examples"]),
    ]


def _build_rules_section(report: DropReport) -> DropReportSection:
    head = ["rule", "mode", "users", "change", "events", "change", "share", "change"]
    before = report.get("before")
    rows = [
        _build_rule_row(rule, before["rules"].get(rule["rule"]) if before else None)
        for rule in report["rules"]
    ]
    note = "What each rule finds by itself; a user may be found by several. In shadow mode nothing is dropped."
    return DropReportSection(
        "Rules", note, head, rows, (0, 1), [rule["share"] for rule in report["rules"]]
    )


def _build_rule_row(rule: DropReport, before: DropReport | None) -> list[str]:
    mode = (
        rule["mode"]
        if before is None or before["mode"] == rule["mode"]
        else f"{rule['mode']}, was {before['mode']}"
    )
    cells = [rule["rule"], mode]
    for name in ("users", "events"):
        cells += [
            f"{rule[name]:,}",
            "" if before is None else _format_signed(rule[name] - before[name]),
        ]
    return [
        *cells,
        f"{rule['share']:.2%}",
        "" if before is None else _format_points(rule["share"] - before["share"]),
    ]


def _build_examples_section(rule: DropReport) -> DropReportSection:
    rows = [
        [
            _fit_one_line(example["user_id"]),
            f"{example['events']:,}",
            _fit_one_line(example["evidence"]),
        ]
        for example in rule["examples"]
    ]
    return DropReportSection(
        f"Found by {rule['rule']}", "", ["user", "events", "evidence"], rows, (0, 2)
    )


def _build_ablation_section(ablation: DropReport) -> DropReportSection:
    note = (
        f"{ablation['metric']} of {ablation['users']:,} users, {ablation['judged_on']}, as of {ablation['as_of']}; "
        "the difference is what the rules bring, with its 95% interval."
    )
    head = ["without", "users", "without it", "with all rules", "difference", "from", "to"]
    names = ("ndcg", "with", "difference", "low", "high")
    signed = ("", "", "+", "+", "+")
    rows = [
        [_fit_one_line(row["without"]), f"{row['users']:,}"]
        + [f"{row[name]:{sign}.4f}" for name, sign in zip(names, signed, strict=True)]
        for row in ablation["rows"]
    ]
    return DropReportSection("What the rules are worth", _fit_one_line(note), head, rows, (0,))


def _build_change_sections(ablation: DropReport) -> list[DropReportSection]:
    """What other changes bring on the same holdout, hyper-parameters above all, where the table has any."""
    names = ("ndcg", "difference", "low", "high")
    rows = [
        [_fit_one_line(row["change"])]
        + [f"{row[name]:{sign}.4f}" for name, sign in zip(names, ("", "+", "+", "+"), strict=True)]
        for row in ablation.get("changes", ())
    ]
    head = ["change", "with it", "difference", "from", "to"]
    note = " ".join(ablation.get("said", ()))
    return (
        [DropReportSection("What other changes are worth", note, head, rows, (0,))] if rows else []
    )


def _format_signed(change: int) -> str:
    return f"{change:+,}" if change else "0"


def _format_points(change: float) -> str:
    return f"{change * 100:+.2f} points"


def _format_stamp(stamp: str) -> str:
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]} {stamp[9:11]}:{stamp[11:13]}"


def _fit_one_line(text: object) -> str:
    line = replace_unprintable(" ".join(str(text).split()))
    return line if len(line) <= _MAX_LINE_LENGTH else line[: _MAX_LINE_LENGTH - 1] + "…"
