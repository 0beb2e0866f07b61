"""Find out whether the store still has what it should have of a version."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from dawnlist.store import bulk
from dawnlist.store.client import StoreClient
from dawnlist.store.content import is_intact, list_content_keys
from dawnlist.store.layout import StoreKeys, VersionMeta


class DamagedVersionError(RuntimeError):
    """The version can't be made active, since a part of it is gone or damaged."""


@dataclass(frozen=True)
class Damage:
    """What is wrong with a version."""

    version: int
    """The version's number."""
    token: str
    """The version's token."""
    keys: int
    """How many keys the version has when it is whole."""
    missing: int
    """How many of them are gone."""
    corrupt: int
    """How many values were found that are not what was written."""

    def __str__(self) -> str:
        """Describe the damage in words, to follow the version's name."""
        if self.missing:
            return f"{self.missing:,} of its {self.keys:,} keys are gone"
        return f"{self.corrupt:,} of its {self.keys:,} values are not what was written"


def find_damage(
    client: StoreClient, keys: StoreKeys, meta: VersionMeta, read_buckets: bool
) -> Damage | None:
    """Check that all keys of a version are there and have the right checksums.

    Args:
        meta: The version's meta.
        read_buckets: Whether the checksums of users' buckets are checked too. This reads the whole
            version, which takes some seconds for a million users.

    Returns:
        What is wrong, or None if nothing is.
    """
    names = list(list_content_keys(keys, meta))
    buckets = 2 * meta["buckets"]
    missing = len(names) - bulk.count_existing_keys(client, names)
    corrupt = 0
    if not missing:
        corrupt = _count_corrupt_values(bulk.read_values(client, names[buckets:], at_once=1))
    if not missing and not corrupt and read_buckets:
        corrupt = _count_corrupt_values(bulk.read_values(client, islice(names, buckets)))
    if not missing and not corrupt:
        return None
    return Damage(meta["version"], meta["token"], len(names), missing, corrupt)


def _count_corrupt_values(values: Iterable[bytes | None]) -> int:
    return sum(not is_intact(value) for value in values)
