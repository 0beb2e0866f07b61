"""A task for the ranking threads: one user for whom all items are to be ranked."""

from dataclasses import dataclass

from dawnlist.arrays import BoolArray, Float32Array
from dawnlist.ranking.fold_in import UserPairs
from dawnlist.serving.predictor.answers.own_items import OwnItemsUse
from dawnlist.serving.predictor.answers.recommendation import ScoredItems
from dawnlist.serving.predictor.answers.snapshot import Snapshot


@dataclass(slots=True)
class RankingTask:
    """One user for whom all items are to be ranked."""

    snapshot: Snapshot
    """The version to rank."""
    k: int
    """How many items to return."""
    hidden: set[int]
    """Rows of items that must not be returned."""
    own_items: OwnItemsUse
    """What to do with the items of the history and the events."""
    mask: BoolArray | None
    """Items that are not withdrawn and that the filters allow, shape (items,); None allows all."""
    history: UserPairs
    """The stored history."""
    items_met: int
    """How many items the user has met, n in the weight w(n) of content."""
    events: UserPairs
    """Recent events that the history does not contain."""
    days_since_as_of: float
    """Days from as_of to the cut from which the events' ages are counted."""
    vector: Float32Array | None
    """The stored vector, for a ranking without events or a history that is truncated; else None."""
    fold: bool
    """Whether the vector is to be computed from the history and the events."""
    explain: bool
    """Whether to name the reasons for each score."""
    stored_list: ScoredItems | None = None
    """A list that only has to be explained; None if all items are to be ranked."""
