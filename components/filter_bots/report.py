"""The drop report, for people. User agents and ids in it are hostile text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dawnlist.pages import rendered
from dawnlist.urls import printable

Report = dict[str, Any]
_SHOWN = 160
# dots inside of words, but not of numbers: www.… becomes a link; colons before a slash; underscores around words
_MARKUP = re.compile(r"[^\w ,;/%()'+.:-]|[^\x00-\x7f]|(?<!\d)\.(?=\S)|\.(?=[^\s\d])|:(?![ \d])|\b_|_\b")


@dataclass(frozen=True)
class Section:
    """A table of the report, its cells one line of text each."""

    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[int]
    """Places of the columns that are words; the others are numbers."""
    bars: Sequence[float] = ()
    """A share of each row, to be shown as a bar."""


def escaped(text: object) -> str:
    """One line of text that is only text, in Markdown as in HTML: neither reads character references as markup."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", _line(text))


def markdown(report: Report, ablation: Report | None = None) -> str:
    """The report that `judge` returns, with `before` and the newest ablation where there are any, as Markdown."""
    lines = ["# Dropped interactions", "", *map(escaped, _sentences(report))]
    for section in _sections(report, ablation):
        lines += ["", f"## {escaped(section.title)}", ""]
        lines += [escaped(section.note), ""] if section.note else []
        rulers = ("---" if place in section.words else "---:" for place in range(len(section.head)))
        for cells in (section.head, None, *section.rows):
            lines.append(f"| {' | '.join(map(escaped, cells))} |" if cells else f"|{'|'.join(rulers)}|")
    return "\n".join(lines) + "\n"


def html(report: Report, ablation: Report | None = None) -> str:
    """The same as a whole HTML page that needs nothing from outside itself."""
    sections = _sections(report, ablation)
    return rendered(
        "components/filter_bots/report.html", report=report, sentences=_sentences(report), sections=sections
    )


def _sentences(report: Report) -> list[str]:
    now = (
        f"{report['dropped_events']:,} of {report['events']:,} events ({report['share']:.1%}) by "
        f"{report['dropped_users']:,} of {report['users']:,} users were dropped; "
        f"{report['agents']:,} user agents were seen."
    )
    before = report.get("before")
    if before is None:
        return [now, "There is no earlier run to compare with."]
    return [now, f"The run before, as of {_day(before['as_of'])}, dropped {before['share']:.1%}: {_change(report)}."]


def _change(report: Report) -> str:
    before = report["before"]
    events, users = (report[name] - before[name] for name in ("dropped_events", "dropped_users"))
    return f"{_signed(events)} events, {_signed(users)} users, {_points(report['share'] - before['share'])}"


def _sections(report: Report, ablation: Report | None) -> list[Section]:
    worth = [_worth(ablation), *_changes(ablation)] if ablation else []
    return [_rules(report), *worth, *(_examples(rule) for rule in report["rules"] if rule["examples"])]


def _rules(report: Report) -> Section:
    head = ["rule", "mode", "users", "change", "events", "change", "share", "change"]
    before = report.get("before")
    rows = [_rule(rule, before["rules"].get(rule["rule"]) if before else None) for rule in report["rules"]]
    note = "What each rule finds by itself; a user may be found by several. In shadow mode nothing is dropped."
    return Section("Rules", note, head, rows, (0, 1), [rule["share"] for rule in report["rules"]])


def _rule(rule: Report, before: Report | None) -> list[str]:
    mode = rule["mode"] if before is None or before["mode"] == rule["mode"] else f"{rule['mode']}, was {before['mode']}"
    cells = [rule["rule"], mode]
    for name in ("users", "events"):
        cells += [f"{rule[name]:,}", "" if before is None else _signed(rule[name] - before[name])]
    return [*cells, f"{rule['share']:.2%}", "" if before is None else _points(rule["share"] - before["share"])]


def _examples(rule: Report) -> Section:
    rows = [
        [_line(example["user_id"]), f"{example['events']:,}", _line(example["evidence"])]
        for example in rule["examples"]
    ]
    return Section(f"Found by {rule['rule']}", "", ["user", "events", "evidence"], rows, (0, 2))


def _worth(ablation: Report) -> Section:
    note = (
        f"{ablation['metric']} of {ablation['users']:,} users, {ablation['judged_on']}, as of {ablation['as_of']}; "
        "the difference is what the rules bring, with its 95% interval."
    )
    head = ["without", "users", "without it", "with all rules", "difference", "from", "to"]
    names = ("ndcg", "with", "difference", "low", "high")
    signed = ("", "", "+", "+", "+")
    rows = [
        [_line(row["without"]), f"{row['users']:,}"]
        + [f"{row[name]:{sign}.4f}" for name, sign in zip(names, signed, strict=True)]
        for row in ablation["rows"]
    ]
    return Section("What the rules are worth", _line(note), head, rows, (0,))


def _changes(ablation: Report) -> list[Section]:
    """What other changes bring on the same holdout, hyper-parameters above all, where the table has any."""
    names = ("ndcg", "difference", "low", "high")
    rows = [
        [_line(row["change"])]
        + [f"{row[name]:{sign}.4f}" for name, sign in zip(names, ("", "+", "+", "+"), strict=True)]
        for row in ablation.get("changes", ())
    ]
    head = ["change", "with it", "difference", "from", "to"]
    note = " ".join(ablation.get("said", ()))
    return [Section("What other changes are worth", note, head, rows, (0,))] if rows else []


def _signed(change: int) -> str:
    return f"{change:+,}" if change else "0"


def _points(change: float) -> str:
    return f"{change * 100:+.2f} points"


def _day(stamp: str) -> str:
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]} {stamp[9:11]}:{stamp[11:13]}"


def _line(text: object) -> str:
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
