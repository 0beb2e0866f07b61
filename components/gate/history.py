"""The gates of the last four weeks, kept in the lake as gates/{as_of}/{run}.json.

Each keeps its evidence and its lift, which later gates take into account.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from dawnlist.components.gate.evidence import Evidence
from dawnlist.cuts import format_stamp, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.model.evaluation import Evaluation
from dawnlist.records.verdict import Verdict

GATE_HISTORY_DAYS = 28
"""Only gates of so many days count. These are whole weeks, so that each weekday counts the same."""


class GateRecord(BaseModel):
    """One gate, with what later gates need of it."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    as_of: AwareDatetime
    """The day of the run."""
    run: str
    """The id of the run."""
    start: AwareDatetime
    """The start of the holdout, inclusive."""
    end: AwareDatetime
    """The end of the holdout, exclusive."""
    metric: str
    """The primary metric, e.g. `ndcg`."""
    k: int
    """The length of the lists that the metric is measured on."""
    passed: bool
    """Whether something new went live."""
    winner: str
    """Whose configuration lives: `challenger`, `popularity` or `incumbent`."""
    forced: str
    """The reason of a forced pass, or an empty text."""
    comparable: bool
    """Whether the day broke no rule, so that its users are evidence for other days."""
    evidence: Evidence
    """The sums over the users of the holdout."""
    lift: dict[str, float]
    """The metric divided by popularity's, of challenger and incumbent where it can be computed."""

    @property
    def live_lift(self) -> float | None:
        """The lift of the model that was live after this gate, or None when it is not known."""
        if self.winner == "popularity":
            return 1.0
        return self.lift.get(self.winner)

    def measures(self, metric: str, k: int) -> bool:
        """Whether the gate used this primary metric on lists of this length."""
        return self.metric == metric and self.k == k


def build_gate_record(
    evaluation: Evaluation, verdict: Verdict, as_of: datetime, run: str
) -> GateRecord:
    """Build the record that a verdict leaves for later gates."""
    return GateRecord(
        as_of=as_of,
        run=run,
        start=parse_as_of(evaluation.holdout.start),
        end=parse_as_of(evaluation.holdout.end),
        metric=evaluation.metric,
        k=evaluation.k,
        passed=verdict.passed,
        winner=verdict.winner,
        forced=verdict.forced.reason if verdict.forced else "",
        comparable=verdict.comparable,
        evidence=Evidence.from_users(evaluation.per_user),
        lift=_compute_lifts(evaluation),
    )


def _compute_lifts(evaluation: Evaluation) -> dict[str, float]:
    """Divide the primary metric of challenger and incumbent by popularity's; empty if that is 0."""
    metric_name, arms = evaluation.metric_name, evaluation.arms
    popularity = arms.get("popularity", {}).get(metric_name, 0)
    lifts: dict[str, float] = {}
    if not popularity:
        return lifts
    for arm in ("challenger", "incumbent"):
        if metric_name in arms.get(arm, {}):
            lifts[arm] = arms[arm][metric_name] / popularity
    return lifts


def write_gate_record(lake: Lake, gate: GateRecord) -> None:
    """Write a gate's record to the lake; a rerun of the same run replaces its own."""
    data = gate.model_dump_json(indent=1).encode()
    lake.write(data, "gates", format_stamp(gate.as_of), f"{gate.run}.json")


def read_recent_gates(lake: Lake, as_of: datetime) -> list[GateRecord]:
    """Read the gates of the four weeks before `as_of`, one of each day, newest first.

    Of several gates on one day the newest that passed counts, or else the newest. An object that
    can't be read is left out: a damaged history makes a gate stricter and never stops it.
    """
    first, end = format_stamp(as_of - timedelta(days=GATE_HISTORY_DAYS)), format_stamp(as_of)
    days = [name for name in lake.names("gates") if first <= name < end]
    gates = []
    for name in reversed(days):
        newest = max(_read_day_gates(lake, name), key=_rank_gate, default=None)
        if newest is not None:
            gates.append(newest[0])
    return gates


def _read_day_gates(lake: Lake, day: str) -> Iterator[tuple[GateRecord, datetime]]:
    """Read the gates of a day, each with the time at which it was written."""
    for entry in lake.walk("gates", day):
        data = lake.read(*entry.name.split("/")) or b""
        try:
            yield GateRecord.model_validate_json(data), entry.modified
        except ValidationError:
            continue


def _rank_gate(gate_and_time: tuple[GateRecord, datetime]) -> tuple[bool, datetime]:
    gate, modified = gate_and_time
    return gate.passed, modified


def select_comparable_gates(
    gates: Iterable[GateRecord], metric: str, k: int, start: datetime
) -> list[GateRecord]:
    """Select the gates whose users count as evidence beside a holdout that begins at `start`.

    They have the same metric, broke no rule on the day, and have disjoint holdouts. A gate whose
    challenger was the incumbent itself is left out: it would only make the others' differences
    look smaller. `gates` come newest first. The selection stops at a forced pass: with it somebody
    said that earlier measurements no longer apply.
    """
    selected: list[GateRecord] = []
    for gate in gates:
        if gate.forced:
            break
        usable = gate.comparable and gate.evidence.has_differences and gate.measures(metric, k)
        if usable and gate.end <= start:
            selected.append(gate)
            start = gate.start
    return selected


def collect_live_lifts(gates: Iterable[GateRecord], metric: str, k: int) -> list[float]:
    """Return the lift of what was live after each gate, newest first, back to the newest forced."""
    lifts = []
    for gate in gates:
        if gate.measures(metric, k) and gate.live_lift is not None:
            lifts.append(gate.live_lift)
        if gate.forced:
            break
    return lifts
