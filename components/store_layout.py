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
factors (f), content (d), id_width (2, 3 or 4), dimension (f floats), history (a user's pairs with weight and age, at
most), chunks ({"c": n, "f": n}), segments (names), config (the model's), event_weights, model, metrics and digest (of
the content, by which a publish goes on).
"""

import json
import zlib
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from components.namespace import checked_namespace
from components.urls import REDIS_PASSWORD, masked, password, refuse_password, shown

LAYOUT: Final = 2
CLUSTER: Final = "+cluster"

Meta = dict[str, Any]
Client = redis.Redis | RedisCluster
ERRORS: Final = (redis.RedisError, redis.exceptions.RedisClusterException)
"""What redis-py raises when the store is lost; a cluster that is, is no RedisError."""


class NothingPublishedError(LookupError):
    """A namespace without an active version."""

    def __init__(self, namespace: str) -> None:
        super().__init__(
            f"nothing has been published yet in namespace {namespace}: check the store, or run the pipeline"
        )


@dataclass(frozen=True)
class Keys:
    """The names of one shop's keys."""

    namespace: str

    def __post_init__(self) -> None:
        checked_namespace(self.namespace)

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


def sealed(body: bytes) -> bytes:
    """A data value: the checksum of the body, then the body."""
    return zlib.crc32(body).to_bytes(4, "little") + body


def opened(value: bytes) -> memoryview:
    """A data value's body; ValueError when it is not what was written."""
    body = memoryview(value)[4:]
    if len(value) < 4 or zlib.crc32(body).to_bytes(4, "little") != value[:4]:
        raise ValueError(f"a value of {len(value)} bytes in the store has another checksum than it was written with")
    return body


def metas(client: Any, key: str) -> dict[int, Meta]:
    """The hash `versions` or `building`, by a client or in a transaction."""
    return {int(version): json.loads(meta) for version, meta in client.hgetall(key).items()}


def active_meta(client: Any, keys: Keys) -> Meta | None:
    """The active version's meta, or None while nothing has been published."""
    token = client.get(keys.active)
    if token is None:
        return None
    meta = client.hget(keys.versions, str(version_of(token)))
    return json.loads(meta) if meta else None


def version_of(token: bytes) -> int:
    return int(token.split(b"-")[0])


def checked_url(url: str) -> str:
    """The store's URL, unchanged; ValueError when it is of another kind or holds a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster"):
        raise ValueError(
            f"store {masked(url)!r} is of a kind that can't be used: give redis://HOST:PORT/0, rediss:// (TLS), "
            "redis+cluster:// or rediss+cluster:// (any node of a cluster), or unix://PATH"
        )
    if "password" in parse_qs(parts.query):
        raise ValueError(f"the store's URL holds a password: take it out and set {REDIS_PASSWORD} instead")
    return refuse_password(url, REDIS_PASSWORD)


def is_cluster(url: str) -> bool:
    """Whether a store's URL names a node of a cluster."""
    return urlsplit(url).scheme.endswith(CLUSTER)


def plain_url(url: str) -> str:
    """The URL as redis-py takes it, without `+cluster`; ValueError as checked_url."""
    return checked_url(url).replace(CLUSTER, "", 1) if is_cluster(url) else checked_url(url)


def connect(url: str, timeout: float = 60) -> Client:
    """A client that has been answered once; ConnectionError when there is no answer or it is refused.

    `timeout`: seconds that an answer may take.
    A user stands in the URL (redis://USER@HOST), the password in the environment; `ssl_ca_certs=FILE` and redis-py's
    other options of TLS may stand in the query of a rediss:// URL.
    """
    kind: Any = RedisCluster if is_cluster(url) else redis.Redis
    retry = Retry(NoBackoff(), 1)  # a pooled connection that the server has closed since
    times = {"socket_timeout": timeout, "socket_connect_timeout": 5, "retry": retry}
    options = {"password": password(REDIS_PASSWORD), **times}
    try:
        client: Client = kind.from_url(plain_url(url), **options)  # of a cluster this asks for its nodes
    except ERRORS as error:
        raise _unanswered(url, error) from error
    try:
        client.ping()
    except redis.RedisError as error:
        client.close()
        raise _unanswered(url, error) from error
    return client


def _unanswered(url: str, error: Exception) -> ConnectionError:
    reasons: list[BaseException] = [error]  # of a cluster, what its nodes said lies beneath
    while beneath := reasons[-1].__cause__ or reasons[-1].__context__:
        reasons.append(beneath)
    if any(isinstance(reason, redis.AuthenticationError) for reason in reasons):
        return ConnectionError(
            f"the store at {masked(url)} refuses the password: set {REDIS_PASSWORD} to the right one"
        )
    if refused := [reason for reason in reasons if isinstance(reason, redis.exceptions.NoPermissionError)]:
        return ConnectionError(
            f"the store at {masked(url)} refuses this user ({refused[0]}): see Rights in docs/STORE.md"
        )
    known = [reason for reason in reasons if isinstance(reason, (*ERRORS, OSError))][-1]  # not redis-py's own flow
    why = shown(str(known) or type(error).__name__)  # TLS, a name, a file: all are ConnectionErrors to redis-py
    return ConnectionError(f"no store answers at {masked(url)} ({why}): start it, or give another URL")
