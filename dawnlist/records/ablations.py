"""What each rule is worth: the tables that `dawnlist ablate` keeps in the lake, and reports carry.

A table has `as_of`, `judged_on` (whose holdout it is), `metric`, `users` and `rows`: for each rule left out, and for
"all rules", `without` (its name), `ndcg` (without it), `with` (with all rules), `difference` (with - without), `low`
and `high` (of its interval), `users`. It may have `changes`, what hyper-parameters and the like bring (`change`, `ndcg`
with it, `difference`, `low`, `high`), and `said`, sentences about both.
"""

from typing import Any

from dawnlist.cuts import format_stamp, parse_as_of
from dawnlist.lake.lake import Lake

AblationTable = dict[str, Any]


def save_ablation(lake: Lake, as_of: str, report: AblationTable) -> None:
    """Keep a table in the place of an older one of the same `as_of`."""
    lake.write_json(report, "ablation", f"{format_stamp(parse_as_of(as_of))}.json")


def find_newest_ablation(lake: Lake, as_of: str) -> AblationTable | None:
    """The newest table that is not of a time after `as_of`, or None."""
    latest = f"{format_stamp(parse_as_of(as_of))}.json"
    kept = [name for name in lake.names("ablation") if name <= latest]
    found: AblationTable | None = lake.read_json("ablation", kept[-1]) if kept else None
    return found
