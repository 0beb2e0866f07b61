"""A run as its record describes it. Reports are made from this alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dawnlist.components.notify.formats import format_json_value, parse_finite, sanitise_json
from dawnlist.cuts import format_iso
from dawnlist.messages.masking import anonymise_json
from dawnlist.records.rule_figures import format_metric_name
from dawnlist.records.run_records import StepRecord, find_step_report

DAG_STEPS = (
    "fetch", "clean", "filter_bots", "dataset", "tune", "train", "evaluate", "gate", "refit", "recommend", "publish",
)  # fmt: skip
"""The steps of the DAG in its order, without notify, which reports on them."""
AFTER_GATE = DAG_STEPS[DAG_STEPS.index("gate") + 1 :]


@dataclass(frozen=True)
class Facts:
    """A run as its record describes it, without passwords, control characters and personal data.

    Any value of a record may be missing or of another type than expected, because records are read
    from the lake. The `get_` methods allow for that.
    """

    as_of: datetime
    """The day of the run."""
    run: str
    """The id of the run."""
    shop: str
    """The namespace of the run."""
    records: list[StepRecord]
    """The records of the steps in the order they started, without notify."""
    registrations: Mapping[str, str] = field(default_factory=dict)
    """What a model registry or a tracking server has of the run, a line by the system's name."""

    @classmethod
    def of(cls, as_of: datetime, run: str, shop: str, records: list[StepRecord]) -> "Facts":
        """Clean the records that dawnlist.records.run_records.read_step_records returned."""
        clean_records = []
        for record in records:
            if record.get("step") != "notify":
                clean_records.append(sanitise_json(_anonymise_error(record)))
        registrations = find_step_report(records, "notify").get("registrations")
        if not isinstance(registrations, dict):
            registrations = {}
        return cls(as_of, sanitise_json(run), shop, clean_records, sanitise_json(registrations))

    @property
    def as_of_text(self) -> str:
        """The day of the run, as ISO-8601 text."""
        return format_iso(self.as_of)

    def get_record(self, step: str) -> StepRecord:
        """Return a step's record, or an empty dict."""
        for record in self.records:
            if record.get("step") == step:
                return record
        return {}

    def get_value(self, step: str, *keys: str) -> Any:
        """Follow the keys into a step's report; None when the step or a key is missing."""
        value: Any = self.get_record(step).get("report")
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def get_mapping(self, step: str, *keys: str) -> dict[str, Any]:
        """Return the value where a dict is expected; an empty one in place of anything else."""
        value = self.get_value(step, *keys)
        return value if isinstance(value, dict) else {}

    def get_listing(self, step: str, *keys: str) -> list[dict[str, Any]]:
        """Return the dicts of a value where a list of dicts is expected."""
        value = self.get_value(step, *keys)
        if not isinstance(value, list):
            return []
        return [entry for entry in value if isinstance(entry, dict)]

    def succeeded(self, step: str) -> bool:
        """Say whether the step ran to its end."""
        return bool(self.get_record(step).get("state") == "succeeded")

    @property
    def broken_record(self) -> StepRecord | None:
        """The last step that failed or, when no step failed, the last one that was killed."""
        for state in ("failed", "started"):
            for record in reversed(self.records):
                if record.get("state") == state:
                    return record
        return None

    @property
    def is_first_run(self) -> bool:
        """Whether the run was evaluated without an incumbent."""
        arms = self.get_mapping("evaluate", "arms")
        return bool(arms) and "incumbent" not in arms

    @property
    def gate_stopped(self) -> bool:
        """Whether the gate ran and did not pass, so that no later step had to run."""
        return self.succeeded("gate") and self.get_value("gate", "passed") is False

    @property
    def metric(self) -> str:
        """The metric that search and gate compare, e.g. `ndcg@20`."""
        step = "evaluate" if self.get_mapping("evaluate") else "tune"
        name = self.get_value(step, "metric") or "ndcg"
        k = self.get_value(step, "k") or 20
        return format_metric_name(str(name), format_json_value(k))

    @property
    def not_run(self) -> list[str]:
        """The steps that left no record."""
        return [step for step in DAG_STEPS if not self.get_record(step)]

    @property
    def step_seconds(self) -> float:
        """The sum of the steps' durations, in seconds."""
        return sum(parse_finite(record.get("seconds")) or 0.0 for record in self.records)

    @property
    def wall_seconds(self) -> float | None:
        """Seconds from the first start to the last end; None when a time is missing or damaged."""
        starts, ends = [], []
        try:
            for record in self.records:
                starts.append(datetime.fromisoformat(record["started"]))
                if "ended" in record:
                    ends.append(datetime.fromisoformat(record["ended"]))
            return (max(ends) - min(starts)).total_seconds() if ends else None
        except (KeyError, TypeError, ValueError):
            return None


def _anonymise_error(record: StepRecord) -> StepRecord:
    """Mask personal data in the error; the record in the lake keeps the original text."""
    if "error" not in record:
        return record
    return {**record, "error": anonymise_json(record["error"])}
