"""A question for a group's list, in the same form for every protocol."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dawnlist.serving.predictor.answers.question import Question

DEFAULT_GROUP_ITEMS: Final = 20
DEFAULT_MEAN_SHARE: Final = 0.5


class GroupStrategy(StrEnum):
    """How the members' scores of an item become the group's score."""

    MEAN = "mean"
    """The mean of the scores."""
    LEAST_MISERY = "least_misery"
    """The lowest of the scores."""
    MIX = "mix"
    """A weighted sum of both."""


@dataclass(slots=True)
class GroupQuestion:
    """A request for one group's items. The protocol has checked types and lengths."""

    members: tuple[Question, ...]
    """A question for each member, with nothing but their ids."""
    strategy: GroupStrategy = GroupStrategy.MIX
    """How the members' scores are put together."""
    k: int = DEFAULT_GROUP_ITEMS
    """How many items to return."""
    mean_share: float = DEFAULT_MEAN_SHARE
    """The weight of the mean in a mix, from 0 to 1; the lowest score has the rest."""
    exclude: tuple[str, ...] = ()
    """Ids of items that must not be returned."""
    where: str = ""
    """A filter expression over the items' columns. Empty allows all items."""
    user_id: str = ""
    """Empty: in the log of what was shown, a group's answer is about no single user."""

    @property
    def mean_weight(self) -> float:
        """The weight of the mean in the group's score."""
        if self.strategy is GroupStrategy.MEAN:
            return 1.0
        if self.strategy is GroupStrategy.LEAST_MISERY:
            return 0.0
        return self.mean_share
