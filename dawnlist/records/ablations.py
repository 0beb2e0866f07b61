"""What each bot rule contributes: the tables that `dawnlist ablate` keeps in the lake.

Reports show them. A table has

- `as_of`
- `judged_on`: the users whose holdout was used, in words
- `metric`, `users`
- `rows`: one for each rule that was left out, and one for "all rules", with `without` (the rule's
  name), `ndcg` (without the rule), `with` (the NDCG with all rules), `difference` (with - without),
  `low` and `high` (the bounds of its interval) and `users`
- `changes`, optional: what other changes bring, such as hyper-parameters, with `change`, `ndcg`
  (with the change), `difference`, `low` and `high`
- `said`, optional: sentences about the rows and changes
"""

from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from dawnlist.cuts import format_stamp
from dawnlist.lake.damaged_objects import DamagedObjectError, JsonTypes
from dawnlist.lake.lake import Lake

ABLATION_FOLDER = "ablation"

AblationTable = dict[str, Any]
_TABLE_TYPES: Final[JsonTypes] = {"rows": list}


def save_ablation(lake: Lake, as_of: datetime, report: AblationTable) -> None:
    """Write a table to the lake. It replaces an older table of the same `as_of`."""
    lake.write_json(report, ABLATION_FOLDER, _name_file(as_of))


def find_newest_ablation(lake: Lake, as_of: datetime) -> AblationTable | None:
    """Read the newest table that is not later than `as_of`, or return None.

    A table that Dawnlist did not write is passed over: reports can do without it.
    """
    latest_name = _name_file(as_of)
    names = [name for name in lake.names(ABLATION_FOLDER) if name <= latest_name]
    for name in reversed(names):
        with suppress(DamagedObjectError):
            table: AblationTable | None = lake.read_json(ABLATION_FOLDER, name, types=_TABLE_TYPES)
            return table
    return None


def _name_file(as_of: datetime) -> str:
    return f"{format_stamp(as_of)}.json"
