"""What verdicts let through."""

import pyarrow as pa
import pyarrow.compute as pc


def build_keep_filter(verdicts: pa.Table) -> pc.Expression:
    """The filter that lets through what no verdict drops, for a table's or a dataset's columns user_id and event_id."""
    drop = pc.and_not(pc.equal(verdicts["action"], "drop"), verdicts["shadow"])
    dropped = verdicts.filter(drop)
    kept = pc.scalar(True)
    for column in ("user_id", "event_id"):
        ids = dropped[column].drop_null().unique()
        if len(ids):
            kept = kept & ~pc.field(column).isin(ids)
    return kept
