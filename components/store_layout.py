"""The layout of the store: versions of every user's list in Redis or Valkey, one of them active.

The only module that knows the keys. Every key begins with `dawnlist:NAMESPACE:`; N is a version, a decimal number.

    active            string, the active version's token: `N-` and eight hex digits drawn when N was written, so that
                      an emptied store which counts from 1 again is not taken for the one before
    counter           string, the last N given out
    versions          hash, N -> meta as JSON: every version that can be active
    building          hash, N -> {"run", "as_of"} as JSON: being written or deleted, or left by a publisher that died
    v:N:u:USER_ID     string, a user's list of n entries, best first: n item indices, then n scores (8 n bytes)
    v:N:popular       string, the same for users without a list
    v:N:catalogue:I   string, rows 50,000 I onwards of the catalogue as Parquet (zstd): item_id, title; row = item index

An item index is a little-endian uint32, a score a little-endian float32, USER_ID the id's UTF-8 bytes. `meta` is a
version's report (see store.publish), and: k (the lists' length), layout (1), catalogue_chunks. Nothing below `v:N:`
changes once N is in `versions`, so a reader that finds in one MGET both the token it knows and the users' lists has one
version.
"""

import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from components.namespace import checked_namespace
from components.urls import REDIS_PASSWORD, masked, password, refuse_password

LAYOUT: Final = 1

Meta = dict[str, Any]


class NothingPublishedError(LookupError):
    """A namespace without an active version."""

    def __init__(self, namespace: str) -> None:
        super().__init__(f"nothing has been published yet in namespace {namespace}: run the pipeline first")


@dataclass(frozen=True)
class Keys:
    """The names of one shop's keys."""

    namespace: str

    def __post_init__(self) -> None:
        checked_namespace(self.namespace)

    @property
    def active(self) -> str:
        return f"dawnlist:{self.namespace}:active"

    @property
    def counter(self) -> str:
        return f"dawnlist:{self.namespace}:counter"

    @property
    def versions(self) -> str:
        return f"dawnlist:{self.namespace}:versions"

    @property
    def building(self) -> str:
        return f"dawnlist:{self.namespace}:building"

    def user(self, version: int, user_id: str) -> str:
        return f"dawnlist:{self.namespace}:v:{version}:u:{user_id}"

    def popular(self, version: int) -> str:
        return f"dawnlist:{self.namespace}:v:{version}:popular"

    def catalogue(self, version: int, chunk: int) -> str:
        return f"dawnlist:{self.namespace}:v:{version}:catalogue:{chunk}"

    def all_of(self, version: int) -> str:
        """The pattern that matches all that a version holds."""
        return f"dawnlist:{self.namespace}:v:{version}:*"


def metas(client: "redis.Redis", key: str) -> dict[int, Meta]:
    """The hash `versions` or `building`."""
    found: Any = client.hgetall(key)
    return {int(version): json.loads(meta) for version, meta in found.items()}


def active_meta(client: "redis.Redis", keys: Keys) -> Meta | None:
    """The active version's meta, or None while nothing has been published."""
    token: Any = client.get(keys.active)
    if token is None:
        return None
    meta: Any = client.hget(keys.versions, str(version_of(token)))
    return json.loads(meta) if meta else None


def version_of(token: bytes) -> int:
    return int(token.split(b"-")[0])


def checked_url(url: str) -> str:
    """The store's URL, unchanged; ValueError when it is of another kind or holds a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError(
            f"store {masked(url)!r} is of a kind that can't be used: give redis://HOST:PORT/0, rediss:// or unix://PATH"
        )
    if "password" in parse_qs(parts.query):
        raise ValueError(f"the store's URL holds a password: take it out and set {REDIS_PASSWORD} instead")
    return refuse_password(url, REDIS_PASSWORD)


def connect(url: str) -> "redis.Redis":
    """A client that has been answered once; ConnectionError when there is no answer or the password is refused."""
    retry = Retry(NoBackoff(), 1)  # a pooled connection that the server has closed since
    client = redis.Redis.from_url(
        checked_url(url), password=password(REDIS_PASSWORD), socket_timeout=60, socket_connect_timeout=5, retry=retry
    )
    try:
        client.ping()
    except redis.AuthenticationError as error:
        client.close()
        raise ConnectionError(
            f"the store at {masked(url)} refuses the password: set {REDIS_PASSWORD} to the right one"
        ) from error
    except redis.RedisError as error:
        client.close()
        raise ConnectionError(
            f"no store answers at {masked(url)} ({type(error).__name__}): start it, or give another URL"
        ) from error
    return client
