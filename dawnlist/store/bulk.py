"""Read, write and delete many keys of the store at once.

A single server gets a few commands with many keys each. A cluster gets one batch of single-key
commands for each of its primaries.
"""

import contextlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

import hiredis
import redis
from redis.cluster import RedisCluster

from dawnlist.store.client import StoreClient

MAX_BYTES_PER_CALL: Final = 1 << 20
"""A call is sent once its values reach this many bytes, so it blocks other clients only briefly."""
MAX_KEYS_PER_CALL: Final = 1_000
"""The largest number of keys in one call, for the same reason (a millisecond or two)."""

_T = TypeVar("_T")
RedisCommand = tuple[str | bytes, ...]
"""The words of a command that has a single key, which is the second word."""


def write_values(client: StoreClient, values: Iterable[tuple[str, bytes]]) -> None:
    """Set each key to its value."""
    for batch in _group_into_calls(values):
        if isinstance(client, RedisCluster):
            commands: list[RedisCommand] = [("SET", key, value) for key, value in batch.items()]
            _execute_across_nodes(client, commands)
        else:
            client.mset(batch)


def read_values(
    client: StoreClient, keys: Iterable[str], at_once: int = 64
) -> Iterator[bytes | None]:
    """Yield the values of the keys in their order, None for a key that does not exist.

    Args:
        at_once: The number of keys in one call. Use a small number for large values: chunks of
            items have 4 MB, and a server that copies 64 of them (Redis 6.2) answers nobody
            meanwhile and needs the memory.
    """
    for batch in split_into_batches(keys, at_once):
        if isinstance(client, RedisCluster):
            yield from _execute_across_nodes(client, [("GET", key) for key in batch])
        else:
            values: Any = client.mget(batch)
            yield from values


def count_existing_keys(client: StoreClient, keys: Iterable[str]) -> int:
    """Count the keys that exist."""
    return _sum_over_calls(client, "EXISTS", keys)


def delete_keys(client: StoreClient, keys: Iterable[str]) -> int:
    """Delete the keys and return how many of them existed.

    The server frees the memory of large values in the background.
    """
    return _sum_over_calls(client, "UNLINK", keys)


def split_into_batches(values: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield the values in lists of `size`; the last list may be shorter."""
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch


def _group_into_calls(values: Iterable[tuple[str, bytes]]) -> Iterator[dict[str, bytes]]:
    batch: dict[str, bytes] = {}
    size = 0
    for key, value in values:
        batch[key] = value
        size += len(value)
        if size >= MAX_BYTES_PER_CALL or len(batch) >= MAX_KEYS_PER_CALL:
            yield batch
            batch = {}
            size = 0
    if batch:
        yield batch


def _sum_over_calls(client: StoreClient, command: str, keys: Iterable[str]) -> int:
    total = 0
    for batch in split_into_batches(keys, MAX_KEYS_PER_CALL):
        if isinstance(client, RedisCluster):
            total += sum(_execute_across_nodes(client, [(command, key) for key in batch]))
        else:
            single: Any = client
            total += single.execute_command(command, *batch)
    return total


def _execute_across_nodes(client: Any, commands: list[RedisCommand]) -> list[Any]:
    """Run the commands on the nodes of a cluster and return the answers in the commands' order.

    Every node receives its commands before the first answer is read. A command that a node does
    not answer, because its slot has moved or the node is gone, is run again through the client.
    """
    indices_by_node: dict[Any, list[int]] = {}
    for index, command in enumerate(commands):
        node = client.get_node_from_key(command[1])
        indices_by_node.setdefault(node, []).append(index)
    answers: list[Any] = [None] * len(commands)
    with contextlib.ExitStack() as stack:
        requests = []
        for node, indices in indices_by_node.items():
            node_commands = [commands[index] for index in indices]
            connection = stack.enter_context(_send_to_node(client, node, node_commands))
            requests.append((connection, indices))
        for connection, indices in requests:
            replies = _read_replies(connection, len(indices))
            for index, reply in zip(indices, replies, strict=True):
                answers[index] = reply
    for index, answer in enumerate(answers):
        if isinstance(answer, Exception):
            answers[index] = client.execute_command(*commands[index])
    return answers


@contextlib.contextmanager
def _send_to_node(client: Any, node: Any, commands: list[RedisCommand]) -> Iterator[Any]:
    """Send the commands to a node and yield the connection, or None if the node is unreachable.

    The commands are packed here, because redis-py's pipelines need twice the CPU time.
    """
    request = b"".join(hiredis.pack_command(command) for command in commands)  # type: ignore[arg-type]
    pool = client.get_redis_connection(node).connection_pool
    connection = None
    sent_connection = None
    try:
        with contextlib.suppress(redis.ConnectionError):
            connection = pool.get_connection()
            connection.send_packed_command([request])
            sent_connection = connection
        yield sent_connection
    except BaseException:
        # The next user of the connection would take the unread answers for its own.
        if connection is not None:
            connection.disconnect()
        raise
    finally:
        if connection is not None:
            pool.release(connection)


def _read_replies(connection: Any, number: int) -> list[Any]:
    """Read this many replies from a connection; errors are returned as exceptions."""
    replies: list[Any] = []
    try:
        while connection is not None and len(replies) < number:
            try:
                replies.append(connection.read_response())
            except redis.ResponseError as error:
                replies.append(error)
    except redis.ConnectionError:
        pass
    return replies + [redis.ConnectionError()] * (number - len(replies))
