"""Check that the holdout is the one that was cut, and that all runs of a day cut the same one."""

import json
from dataclasses import replace

from dawnlist.cuts import format_iso, format_stamp
from dawnlist.dataclass_json import to_json
from dawnlist.lake.lake import Lake
from dawnlist.model.evaluation import HoldoutFacts
from dawnlist.model.splits import Splits


def verify_holdout_fingerprint(splits: Splits) -> str:
    """Return the holdout's fingerprint.

    Raises:
        ValueError: The splits were cut with another one.
    """
    fingerprint = splits.holdout_fingerprint
    cut_fingerprint = splits.about.get("holdout")
    if cut_fingerprint not in (None, fingerprint):
        raise ValueError(
            f"the holdout's fingerprint is {fingerprint}, and the splits were cut with "
            f"{cut_fingerprint}: they were changed after the cut, so run dataset again"
        )
    return fingerprint


def describe_holdout(lake: Lake | None, splits: Splits) -> HoldoutFacts:
    """Describe the holdout.

    The lake keeps the holdout of the first run that cut this day. If that one has another
    fingerprint, it is returned as `first_seen`: rows came late, or rules changed, and the figures
    of the two runs cannot be compared.
    """
    start, end = splits.cuts.train_end, splits.cuts.as_of
    holdout = HoldoutFacts(
        start=format_iso(start),
        end=format_iso(end),
        fingerprint=verify_holdout_fingerprint(splits),
        pairs=int(splits.truth("holdout").nnz),
    )
    if lake is None:
        return holdout
    path = ("holdouts", f"{format_stamp(end)}-{format_stamp(start)}.json")
    lake.create(json.dumps(to_json(holdout)).encode(), *path)
    first_fingerprint = lake.read_json(*path, types={"fingerprint": str})["fingerprint"]
    if first_fingerprint == holdout.fingerprint:
        return holdout
    return replace(holdout, first_seen=first_fingerprint)
