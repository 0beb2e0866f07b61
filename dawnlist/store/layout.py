"""The layout of the store: versions of every user's list in Redis, Valkey or a cluster of either, one of them active.

The only module that knows the keys; docs/STORE.md writes an example out, byte by byte. SHOP is a namespace, N a
version (a decimal number), TOKEN is `N-` and eight hex digits drawn when N was begun, so that an emptied store which
counts from 1 again is never taken for the one before. Control keys share a slot of a cluster by their hash tag:

    dawnlist:{SHOP}:active      string, the active version's TOKEN
    dawnlist:{SHOP}:counter     string, the last N given out
    dawnlist:{SHOP}:versions    hash, N -> meta as JSON: every version that can be active
    dawnlist:{SHOP}:building    hash, N -> JSON: being written or deleted, or left by a publisher that died
    dawnlist:{SHOP}:hold        string, JSON: since a rollback, until `dawnlist release`: nothing is switched to

Data keys; nothing below a TOKEN changes once its version is in `versions`, and every key that its meta counts exists:

    dawnlist:SHOP:TOKEN:u:B     users' lists and vectors, bucket B of meta["buckets"]         (store_rows.py)
    dawnlist:SHOP:TOKEN:h:B     the same users' histories                                     (store_histories.py)
    dawnlist:SHOP:TOKEN:c:I     the catalogue, chunk I of meta["chunks"]["c"]                 (store_items.py)
    dawnlist:SHOP:TOKEN:f:I     item factors, chunk I of meta["chunks"]["f"]                  (store_items.py)
    dawnlist:SHOP:TOKEN:p       popular lists, for everybody and by segment                   (store_items.py)
    dawnlist:SHOP:r:HASH        a user's recent events, of no version                         (recent.py)

Every data value but the last is 4 bytes, the little-endian zlib.crc32 of the rest, then the rest. All numbers are
little-endian. `meta` is a version's report (see store.publish) with, for readers: layout (2), k, buckets, salt (hex),
factors (f), content (d), id_width (2, 3 or 4), history (a user's pairs with weight and age, at
most), chunks ({"c": n, "f": n}), segments (names), config (the model's), event_weights, model, metrics and digest (of
the content, by which a publish goes on).
"""

import json
import zlib
from dataclasses import dataclass
from typing import Any, Final

from dawnlist.namespace import check_namespace

LAYOUT_VERSION: Final = 2

VersionMeta = dict[str, Any]


class NothingPublishedError(LookupError):
    """A namespace without an active version."""

    def __init__(self, namespace: str) -> None:
        super().__init__(
            f"nothing has been published yet in namespace {namespace}: check the store, or run the pipeline"
        )


@dataclass(frozen=True)
class StoreKeys:
    """The names of one shop's keys."""

    namespace: str

    def __post_init__(self) -> None:
        check_namespace(self.namespace)

    @property
    def active(self) -> str:
        return f"dawnlist:{{{self.namespace}}}:active"

    @property
    def counter(self) -> str:
        return f"dawnlist:{{{self.namespace}}}:counter"

    @property
    def versions(self) -> str:
        return f"dawnlist:{{{self.namespace}}}:versions"

    @property
    def building(self) -> str:
        return f"dawnlist:{{{self.namespace}}}:building"

    @property
    def hold(self) -> str:
        return f"dawnlist:{{{self.namespace}}}:hold"

    def users(self, token: str, bucket: int) -> str:
        return f"dawnlist:{self.namespace}:{token}:u:{bucket}"

    def histories(self, token: str, bucket: int) -> str:
        return f"dawnlist:{self.namespace}:{token}:h:{bucket}"

    def catalogue(self, token: str, chunk: int) -> str:
        return f"dawnlist:{self.namespace}:{token}:c:{chunk}"

    def factors(self, token: str, chunk: int) -> str:
        return f"dawnlist:{self.namespace}:{token}:f:{chunk}"

    def popular(self, token: str) -> str:
        return f"dawnlist:{self.namespace}:{token}:p"


def add_checksum(body: bytes) -> bytes:
    """A data value: the checksum of the body, then the body."""
    return zlib.crc32(body).to_bytes(4, "little") + body


def verify_checksum(value: bytes) -> memoryview:
    """A data value's body; ValueError when it is not what was written."""
    body = memoryview(value)[4:]
    if len(value) < 4 or zlib.crc32(body).to_bytes(4, "little") != value[:4]:
        raise ValueError(
            f"a value of {len(value)} bytes in the store has another checksum than it was written with"
        )
    return body


def read_version_metas(client: Any, key: str) -> dict[int, VersionMeta]:
    """The hash `versions` or `building`, by a client or in a transaction."""
    return {int(version): json.loads(meta) for version, meta in client.hgetall(key).items()}


def read_active_meta(client: Any, keys: StoreKeys) -> VersionMeta | None:
    """The active version's meta, or None while nothing has been published."""
    token = client.get(keys.active)
    if token is None:
        return None
    meta = client.hget(keys.versions, str(parse_version_number(token)))
    return json.loads(meta) if meta else None


def parse_version_number(token: bytes) -> int:
    return int(token.split(b"-")[0])
