"""The items that each member of a group looked at last."""

import numpy as np

from dawnlist.arrays import BoolArray, Float64Array, Int64Array

REMEMBERED_ITEMS = 12
"""How many of the last items are remembered."""


class ItemMemory:
    """Remembers the last items of each member, and how many items it has seen in all."""

    def __init__(self, members: int) -> None:
        """At first nobody has seen an item."""
        self._last_items = np.zeros((members, REMEMBERED_ITEMS), np.int64)
        self._seen_counts = np.zeros(members, np.int64)

    def has_items(self, member: Int64Array) -> BoolArray:
        """Say of each member whether it has seen an item."""
        return np.asarray(self._seen_counts[member] > 0)

    def recall(self, member: Int64Array, draws: Float64Array) -> Int64Array:
        """Choose one of each member's last items by a number from 0 to 1; 0 without items."""
        remembered = np.minimum(self._seen_counts[member], REMEMBERED_ITEMS)
        slot = (draws * remembered).astype(np.int64)
        return self._last_items[member, slot]

    def remember(self, member: Int64Array, item: Int64Array) -> None:
        """Add items that members looked at, in their order. Entries of a member are neighbours."""
        unique_members, first = np.unique(member, return_index=True)
        counts = np.diff(first, append=len(member))
        position = self._seen_counts[member] + number_within_groups(counts)
        self._last_items[member, position % REMEMBERED_ITEMS] = item
        self._seen_counts[unique_members] += counts


def number_within_groups(lengths: Int64Array) -> Int64Array:
    """Number the entries of each group from 0, for groups of these lengths one after the other."""
    starts = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) - np.repeat(starts, lengths)
