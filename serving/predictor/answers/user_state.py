"""Who asks: a question, and what is known of its user by now."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dawnlist.ranking.fold_in import NO_PAIRS, UserPairs
from dawnlist.serving.predictor.answers.question import Question, QuestionEvent
from dawnlist.serving.predictor.answers.snapshot import Snapshot
from dawnlist.store import recent
from dawnlist.store.history import UserHistory

DAY_SECONDS = 86_400.0


@dataclass(slots=True)
class UserState:
    """A question with what the store says of its user."""

    question: Question
    k: int
    bucket: int
    fingerprint: bytes
    value: bytes = b""
    """The bucket."""
    at: int = -1
    """Where the user's record begins in it; -1: unknown."""
    hidden: set[int] = field(default_factory=set)
    events: UserPairs = NO_PAIRS
    """What counts beside the history, aged at the cut."""
    days: float = 0.0
    """From as_of to the cut."""
    history: UserPairs | None = NO_PAIRS
    """None where it could not be read."""
    met: int = 0
    is_cut: bool = False
    """Whether the history has items without weights."""


def validate_question(snapshot: Snapshot, question: Question) -> None:
    """ValueError for what a question may not ask of this version."""
    for name, _ in question.filters:
        if name not in snapshot.attributes:
            known = ", ".join(sorted(snapshot.attributes)) or "none"
            raise ValueError(
                f"items have no attribute {name[:50]!r} to filter by: there is {known}"
            )
    for event in question.recent:
        if event.event_type not in snapshot.event_weights:
            known = ", ".join(sorted(filter(None, snapshot.event_weights)))
            raise ValueError(
                f"event type {event.event_type[:50]!r} is unknown: give one of {known}"
            )


def apply_events(
    snapshot: Snapshot, asker: UserState, events: Sequence[QuestionEvent | recent.RecentEvent]
) -> None:
    """Hide the events' items, and add up what counts: of a known user what the history can't have, since as_of."""
    newest = max(time.time(), snapshot.day)
    since = snapshot.day if asker.at >= 0 else 0.0
    pairs: dict[int, tuple[float, float]] = {}
    hidden: set[int] = set()
    for event in events:
        row = snapshot.item_ids.find_row(event.item_id)
        if row is None:
            continue
        hidden.add(row)
        moment = newest if event.time is None else min(newest, event.time)
        weight = snapshot.event_weights.get(event.event_type, 0.0)
        if weight and moment >= since:
            before, last = pairs.get(row, (0.0, moment))
            pairs[row] = before + weight, max(last, moment)
    asker.hidden |= hidden
    if pairs and snapshot.can_fold:
        weights, times = np.array(list(pairs.values())).T
        cut = max(snapshot.day, float(times.max()))
        asker.events = UserPairs(
            np.array(list(pairs), dtype=np.int64), weights, (cut - times) / DAY_SECONDS
        )
        asker.days = (cut - snapshot.day) / DAY_SECONDS
        asker.met = len(pairs)


def apply_history(asker: UserState, found: UserHistory) -> None:
    """Put the stored history in its place, and hide all of it."""
    index = found.item_index.astype(np.int64)
    asker.history = UserPairs(index, found.weight.astype(np.float64), found.age.astype(np.float64))
    asker.is_cut = bool(len(found.older))
    met = {*index.tolist(), *found.older.tolist()}
    asker.hidden |= met
    asker.met = len(met.union(asker.events.index.tolist()))
