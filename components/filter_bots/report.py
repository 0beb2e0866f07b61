"""Render the drop report for people. The user agents and ids in it are hostile text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dawnlist.components.filter_bots.decision import DropReport
from dawnlist.pages import render_page
from dawnlist.urls import replace_unprintable

_MAX_LINE_LENGTH = 160
# A dot in a word (www.example.com becomes a link) but not in a number, a colon before a slash, and
# an underscore at the edge of a word are markup, too.
_MARKUP = re.compile(
    r"[^\w ,;/%()'+.:-]|[^\x00-\x7f]|(?<!\d)\.(?=\S)|\.(?=[^\s\d])|:(?![ \d])|\b_|_\b"
)


@dataclass(frozen=True)
class DropReportSection:
    """A table of the report. Each cell is one line of text."""

    title: str
    note: str
    """A sentence above the table, or an empty text."""
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[int]
    """Numbers of the columns that contain words. The other columns contain figures."""
    bars: Sequence[float] = ()
    """For each row the length of the bar to show, from 0 to 1."""


def escape_markup(text: object) -> str:
    """Return a text as one line that is no markup in Markdown, nor in HTML.

    Every character that could be markup becomes a numeric character reference.
    """
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", _fit_one_line(text))


def render_drop_markdown(report: DropReport, ablation: Mapping[str, Any] | None = None) -> str:
    """Render the report as Markdown.

    Args:
        report: What `judge_interactions` returns and, under `before`, the previous run's report.
        ablation: The newest ablation study, where there is one.
    """
    lines = ["# Dropped interactions", "", *map(escape_markup, _summarise_drops(report))]
    for section in _build_sections(report, ablation):
        lines += ["", f"## {escape_markup(section.title)}", ""]
        if section.note:
            lines += [escape_markup(section.note), ""]
        lines += _render_markdown_table(section)
    return "\n".join(lines) + "\n"


def _render_markdown_table(section: DropReportSection) -> list[str]:
    rulers = []
    for number in range(len(section.head)):
        rulers.append("---" if number in section.words else "---:")
    lines = [_render_markdown_row(section.head), f"|{'|'.join(rulers)}|"]
    for cells in section.rows:
        lines.append(_render_markdown_row(cells))
    return lines


def _render_markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escape_markup, cells))} |"


def render_drop_page(report: DropReport, ablation: Mapping[str, Any] | None = None) -> str:
    """Render the report as an HTML page that loads nothing. The arguments are those above."""
    return render_page(
        "components/filter_bots/report.html",
        report=report,
        sentences=_summarise_drops(report),
        sections=_build_sections(report, ablation),
    )


def write_drop_reports(
    report: DropReport, ablation: Mapping[str, Any] | None, page: Path, markdown: Path
) -> None:
    """Write the report to a file of HTML and to one of Markdown."""
    page.write_text(render_drop_page(report, ablation))
    markdown.write_text(render_drop_markdown(report, ablation))


def _summarise_drops(report: DropReport) -> list[str]:
    summary = (
        f"{report['dropped_events']:,} of {report['events']:,} events ({report['share']:.1%}) by "
        f"{report['dropped_users']:,} of {report['users']:,} users were dropped; "
        f"{report['agents']:,} user agents were seen."
    )
    sentences = [summary]
    if report["shadow_reason"] is not None:
        sentences.insert(0, report["shadow_reason"])
    previous = report.get("before")
    if previous is None:
        return [*sentences, "There is no earlier run to compare with."]
    comparison = (
        f"The run before, as of {_format_stamp(previous['as_of'])}, "
        f"dropped {previous['share']:.1%}: {_describe_change(report, previous)}."
    )
    return [*sentences, comparison]


def _describe_change(report: DropReport, previous: DropReport) -> str:
    events = _format_signed(report["dropped_events"] - previous["dropped_events"])
    users = _format_signed(report["dropped_users"] - previous["dropped_users"])
    share = _format_points(report["share"] - previous["share"])
    return f"{events} events, {users} users, {share}"


def _build_sections(
    report: DropReport, ablation: Mapping[str, Any] | None
) -> list[DropReportSection]:
    sections = [_build_rules_section(report)]
    if report["signs"]:
        sections.append(_build_signs_section(report["signs"]))
    if ablation:
        sections.append(_build_ablation_section(ablation))
        sections += _build_change_sections(ablation)
    for rule in report["rules"]:
        if rule["examples"]:
            sections.append(_build_examples_section(rule))
    return sections


def _build_rules_section(report: DropReport) -> DropReportSection:
    previous_report = report.get("before")
    rows = []
    for rule in report["rules"]:
        previous = previous_report["rules"].get(rule["rule"]) if previous_report else None
        rows.append(_build_rule_row(rule, previous))
    return DropReportSection(
        title="Rules",
        note=(
            "What each rule finds by itself; a user may be found by several. "
            "In shadow mode nothing is dropped."
        ),
        head=["rule", "mode", "users", "change", "events", "change", "share", "change"],
        rows=rows,
        words=(0, 1),
        bars=[rule["share"] for rule in report["rules"]],
    )


def _build_rule_row(rule: DropReport, previous: DropReport | None) -> list[str]:
    users, events, share = f"{rule['users']:,}", f"{rule['events']:,}", f"{rule['share']:.2%}"
    if previous is None:
        return [rule["rule"], rule["mode"], users, "", events, "", share, ""]
    mode = rule["mode"]
    if previous["mode"] != mode:
        mode = f"{mode}, was {previous['mode']}"
    return [
        rule["rule"],
        mode,
        users,
        _format_signed(rule["users"] - previous["users"]),
        events,
        _format_signed(rule["events"] - previous["events"]),
        share,
        _format_points(rule["share"] - previous["share"]),
    ]


def _build_signs_section(signs: Sequence[DropReport]) -> DropReportSection:
    """Build the section of the behaviour rule's signs, with the reasons of those that are mute."""
    rows = []
    for sign in signs:
        counts = [f"{sign['users']:,}", f"{sign['proofs']:,}"]
        rows.append([sign["sign"], *counts, _fit_one_line(sign["mute"] or "")])
    return DropReportSection(
        title="Signs of the behaviour rule",
        note="A user is found by a proof and another sign beside it. A mute sign does not count.",
        head=["sign", "users", "as a proof", "mute, because"],
        rows=rows,
        words=(0, 3),
    )


