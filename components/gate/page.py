"""The verdict for people: a Markdown table for the Kubeflow UI, and an HTML page that needs nothing from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dawnlist.components.gate.evidence import Evidence
from dawnlist.components.gate.history import GateRecord, select_comparable_gates
from dawnlist.components.gate.rules import format_figure, format_rule_answer
from dawnlist.cuts import format_iso
from dawnlist.pages import escape_markdown, render_page

TONES = {True: "good", False: "bad", None: "unsure"}
ADVICE = {
    "users": "More users are needed than the holdouts of four weeks had: wait, or lower gate.min_users.",
    "incumbent": "Compare trials and configuration with the incumbent's. Too little evidence gets more with each day "
    "whose gate is comparable; a shop that never has enough needs a wider gate.margin.",
    "four_weeks": "Challengers have been worse day after day, each by little: find what changed in the data or in the "
    "search, and roll back if what is live has lost.",
    "popularity": "Plain popularity serves people better: look at the trials, and at whether last week was an event.",
    "lift": "What is live leads popularity by less than it did: look for a slow loss, or for a change of the shop.",
    "coverage": "The lists show few items: regularization too high, or a share of popularity too large.",
    "segments": "One kind of user would lose: see the evaluation's segments.",
    "events": "Too little came in: see whether tracking and fetch work.",
    "volume": "Part of the day's events is missing: see the fetch step, and run the day again.",
    "drift": "Kinds of events come in other proportions: see source.events, and whether tracking lost one.",
    "churn": "Nearly all lists would change: see whether the catalogue's ids did.",
}
"""What to do about a rule that was not passed; docs/GATE.md says more."""


@dataclass(frozen=True)
class Bar:
    """An interval as a share of the incumbent's mean, drawn from 0 to 100 with a mark for 0 and for the margin."""

    text: str
    left: float
    right: float
    middle: float


@dataclass(frozen=True)
class GateRow:
    """One gate of the page's table."""

    name: str
    verdict: str
    tone: str
    users: str
    bar: Bar | None
    lift: str


def render_gate_markdown(verdict: dict[str, Any]) -> str:
    """The verdict as a Markdown table, one row a rule; nothing in its texts is markup."""
    rows = [
        f"| {escape_markdown(rule['name'])} | {format_figure(rule, 'value')} | {rule['bound']} {format_figure(rule, 'limit')} "
        f"| {format_rule_answer(rule)} | {escape_markdown(rule['note'])} |"
        for rule in verdict["rules"]
    ]
    head = ["| rule | value | limit | | |", "|---|---:|---:|---|---|"]
    return "\n".join(
        [
            f"## Gate: {format_verdict_title(verdict)}",
            "",
            f"{escape_markdown(verdict['reason'])}.",
            "",
            *head,
            *rows,
            "",
        ]
    )


def format_verdict_title(verdict: dict[str, Any]) -> str:
    """`passed`, `FORCED` or `not passed`."""
    return "not passed" if not verdict["passed"] else "FORCED" if verdict["forced"] else "passed"


def render_gate_page(
    verdict: dict[str, Any], today: GateRecord, gates: Sequence[GateRecord], margin: float
) -> str:
    """The whole page: the verdict, each rule, and what the users of this gate and of those before it say."""
    rules = [
        {**rule, "tone": TONES[rule["passed"]], "answer": format_rule_answer(rule), "shown": format_figure(rule, "value"),
         "least": f"{rule['bound']} {format_figure(rule, 'limit')}"}
        for rule in verdict["rules"]
    ]  # fmt: skip
    pooled = select_comparable_gates(gates, today.metric, today.k, today.start)
    together = Evidence.all(gate.evidence for gate in (today, *pooled))
    scale = _choose_scale([gate.evidence for gate in (today, *pooled)], margin)
    lines = [_build_gate_row(gate, scale, gate in pooled) for gate in gates]
    return render_page(
        "components/gate/page.html",
        verdict=verdict,
        title=format_verdict_title(verdict),
        tone="good" if verdict["passed"] and not verdict["forced"] else "bad",
        today=today,
        about=[("As of", format_iso(today.as_of)), ("Run", today.run), ("Metric", f"{today.metric}@{today.k}"),
               ("Holdout", f"{format_iso(today.start)} to {format_iso(today.end)}"), ("Goes live", _describe_outcome(verdict))],
        rules=rules,
        advice=[(rule["name"], ADVICE[rule["rule"]]) for rule in rules if not rule["passed"]],
        lines=[_build_gate_row(today, scale, True, "this gate"), *lines],
        together=(f"{len(pooled) + 1} gates", f"{together.users:,}", _build_bar(together, scale)),
        marks=(_locate_on_scale(0, scale), _locate_on_scale(-margin, scale)),
        margin=f"{-margin:.1%}",
    )  # fmt: skip


def _describe_outcome(verdict: dict[str, Any]) -> str:
    return str(verdict["winner"]) if verdict["passed"] else "nothing, the incumbent stays"


def _build_gate_row(gate: GateRecord, scale: float, counted: bool, name: str = "") -> GateRow:
    state = "forced" if gate.forced else "passed" if gate.passed else "not passed"
    lift = "" if gate.live_lift is None else f"{gate.live_lift:.3f}"
    bar = _build_bar(gate.evidence, scale) if counted else None
    tone = TONES[gate.passed and not gate.forced]
    return GateRow(
        name or format_iso(gate.as_of),
        state,
        tone,
        f"{gate.evidence.users:,}" if gate.evidence.users else "",
        bar,
        lift,
    )


def _choose_scale(evidence: Sequence[Evidence], margin: float) -> float:
    """What the widest of the intervals reaches, and twice the margin at least."""
    ends = [abs(end) for one in evidence if one.incumbent for end in (one.low, one.high)]
    return 1.15 * max([2 * margin, 0.002, *ends])


def _locate_on_scale(share: float, scale: float) -> float:
    """Where a share stands on a line from 0 to 100, at its ends when it lies beyond them."""
    return round(50 + 50 * max(-1.0, min(1.0, share / scale)), 2)


def _build_bar(evidence: Evidence, scale: float) -> Bar | None:
    if not evidence.incumbent:
        return None
    low, high, middle = evidence.low, evidence.high, evidence.share()
    text = f"{middle:+.2%} ({low:+.2%} to {high:+.2%})"
    return Bar(
        text,
        _locate_on_scale(low, scale),
        _locate_on_scale(high, scale),
        _locate_on_scale(middle, scale),
    )
