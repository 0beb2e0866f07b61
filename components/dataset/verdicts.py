"""Apply the verdicts of filter_bots."""

import pyarrow as pa
import pyarrow.compute as pc


def build_keep_filter(verdicts: pa.Table) -> pc.Expression:
    """Build the filter of the rows that no verdict drops, over the columns user_id and event_id.

    Verdicts of rules in shadow mode drop nothing.
    """
    is_effective = pc.and_not(pc.equal(verdicts["action"], "drop"), verdicts["shadow"])
    drops = verdicts.filter(is_effective)
    keep_filter = pc.scalar(True)
    for column in ("user_id", "event_id"):
        dropped_ids = drops[column].drop_null().unique()
        if len(dropped_ids):
            keep_filter = keep_filter & ~pc.field(column).isin(dropped_ids)
    return keep_filter
