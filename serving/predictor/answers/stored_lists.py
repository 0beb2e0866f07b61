"""Answers from lists that the store holds: the user's list, or a popular one, without ranking."""

from collections.abc import Container

from dawnlist.serving.predictor.answers.own_items import OwnItemsUse
from dawnlist.serving.predictor.answers.recommendation import (
    ItemReasons,
    Recommendation,
    ScoredItems,
)
from dawnlist.serving.predictor.answers.snapshot import Snapshot
from dawnlist.serving.predictor.answers.user_state import UserState


def answer_without_ranking(snapshot: Snapshot, state: UserState) -> Recommendation | None:
    """Answer from a stored list if it is the best answer; None if all items have to be ranked."""
    question = state.question
    if len(state.events) and (state.is_known or has_informative_events(snapshot, state)):
        return None
    if not state.is_known:
        return answer_from_stored_lists(snapshot, state)
    if question.is_filtered or question.explain or _needs_history(snapshot, state):
        return None
    items, scores = snapshot.records.read_list(state.bucket_value, state.record_offset)
    # A list that is shorter than the others already contains every item that the user may get.
    is_complete = len(items) < snapshot.k
    if state.hidden:
        items, scores = remove_items(items, scores, state.hidden)
    if snapshot.withdrawn and not snapshot.withdrawn.isdisjoint(items):
        items, scores = remove_items(items, scores, snapshot.withdrawn)
    if len(items) < state.k and not is_complete:
        return None
    return Recommendation("list", items[: state.k], scores[: state.k])


def _needs_history(snapshot: Snapshot, state: UserState) -> bool:
    """Whether the user's list has other own items than the answer may have."""
    if state.own_items is OwnItemsUse.HIDDEN:
        return snapshot.repeats.share > 0
    return state.own_items is OwnItemsUse.ALONE


def answer_without_own_items(snapshot: Snapshot, state: UserState) -> Recommendation | None:
    """Answer with the user's list without own items, now that the history is known.

    Returns None if all items have to be ranked, or if that is not what the question asks for.
    """
    question = state.question
    has_new_part = state.own_items is OwnItemsUse.HIDDEN and snapshot.repeats.share > 0
    if not has_new_part or not state.is_known or state.history is None or len(state.events):
        return None
    if question.is_filtered or question.explain:
        return None
    stored_items, _ = snapshot.records.read_list(state.bucket_value, state.record_offset)
    items, scores = read_visible_list(snapshot, state)
    if len(items) < state.k and len(stored_items) == snapshot.k:
        return None
    return Recommendation("list", items[: state.k], scores[: state.k])


def answer_from_stored_lists(snapshot: Snapshot, state: UserState) -> Recommendation:
    """Answer with the user's list or, for an unknown user, the popular list that fits best.

    Hidden items and items that the filters exclude are left out. Nothing is read for this. Items
    that the user met after the list was made are left out too, as their scores are not known.
    """
    if state.own_items is not OwnItemsUse.HIDDEN:
        state.hidden.update(state.events.index.tolist())
    if state.is_known:
        tier = "list"
        items, scores = _select_from_user_list(snapshot, state)
    elif state.own_items is OwnItemsUse.ALONE:
        tier = "none"
        items, scores = [], []
    else:
        tier, (items, scores) = _select_popular(snapshot, state)
    because: list[ItemReasons] | None = None
    if state.question.explain:
        because = [[] for _ in items]
    return Recommendation(tier, items, scores, because)


def read_visible_list(snapshot: Snapshot, state: UserState) -> ScoredItems:
    """Return the user's stored list without the items that are hidden or withdrawn."""
    items, scores = snapshot.records.read_list(state.bucket_value, state.record_offset)
    items, scores = remove_items(items, scores, state.hidden)
    return remove_items(items, scores, snapshot.withdrawn)


def has_informative_events(snapshot: Snapshot, state: UserState) -> bool:
    """Whether the events change the ranking.

    They do if the model knows something of their items, a vector that is not 0. Where own items are
    ranked among others, popularity has to be a part of the scores, so that the others have any.
    """
    if state.own_items is OwnItemsUse.ALONE:
        return True
    if state.own_items is OwnItemsUse.AMONG_OTHERS and snapshot.has_popularity:
        return True
    return bool(snapshot.coarse.vectors[state.events.index].any())


def remove_items(items: list[int], scores: list[float], removed: Container[int]) -> ScoredItems:
    """Return the items, and their scores, without those that are to be removed."""
    positions = [position for position, item in enumerate(items) if item not in removed]
    remaining_items = [items[position] for position in positions]
    remaining_scores = [scores[position] for position in positions]
    return remaining_items, remaining_scores


def _select_from_user_list(snapshot: Snapshot, state: UserState) -> ScoredItems:
    """Return the user's list without what is hidden or does not match the filters."""
    items, scores = read_visible_list(snapshot, state)
    if state.own_items is OwnItemsUse.ALONE:
        others = set(items)
        if state.history is not None:
            others -= set(state.history.index.tolist())
        items, scores = remove_items(items, scores, others)
    mask = snapshot.build_mask(state.question)
    if mask is not None:
        excluded = {item for item in items if not mask[item]}
        items, scores = remove_items(items, scores, excluded)
    return items[: state.k], scores[: state.k]


def _select_popular(snapshot: Snapshot, state: UserState) -> tuple[str, ScoredItems]:
    """Return the tier and the list: the segment's, unless the one for everybody is longer."""
    mask = snapshot.build_mask(state.question)
    popular = snapshot.everybody.select_best(state.k, state.hidden, mask)
    segment = snapshot.find_segment(state.question.context)
    if segment is not None:
        segment_list = segment.select_best(state.k, state.hidden, mask)
        if len(segment_list[0]) >= len(popular[0]):
            return "segment", segment_list
    return "popular", popular
