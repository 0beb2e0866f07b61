"""Withdraw items: take them out of all answers at once, whichever version is active.

The ids are kept outside the versions, so that neither a new version nor a rollback loses them:

    dawnlist:{SHOP}:withdrawn   hash, item id -> when it was withdrawn, ISO 8601 in UTC
    dawnlist:{SHOP}:withdrawal  string, sixteen random hex digits that change whenever the hash does

A predictor reads `withdrawal` beside `active`, and the hash only when it has changed. One script
changes both keys, so that of two writers at the same time neither undoes the other.
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from dawnlist.cuts import format_iso
from dawnlist.store import bulk
from dawnlist.store.control_values import read_active_meta
from dawnlist.store.item_chunks import unpack_catalogue
from dawnlist.store.layout import StoreKeys

MAX_ITEM_ID_CHARACTERS: Final = 512
"""As many as a request to the predictor may name."""
IDS_PER_SCRIPT: Final = 2_000
"""Ids that one script changes. The server answers nobody else meanwhile, for some milliseconds."""
IDS_PER_SCAN: Final = 5_000

WITHDRAW_SCRIPT: Final = """
local changed = 0
for i = 3, #ARGV do changed = changed + redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[2]) end
if changed > 0 then redis.call('SET', KEYS[2], ARGV[1]) end
return changed
"""
RESTORE_SCRIPT: Final = """
local changed = 0
for i = 3, #ARGV do changed = changed + redis.call('HDEL', KEYS[1], ARGV[i]) end
if changed > 0 then redis.call('SET', KEYS[2], ARGV[1]) end
return changed
"""


def withdraw_items(
    client: Any, namespace: str, item_ids: Iterable[str], now: datetime | None = None
) -> int:
    """Withdraw items, and return how many of them were not withdrawn before.

    An id that no version has is kept too: a later version may have the item.

    Args:
        now: The time that is kept with the items; None takes the present.

    Raises:
        ValueError: an id is empty or too long. Nothing is withdrawn then.
    """
    moment = now or datetime.now(UTC).replace(microsecond=0)
    return _change_withdrawals(client, namespace, WITHDRAW_SCRIPT, item_ids, format_iso(moment))


def restore_items(client: Any, namespace: str, item_ids: Iterable[str]) -> int:
    """End the withdrawal of items, and return how many of them were withdrawn.

    Raises:
        ValueError: an id is empty or too long. Nothing is restored then.
    """
    return _change_withdrawals(client, namespace, RESTORE_SCRIPT, item_ids, "")


def read_withdrawals(client: Any, namespace: str) -> dict[str, str]:
    """Read which items are withdrawn, and since when; sorted by id."""
    return dict(sorted(_scan_withdrawals(client, StoreKeys(namespace))))


def read_withdrawn_ids(client: Any, keys: StoreKeys) -> frozenset[str]:
    """Read the ids of all withdrawn items."""
    return frozenset(item_id for item_id, _ in _scan_withdrawals(client, keys))


def find_unknown_ids(client: Any, namespace: str, item_ids: Iterable[str]) -> list[str]:
    """Return those of the ids that the active version's catalogue lacks, in their order.

    Without an active version, or when it is deleted meanwhile, no id counts as unknown.
    """
    keys = StoreKeys(namespace)
    meta = read_active_meta(client, keys)
    if meta is None:
        return []
    unknown_ids = dict.fromkeys(item_ids)
    for chunk in range(meta["chunks"]["c"]):
        value = client.get(keys.catalogue(meta["token"], chunk))
        if value is None:
            return []
        for item_id in unpack_catalogue(value)["item_id"].to_pylist():
            unknown_ids.pop(item_id, None)
    return list(unknown_ids)


def check_item_ids(item_ids: Iterable[str]) -> list[str]:
    """Return the ids, each once, in their order.

    Raises:
        ValueError: an id is empty or too long.
    """
    checked = list(dict.fromkeys(item_ids))
    for item_id in checked:
        if not 0 < len(item_id) <= MAX_ITEM_ID_CHARACTERS:
            raise ValueError(
                f"the item id {item_id[:40]!r} has {len(item_id):,} characters: "
                f"give 1 to {MAX_ITEM_ID_CHARACTERS}"
            )
    return checked


def _change_withdrawals(
    client: Any, namespace: str, script: str, item_ids: Iterable[str], since: str
) -> int:
    keys = StoreKeys(namespace)
    changed = 0
    for batch in bulk.split_into_batches(check_item_ids(item_ids), IDS_PER_SCRIPT):
        changed += _run_script(client, keys, script, since, batch)
    return changed


def _run_script(
    client: Any, keys: StoreKeys, script: str, since: str, item_ids: Sequence[str]
) -> int:
    """Change the withdrawal of these items, and return how many changed."""
    revision = secrets.token_hex(8)
    names = (keys.withdrawn, keys.withdrawal)
    return int(client.eval(script, len(names), *names, revision, since, *item_ids))


def _scan_withdrawals(client: Any, keys: StoreKeys) -> Iterator[tuple[str, str]]:
    """Yield each withdrawn item and its time, a few thousand a call so that nobody waits."""
    for item_id, since in client.hscan_iter(keys.withdrawn, count=IDS_PER_SCAN):
        yield item_id.decode(), since.decode()
