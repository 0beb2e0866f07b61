"""Estimate how much of a server's memory a version needs, and read how much is free."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import redis
from redis.cluster import RedisCluster

from dawnlist.store.client import StoreClient

KEY_OVERHEAD_BYTES: Final = 120
"""The memory of a key with a short name: its name, its object and its share of a growing table."""
VALUE_OVERHEAD_BYTES: Final = 10
"""The memory that a string needs beside its bytes: its length, its size and a closing zero."""


@dataclass(frozen=True)
class MemoryFigures:
    """The memory that a version needs, and what the server had."""

    needed: int
    """The bytes that the version needs."""
    free: int | None
    """The free bytes before it was written; None if the server does not say."""


def estimate_memory(sizes: npt.NDArray[np.int64]) -> int:
    """Estimate the memory in bytes of keys whose values have these sizes in bytes.

    The server's allocator, jemalloc, has four sizes of blocks for each power of two. A value takes
    the next larger block.
    """
    allocated = np.maximum(sizes + VALUE_OVERHEAD_BYTES, 16)
    step = np.maximum(8, np.exp2(np.floor(np.log2(allocated - 1)) - 2).astype(np.int64))
    blocks = -(-allocated // step) * step
    return int(blocks.sum()) + KEY_OVERHEAD_BYTES * len(sizes)


def check_room(client: StoreClient, needed: int, users: int) -> MemoryFigures:
    """Check that a version fits into the store's memory.

    Args:
        needed: The bytes that the version needs.
        users: The number of its users, for the message.

    Returns:
        What is needed and what is free. Managed servers may refuse INFO, and then don't say.

    Raises:
        RuntimeError: the version does not fit.
    """
    free = _read_free_memory(client)
    if free is not None and needed > free:
        raise RuntimeError(
            f"a version of {users:,} users takes about {needed / 1e6:,.1f} MB of the store's "
            f"memory, and {free / 1e6:,.1f} MB are free beside the versions that it keeps: "
            "nothing was written; give the store more memory (maxmemory), "
            "or let it keep fewer versions"
        )
    return MemoryFigures(needed, free)


def read_used_memory(client: StoreClient) -> int | None:
    """Read the bytes that the server, or all primaries, use; None if they don't say."""
    servers = _read_memory_info(client)
    if not servers:
        return None
    return sum(info["used_memory"] for info in servers)


def _read_free_memory(client: StoreClient) -> int | None:
    """Read the free bytes below maxmemory; without a maxmemory, below the machine's memory."""
    servers = _read_memory_info(client)
    limits = [info.get("maxmemory") or info.get("total_system_memory", 0) for info in servers]
    if not servers or not all(limits):
        return None
    used = sum(info["used_memory"] for info in servers)
    return max(0, sum(limits) - used)


def _read_memory_info(client: StoreClient) -> list[dict[str, int]]:
    """Read the memory figures of the server, or of all primaries; empty if they don't say."""
    servers: Any = [client]
    try:
        if isinstance(client, RedisCluster):
            primaries = client.get_primaries()  # type: ignore[no-untyped-call]
            servers = [client.get_redis_connection(node) for node in primaries]
        return [server.info("memory") for server in servers]
    except redis.ResponseError:  # NOPERM, or a proxy that has no INFO
        return []
