"""Compare two versions of the store: their users, lists, metrics and parameters."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.arrays import Int64Array
from dawnlist.store import bulk
from dawnlist.store.client import StoreClient
from dawnlist.store.control_values import read_version_metas
from dawnlist.store.item_chunks import unpack_catalogue
from dawnlist.store.layout import StoreKeys, VersionMeta, verify_checksum
from dawnlist.store.user_buckets import build_version_dtype, decode_item_indices

BUCKETS_PER_READ: Final = 4_096
NO_ITEM: Final = -1
"""Fills a list beyond its end."""
UNSHARED_ITEM: Final = -2
"""Stands for every item that only one of the two catalogues has."""


@dataclass(frozen=True)
class VersionLists:
    """All users' lists of one version."""

    fingerprint: npt.NDArray[np.uint64]
    """(users,), which identifies a user in both versions."""
    items: Int64Array
    """(users, k), row numbers in the older version's catalogue, NO_ITEM or UNSHARED_ITEM."""


def compare_versions(
    client: StoreClient, namespace: str, before: int, after: int
) -> dict[str, Any]:
    """Compare two versions of the store.

    Returns:
        A dictionary. `before` and `after` say which versions these are. `common`, `gone` and
        `new` are the numbers of users in both, only in `before`, and only in `after`. `churn` is
        the share of a user's list in `before` that is not in the list in `after`, as the mean over
        the common users who have a list; None if there are none. `metrics` and `parameters` hold
        what differs, as name -> [before, after].

    Raises:
        LookupError: the store does not keep one of the versions.
        ValueError: a version is damaged or being deleted, or the versions use different salts.
    """
    keys = StoreKeys(namespace)
    versions = read_version_metas(client, keys)
    for version in (before, after):
        if version not in versions:
            choice = ", ".join(map(str, sorted(versions))) or "none"
            raise LookupError(f"there is no version {version}: choose of {choice}")
    old = versions[before]
    new = versions[after]
    if old["salt"] != new["salt"]:
        raise ValueError(
            f"versions {before} and {after} identify their users with different salts, "
            "so their lists can't be compared"
        )
    old_catalogue = _read_catalogue(client, keys, old)
    new_catalogue = _read_catalogue(client, keys, new)
    old_lists = _read_lists(client, keys, old, pc.index_in(old_catalogue, old_catalogue))
    new_lists = _read_lists(client, keys, new, pc.index_in(new_catalogue, old_catalogue))
    return {
        "before": _describe_version(old),
        "after": _describe_version(new),
        **_compare_lists(old_lists, new_lists),
        "metrics": _find_changes(old.get("metrics") or {}, new.get("metrics") or {}),
        "parameters": _find_changes(_collect_parameters(old), _collect_parameters(new)),
    }


def _describe_version(meta: VersionMeta) -> dict[str, Any]:
    description = {
        name: meta[name] for name in ("version", "as_of", "run", "winner", "users", "items")
    }
    for name in ("engine", "configured"):
        if meta.get(name) is not None:
            description[name] = meta[name]
    return description


def _collect_parameters(meta: VersionMeta) -> dict[str, Any]:
    config = meta.get("config") or {}
    return {**config, "k": meta["k"], "event_weights": meta.get("event_weights")}


def _find_changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, list[Any]]:
    """Return name -> [old value, new value] for the values that differ."""
    changes = {}
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            changes[name] = [old.get(name), new.get(name)]
    return changes


def _read_catalogue(client: StoreClient, keys: StoreKeys, meta: VersionMeta) -> pa.Array:
    """Read the item ids of a version's catalogue, in the order of the item indices."""
    names = [keys.catalogue(meta["token"], chunk) for chunk in range(meta["chunks"]["c"])]
    arrays: list[pa.Array] = []
    for value in bulk.read_values(client, names, at_once=1):
        catalogue = unpack_catalogue(_require_value(value, meta))
        arrays.extend(catalogue["item_id"].chunks)
    return pa.chunked_array(arrays, pa.string()).combine_chunks()


def _read_lists(
    client: StoreClient, keys: StoreKeys, meta: VersionMeta, numbers: pa.Array
) -> VersionLists:
    """Read all lists of a version.

    Args:
        numbers: For each item index the item's row in the older version's catalogue, or null if
            that catalogue does not have the item.
    """
    record = build_version_dtype(meta)
    names = [keys.users(meta["token"], bucket) for bucket in range(meta["buckets"])]
    # One more number, for the padding beyond a list's end.
    number_of = np.append(numbers.fill_null(UNSHARED_ITEM).to_numpy(), NO_ITEM)
    padding = len(number_of) - 1
    fingerprints = [np.zeros(0, np.uint64)]
    lists = [np.zeros((0, meta["k"]), np.int64)]
    for values in bulk.split_into_batches(bulk.read_values(client, names), BUCKETS_PER_READ):
        bodies = [verify_checksum(_require_value(value, meta)) for value in values]
        rows = np.frombuffer(b"".join(bodies), record)
        wide = np.zeros((len(rows), 8), np.uint8)
        wide[:, :6] = rows["fingerprint"]
        fingerprints.append(wide.view("<u8")[:, 0])
        used = np.arange(meta["k"]) < rows["n"][:, None]
        item_index = np.where(used, decode_item_indices(rows["items"]), padding)
        lists.append(number_of[item_index])
    return VersionLists(np.concatenate(fingerprints), np.concatenate(lists))


def _require_value(value: bytes | None, meta: VersionMeta) -> bytes:
    if value is None:
        raise ValueError(
            f"version {meta['version']} is no longer whole in the store: "
            "it may be in the middle of being deleted"
        )
    return value


def _compare_lists(old: VersionLists, new: VersionLists) -> dict[str, Any]:
    """Count the users, and compute the mean churn of the lists of the common ones."""
    _, old_rows, new_rows = np.intersect1d(old.fingerprint, new.fingerprint, return_indices=True)
    common = len(old_rows)
    shares = []
    # Blocks bound the memory: the comparison needs k x k values for each user.
    for block in np.array_split(np.arange(common), max(1, common // BUCKETS_PER_READ)):
        before = old.items[old_rows[block]]
        after = new.items[new_rows[block]]
        retained = (before[:, :, None] == after[:, None, :]).any(axis=2) & (before != NO_ITEM)
        length = (before != NO_ITEM).sum(axis=1)
        has_list = length > 0
        shares.append(1 - retained.sum(axis=1)[has_list] / length[has_list])
    churn_by_user = np.concatenate(shares)
    churn = None
    if len(churn_by_user):
        churn = round(float(churn_by_user.mean()), 4)
    return {
        "common": common,
        "gone": len(old.fingerprint) - common,
        "new": len(new.fingerprint) - common,
        "churn": churn,
    }
