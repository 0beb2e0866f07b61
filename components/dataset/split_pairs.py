"""From the interactions table and the verdicts to splits."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from dawnlist.components.dataset.new_items import join_items_table
from dawnlist.components.dataset.traffic import measure_traffic
from dawnlist.components.dataset.verdicts import build_keep_filter
from dawnlist.cuts import Cuts, format_iso, parse_as_of
from dawnlist.lake.interactions import scan_interactions
from dawnlist.lake.lake import Lake
from dawnlist.machine import scratch_duckdb
from dawnlist.model.ids import IdMap
from dawnlist.model.splits import Splits
from dawnlist.records.registry import find_incumbent

# One pass over the rows gives all three parts of every pair.
PAIRS_QUERY = """
SELECT user_id, item_id,
       {sums},
       {lasts}
FROM rows
GROUP BY user_id, item_id
"""
SPLIT_CONDITIONS = (
    "event_time < $validation",
    "event_time >= $validation AND event_time < $train",
    "event_time >= $train",
)


def build_splits(
    lake: Lake, version: int, verdicts: pa.Table, as_of: str, window_days: int
) -> tuple[Splits, dict[str, Any]]:
    """The splits of [as_of - window_days, as_of), and counts. ValueError when nothing is left to train on.

    The incumbent of this moment goes with them: the holdout begins where its knowledge ends, so no later one may be
    judged on it.
    """
    day = parse_as_of(as_of)
    live = find_incumbent(lake, day)
    cuts = Cuts.of(day, parse_as_of(live["as_of"]) if live else None)
    rows = scan_interactions(lake, version, day, window_days).filter(build_keep_filter(verdicts))
    pairs = _aggregate_pairs(rows, cuts)
    users, items = IdMap.of(pairs["user_id"]), IdMap.of(pairs["item_id"])
    user, item = users.indices(pairs["user_id"]), items.indices(pairs["item_id"])
    order = np.lexsort((item, user))
    stacked = {
        name: np.stack([pairs[f"{name}{part}"].to_numpy() for part in range(3)])[:, order]
        for name in ("weight", "last")
    }
    splits = Splits(
        users,
        items,
        user[order].astype(np.int32),
        item[order].astype(np.int32),
        stacked["weight"].astype(np.float32),
        stacked["last"].astype(np.int64),
        cuts,
        {
            "interactions_version": version,
            "window_days": window_days,
            "settings": (verdicts.schema.metadata or {}).get(b"settings", b"").decode() or None,
            "incumbent": live,
            "traffic": measure_traffic(rows, day),
        },
    )
    splits.about["holdout"] = splits.holdout_fingerprint
    if not splits.met(slice(2)).any():
        raise ValueError(
            f"no interactions before {format_iso(cuts.train_end)} are left to train on: "
            "fetch more days, or see the drop report for what was taken out"
        )
    splits = join_items_table(lake, splits)
    return splits, _summarise_splits(splits)


def _aggregate_pairs(rows: pads.Dataset, cuts: Cuts) -> pa.Table:
    sums = ", ".join(
        f"coalesce(sum(weight) FILTER ({part}), 0)::FLOAT weight{i}"
        for i, part in enumerate(SPLIT_CONDITIONS)
    )
    lasts = ", ".join(
        f"coalesce(max(epoch_us(event_time)) FILTER ({part}), 0) last{i}"
        for i, part in enumerate(SPLIT_CONDITIONS)
    )
    connection = scratch_duckdb.open_scratch_database()
    connection.register("rows", rows)
    query = PAIRS_QUERY.format(sums=sums, lasts=lasts)
    cut = {"validation": cuts.validation_start, "train": cuts.train_end}
    return connection.sql(query, params=cut).to_arrow_table()


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
        "holdout_repeat_share": round(splits.repeat_share("holdout"), 4),
        "cuts": {
            "validation_start": format_iso(splits.cuts.validation_start),
            "train_end": format_iso(splits.cuts.train_end),
            "as_of": format_iso(splits.cuts.as_of),
        },
    }
