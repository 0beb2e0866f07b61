"""A run as its record has it: what a report is made from, and nothing else."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dawnlist.components.notify import formats
from dawnlist.messages.masking import anonymise_json
from dawnlist.records.run_records import StepRecord

DAG_STEPS = (
    "fetch", "clean", "filter_bots", "dataset", "tune", "train", "evaluate", "gate", "refit", "recommend", "publish",
)  # fmt: skip
"""The steps of the DAG in its order; notify, which reports on them, is none of them."""
AFTER_GATE = DAG_STEPS[DAG_STEPS.index("gate") + 1 :]


@dataclass(frozen=True)
class Facts:
    """A run as its record has it, cleaned of passwords and control characters, its errors of personal data too."""

    as_of: str
    run: str
    shop: str
    records: list[StepRecord]
    """In the order the steps started, without notify."""

    @classmethod
    def of(cls, as_of: str, run: str, shop: str, found: list[StepRecord]) -> "Facts":
        """The facts of what dawnlist.records.run_records.records found."""
        kept = [
            formats.sanitise_json(_anonymise_error(record))
            for record in found
            if record.get("step") != "notify"
        ]
        return cls(formats.sanitise_json(as_of), formats.sanitise_json(run), shop, kept)

    def record(self, step: str) -> StepRecord:
        """A step's record, or an empty dict."""
        return next((record for record in self.records if record.get("step") == step), {})

    def of_step(self, step: str, *keys: str) -> Any:
        """A value of what a step reported, or None when it, or any key on the way, is missing."""
        value: Any = self.record(step).get("report")
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def mapping(self, step: str, *keys: str) -> dict[str, Any]:
        """The same where a dict is expected; anything else counts as an empty one."""
        value = self.of_step(step, *keys)
        return value if isinstance(value, dict) else {}

    def listing(self, step: str, *keys: str) -> list[dict[str, Any]]:
        """The same where a list of dicts is expected."""
        value = self.of_step(step, *keys)
        return (
            [inner for inner in value if isinstance(inner, dict)] if isinstance(value, list) else []
        )

    def succeeded(self, step: str) -> bool:
        """Whether the step ran to its end."""
        return bool(self.record(step).get("state") == "succeeded")

    @property
    def broken(self) -> StepRecord | None:
        """The step that failed or, with no error anywhere, the one that was killed; the last of several."""
        for state in ("failed", "started"):
            found = [record for record in self.records if record.get("state") == state]
            if found:
                return found[-1]
        return None

    @property
    def first(self) -> bool:
        """Whether the run was evaluated without an incumbent."""
        arms = self.mapping("evaluate", "arms")
        return bool(arms) and "incumbent" not in arms

    @property
    def gate_stopped(self) -> bool:
        """Whether the gate ran and did not pass, so that the steps after it were not meant to run."""
        return self.succeeded("gate") and self.of_step("gate", "passed") is False

    @property
    def metric(self) -> str:
        """The metric that search and gate compare, e.g. `ndcg@20`."""
        step = "evaluate" if self.mapping("evaluate") else "tune"
        return f"{self.of_step(step, 'metric') or 'ndcg'}@{formats.format_json_value(self.of_step(step, 'k') or 20)}"

    @property
    def not_run(self) -> list[str]:
        """The steps that left no record."""
        return [step for step in DAG_STEPS if not self.record(step)]

    @property
    def step_seconds(self) -> float:
        """The sum of the durations in the record."""
        return sum(formats.parse_finite(record.get("seconds")) or 0.0 for record in self.records)

    @property
    def wall_seconds(self) -> float | None:
        """From the first start to the last end, or None when there is no end."""
        try:
            starts = [datetime.fromisoformat(record["started"]) for record in self.records]
            ends = [
                datetime.fromisoformat(record["ended"])
                for record in self.records
                if "ended" in record
            ]
            return (max(ends) - min(starts)).total_seconds() if ends else None
        except (KeyError, TypeError, ValueError):
            return None


def _anonymise_error(record: StepRecord) -> StepRecord:
    """With an error that quotes nobody's data; the lake keeps its very words."""
    return {**record, "error": anonymise_json(record["error"])} if "error" in record else record
