"""What earlier gates found, kept in the lake as gates/{as_of}/{run}.json: the evidence and the lift of four weeks."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from dawnlist.components.gate.evidence import Evidence
from dawnlist.cuts import format_stamp, parse_as_of
from dawnlist.lake.lake import Lake

GATE_HISTORY_DAYS = 28
"""So far back gates count: whole weeks, so that each weekday counts the same."""


class GateRecord(BaseModel):
    """One gate, as the next ones need it."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    as_of: AwareDatetime
    run: str
    start: AwareDatetime
    """Of its holdout, [start, end)."""
    end: AwareDatetime
    metric: str
    k: int
    passed: bool
    winner: str
    forced: str
    """The reason of a forced pass, or an empty text."""
    comparable: bool
    """No rule on the day was broken, so that its users are evidence for other days."""
    evidence: Evidence
    lift: dict[str, float]
    """Over popularity, of challenger and incumbent, as far as they are known."""

    @property
    def live_lift(self) -> float | None:
        """The lift of what was live after it."""
        return 1.0 if self.winner == "popularity" else self.lift.get(self.winner)


def build_gate_record(
    evaluation: dict[str, Any], verdict: dict[str, Any], as_of: str, run: str
) -> GateRecord:
    """What a verdict leaves behind."""
    name = f"{evaluation['metric']}@{evaluation['k']}"
    means = {arm: found[name] for arm, found in evaluation["arms"].items() if name in found}
    popular = means.get("popularity", 0)
    return GateRecord(
        as_of=parse_as_of(as_of),
        run=run,
        start=parse_as_of(evaluation["holdout"]["from"]),
        end=parse_as_of(evaluation["holdout"]["to"]),
        metric=evaluation["metric"],
        k=evaluation["k"],
        passed=verdict["passed"],
        winner=verdict["winner"],
        forced=(verdict["forced"] or {}).get("reason", ""),
        comparable=verdict["comparable"],
        evidence=Evidence.of(evaluation.get("per_user")),
        lift={
            arm: means[arm] / popular
            for arm in ("challenger", "incumbent")
            if arm in means and popular
        },
    )


def write_gate_record(lake: Lake, gate: GateRecord) -> None:
    """Write a gate down; a rerun of the same run replaces its own."""
    lake.write(
        gate.model_dump_json(indent=1).encode(),
        "gates",
        format_stamp(gate.as_of),
        f"{gate.run}.json",
    )


def read_recent_gates(lake: Lake, as_of: str) -> list[GateRecord]:
    """The gates of the four weeks before `as_of`, newest first, one of each day: that which passed, else the newest.

    An object that can't be read is left out: a damaged history makes a gate stricter, and never stops it.
    """
    day = parse_as_of(as_of)
    first, end = format_stamp(day - timedelta(days=GATE_HISTORY_DAYS)), format_stamp(day)
    days = [name for name in lake.names("gates") if first <= name < end]
    runs = (
        max(_read_day_gates(lake, name), key=_rank_gate, default=None) for name in reversed(days)
    )
    return [found[0] for found in runs if found]


def _read_day_gates(lake: Lake, day: str) -> Iterator[tuple[GateRecord, datetime]]:
    for found in lake.walk("gates", day):
        try:
            yield (
                GateRecord.model_validate_json(lake.read(*found.name.split("/")) or b""),
                found.modified,
            )
        except ValidationError:
            continue


def _rank_gate(found: tuple[GateRecord, datetime]) -> tuple[bool, datetime]:
    return found[0].passed, found[1]


def select_comparable_gates(
    gates: Iterable[GateRecord], metric: str, k: int, start: datetime
) -> list[GateRecord]:
    """The gates, given newest first, whose users are evidence beside those of a holdout that begins at `start`.

    Same metric, no rule on the day broken, holdouts disjoint. A forced pass begins anew: somebody said that what was
    measured up to it is not how it will be.
    """
    found: list[GateRecord] = []
    for gate in gates:
        if gate.forced:
            break
        if (
            gate.comparable
            and gate.evidence.users
            and (gate.metric, gate.k) == (metric, k)
            and gate.end <= start
        ):
            found.append(gate)
            start = gate.start
    return found


def collect_live_lifts(gates: Iterable[GateRecord], metric: str, k: int) -> list[float]:
    """The lift of what was live after each gate, newest first, back to the newest forced one."""
    found = []
    for gate in gates:
        if (gate.metric, gate.k) == (metric, k) and gate.live_lift is not None:
            found.append(gate.live_lift)
        if gate.forced:
            break
    return found
