"""Find the items that no list may have: gone, not available, blocked, or withdrawn by a person."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.arrays import BoolArray, Int64Array
from dawnlist.cuts import MICROSECONDS_PER_DAY
from dawnlist.lake.items_seen import read_items_seen
from dawnlist.lake.lake import Lake
from dawnlist.model.splits import Splits
from dawnlist.settings import ItemSettings
from dawnlist.store.client import STORE_ERRORS, connect_store
from dawnlist.store.layout import StoreKeys
from dawnlist.store.withdrawals import read_withdrawn_ids

USE_PERIOD: Final = timedelta(days=28)
MIN_FULL_SHARE: Final = 0.95
"""An items table is a full catalogue if it lists at least this share of what people met lately."""


@dataclass(frozen=True)
class WithdrawnItems:
    """The items of splits that no list may have."""

    mask: BoolArray
    """Shape (items,)."""
    counts: dict[str, int]
    """How many items there are for each reason: left, unavailable, blocked, withdrawn. An item with
    several reasons counts for the first. Reasons without an item are left out."""


def read_store_withdrawals(redis: str, namespace: str) -> frozenset[str]:
    """Read the ids that `dawnlist items withdraw` withdrew.

    A store that does not answer fails no run here: the predictor leaves these items out anyway.
    """
    try:
        with connect_store(redis) as client:
            return read_withdrawn_ids(client, StoreKeys(namespace))
    except (ConnectionError, *STORE_ERRORS) as error:
        print(f"the withdrawn items could not be read, so the lists may have them: {error}")
        return frozenset()


def find_withdrawn_items(
    lake: Lake, splits: Splits, settings: ItemSettings, withdrawn_ids: Iterable[str]
) -> WithdrawnItems:
    """Find the items that no list may have.

    Args:
        lake: Its items table says which items there are and which are available.
        splits: The items, and what people met.
        settings: The shop's block list, and what the items table means.
        withdrawn_ids: What `dawnlist items withdraw` withdrew.

    Raises:
        ValueError: All items are withdrawn, so no list could have any.
    """
    reasons = {
        **_read_items_table(lake, splits, settings),
        "blocked": _mark_ids(splits, settings.blocked),
        "withdrawn": _mark_ids(splits, withdrawn_ids),
    }
    mask = np.zeros(splits.shape[1], dtype=bool)
    counts = {}
    for reason, is_meant in reasons.items():
        count = int((is_meant & ~mask).sum())
        if count:
            counts[reason] = count
        mask |= is_meant
    if mask.all():
        causes = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
        raise ValueError(
            f"all {len(mask):,} items are withdrawn ({causes}), so there is nothing to recommend: "
            "check the items table, the settings `items` and `dawnlist items withdrawn`"
        )
    return WithdrawnItems(mask, counts)


def _read_items_table(lake: Lake, splits: Splits, settings: ItemSettings) -> dict[str, BoolArray]:
    """Mark the items that left the items table, and those that it says are not available."""
    rows = lake.rows("items")
    if rows is None:
        return {}
    has_availability = "available" in rows.schema.names
    columns = ["item_id"]
    if has_availability:
        columns.append("available")
    table = rows.to_table(columns=columns)
    is_listed = _mark_ids(splits, table["item_id"])
    reasons = {"left": _find_left_items(lake, splits, settings, is_listed)}
    if has_availability:
        is_unavailable = pc.fill_null(pc.invert(table["available"]), False)
        reasons["unavailable"] = _mark_ids(splits, table["item_id"].filter(is_unavailable))
    return reasons


def _find_left_items(
    lake: Lake, splits: Splits, settings: ItemSettings, is_listed: BoolArray
) -> BoolArray:
    """Mark the items that left the table, as the setting items.catalogue says."""
    is_full = settings.catalogue == "full"
    if settings.catalogue == "auto":
        is_full = lists_nearly_all(splits, is_listed)
    if is_full:
        return ~is_listed
    earlier = read_items_seen(lake, splits.cuts.as_of)
    return _mark_ids(splits, earlier["item_id"]) & ~is_listed


def lists_nearly_all(splits: Splits, is_listed: BoolArray) -> bool:
    """Say whether the table lists nearly all that people met lately, new items among it.

    A table that is not kept up to date lists old items only: the shares of new ones tell it.
    """
    as_of = int(splits.cuts.as_of.timestamp() * 1_000_000)
    start = as_of - USE_PERIOD.days * MICROSECONDS_PER_DAY
    newest = splits.last.max(axis=0)
    never = np.iinfo(np.int64).max
    oldest = np.where(splits.last > 0, splits.last, never).min(axis=0)
    is_new = np.ones(splits.shape[1], dtype=bool)
    is_new[splits.item_index[oldest < start]] = False
    users: Int64Array = np.bincount(splits.item_index[newest >= start], minlength=splits.shape[1])
    has_all = _is_share_reached(users[is_listed].sum(), users.sum())
    has_new = _is_share_reached(users[is_listed & is_new].sum(), users[is_new].sum())
    return has_all and has_new


def _is_share_reached(part: int, whole: int) -> bool:
    """Say whether `part` is at least MIN_FULL_SHARE of `whole`; of nothing, it is."""
    # In whole numbers, so that the limit itself is reached on every machine.
    return int(part) * 100 >= int(whole) * round(100 * MIN_FULL_SHARE)


def _mark_ids(splits: Splits, item_ids: Iterable[str] | pa.ChunkedArray) -> BoolArray:
    """Mark the items that have one of the ids, shape (items,)."""
    ids = splits.item_ids.ids
    if not isinstance(item_ids, pa.ChunkedArray):
        item_ids = pa.array(sorted(item_ids), pa.string())
    is_meant = pc.is_in(ids, value_set=item_ids.cast(ids.type))
    return np.asarray(is_meant)
