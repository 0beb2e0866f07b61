"""The state of one question while it is answered: what the store says about its user."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dawnlist.ranking.fold_in import NO_PAIRS, UserPairs
from dawnlist.serving.predictor.answers.own_items import OwnItemsUse
from dawnlist.serving.predictor.answers.question import Question, QuestionEvent
from dawnlist.serving.predictor.answers.snapshot import Snapshot
from dawnlist.store import recent
from dawnlist.store.histories import UserHistory

DAY_SECONDS = 86_400.0


@dataclass(slots=True)
class UserState:
    """A question, and what the store says about its user."""

    question: Question
    k: int
    """How many items to return."""
    own_items: OwnItemsUse
    """What the answer does with the items that the user has met."""
    bucket: int
    """The number of the bucket that holds the user's record."""
    fingerprint: bytes
    """The hash by which the user's record is found in its bucket."""
    bucket_value: bytes = b""
    """The bucket as it was read from the store."""
    record_offset: int = -1
    """The position of the user's record in the bucket; -1 for an unknown user."""
    hidden: set[int] = field(default_factory=set)
    """Rows of the items that must not be returned. Own items are among them only if they are to be
    hidden, or can't be ranked."""
    refused: set[int] = field(default_factory=set)
    """Rows of the items that the user disliked, and of older items of the history, of which the
    store has the ids alone: it does not say whether the user met or disliked them."""
    events: UserPairs = NO_PAIRS
    """Recent events that the stored history does not contain, with ages in days before the cut."""
    days_since_as_of: float = 0.0
    """Days from the version's as_of to the cut, which is the last event."""
    history: UserPairs | None = NO_PAIRS
    """The stored history; None if it could not be read."""
    items_met: int = 0
    """How many items the user has met, in the history and in the events."""
    is_history_truncated: bool = False
    """Whether the history has older items of which only the ids are stored."""

    @property
    def is_known(self) -> bool:
        """Whether the version has a record of the user."""
        return self.record_offset >= 0


def validate_question(snapshot: Snapshot, question: Question) -> None:
    """Check the question's filters and event types against a version.

    Raises:
        ValueError: an attribute is not in the catalogue, the filter expression is wrong, or an
            event type has no weight.
    """
    if question.where:
        snapshot.filters.compute_mask(question.where)
    for name, _ in question.filters:
        if name not in snapshot.filters.attributes:
            attributes = ", ".join(sorted(snapshot.filters.attributes)) or "none"
            raise ValueError(
                f"items have no attribute {name[:50]!r} to filter by; the catalogue has: "
                f"{attributes}"
            )
    for event in question.recent:
        is_known_type = event.event_type in snapshot.event_weights
        if not is_known_type and event.event_type != recent.DISLIKE_TYPE:
            event_types = ", ".join(sorted(filter(None, snapshot.event_weights)))
            raise ValueError(
                f"event type {event.event_type[:50]!r} is unknown: give one of {event_types}"
            )


def apply_events(
    snapshot: Snapshot, state: UserState, events: Sequence[QuestionEvent | recent.RecentEvent]
) -> None:
    """Add up the weights of the events that are to be folded in, and hide the events' items.

    For a known user these are the events since `as_of`, because the stored history contains the
    earlier ones. For an unknown user they are all events. An event in the future counts as now.
    Where own items are not to be hidden, only those are whose new events have no weight. An item
    that the user disliked is hidden in any case, unless a later event has a weight.
    """
    hides_own_items = state.own_items is OwnItemsUse.HIDDEN
    newest = max(time.time(), snapshot.as_of_seconds)
    oldest = snapshot.as_of_seconds if state.is_known else 0.0
    pairs: dict[int, tuple[float, float]] = {}
    hidden: set[int] = set()
    disliked: set[int] = set()
    for event in events:
        row = snapshot.item_ids.find_row(event.item_id)
        if row is None:
            continue
        event_time = newest if event.time is None else min(newest, event.time)
        if hides_own_items or event_time >= oldest:
            hidden.add(row)
        if event.event_type == recent.DISLIKE_TYPE:
            disliked.add(row)
            pairs.pop(row, None)
            continue
        weight = snapshot.event_weights.get(event.event_type, 0.0)
        if weight and event_time >= oldest:
            earlier_weight, last_time = pairs.get(row, (0.0, event_time))
            disliked.discard(row)
            pairs[row] = (earlier_weight + weight, max(last_time, event_time))
    if not hides_own_items:
        hidden -= pairs.keys()
    state.hidden |= hidden | disliked
    state.refused |= disliked
    if pairs and (snapshot.can_fold or not hides_own_items):
        _store_event_pairs(snapshot, state, pairs)


def _store_event_pairs(
    snapshot: Snapshot, state: UserState, pairs: dict[int, tuple[float, float]]
) -> None:
    """Keep the events for folding in; `pairs` maps a row to its weight and its last time."""
    weights, times = np.array(list(pairs.values())).T
    cut = max(snapshot.as_of_seconds, float(times.max()))
    rows = np.array(list(pairs), dtype=np.int64)
    state.events = UserPairs(rows, weights, (cut - times) / DAY_SECONDS)
    state.days_since_as_of = (cut - snapshot.as_of_seconds) / DAY_SECONDS
    state.items_met = len(pairs)


def apply_history(state: UserState, history: UserHistory) -> None:
    """Add the stored history to the state, and hide its items.

    Where own items are not to be hidden, only older ones are, whose weights are not known.
    """
    rows = history.item_index.astype(np.int64)
    weights = history.weight.astype(np.float64)
    ages = history.age.astype(np.float64)
    state.history = UserPairs(rows, weights, ages)
    state.is_history_truncated = bool(len(history.older))
    older = set(history.older.tolist())
    met = older.union(rows.tolist())
    state.refused |= older.difference(state.events.index.tolist())
    if state.own_items is OwnItemsUse.HIDDEN:
        state.hidden |= met
    else:
        state.hidden |= older.difference(state.events.index.tolist())
    state.items_met = len(met.union(state.events.index.tolist()))
