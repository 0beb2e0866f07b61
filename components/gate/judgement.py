"""The step: what earlier gates found and what is live -> a verdict, which the next gates find in turn."""

from dataclasses import dataclass
from typing import Any

from dawnlist.components.gate import history
from dawnlist.components.gate.history import GateRecord
from dawnlist.components.gate.page import render_gate_markdown, render_gate_page
from dawnlist.components.gate.verdict import decide_verdict
from dawnlist.lake.lake import Lake
from dawnlist.records.registry import read_champion
from dawnlist.settings import GateSettings


@dataclass(frozen=True)
class Judgement:
    """A verdict and what it is shown with."""

    verdict: dict[str, Any]
    today: GateRecord
    gates: list[GateRecord]
    margin: float

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
    evaluation: dict[str, Any],
    settings: GateSettings,
    as_of: str,
    run: str,
    force: str = "",
) -> Judgement:
    """Decide, and keep what the gates of the next four weeks need; see dawnlist.components.gate.verdict.decide."""
    gates = history.read_recent_gates(lake, as_of)
    verdict = decide_verdict(evaluation, settings, as_of, read_champion(lake), gates, force)
    today = history.build_gate_record(evaluation, verdict, as_of, run)
    history.write_gate_record(lake, today)
    return Judgement(verdict, today, gates, settings.margin)


def flatten_verdict(verdict: dict[str, Any]) -> dict[str, float]:
    """Whether it passed, 1 or 0, and each rule's value by the rule's key, for comparing runs."""
    return {"passed": float(verdict["passed"])} | {
        rule["rule"]: rule["value"] for rule in verdict["rules"]
    }
