"""Watch over the store: whether it answers, has room, and keeps what it takes."""

import asyncio
import time
from typing import Any, Final

import redis.asyncio
import redis.exceptions

from dawnlist.events.event_table import parse_stream_id
from dawnlist.events.stream_keys import EventKeys
from dawnlist.serving.collector.counts import CollectorMetrics
from dawnlist.serving.collector.event_writer import EventWriter

WATCH_SECONDS: Final = 0.5
EVICTING_POLICIES: Final = ("allkeys-lru", "allkeys-lfu", "allkeys-random", "allkeys-lrm")
"""Policies by which a full store deletes keys that have no time to live, as streams are."""


class StoreWatch:
    """Tells the writer when the store is full, and knows the problem if it takes no events."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        keys: EventKeys,
        writer: EventWriter,
        metrics: CollectorMetrics,
        max_memory_share: float,
    ) -> None:
        self._client: Any = client
        self._keys = keys
        self._writer = writer
        self._metrics = metrics
        self._max_memory_share = max_memory_share
        self.problem = "the store was not asked yet"
        """Why the store takes no events; empty if it does."""

    async def run(self) -> None:
        """Look at the store, until the task is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(WATCH_SECONDS)

    async def look(self) -> None:
        """Look at the store once."""
        try:
            memory = await self._client.info("memory")
            for name in ("accepted", "enriched", "shown", "dead"):
                await self._measure_stream(name)
        except (redis.exceptions.RedisError, OSError) as error:
            self.problem = f"the store does not answer: {error}"
            return
        share = compute_memory_share(memory)
        self._metrics.set_memory_share(share)
        self._writer.is_full = share > self._max_memory_share
        self.problem = ""
        if self._writer.is_full:
            self.problem = (
                f"the store uses {share:.0%} of its memory, more than the "
                f"{self._max_memory_share:.0%} of collector.max_memory_share"
            )

    async def _measure_stream(self, name: str) -> None:
        stream = getattr(self._keys, name)
        oldest = await self._client.xrange(stream, count=1)
        seconds = 0.0
        if oldest:
            milliseconds, _ = parse_stream_id(oldest[0][0])
            seconds = max(0.0, time.time() - milliseconds / 1000)
        self._metrics.set_stream(name, await self._client.xlen(stream), seconds)


def compute_memory_share(memory: dict[str, Any]) -> float:
    """Compute the share of its memory that a store uses, from its answer to INFO memory."""
    limit = memory.get("maxmemory") or memory.get("total_system_memory")
    if not limit:
        return 0.0
    return float(memory["used_memory"]) / float(limit)


async def check_durability(client: "redis.asyncio.Redis", durability: str) -> str:
    """Check that the store keeps what it takes, and return what could not be checked.

    Args:
        client: The store.
        durability: The setting collector.durability.

    Raises:
        ValueError: the store keeps less than the setting says, or deletes streams when it is full.
    """
    untyped_client: Any = client
    try:
        config = await untyped_client.config_get("appendonly", "appendfsync", "maxmemory-policy")
    except redis.exceptions.ResponseError:
        return "the store does not show its configuration: whether it keeps events is not known"
    policy = config.get("maxmemory-policy", "")
    if policy in EVICTING_POLICIES:
        raise ValueError(
            f"the store's maxmemory-policy is {policy}, by which events would be lost when it is "
            "full: set noeviction or volatile-lru"
        )
    if config.get("appendonly") != "yes":
        raise ValueError(
            "the store's appendonly is no, so events would be lost when it ends: set appendonly yes"
        )
    if durability == "always" and config.get("appendfsync") != "always":
        raise ValueError(
            f"collector.durability is always, but the store's appendfsync is "
            f"{config.get('appendfsync')}: set appendfsync always"
        )
    if config.get("appendfsync") == "no":
        raise ValueError("the store's appendfsync is no: set everysec or always")
    return ""
