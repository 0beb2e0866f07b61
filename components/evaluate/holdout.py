"""The holdout is frozen: what was cut is what is judged, and a second cut of the same day that differs is told."""

import json
from typing import Any

from dawnlist.cuts import format_iso, format_stamp
from dawnlist.lake.lake import Lake
from dawnlist.model.splits import Splits


def verify_holdout_fingerprint(splits: Splits) -> str:
    """The holdout's fingerprint; ValueError when the splits were cut with another one."""
    found, cut = splits.holdout_fingerprint, splits.about.get("holdout")
    if cut not in (None, found):
        raise ValueError(
            f"the holdout's fingerprint is {found}, and the splits were cut with {cut}: "
            "they were changed after the cut, so run dataset again"
        )
    return found


def describe_holdout(lake: Lake | None, splits: Splits) -> dict[str, Any]:
    """`from`, `to`, `fingerprint`, `pairs`; and `first_seen`, the fingerprint of the first run that cut this day here.

    That one stands only where it differs: rows came late, or rules changed, so that two runs' figures don't compare.
    """
    start, end, found = splits.cuts.train_end, splits.cuts.as_of, verify_holdout_fingerprint(splits)
    told = {
        "from": format_iso(start),
        "to": format_iso(end),
        "fingerprint": found,
        "pairs": int(splits.truth("holdout").nnz),
    }
    if lake is None:
        return told
    name = ("holdouts", f"{format_stamp(end)}-{format_stamp(start)}.json")
    lake.create(json.dumps(told).encode(), *name)
    first = lake.read_json(*name)["fingerprint"]
    return told if first == found else {**told, "first_seen": first}
