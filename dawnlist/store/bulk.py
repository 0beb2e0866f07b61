"""Many keys of the store at once: some calls of a server, or a request to each primary of a cluster."""

import contextlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, TypeVar

import hiredis
import redis
from redis.cluster import RedisCluster

from dawnlist.store.client import StoreClient

MAX_BYTES_PER_CALL: Final = 1 << 20
MAX_KEYS_PER_CALL: Final = 1_000
"""What a call holds at most: it keeps other clients waiting for no more than a millisecond or two."""

T = TypeVar("T")
RedisCommand = tuple[str | bytes, ...]
"""A command of one key, its second word."""


def write_values(client: StoreClient, values: Iterable[tuple[str, bytes]]) -> None:
    """Set keys to values."""
    for part in _group_into_calls(values):
        if isinstance(client, RedisCluster):
            _execute_across_nodes(client, [("SET", key, value) for key, value in part.items()])
        else:
            client.mset(part)


def read_values(
    client: StoreClient, keys: Iterable[str], at_once: int = 64
) -> Iterator[bytes | None]:
    """The values of the keys, in their order; None where there is none.

    `at_once` in a call: chunks of items are of 4 MB, and a server that copies 64 of them (Redis 6.2) stands still, and
    needs the memory.
    """
    for part in split_into_batches(keys, at_once):
        found: Any = client.mget(part) if not isinstance(client, RedisCluster) else None
        yield from found or _execute_across_nodes(client, [("GET", key) for key in part])


def count_existing_keys(client: StoreClient, keys: Iterable[str]) -> int:
    """How many of the keys are there."""
    return _sum_over_calls(client, "EXISTS", keys)


def delete_keys(client: StoreClient, keys: Iterable[str]) -> int:
    """Delete the keys, large ones' memory in the background; returns how many there were."""
    return _sum_over_calls(client, "UNLINK", keys)


def split_into_batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """The values in lists of `size`, the last one maybe shorter."""
    rest = iter(values)
    while part := list(islice(rest, size)):
        yield part


def _group_into_calls(values: Iterable[tuple[str, bytes]]) -> Iterator[dict[str, bytes]]:
    part: dict[str, bytes] = {}
    size = 0
    for key, value in values:
        part[key] = value
        size += len(value)
        if size >= MAX_BYTES_PER_CALL or len(part) >= MAX_KEYS_PER_CALL:
            yield part
            part, size = {}, 0
    if part:
        yield part


def _sum_over_calls(client: StoreClient, command: str, keys: Iterable[str]) -> int:
    total = 0
    for part in split_into_batches(keys, MAX_KEYS_PER_CALL):
        if isinstance(client, RedisCluster):
            total += sum(_execute_across_nodes(client, [(command, key) for key in part]))
        else:
            single: Any = client
            total += single.execute_command(command, *part)
    return total


def _execute_across_nodes(client: Any, commands: list[RedisCommand]) -> list[Any]:
    """The answers of a cluster to commands, in their order; each primary has its part before any is waited for.

    What a node does not answer, since a slot has moved or it is gone, is asked again through the client.
    """
    by_node: dict[Any, list[int]] = {}
    for place, command in enumerate(commands):
        by_node.setdefault(client.get_node_from_key(command[1]), []).append(place)
    answers: list[Any] = [None] * len(commands)
    with contextlib.ExitStack() as stack:
        asked = [
            (
                stack.enter_context(
                    _send_to_node(client, node, [commands[place] for place in places])
                ),
                places,
            )
            for node, places in by_node.items()
        ]
        for connection, places in asked:
            for place, answer in zip(places, _read_replies(connection, len(places)), strict=True):
                answers[place] = answer
    for place, answer in enumerate(answers):
        if isinstance(answer, Exception):
            answers[place] = client.execute_command(*commands[place])
    return answers


@contextlib.contextmanager
def _send_to_node(client: Any, node: Any, commands: list[RedisCommand]) -> Iterator[Any]:
    """A connection of the client's to a node, on which the commands were sent; None where it takes none.

    Packed here: with redis-py's pipelines, all but the packing of users cost this process twice as much.
    """
    request = b"".join(hiredis.pack_command(command) for command in commands)  # type: ignore[arg-type]
    pool, connection, sent = client.get_redis_connection(node).connection_pool, None, None
    try:
        with contextlib.suppress(redis.ConnectionError):
            connection = pool.get_connection()
            connection.send_packed_command([request])
            sent = connection
        yield sent
    except BaseException:  # answers that nobody reads would be taken for those of the next command
        if connection is not None:
            connection.disconnect()
        raise
    finally:
        if connection is not None:
            pool.release(connection)


def _read_replies(connection: Any, number: int) -> list[Any]:
    """What comes back on a connection, errors as exceptions."""
    answers: list[Any] = []
    try:
        while connection is not None and len(answers) < number:
            try:
                answers.append(connection.read_response())
            except redis.ResponseError as error:
                answers.append(error)
    except redis.ConnectionError:
        pass
    return answers + [redis.ConnectionError()] * (number - len(answers))
