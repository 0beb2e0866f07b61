"""The step: what earlier gates found and what is live -> a verdict, which the next gates find in turn."""

from dataclasses import dataclass
from typing import Any

from dawnlist.components.gate import history
from dawnlist.components.gate.history import Gate
from dawnlist.components.gate.page import markdown, page
from dawnlist.components.gate.verdict import decide
from dawnlist.lake.lake import Lake
from dawnlist.records.registry import champion
from dawnlist.settings import GateSettings


@dataclass(frozen=True)
class Judgement:
    """A verdict and what it is shown with."""

    verdict: dict[str, Any]
    today: Gate
    gates: list[Gate]
    margin: float

    @property
    def markdown(self) -> str:
        """The summary for the Kubeflow UI."""
        return markdown(self.verdict)

    @property
    def page(self) -> str:
        """The HTML page."""
        return page(self.verdict, self.today, self.gates, self.margin)


def judge(
    lake: Lake, evaluation: dict[str, Any], settings: GateSettings, as_of: str, run: str, force: str = ""
) -> Judgement:
    """Decide, and keep what the gates of the next four weeks need; see dawnlist.components.gate.verdict.decide."""
    gates = history.last(lake, as_of)
    verdict = decide(evaluation, settings, as_of, champion(lake), gates, force)
    today = history.gate_of(evaluation, verdict, as_of, run)
    history.keep(lake, today)
    return Judgement(verdict, today, gates, settings.margin)


def flat(verdict: dict[str, Any]) -> dict[str, float]:
    """Whether it passed, 1 or 0, and each rule's value by the rule's key, for comparing runs."""
    return {"passed": float(verdict["passed"])} | {rule["rule"]: rule["value"] for rule in verdict["rules"]}
