"""Build splits of the interactions table: its (user, item) pairs, without bots, cut in time."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from dawnlist.components.dataset.new_items import join_items_table
from dawnlist.components.dataset.periods import choose_cuts
from dawnlist.components.dataset.repeat_gap import measure_repeat_gap
from dawnlist.components.dataset.traffic import measure_traffic
from dawnlist.components.dataset.verdicts import build_keep_filter
from dawnlist.cuts import Cuts, format_iso
from dawnlist.events.disliked_pairs import find_disliked_pairs
from dawnlist.lake.interactions import scan_interactions
from dawnlist.lake.lake import Lake
from dawnlist.machine import scratch_duckdb
from dawnlist.model.ids import IdMap
from dawnlist.model.repeats import RepeatMode
from dawnlist.model.splits import Splits
from dawnlist.records.registry import find_incumbent

# One pass over the rows gives the three parts of every pair.
PAIRS_QUERY = """
SELECT user_id, item_id,
       {columns}
FROM rows
GROUP BY user_id, item_id
"""
SPLIT_CONDITIONS = (
    "event_time < $validation",
    "event_time >= $validation AND event_time < $train",
    "event_time >= $train",
)
"""The conditions of the three parts: before validation, validation, holdout."""


def build_splits(
    lake: Lake,
    version: int,
    verdicts: pa.Table,
    as_of: datetime,
    window_days: int,
    min_users: int = 0,
    repeats: RepeatMode = "auto",
    event_names: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Splits, dict[str, Any]]:
    """Build the splits of [as_of - window_days, as_of), and count what is in them.

    The incumbent of this moment is recorded in the splits, so that a rerun has the same one.

    Args:
        lake: The lake.
        version: The version of the interactions table.
        verdicts: The verdicts of filter_bots; what they drop is left out.
        as_of: The end of the window, with a zone.
        window_days: The length of the window.
        min_users: Validation and holdout have as many days as it takes to judge so many users, see
            choose_cuts; with 0 they have one day each.
        repeats: Whether lists may hold items that the user has met.
        event_names: The setting source.events, which may name dislikes.

    Raises:
        ValueError: No interactions remain to train on.
    """
    all_rows = scan_interactions(lake, version, as_of, window_days)
    rows = all_rows.filter(build_keep_filter(verdicts))
    cuts = choose_cuts(rows, as_of, min_users, repeats != "off")
    pairs = _aggregate_pairs(rows, cuts)
    lineage = {
        "interactions_version": version,
        "window_days": window_days,
        "settings": _read_settings_digest(verdicts),
        "incumbent": find_incumbent(lake, as_of),
        "traffic": measure_traffic(rows, as_of, all_rows),
        "repeats": repeats,
        "repeat_gap": measure_repeat_gap(rows, cuts.validation_start, len(pairs)),
    }
    splits = _arrange_pairs(pairs, cuts, lineage)
    splits = _mark_disliked_pairs(lake, splits, event_names)
    splits.about["holdout"] = splits.holdout_fingerprint
    if not splits.met(slice(2)).any():
        raise ValueError(_explain_empty_splits(cuts.train_end))
    splits = join_items_table(lake, splits)
    return splits, _summarise_splits(splits)


def _explain_empty_splits(train_end: datetime) -> str:
    return (
        f"no interactions before {format_iso(train_end)} remain after cleaning and dropping bots, "
        "so there is nothing to train on: fetch more days with `dawnlist backfill`, "
        "or see the drop report for what was taken out"
    )


def _read_settings_digest(verdicts: pa.Table) -> str | None:
    """Read the digest of the settings that the verdicts were made with."""
    metadata = verdicts.schema.metadata or {}
    digest = metadata.get(b"settings", b"").decode()
    return digest or None


def _aggregate_pairs(rows: pads.Dataset, cuts: Cuts) -> pa.Table:
    """Aggregate the rows to pairs, with the columns weight0, last0, ... of each part."""
    columns = []
    for part, condition in enumerate(SPLIT_CONDITIONS):
        total = f"coalesce(sum(weight) FILTER ({condition}), 0)::FLOAT"
        last = f"coalesce(max(epoch_us(event_time)) FILTER ({condition}), 0)"
        columns.append(f"{total} AS weight{part}, {last} AS last{part}")
    query = PAIRS_QUERY.format(columns=",\n       ".join(columns))
    parameters = {"validation": cuts.validation_start, "train": cuts.train_end}
    connection = scratch_duckdb.open_scratch_database()
    connection.register("rows", rows)
    return connection.sql(query, params=parameters).to_arrow_table()


def _arrange_pairs(
    pairs: pa.Table,
    cuts: Cuts,
    lineage: dict[str, Any],
) -> Splits:
    """Number users and items, and sort the pairs by user, then item."""
    users, items = IdMap.of(pairs["user_id"]), IdMap.of(pairs["item_id"])
    user_index = users.indices(pairs["user_id"])
    item_index = items.indices(pairs["item_id"])
    order = np.lexsort((item_index, user_index))
    return Splits(
        user_ids=users,
        item_ids=items,
        user_index=user_index[order].astype(np.int32),
        item_index=item_index[order].astype(np.int32),
        weight=_stack_parts(pairs, "weight")[:, order].astype(np.float32),
        last=_stack_parts(pairs, "last")[:, order].astype(np.int64),
        cuts=cuts,
        about=lineage,
    )


def _mark_disliked_pairs(lake: Lake, splits: Splits, event_names: Mapping[str, str]) -> Splits:
    """Mark the pairs whose users disliked the item by the end of validation and of the holdout."""
    width = splits.shape[1]
    pair_keys = splits.user_index.astype(np.int64) * width + splits.item_index
    marks = []
    for end in (splits.cuts.train_end, splits.cuts.as_of):
        disliked = find_disliked_pairs(lake, end, event_names)
        users = splits.user_ids.indices(disliked["user_id"])
        items = splits.item_ids.indices(disliked["item_id"])
        is_known = (users >= 0) & (items >= 0)
        disliked_keys = users[is_known].astype(np.int64) * width + items[is_known]
        marks.append(np.isin(pair_keys, disliked_keys))
    if not np.any(marks):
        return splits
    return replace(splits, disliked=np.stack(marks))


def _stack_parts(pairs: pa.Table, name: str) -> Any:
    """Stack the columns of the three parts, shape (3, pairs)."""
    return np.stack([pairs[f"{name}{part}"].to_numpy() for part in range(len(SPLIT_CONDITIONS))])


def _count_disliked_pairs(splits: Splits) -> int:
    """Count the pairs that are no truth of the holdout because their users disliked the item."""
    if splits.disliked is None:
        return 0
    return int((splits.met(2) & splits.disliked[1]).sum())


def _summarise_splits(splits: Splits) -> dict[str, Any]:
    return {
        "users": splits.shape[0],
        "items": splits.met_item_count,
        "new_items": int(splits.new_items("refit").sum()),
        "content_dimensions": splits.content.shape[1],
        "pairs": len(splits.user_index),
        "train_pairs": int(splits.met(slice(2)).sum()),
        "validation_users": len(splits.judged("validation")),
        "holdout_users": len(splits.judged("holdout")),
        "validation_days": (splits.cuts.train_end - splits.cuts.validation_start).days,
        "holdout_days": (splits.cuts.as_of - splits.cuts.train_end).days,
        "disliked_pairs": _count_disliked_pairs(splits),
        "holdout_repeat_share": round(splits.repeat_share("holdout"), 4),
        "repeats": splits.about["repeats"],
        "repeat_gap_days": splits.repeat_gap,
        "cuts": {
            "validation_start": format_iso(splits.cuts.validation_start),
            "train_end": format_iso(splits.cuts.train_end),
            "as_of": format_iso(splits.cuts.as_of),
        },
    }
