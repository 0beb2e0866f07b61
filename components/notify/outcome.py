"""What happened in a run.

This is decided from the run record, because KFP's own status differs between its back ends.
"""

from dataclasses import dataclass
from typing import Any, Literal

from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.formats import (
    MISSING_VALUE_MARK,
    capitalise,
    format_count,
    format_json_value,
    format_score,
)
from dawnlist.components.notify.score_tables import describe_failed_rules, get_force_reason
from dawnlist.records.run_records import StepRecord

RunState = Literal["published", "kept", "held", "older", "failed", "killed", "stopped", "nothing"]
STATE_TONES = {"published": "good", "kept": "calm", "held": "calm", "older": "calm"}


@dataclass(frozen=True)
class Outcome:
    """The verdict on a run."""

    state: RunState
    """What happened, as one word for the code."""
    label: str
    """What happened, as one or two words for people, e.g. `Published`."""
    sentence: str
    """What happened, in one or more sentences."""

    @property
    def tone(self) -> str:
        """`good`, `calm` (nothing changed and nothing broke) or `bad`."""
        return STATE_TONES.get(self.state, "bad")


def determine_outcome(facts: Facts) -> Outcome:
    """Say what happened: a failure if there is one, else what the gate and publish decided."""
    if not facts.records:
        sentence = "No step left a record, so no step of this run ever started."
        return Outcome("nothing", "Nothing ran", sentence)
    if facts.broken_record is not None:
        return _describe_broken_step(facts.broken_record)
    if facts.gate_stopped:
        return _describe_gate_stop(facts)
    if not facts.succeeded("publish"):
        return _describe_incomplete_run(facts)
    if facts.get_value("publish", "held"):
        return _describe_hold(facts)
    if facts.get_value("publish", "published") is False:
        return _describe_older_run(facts)
    return _describe_publication(facts)


def take_first_line(text: Any) -> str:
    """Return the first line of a message, or a dash."""
    lines = str(text or "").strip().splitlines()
    return next(iter(lines), MISSING_VALUE_MARK)


def _describe_store_state(step: str) -> str:
    # publish switches versions before it ends, so its record can't say what is live.
    if step == "publish":
        return "see `dawnlist versions` for what the store has active"
    return "the store is untouched"


def _describe_broken_step(record: StepRecord) -> Outcome:
    if record.get("state") == "failed":
        return _describe_failure(record)
    return _describe_kill(record)


def _describe_failure(record: StepRecord) -> Outcome:
    step = str(record.get("step"))
    error = record.get("error")
    cause = "no error was recorded"
    if isinstance(error, dict) and error:
        cause = f"{error.get('type', 'an error')}: {take_first_line(error.get('message'))}"
    sentence = f"The step {step} failed; {_describe_store_state(step)}. {cause}"
    return Outcome("failed", "Failed", sentence)


def _describe_kill(record: StepRecord) -> Outcome:
    step = str(record.get("step", MISSING_VALUE_MARK))
    host = str(record.get("host", MISSING_VALUE_MARK))
    start = str(record.get("started", MISSING_VALUE_MARK))
    sentence = (
        f"The step {step} was killed (out of memory, pre-empted or stopped): it started at {start} "
        f"on {host} and never ended; {_describe_store_state(step)}."
    )
    return Outcome("killed", "Killed", sentence)


def _describe_incomplete_run(facts: Facts) -> Outcome:
    step = next(iter(facts.not_run), "its end")
    sentence = (
        f"The run stopped before {step} and no step recorded a failure: {step} could not be "
        "scheduled, failed before it could write a record, or the run was cancelled; see its log. "
        "The store is untouched."
    )
    return Outcome("stopped", "Incomplete", sentence)


def _describe_gate_stop(facts: Facts) -> Outcome:
    reason = str(facts.get_value("gate", "reason") or "it gave no reason").rstrip(".")
    if all(rule.get("passed") is True for rule in facts.get_listing("gate", "rules")):
        sentence = f"Every rule passed, yet nothing was published: {reason}."
        return Outcome("older", "Not published", sentence)
    sentence = f"The gate did not pass and the store is untouched: {reason}."
    return Outcome("kept", "Not published", sentence)


def _describe_hold(facts: Facts) -> Outcome:
    reason = facts.get_value("publish", "reason") or "a version is held: `dawnlist release`"
    sentence = f"The model passed, and nothing was published: {str(reason).rstrip('.')}."
    return Outcome("held", "On hold", sentence)


def _describe_older_run(facts: Facts) -> Outcome:
    reason = facts.get_value("publish", "reason") or "this run is not newer than the champion"
    sentence = f"Nothing was published: {str(reason).rstrip('.')}."
    return Outcome("older", "Not published", sentence)


def _describe_publication(facts: Facts) -> Outcome:
    version = format_json_value(facts.get_value("publish", "version"))
    users = format_count(facts.get_value("publish", "users"))
    winner = facts.get_value("gate", "winner")
    owner = "popularity's" if winner == "popularity" else f"the {winner or 'model'}'s"
    if winner == "incumbent":
        owner = "the renewed"
    sentences = [f"Version {version} is live: {owner} lists for {users} users."]
    reason = str(facts.get_value("gate", "reason") or "")
    if winner == "incumbent" and reason:
        sentences.append(f"{capitalise(reason)}.")
    if facts.is_first_run:
        name = winner or "nobody"
        sentences.append(f"It is the first run, without an incumbent, and {name} won.")
        if winner == "popularity":
            sentences.append(_explain_popularity(facts))
    force_reason = get_force_reason(facts)
    if force_reason:
        sentences.append(f"The gate was FORCED: {force_reason.rstrip('.')}.")
    scores = _format_scores(facts)
    if scores:
        sentences.append(scores)
    return Outcome("published", "Published", " ".join(sentences))


def _explain_popularity(facts: Facts) -> str:
    """Name the rules of the gate for which popularity goes live in place of the challenger."""
    failed_rules = describe_failed_rules(facts)
    if not failed_rules:
        return (
            f"The challenger passed every rule, but its {facts.metric} is not above popularity's."
        )
    return f"The challenger did not pass: {'; '.join(failed_rules)}."


def _format_scores(facts: Facts) -> str:
    """List the deciding metric of each arm in a sentence, or return an empty text."""
    scores = []
    for arm, means in facts.get_mapping("evaluate", "arms").items():
        if isinstance(means, dict) and facts.metric in means:
            scores.append(f"{arm} {format_score(means[facts.metric])}")
    if not scores:
        return ""
    return f"{facts.metric}: {', '.join(scores)}."
