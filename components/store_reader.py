"""The read side of the store: users' lists of whatever version is active, without a lock and never of two at once."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff

from components.store_layout import LAYOUT, Keys, NothingPublishedError, checked_url, version_of
from components.urls import REDIS_PASSWORD, password

SWITCHES_AT_ONCE: Final = 20  # during one answer; more is no switch but a broken store


@dataclass(frozen=True)
class Snapshot:
    """What all answers from one version share."""

    token: bytes
    version: int
    as_of: str
    k: int
    """Length of the users' lists, the most that can be asked for."""
    item_ids: list[str]
    titles: list[str | None]
    popular: bytes
    """Packed like a user's list."""


def connect_reader(url: str) -> "redis.asyncio.Redis":
    """A client for a Reader; it connects when it is used, and an answer that takes over a second is an error."""
    retry = redis.asyncio.retry.Retry(NoBackoff(), 1)  # a pooled connection that the server has closed since
    return redis.asyncio.Redis.from_url(
        checked_url(url),
        password=password(REDIS_PASSWORD),
        protocol=3,
        socket_timeout=1,
        socket_connect_timeout=1,
        retry=retry,
    )


class Reader:
    """Reads users' lists of whatever version is active; belongs to one event loop."""

    def __init__(self, client: "redis.asyncio.Redis", namespace: str) -> None:
        self._client: Any = client  # its annotations say bytes or str; it is bytes here
        self._keys = Keys(namespace)
        self._snapshot: Snapshot | None = None
        self._loading = asyncio.Lock()

    async def lists(self, user_ids: Sequence[str]) -> tuple[Snapshot, list[bytes | None]]:
        """The active version and its packed list of each user, None for a user without one.

        NothingPublishedError while that is so, redis.RedisError when the store does not answer.
        """
        for _ in range(SWITCHES_AT_ONCE):
            known = self._snapshot
            names = [self._keys.user(known.version, user_id) for user_id in user_ids] if known else []
            token, *packed = await self._client.mget([self._keys.active, *names])
            if token is None:
                raise NothingPublishedError(self._keys.namespace)
            if known and token == known.token:
                return known, packed
            await self._follow(token)
        raise RuntimeError("the active version keeps changing, or parts of it are missing: publish again, or roll back")

    async def _follow(self, token: bytes) -> None:
        """Load the version of `token`, unless another request has done so meanwhile or it is gone again."""
        async with self._loading:
            if self._snapshot is None or self._snapshot.token != token:
                self._snapshot = await self._load(token) or self._snapshot

    async def _load(self, token: bytes) -> Snapshot | None:
        version = version_of(token)
        found = await self._client.hget(self._keys.versions, str(version))
        meta = json.loads(found) if found else {}
        if meta.get("token") != token.decode():
            return None
        if meta["layout"] != LAYOUT:
            raise RuntimeError(
                f"version {version} has layout {meta['layout']}, this Dawnlist reads {LAYOUT}: upgrade it"
            )
        names = [self._keys.catalogue(version, i) for i in range(meta["catalogue_chunks"])]
        chunks = [await self._client.get(name) for name in names]
        popular = await self._client.get(self._keys.popular(version))
        if popular is None or None in chunks:
            return None
        item_ids, titles = await asyncio.to_thread(_decoded, chunks)
        return Snapshot(token, version, meta["as_of"], meta["k"], item_ids, titles, popular)


def _decoded(chunks: list[bytes]) -> tuple[list[str], list[str | None]]:
    tables = [pq.read_table(pa.BufferReader(chunk)) for chunk in chunks]
    item_ids: list[str] = []
    titles: list[str | None] = []
    for table in tables:
        item_ids += table["item_id"].to_pylist()
        titles += table["title"].to_pylist()
    return item_ids, titles
