"""What a version takes of a server's memory, and what it has left: asked before the first write."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import redis
from redis.cluster import RedisCluster

from dawnlist.store.client import StoreClient

KEY_OVERHEAD_BYTES: Final = 120
"""Of a key with a short name: its name, its object and its place in the table, also while that grows."""
VALUE_OVERHEAD_BYTES: Final = 10
"""Of a string: its length and size, and a closing zero."""


def estimate_memory(sizes: npt.NDArray[np.int64]) -> int:
    """Bytes of memory that keys with values of these sizes take.

    jemalloc hands out four sizes for each doubling: a value takes the next larger.
    """
    wanted = np.maximum(sizes + VALUE_OVERHEAD_BYTES, 16)
    step = np.maximum(8, np.exp2(np.floor(np.log2(wanted - 1)) - 2).astype(np.int64))
    return int((-(-wanted // step) * step).sum()) + KEY_OVERHEAD_BYTES * len(sizes)


def check_room(client: StoreClient, needed: int, users: int) -> dict[str, Any]:
    """What is `needed` and what is `free`, in bytes; RuntimeError when it does not fit.

    `free` is None when the server does not say, since managed ones may refuse INFO.
    """
    free = _read_free_memory(client)
    if free is not None and needed > free:
        raise RuntimeError(
            f"a version of {users:,} users takes about {needed / 1e6:,.1f} MB of the store's memory, and "
            f"{free / 1e6:,.1f} MB are free beside the versions that it keeps: nothing was written; give the store "
            "more memory (maxmemory), or let it keep fewer versions"
        )
    return {"needed": needed, "free": free}


def read_used_memory(client: StoreClient) -> int | None:
    """Bytes that the server, or all primaries of a cluster, use; None when they don't say."""
    found = _read_memory_info(client)
    return sum(info["used_memory"] for info in found) if found else None


def _read_free_memory(client: StoreClient) -> int | None:
    """Bytes up to maxmemory, or up to the machine's memory where there is no such limit."""
    found = _read_memory_info(client)
    limits = [info.get("maxmemory") or info.get("total_system_memory", 0) for info in found]
    if not all(limits) or not found:
        return None
    return max(0, sum(limits) - sum(info["used_memory"] for info in found))


def _read_memory_info(client: StoreClient) -> list[dict[str, int]]:
    servers: Any = [client]
    try:
        if isinstance(client, RedisCluster):
            servers = [client.get_redis_connection(node) for node in client.get_primaries()]  # type: ignore[no-untyped-call]
        return [server.info("memory") for server in servers]
    except redis.ResponseError:  # NOPERM, or a proxy that has no INFO
        return []
