"""The work of the gate step: decide on the challenger, and keep a record for the next gates."""

from dataclasses import dataclass
from datetime import datetime

from dawnlist.components.gate import history
from dawnlist.components.gate.history import GateRecord
from dawnlist.components.gate.page import render_gate_markdown, render_gate_page
from dawnlist.components.gate.verdict import decide_verdict
from dawnlist.lake.lake import Lake
from dawnlist.model.evaluation import Evaluation
from dawnlist.records.registry import read_champion
from dawnlist.records.verdict import Verdict
from dawnlist.settings import GateSettings


@dataclass(frozen=True)
class Judgement:
    """A verdict with everything that its page shows."""

    verdict: Verdict
    """What `decide_verdict` returned."""
    today: GateRecord
    """The record of this gate."""
    gates: list[GateRecord]
    """The gates of the last four weeks, newest first."""
    margin: float
    """The share of the incumbent's metric that a challenger may lose."""

    @property
    def markdown(self) -> str:
        """The summary for the Kubeflow UI."""
        return render_gate_markdown(self.verdict)

    @property
    def page(self) -> str:
        """The HTML page."""
        return render_gate_page(self.verdict, self.today, self.gates, self.margin)


def judge_challenger(
    lake: Lake,
    evaluation: Evaluation,
    settings: GateSettings,
    as_of: datetime,
    run: str,
    force: str = "",
) -> Judgement:
    """Decide on the challenger, and write the record that the gates of the next four weeks need.

    Arguments and errors are those of dawnlist.components.gate.verdict.decide_verdict.
    """
    gates = history.read_recent_gates(lake, as_of)
    verdict = decide_verdict(evaluation, settings, as_of, read_champion(lake), gates, force)
    today = history.build_gate_record(evaluation, verdict, as_of, run)
    history.write_gate_record(lake, today)
    return Judgement(verdict, today, gates, settings.margin)


def flatten_verdict(verdict: Verdict) -> dict[str, float]:
    """Return the verdict as metrics: `passed` as 1 or 0, and the value of each rule by its key."""
    figures = {"passed": float(verdict.passed)}
    for rule in verdict.rules:
        figures[rule.rule] = rule.value
    return figures
