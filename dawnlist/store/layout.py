"""The layout of the store: versions of every user's list in Redis, Valkey or a cluster of either.

One version is active. This is the only module that knows the keys, and control_values.py the only
one that reads the control keys; docs/STORE.md shows an example byte by byte. SHOP is a namespace and
N the number of a version. TOKEN is `N-` and eight random hex digits that are drawn when the version
is begun: a store that was emptied may count from 1 again, and its versions must not be mistaken for
earlier ones. Control keys share a slot of a cluster by their hash tag:

    dawnlist:{SHOP}:active      string, the active version's TOKEN
    dawnlist:{SHOP}:counter     string, the last N that was given out
    dawnlist:{SHOP}:versions    hash, N -> meta as JSON: every version that can be made active
    dawnlist:{SHOP}:building    hash, N -> JSON: versions that are being written or deleted, or that
                                a publisher left unfinished when it died (builds.py)
    dawnlist:{SHOP}:hold        string, JSON: set by a rollback and removed by `dawnlist release`;
                                meanwhile no publish changes the active version
    dawnlist:{SHOP}:withdrawn   hash, item id -> time: items that no answer may have (withdrawals.py)
    dawnlist:{SHOP}:withdrawal  string, random digits that change whenever `withdrawn` does

Data keys. Once a version is in `versions`, every key that its meta counts exists, and nothing below
its TOKEN changes:

    dawnlist:SHOP:TOKEN:u:B     users' lists and vectors, bucket B of meta["buckets"]         (user_buckets.py)
    dawnlist:SHOP:TOKEN:h:B     the same users' histories                                     (histories.py)
    dawnlist:SHOP:TOKEN:c:I     the catalogue, chunk I of meta["chunks"]["c"]                 (item_chunks.py)
    dawnlist:SHOP:TOKEN:f:I     item factors, chunk I of meta["chunks"]["f"]                  (item_chunks.py)
    dawnlist:SHOP:TOKEN:p       popular lists, for everybody and by segment                   (item_chunks.py)
    dawnlist:SHOP:r:HASH        a user's recent events, which belong to no version            (recent.py)

Every data value but the last begins with a checksum: 4 bytes, the little-endian zlib.crc32 of the
rest. All numbers are little-endian.

`meta` is a version's report (see versions.publish_version) and, for readers: layout (2), k,
buckets, salt (hex), factors (f), content (d), id_width (2, 3 or 4), history (the largest number of
a user's pairs with weight and age), chunks ({"c": n, "f": n}), segments (names), config (the
model's), event_weights, model, metrics and digest (of the content; a publish that was interrupted
is resumed if it is the same).
"""

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from dawnlist.namespace import check_namespace

LAYOUT_VERSION: Final = 2

VersionMeta = dict[str, Any]
"""What the store knows of a version; see above."""


class NothingPublishedError(LookupError):
    """The namespace has no active version.

    Args:
        versions: The versions that the store keeps nevertheless: the key `active` is lost.
    """

    def __init__(self, namespace: str, versions: Iterable[int] = ()) -> None:
        kept = sorted(versions)
        message = (
            f"nothing has been published yet in namespace {namespace}: "
            "check the store and the namespace, or run the pipeline"
        )
        if kept:
            message = (
                f"no version is active in namespace {namespace}: the store has lost the key "
                f"{StoreKeys(namespace).active}, or something else was written there; it keeps "
                f"{', '.join(map(str, kept))}: `dawnlist rollback {kept[-1]}` makes that one active"
            )
        super().__init__(message)


@dataclass(frozen=True)
class ShopKeys:
    """Builds the names of one shop's keys.

    Raises:
        ValueError: the namespace is not usable in keys.
    """

    namespace: str

    def __post_init__(self) -> None:
        check_namespace(self.namespace)

    def build_control_key(self, name: str) -> str:
        """Return a key whose hash tag puts it into the shop's slot of a cluster."""
        return f"dawnlist:{{{self.namespace}}}:{name}"


def hash_person(person: str) -> str:
    """Return 32 hex digits in place of a person's id, so that no id is in a key."""
    return hashlib.blake2b(person.encode(), digest_size=16).hexdigest()


class StoreKeys(ShopKeys):
    """The names of one shop's keys of versions and of withdrawn items."""

    @property
    def active(self) -> str:
        """The key of the active version's token."""
        return self.build_control_key("active")

    @property
    def counter(self) -> str:
        """The key of the last version number that was given out."""
        return self.build_control_key("counter")

    @property
    def versions(self) -> str:
        """The key of the versions that can be made active."""
        return self.build_control_key("versions")

    @property
    def building(self) -> str:
        """The key of the versions that are being written or deleted."""
        return self.build_control_key("building")

    @property
    def hold(self) -> str:
        """The key of the hold that a rollback sets."""
        return self.build_control_key("hold")

    @property
    def withdrawn(self) -> str:
        """The key of the items that no answer may have."""
        return self.build_control_key("withdrawn")

    @property
    def withdrawal(self) -> str:
        """The key of the random digits that change whenever `withdrawn` does."""
        return self.build_control_key("withdrawal")

    def users(self, token: str, bucket: int) -> str:
        """Return the key of a bucket of users' lists and vectors."""
        return f"dawnlist:{self.namespace}:{token}:u:{bucket}"

    def histories(self, token: str, bucket: int) -> str:
        """Return the key of a bucket of users' histories."""
        return f"dawnlist:{self.namespace}:{token}:h:{bucket}"

    def catalogue(self, token: str, chunk: int) -> str:
        """Return the key of a chunk of the catalogue."""
        return f"dawnlist:{self.namespace}:{token}:c:{chunk}"

    def factors(self, token: str, chunk: int) -> str:
        """Return the key of a chunk of item factors."""
        return f"dawnlist:{self.namespace}:{token}:f:{chunk}"

    def popular(self, token: str) -> str:
        """Return the key of the popular lists."""
        return f"dawnlist:{self.namespace}:{token}:p"


def add_checksum(body: bytes) -> bytes:
    """Return a data value: the checksum of the body, then the body."""
    return zlib.crc32(body).to_bytes(4, "little") + body


def verify_checksum(value: bytes) -> memoryview:
    """Return the body of a data value.

    Raises:
        ValueError: the value is not what was written.
    """
    body = memoryview(value)[4:]
    if len(value) < 4 or zlib.crc32(body).to_bytes(4, "little") != value[:4]:
        raise ValueError(
            f"a value of {len(value)} bytes in the store "
            "has another checksum than it was written with"
        )
    return body
