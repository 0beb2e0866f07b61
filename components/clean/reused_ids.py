"""Find event ids that the source gives to different events, and give such rows an id of their own.

A row that has the event id of another row but another user, item or event type is no copy of it.
The first event of an id keeps it. The other rows get an id of the source's id and their content, which is
the same whenever they are fetched.
"""

from dataclasses import dataclass

import ibis

from dawnlist.components.clean.duplicates import hash_action, hash_event_id
from dawnlist.components.clean.engine import CleaningEngine, TableExpression
from dawnlist.components.clean.fates import FATE_CLEAN


@dataclass(frozen=True)
class ReusedIds:
    """The rows whose event id belongs to another row."""

    keys: TableExpression
    """The column key of these rows, materialised."""
    rows: int
    """The number of these rows."""
    rows_with_id: int
    """The number of rows that are clean but for repeats."""
    ids: int
    """How many different event ids those rows have."""


def find_reused_ids(
    engine: CleaningEngine,
    validated_rows: TableExpression,
    stored_rows: TableExpression | None,
) -> ReusedIds | None:
    """Find rows whose event id belongs to an event of another user, item or type.

    `validated_rows` are the rows of validate_rows, `stored_rows` what the lake holds of the days in
    which event ids are looked up. Returns None when there is no such row.
    """
    columns = ("key", "event_hash", "action_hash", "event_time")
    rows = validated_rows.filter(validated_rows.fate == FATE_CLEAN).select(*columns)
    actions = rows.action_hash.nunique()
    shared_ids = rows.group_by("event_hash").having(actions > 1).agg()
    if stored_rows is None:
        reused = _select_foreign_rows(rows.semi_join(shared_ids, "event_hash"))
    else:
        # DuckDB's hashes of 128 bits can be compared once they are kept.
        owners = engine.materialise("id_owners", _hash_stored_rows(stored_rows))
        owners = owners.semi_join(rows, "event_hash")
        owned_rows = rows.semi_join(owners, "event_hash")
        other_rows = rows.anti_join(owners, "event_hash").semi_join(shared_ids, "event_hash")
        foreign_rows = owned_rows.anti_join(owners, ["event_hash", "action_hash"]).select("key")
        reused = foreign_rows.union(_select_foreign_rows(other_rows))
    keys = engine.materialise("reused_ids", reused)
    [reused_count] = engine.to_arrow(keys.agg(rows=keys.count()))["rows"].to_pylist()
    if not reused_count:
        return None
    counted = engine.to_arrow(rows.agg(rows=rows.count(), ids=rows.event_hash.nunique()))
    [counts] = counted.to_pylist()
    return ReusedIds(keys, reused_count, counts["rows"], counts["ids"])


def _hash_stored_rows(stored_rows: TableExpression) -> TableExpression:
    return stored_rows.select(
        event_hash=hash_event_id(stored_rows.event_id),
        action_hash=hash_action(stored_rows.user_id, stored_rows.item_id, stored_rows.event_type),
    )


def _select_foreign_rows(rows: TableExpression) -> TableExpression:
    """Select the keys of rows that do something else than the first row of their event id."""
    same_id = ibis.window(group_by="event_hash", order_by=["event_time", "key"])
    with_owner = rows.mutate(owner=rows.action_hash.first().over(same_id))
    return with_owner.filter(with_owner.action_hash != with_owner.owner).select("key")
