"""What a group's list needs to know of each member."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from dawnlist.arrays import Float32Array
from dawnlist.serving.predictor.answers.own_items import OwnItems, add_vector_scores
from dawnlist.serving.predictor.answers.ranked_user import describe_user
from dawnlist.serving.predictor.answers.ranking_task import RankingTask
from dawnlist.serving.predictor.answers.stored_lists import has_informative_events
from dawnlist.serving.predictor.answers.user_state import UserState

MemberState = tuple[UserState, RankingTask | None]
"""What the store says about a member, and the task of ranking all items for them. There is no task
if the member's history could not be read."""


@dataclass(frozen=True)
class MemberTaste:
    """What the items are scored by for one member."""

    user_id: str
    """The member's id as the caller wrote it."""
    vector: Float32Array
    """The member's vector, shape (factors + d,)."""
    own: OwnItems
    """The items that the member's list may have again, with their whole scores."""


@dataclass(frozen=True)
class GroupMembers:
    """All members of a group."""

    tastes: list[MemberTaste] = field(default_factory=list)
    """The members whose scores count."""
    unknown: list[str] = field(default_factory=list)
    """Ids of the members who have no vector, as the caller wrote them."""
    seen: dict[str, set[int]] = field(default_factory=dict)
    """The rows of the items that each member has met, by id, for all members."""
    refused: set[int] = field(default_factory=set)
    """The rows of the items that any member dislikes, or must not get for another reason."""

    def list_seen_by(self, row: int) -> list[str]:
        """List the ids of the members who have met an item."""
        return [user_id for user_id, rows in self.seen.items() if row in rows]

    def find_seen_by_all(self) -> set[int]:
        """Find the items that all members have met whose scores count, or all if none counts."""
        counted = [taste.user_id for taste in self.tastes] or [*self.seen]
        return set.intersection(*(self.seen[user_id] for user_id in counted))


def describe_members(states: Sequence[MemberState]) -> GroupMembers:
    """Compute what the items are scored by for each member who has a vector."""
    members = GroupMembers()
    for state, task in states:
        user_id = state.question.given_id or state.question.user_id
        taste = _describe_taste(user_id, state, task)
        if taste is None:
            members.unknown.append(user_id)
        else:
            members.tastes.append(taste)
        members.seen[user_id] = _find_seen_items(state)
        members.refused.update(state.refused)
    return members


def _describe_taste(user_id: str, state: UserState, task: RankingTask | None) -> MemberTaste | None:
    """Compute what the items are scored by for one member; None without a vector."""
    if task is None:
        return None
    has_events = len(state.events) > 0 and has_informative_events(task.snapshot, state)
    if not state.is_known and not has_events:
        return None
    user = describe_user(task)
    if not user.vector.any() and not len(user.own):
        return None
    own = user.own
    if len(own):
        own = add_vector_scores(task.snapshot.coarse, user.vector, own)
    return MemberTaste(user_id, user.vector, own)


def _find_seen_items(state: UserState) -> set[int]:
    """Find the items that a member has met, without those that they refused."""
    seen = set(state.hidden)
    seen.update(state.events.index.tolist())
    if state.history is not None:
        seen.update(state.history.index.tolist())
    return seen - state.refused
