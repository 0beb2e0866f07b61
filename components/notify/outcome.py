"""What happened in a run, decided from its run record alone: KFP's own status differs between its back ends."""

from dataclasses import dataclass
from typing import Any, Literal

from dawnlist.components.notify import formats
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.score_tables import get_force_reason
from dawnlist.records.run_records import StepRecord

RunState = Literal["published", "kept", "held", "older", "failed", "killed", "stopped", "nothing"]


@dataclass(frozen=True)
class Outcome:
    """The verdict on a run."""

    state: RunState
    label: str
    """One or two words, e.g. `Published`."""
    sentence: str

    @property
    def tone(self) -> str:
        """`good`, `calm` (nothing changed, nothing broke) or `bad`."""
        return {"published": "good", "kept": "calm", "held": "calm", "older": "calm"}.get(
            self.state, "bad"
        )


def determine_outcome(facts: Facts) -> Outcome:
    """What happened: a failure first, then what publish and the gate decided."""
    if not facts.records:
        return Outcome(
            "nothing", "Nothing ran", "No step left a record, so no step of this run ever started."
        )
    if facts.broken is not None:
        return (_describe_failure if facts.broken.get("state") == "failed" else _describe_kill)(
            facts, facts.broken
        )
    if facts.gate_stopped:
        return _describe_gate_stop(facts)
    if not facts.succeeded("publish"):
        return _describe_incomplete_run(facts)
    if facts.of_step("publish", "held"):
        return _describe_hold(facts)
    if facts.of_step("publish", "published") is False:
        return _describe_older_run(facts)
    return _describe_publication(facts)


def take_first_line(text: Any) -> str:
    """The first line of a message, or a dash."""
    lines = str(text or "").strip().splitlines()
    return lines[0] if lines else formats.MISSING_VALUE_MARK


def _describe_store_state(facts: Facts, step: str) -> str:
    # publish switches at once and at its end; crowning the champion comes after, so only the store itself knows
    return (
        "see `dawnlist versions` for what the store has active"
        if step == "publish"
        else "the store is untouched"
    )


def _describe_failure(facts: Facts, record: StepRecord) -> Outcome:
    error = record.get("error") if isinstance(record.get("error"), dict) else {}
    what = (
        f"{error.get('type', 'an error')}: {take_first_line(error.get('message'))}"
        if error
        else "no error was recorded"
    )
    step = str(record.get("step"))
    return Outcome(
        "failed", "Failed", f"The step {step} failed; {_describe_store_state(facts, step)}. {what}"
    )


def _describe_kill(facts: Facts, record: StepRecord) -> Outcome:
    step, host, started = (
        str(record.get(name, formats.MISSING_VALUE_MARK)) for name in ("step", "host", "started")
    )
    return Outcome(
        "killed",
        "Killed",
        f"The step {step} was killed (out of memory, pre-empted or stopped): it started at {started} on {host} "
        f"and never ended; {_describe_store_state(facts, step)}.",
    )


def _describe_incomplete_run(facts: Facts) -> Outcome:
    step = facts.not_run[0] if facts.not_run else "its end"
    return Outcome(
        "stopped",
        "Incomplete",
        f"The run stopped before {step} and no step recorded a failure: {step} could not be scheduled, failed before "
        "it could write a record, or the run was cancelled; see its log. The store is untouched.",
    )


def _describe_gate_stop(facts: Facts) -> Outcome:
    if all(rule.get("passed") is True for rule in facts.listing("gate", "rules")):
        return Outcome(
            "older",
            "Not published",
            f"Every rule passed, yet nothing was published: {_get_gate_reason(facts)}.",
        )
    return Outcome(
        "kept",
        "Not published",
        f"The gate did not pass and the store is untouched: {_get_gate_reason(facts)}.",
    )


def _describe_hold(facts: Facts) -> Outcome:
    why = str(facts.of_step("publish", "reason") or "a version is held: `dawnlist release`").rstrip(
        "."
    )
    return Outcome("held", "On hold", f"The model passed, and nothing was published: {why}.")


def _describe_older_run(facts: Facts) -> Outcome:
    why = str(
        facts.of_step("publish", "reason") or "this run is not newer than the champion"
    ).rstrip(".")
    return Outcome("older", "Not published", f"Nothing was published: {why}.")


def _describe_publication(facts: Facts) -> Outcome:
    version, winner = (
        formats.format_json_value(facts.of_step("publish", "version")),
        facts.of_step("gate", "winner"),
    )
    users = formats.format_count(facts.of_step("publish", "users"))
    sentence = f"Version {version} is live: the {winner or 'model'}'s lists for {users} users."
    if winner == "popularity":
        sentence = f"Version {version} is live: popularity's lists for {users} users."
    if facts.first:
        sentence += f" It is the first run, without an incumbent, and {winner or 'nobody'} won."
    if reason := get_force_reason(facts):
        sentence += f" The gate was FORCED: {reason.rstrip('.')}."
    return Outcome("published", "Published", f"{sentence} {_format_scores(facts)}".strip())


def _format_scores(facts: Facts) -> str:
    arms = facts.mapping("evaluate", "arms")
    known = [
        (name, means[facts.metric])
        for name, means in arms.items()
        if isinstance(means, dict) and facts.metric in means
    ]
    return (
        f"{facts.metric}: "
        + ", ".join(f"{name} {formats.format_score(value)}" for name, value in known)
        + "."
        if known
        else ""
    )


def _get_gate_reason(facts: Facts) -> str:
    return str(facts.of_step("gate", "reason") or "it gave no reason").rstrip(".")
