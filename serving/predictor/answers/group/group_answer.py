"""Answer a question for a group's list from what is known of its members."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dawnlist.arrays import BoolArray, Float32Array
from dawnlist.serving.predictor.answers.group.group_members import (
    GroupMembers,
    MemberState,
    describe_members,
)
from dawnlist.serving.predictor.answers.group.group_question import GroupQuestion
from dawnlist.serving.predictor.answers.group.group_scores import find_best_items
from dawnlist.serving.predictor.answers.recommendation import Recommendation
from dawnlist.serving.predictor.answers.snapshot import Snapshot

GROUP_TIERS: Final = ("group", "popular", "static")
"""The members' own scores; the popular list, if no member has a vector; and the static file."""


@dataclass(slots=True)
class GroupAnswer:
    """The items for a group, as rows of the catalogue."""

    recommendation: Recommendation
    """The items and the group's scores, best first."""
    counted: list[str]
    """Ids of the members whose scores count, as the caller wrote them."""
    member_scores: Float32Array
    """The scores of these members, shape (members, items)."""
    seen_by: list[list[str]]
    """For each item the ids of the members who have met it."""
    unknown: list[str]
    """Ids of the members without a vector, as the caller wrote them."""


def answer_group(
    snapshot: Snapshot, question: GroupQuestion, states: Sequence[MemberState]
) -> GroupAnswer:
    """Rank the items for a group. Runs in a thread, off the event loop.

    Raises:
        ExpressionError: the filter expression is wrong.
    """
    members = describe_members(states)
    allowed = _build_mask(snapshot, question, members)
    if not members.tastes:
        return _answer_with_popular_items(snapshot, question, members, allowed)
    rows, scores, member_scores = find_best_items(
        snapshot.coarse, members.tastes, question.mean_weight, question.k, allowed
    )
    return _build_answer(
        Recommendation("group", rows.tolist(), scores.tolist()), members, member_scores
    )


def answer_group_without_version(
    question: GroupQuestion, recommendation: Recommendation
) -> GroupAnswer:
    """Answer with the items of the static file: nothing is known of any member."""
    members = GroupMembers()
    members.unknown.extend(member.given_id for member in question.members)
    return _build_answer(recommendation, members, _build_no_scores(recommendation))


def _answer_with_popular_items(
    snapshot: Snapshot, question: GroupQuestion, members: GroupMembers, allowed: BoolArray
) -> GroupAnswer:
    items, scores = snapshot.everybody.select_best(question.k, set(), allowed)
    recommendation = Recommendation("popular", items, scores)
    return _build_answer(recommendation, members, _build_no_scores(recommendation))


def _build_no_scores(recommendation: Recommendation) -> Float32Array:
    """Return the scores of no member, shape (0, items)."""
    return np.zeros((0, len(recommendation.items)), dtype=np.float32)


def _build_answer(
    recommendation: Recommendation, members: GroupMembers, member_scores: Float32Array
) -> GroupAnswer:
    return GroupAnswer(
        recommendation,
        counted=[taste.user_id for taste in members.tastes],
        member_scores=member_scores,
        seen_by=[members.list_seen_by(row) for row in recommendation.items],
        unknown=members.unknown,
    )


def _build_mask(snapshot: Snapshot, question: GroupQuestion, members: GroupMembers) -> BoolArray:
    """Return which items the group may get, shape (items,)."""
    allowed = np.ones(len(snapshot.item_ids), dtype=bool)
    if snapshot.servable is not None:
        allowed &= snapshot.servable
    if question.where:
        allowed &= snapshot.filters.compute_mask(question.where)
    allowed[list(snapshot.item_ids.find_rows(question.exclude))] = False
    allowed[list(members.refused)] = False
    allowed[list(members.find_seen_by_all())] = False
    return allowed
