"""The verdict for people: a Markdown table for the Kubeflow UI, and a self-contained HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass

from dawnlist.components.gate.advice import list_advice
from dawnlist.components.gate.evidence import Evidence
from dawnlist.components.gate.history import GateRecord, select_comparable_gates
from dawnlist.cuts import format_iso
from dawnlist.pages import escape_markdown, render_page
from dawnlist.records.rule_figures import format_figure, format_metric_name, format_rule_answer
from dawnlist.records.verdict import GateRule, Verdict

TONES = {True: "good", False: "bad", None: "unsure"}
MIN_SCALE = 0.002
"""The intervals are drawn on a scale that reaches at least this share to either side."""


@dataclass(frozen=True)
class Bar:
    """An interval as a share of the incumbent's mean, drawn on a line from 0 to 100."""

    text: str
    """The interval in figures."""
    left: float
    """The position of the lower bound, 0 to 100."""
    right: float
    """The position of the upper bound, 0 to 100."""
    middle: float
    """The position of the mean, 0 to 100."""


@dataclass(frozen=True)
class GateRow:
    """One gate as a row of the page's table."""

    name: str
    """The day of the gate, or `this gate`."""
    verdict: str
    """`passed`, `renewed`, `forced` or `not passed`."""
    tone: str
    """The colour of the verdict: `good` or `bad`."""
    users: str
    """The number of users, or an empty text."""
    bar: Bar | None
    """The interval, or None where the gate is no evidence."""
    lift: str
    """The lift of what was live after the gate, or an empty text."""


@dataclass(frozen=True)
class RuleRow:
    """One rule as a row of the page's table."""

    name: str
    """The rule in words."""
    shown: str
    """What was measured."""
    least: str
    """The limit, with the side on which the value has to be."""
    answer: str
    """`pass`, `FAIL` or `not enough evidence`."""
    note: str
    """More on the value; may be empty."""
    tone: str
    """The colour of the answer: `good`, `bad` or `unsure`."""


def render_gate_markdown(verdict: Verdict) -> str:
    """Render the verdict as a Markdown table, one row a rule. All its texts are escaped."""
    lines = [
        f"## Gate: {format_verdict_title(verdict)}",
        "",
        f"{escape_markdown(verdict.reason)}.",
        "",
        "| rule | value | limit | | |",
        "|---|---:|---:|---|---|",
    ]
    for rule in verdict.rules:
        cells = (
            escape_markdown(rule.name),
            format_figure(rule.value, rule.unit),
            _format_limit(rule),
            format_rule_answer(rule.passed),
            escape_markdown(rule.note),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def format_verdict_title(verdict: Verdict) -> str:
    """Say `passed`, `renewed`, `FORCED` or `not passed`."""
    if not verdict.passed:
        return "not passed"
    if verdict.forced:
        return "FORCED"
    if verdict.is_renewal:
        return "renewed"
    return "passed"


def render_gate_page(
    verdict: Verdict, today: GateRecord, gates: Sequence[GateRecord], margin: float
) -> str:
    """Render the page: the verdict, each rule, and the evidence of this gate and earlier ones."""
    rules = [_build_rule_row(rule) for rule in verdict.rules]
    past_gates = select_comparable_gates(gates, today.metric, today.k, today.start)
    evidence = [gate.evidence for gate in (today, *past_gates)]
    pooled = Evidence.pool(evidence)
    scale = _choose_scale(evidence, margin)
    rows = [_build_gate_row("this gate", today, scale, is_evidence=True)]
    for gate in gates:
        name = format_iso(gate.as_of)
        rows.append(_build_gate_row(name, gate, scale, is_evidence=gate in past_gates))
    clean_pass = verdict.passed and not verdict.forced
    return render_page(
        "components/gate/page.html",
        verdict=verdict,
        title=format_verdict_title(verdict),
        tone="good" if clean_pass else "bad",
        today=today,
        about=_list_attributes(verdict, today),
        rules=rules,
        advice=list_advice(verdict.rules),
        lines=rows,
        together=(f"{len(evidence)} gates", f"{pooled.users:,}", _build_bar(pooled, scale)),
        marks=(_locate_on_scale(0, scale), _locate_on_scale(-margin, scale)),
        margin=f"{-margin:.1%}",
    )


def _build_rule_row(rule: GateRule) -> RuleRow:
    return RuleRow(
        name=rule.name,
        shown=format_figure(rule.value, rule.unit),
        least=_format_limit(rule),
        answer=format_rule_answer(rule.passed),
        note=rule.note,
        tone=TONES[rule.passed],
    )


def _format_limit(rule: GateRule) -> str:
    return f"{rule.bound} {format_figure(rule.limit, rule.unit)}"


def _list_attributes(verdict: Verdict, today: GateRecord) -> list[tuple[str, str]]:
    """List what stands below the headline."""
    goes_live = "nothing, the live version stays"
    if verdict.is_renewal:
        goes_live = "the live configuration, renewed"
    elif verdict.passed:
        goes_live = verdict.winner
    return [
        ("As of", format_iso(today.as_of)),
        ("Run", today.run),
        ("Metric", format_metric_name(today.metric, today.k)),
        ("Holdout", f"{format_iso(today.start)} to {format_iso(today.end)}"),
        ("Goes live", goes_live),
    ]


def _build_gate_row(name: str, gate: GateRecord, scale: float, *, is_evidence: bool) -> GateRow:
    """Build a row; a gate that is no evidence has no bar."""
    state = "not passed"
    if gate.forced:
        state = "forced"
    elif gate.passed and gate.winner == "incumbent":
        state = "renewed"
    elif gate.passed:
        state = "passed"
    tone = TONES[gate.passed and not gate.forced]
    users = f"{gate.evidence.users:,}" if gate.evidence.users else ""
    bar = _build_bar(gate.evidence, scale) if is_evidence else None
    lift = "" if gate.live_lift is None else f"{gate.live_lift:.3f}"
    return GateRow(name, state, tone, users, bar, lift)


def _choose_scale(evidence: Sequence[Evidence], margin: float) -> float:
    """Choose the largest share that is drawn: the widest interval, or twice the margin if wider."""
    ends = [2 * margin, MIN_SCALE]
    for sums in evidence:
        if sums.incumbent:
            ends += [abs(sums.low), abs(sums.high)]
    return 1.15 * max(ends)


def _locate_on_scale(share: float, scale: float) -> float:
    """Return the position of a share on a line from 0 to 100; one beyond an end is put there."""
    return round(50 + 50 * max(-1.0, min(1.0, share / scale)), 2)


def _build_bar(evidence: Evidence, scale: float) -> Bar | None:
    if not evidence.incumbent:
        return None
    low, high, middle = evidence.low, evidence.high, evidence.relative_difference()
    return Bar(
        text=f"{middle:+.2%} ({low:+.2%} to {high:+.2%})",
        left=_locate_on_scale(low, scale),
        right=_locate_on_scale(high, scale),
        middle=_locate_on_scale(middle, scale),
    )
