"""What differs between two versions of the store: users, lists, metrics and parameters."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.store import bulk
from dawnlist.store.client import StoreClient
from dawnlist.store.item_chunks import unpack_catalogue
from dawnlist.store.layout import StoreKeys, VersionMeta, read_version_metas, verify_checksum
from dawnlist.store.user_buckets import build_version_dtype, decode_item_indices

BUCKETS_PER_READ: Final = 4_096
NO_ITEM: Final = -1

FingerprintedLists = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]
"""Users' fingerprints, and their lists as (users, k) numbers of items, NOWHERE beyond a list's end."""


def compare_versions(
    client: StoreClient, namespace: str, before: int, after: int
) -> dict[str, Any]:
    """Two versions compared.

    `churn` is the mean share of a user's list in `before` that is not in their list in `after`, over the users of both
    with a list; `common` counts users of both, `gone` and `new` of one only. `metrics` and `parameters` hold what
    differs, as name -> [before, after]. LookupError when the store does not keep a version, ValueError when one is
    damaged.
    """
    keys = StoreKeys(namespace)
    kept = read_version_metas(client, keys.versions)
    for version in (before, after):
        if version not in kept:
            raise LookupError(
                f"there is no version {version}: choose of {', '.join(map(str, sorted(kept))) or 'none'}"
            )
    old, new = kept[before], kept[after]
    if old["salt"] != new["salt"]:
        raise ValueError(
            f"versions {before} and {after} tell their users apart by different salts, so their lists can't be compared"
        )
    items = _read_catalogue(client, keys, old)
    lists = [
        _read_lists(client, keys, meta, pc.index_in(_read_catalogue(client, keys, meta), items))
        for meta in (old, new)
    ]
    return {
        "before": _describe_version(old),
        "after": _describe_version(new),
        **_compare_lists(*lists),
        "metrics": _find_changes(old.get("metrics") or {}, new.get("metrics") or {}),
        "parameters": _find_changes(_collect_parameters(old), _collect_parameters(new)),
    }


def _describe_version(meta: VersionMeta) -> dict[str, Any]:
    return {name: meta[name] for name in ("version", "as_of", "run", "winner", "users", "items")}


def _collect_parameters(meta: VersionMeta) -> dict[str, Any]:
    return {
        **(meta.get("config") or {}),
        "k": meta["k"],
        "event_weights": meta.get("event_weights"),
    }


def _find_changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, list[Any]]:
    names = sorted(old.keys() | new.keys())
    return {
        name: [old.get(name), new.get(name)] for name in names if old.get(name) != new.get(name)
    }


def _read_catalogue(client: StoreClient, keys: StoreKeys, meta: VersionMeta) -> pa.Array:
    names = [keys.catalogue(meta["token"], chunk) for chunk in range(meta["chunks"]["c"])]
    chunks = [
        unpack_catalogue(_require_value(value, meta))["item_id"]
        for value in bulk.read_values(client, names, at_once=1)
    ]
    return pa.chunked_array(
        [part for chunk in chunks for part in chunk.chunks], pa.string()
    ).combine_chunks()


def _read_lists(
    client: StoreClient, keys: StoreKeys, meta: VersionMeta, number: pa.Array
) -> FingerprintedLists:
    """All lists, by fingerprint; `number` says what an item index is called, null where the other has no such item."""
    kind, names = (
        build_version_dtype(meta),
        [keys.users(meta["token"], bucket) for bucket in range(meta["buckets"])],
    )
    called = np.append(number.fill_null(NO_ITEM - 1).to_numpy(), NO_ITEM)
    users, lists = [np.zeros(0, np.uint64)], [np.zeros((0, meta["k"]), np.int64)]
    for part in bulk.split_into_batches(bulk.read_values(client, names), BUCKETS_PER_READ):
        rows = np.frombuffer(
            b"".join(verify_checksum(_require_value(value, meta)) for value in part), kind
        )
        wide = np.zeros((len(rows), 8), np.uint8)
        wide[:, :6] = rows["fingerprint"]
        users.append(wide.view("<u8")[:, 0])
        used = np.arange(meta["k"]) < rows["n"][:, None]
        lists.append(called[np.where(used, decode_item_indices(rows["items"]), len(called) - 1)])
    return np.concatenate(users), np.concatenate(lists)


def _require_value(value: bytes | None, meta: VersionMeta) -> bytes:
    if value is None:
        raise ValueError(
            f"version {meta['version']} is no longer whole in the store: it may be on its way out"
        )
    return value


def _compare_lists(old: FingerprintedLists, new: FingerprintedLists) -> dict[str, Any]:
    _, ours, theirs = np.intersect1d(old[0], new[0], return_indices=True)
    common = {"common": len(ours), "gone": len(old[0]) - len(ours), "new": len(new[0]) - len(ours)}
    shares = []
    for block in np.array_split(np.arange(len(ours)), max(1, len(ours) // BUCKETS_PER_READ)):
        before, after = old[1][ours[block]], new[1][theirs[block]]
        kept = (before[:, :, None] == after[:, None, :]).any(axis=2) & (before != NO_ITEM)
        length = (before != NO_ITEM).sum(axis=1)
        shares.append(1 - kept.sum(axis=1)[length > 0] / length[length > 0])
    changed = np.concatenate(shares)
    return {**common, "churn": round(float(changed.mean()), 4) if len(changed) else None}
