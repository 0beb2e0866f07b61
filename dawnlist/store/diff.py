"""What differs between two versions of the store: users, lists, metrics and parameters."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.store import bulk
from dawnlist.store.client import Client
from dawnlist.store.items import unpack_catalogue
from dawnlist.store.layout import Keys, Meta, metas, opened
from dawnlist.store.rows import item_indices, record_of

BUCKETS_A_READ: Final = 4_096
NOWHERE: Final = -1

Lists = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]
"""Users' fingerprints, and their lists as (users, k) numbers of items, NOWHERE beyond a list's end."""


def diff(client: Client, namespace: str, before: int, after: int) -> dict[str, Any]:
    """Two versions compared.

    `churn` is the mean share of a user's list in `before` that is not in their list in `after`, over the users of both
    with a list; `common` counts users of both, `gone` and `new` of one only. `metrics` and `parameters` hold what
    differs, as name -> [before, after]. LookupError when the store does not keep a version, ValueError when one is
    damaged.
    """
    keys = Keys(namespace)
    kept = metas(client, keys.versions)
    for version in (before, after):
        if version not in kept:
            raise LookupError(f"there is no version {version}: choose of {', '.join(map(str, sorted(kept))) or 'none'}")
    old, new = kept[before], kept[after]
    if old["salt"] != new["salt"]:
        raise ValueError(
            f"versions {before} and {after} tell their users apart by different salts, so their lists can't be compared"
        )
    items = _catalogue(client, keys, old)
    lists = [_lists(client, keys, meta, pc.index_in(_catalogue(client, keys, meta), items)) for meta in (old, new)]
    return {
        "before": _named(old),
        "after": _named(new),
        **_changed_lists(*lists),
        "metrics": _changed(old.get("metrics") or {}, new.get("metrics") or {}),
        "parameters": _changed(_parameters(old), _parameters(new)),
    }


def _named(meta: Meta) -> dict[str, Any]:
    return {name: meta[name] for name in ("version", "as_of", "run", "winner", "users", "items")}


def _parameters(meta: Meta) -> dict[str, Any]:
    return {**(meta.get("config") or {}), "k": meta["k"], "event_weights": meta.get("event_weights")}


def _changed(old: dict[str, Any], new: dict[str, Any]) -> dict[str, list[Any]]:
    names = sorted(old.keys() | new.keys())
    return {name: [old.get(name), new.get(name)] for name in names if old.get(name) != new.get(name)}


def _catalogue(client: Client, keys: Keys, meta: Meta) -> pa.Array:
    names = [keys.catalogue(meta["token"], chunk) for chunk in range(meta["chunks"]["c"])]
    chunks = [unpack_catalogue(_there(value, meta))["item_id"] for value in bulk.read(client, names, at_once=1)]
    return pa.chunked_array([part for chunk in chunks for part in chunk.chunks], pa.string()).combine_chunks()


def _lists(client: Client, keys: Keys, meta: Meta, number: pa.Array) -> Lists:
    """All lists, by fingerprint; `number` says what an item index is called, null where the other has no such item."""
    kind, names = record_of(meta), [keys.users(meta["token"], bucket) for bucket in range(meta["buckets"])]
    called = np.append(number.fill_null(NOWHERE - 1).to_numpy(), NOWHERE)
    users, lists = [np.zeros(0, np.uint64)], [np.zeros((0, meta["k"]), np.int64)]
    for part in bulk.batched(bulk.read(client, names), BUCKETS_A_READ):
        rows = np.frombuffer(b"".join(opened(_there(value, meta)) for value in part), kind)
        wide = np.zeros((len(rows), 8), np.uint8)
        wide[:, :6] = rows["fingerprint"]
        users.append(wide.view("<u8")[:, 0])
        used = np.arange(meta["k"]) < rows["n"][:, None]
        lists.append(called[np.where(used, item_indices(rows["items"]), len(called) - 1)])
    return np.concatenate(users), np.concatenate(lists)


def _there(value: bytes | None, meta: Meta) -> bytes:
    if value is None:
        raise ValueError(f"version {meta['version']} is no longer whole in the store: it may be on its way out")
    return value


def _changed_lists(old: Lists, new: Lists) -> dict[str, Any]:
    _, ours, theirs = np.intersect1d(old[0], new[0], return_indices=True)
    common = {"common": len(ours), "gone": len(old[0]) - len(ours), "new": len(new[0]) - len(ours)}
    shares = []
    for block in np.array_split(np.arange(len(ours)), max(1, len(ours) // BUCKETS_A_READ)):
        before, after = old[1][ours[block]], new[1][theirs[block]]
        kept = (before[:, :, None] == after[:, None, :]).any(axis=2) & (before != NOWHERE)
        length = (before != NOWHERE).sum(axis=1)
        shares.append(1 - kept.sum(axis=1)[length > 0] / length[length > 0])
    changed = np.concatenate(shares)
    return {**common, "churn": round(float(changed.mean()), 4) if len(changed) else None}
