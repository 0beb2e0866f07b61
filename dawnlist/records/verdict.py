"""The gate's verdict, which passes from gate to refit, recommend and notify."""

from dataclasses import dataclass
from typing import Literal

RuleBound = Literal["at least", "at most"]
RuleUnit = Literal["count", "score", "share"]
RuleKind = Literal["data", "model", "renewal"]


@dataclass(frozen=True)
class GateRule:
    """One rule of the gate, and what became of it."""

    rule: str
    """The rule's key, such as `coverage`."""
    name: str
    """The rule in words."""
    value: float
    """What was measured, rounded to 6 decimals."""
    limit: float
    """What the value is compared with, rounded to 6 decimals."""
    passed: bool | None
    """None: there is not enough evidence, which is no pass."""
    bound: RuleBound
    """On which side of the limit the value has to be."""
    unit: RuleUnit
    """How the value and the limit are shown."""
    note: str = ""
    """More on the value; may be empty."""
    kind: RuleKind = "model"
    """What the rule is on: the day's data, the challenger, or the live configuration fitted anew."""


@dataclass(frozen=True)
class ForcedPass:
    """A pass that somebody asked for whatever the rules say."""

    reason: str
    """Why, on one line."""


@dataclass(frozen=True)
class Verdict:
    """Whether, and which, model goes live."""

    passed: bool
    """Whether something new goes live."""
    winner: str
    """Whose configuration lives: `challenger`, `popularity` or `incumbent`."""
    reason: str
    """The verdict in words."""
    rules: list[GateRule]
    """All rules that apply."""
    forced: ForcedPass | None = None
    """The forced pass, if there was one."""
    comparable: bool = True
    """No rule on the day was broken, so that its users are evidence for other days."""

    @property
    def is_renewal(self) -> bool:
        """Whether the live configuration goes live again, fitted on this day's rows."""
        return self.passed and self.winner == "incumbent"