def _build_examples_section(rule: DropReport) -> DropReportSection:
    rows = []
    for example in rule["examples"]:
        user_id = _fit_one_line(example["user_id"])
        evidence = _fit_one_line(example["evidence"])
        rows.append([user_id, f"{example['events']:,}", evidence])
    head = ["user", "events", "evidence"]
    return DropReportSection(f"Found by {rule['rule']}", "", head, rows, words=(0, 2))


def _build_ablation_section(ablation: Mapping[str, Any]) -> DropReportSection:
    note = (
        f"{ablation['metric']} of {ablation['users']:,} users, {ablation['judged_on']}, "
        f"as of {ablation['as_of']}; "
        "the difference is what the rules bring, with its 95% interval."
    )
    head = ["without", "users", "without it", "with all rules", "difference", "from", "to"]
    rows = []
    for row in ablation["rows"]:
        cells = [_fit_one_line(row["without"]), f"{row['users']:,}"]
        cells += [f"{row['ndcg']:.4f}", f"{row['with']:.4f}", *_format_difference(row)]
        rows.append(cells)
    return DropReportSection("What the rules are worth", _fit_one_line(note), head, rows, (0,))


def _build_change_sections(ablation: Mapping[str, Any]) -> list[DropReportSection]:
    """Build the section of other changes, such as hyper-parameters, if the study has any."""
    rows = []
    for row in ablation.get("changes", ()):
        change = _fit_one_line(row["change"])
        rows.append([change, f"{row['ndcg']:.4f}", *_format_difference(row)])
    if not rows:
        return []
    head = ["change", "with it", "difference", "from", "to"]
    note = " ".join(ablation.get("said", ()))
    return [DropReportSection("What other changes are worth", note, head, rows, words=(0,))]


def _format_difference(row: Mapping[str, Any]) -> list[str]:
    """Format a difference and the ends of its interval."""
    return [f"{row[name]:+.4f}" for name in ("difference", "low", "high")]


def _format_signed(change: int) -> str:
    return f"{change:+,}" if change else "0"


def _format_points(change: float) -> str:
    return f"{change * 100:+.2f} points"


def _format_stamp(stamp: str) -> str:
    """Format a stamp such as 20260131T030000Z as date and time."""
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]} {stamp[9:11]}:{stamp[11:13]}"


def _fit_one_line(text: object) -> str:
    line = replace_unprintable(" ".join(str(text).split()))
    if len(line) > _MAX_LINE_LENGTH:
        return line[: _MAX_LINE_LENGTH - 1] + "…"
    return line
