"""What a version in the store holds: packed lists and a catalogue, written, read back and deleted."""

import io
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import redis

from components.store_layout import Keys
from components.toplists import TopLists

CATALOGUE_ROWS: Final = 50_000
KEYS_A_CALL: Final = 1_000  # 0.2 MB: a call that doesn't hold other clients up for more than a millisecond
SAMPLE: Final = 1_000  # lists read back before the switch


def write(client: "redis.Redis", keys: Keys, version: int, lists: TopLists) -> dict[str, Any]:
    """Write everything of a version but its place among the versions; returns counts: users, bytes, catalogue_chunks.

    A user whose list is empty has no key.
    """
    users = size = 0
    for batch in _batched_lists(keys, version, lists):
        client.mset(batch)
        users += len(batch)
        size += sum(map(len, batch)) + sum(map(len, batch.values()))
    others = _other_values(keys, version, lists)
    for key, value in others.items():
        client.set(key, value)
        size += len(key) + len(value)
    return {"users": users, "bytes": size, "catalogue_chunks": len(others) - 1}


def verify(client: "redis.Redis", keys: Keys, version: int, lists: TopLists) -> None:
    """RuntimeError unless every key is there and a sample, the popular list and the catalogue read back the same."""
    step = max(1, len(lists.user_ids) // SAMPLE)
    expected = {key.encode(): value for key, value in _other_values(keys, version, lists).items()}
    found = written = 0
    for batch in _batched_lists(keys, version, lists):
        found += int(client.exists(*batch))
        expected.update(list(batch.items())[::step])
        written += len(batch)
    got = client.mget(list(expected))
    wrong = sum(value != other for value, other in zip(expected.values(), got, strict=True))
    if found != written or wrong:
        raise RuntimeError(
            f"version {version} does not read back as it was written: {found} of {written} lists are there, {wrong} "
            f"of {len(expected)} values read differ; does the server evict keys (maxmemory-policy)? It is not switched"
        )


def delete(client: "redis.Redis", keys: Keys, version: int) -> None:
    """Delete all that a version holds, in small calls, its memory freed by the server in the background."""
    doomed: list[bytes] = []
    for key in client.scan_iter(match=keys.all_of(version), count=KEYS_A_CALL):
        doomed.append(key)
        if len(doomed) >= KEYS_A_CALL:
            client.unlink(*doomed)
            doomed.clear()
    if doomed:
        client.unlink(*doomed)


def unpack(packed: bytes) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
    """Item indices and scores of a stored list, best first."""
    n = len(packed) // 8
    return np.frombuffer(packed, "<u4", n), np.frombuffer(packed, "<f4", n, 4 * n)


def _batched_lists(keys: Keys, version: int, lists: TopLists) -> Iterator[dict[bytes, bytes]]:
    """Key -> packed list, KEYS_A_CALL at a time."""
    prefix, k = keys.user(version, "").encode(), lists.k
    for begin in range(0, len(lists.user_ids), KEYS_A_CALL):
        part = slice(begin, begin + KEYS_A_CALL)
        items = np.ascontiguousarray(lists.item_index[part], dtype="<u4").view(np.uint8)
        scores = np.ascontiguousarray(lists.score[part], dtype="<f4").view(np.uint8)
        rows = np.concatenate([items, scores], axis=1).tobytes()
        batch: dict[bytes, bytes] = {}
        for i, (user_id, n) in enumerate(zip(lists.user_ids[part], lists.lengths[part].tolist(), strict=True)):
            row = rows[i * 8 * k : (i + 1) * 8 * k]
            if n:
                batch[prefix + user_id.encode()] = row if n == k else row[: 4 * n] + row[4 * k : 4 * (k + n)]
        if batch:
            yield batch


def _other_values(keys: Keys, version: int, lists: TopLists) -> dict[str, bytes]:
    popular = lists.popular_index.astype("<u4").tobytes() + lists.popular_score.astype("<f4").tobytes()
    values = {keys.popular(version): popular}
    columns = lists.catalogue.select(["item_id", "title"])
    for chunk, begin in enumerate(range(0, columns.num_rows, CATALOGUE_ROWS)):
        file = io.BytesIO()
        pq.write_table(columns.slice(begin, CATALOGUE_ROWS), file, compression="zstd")
        values[keys.catalogue(version, chunk)] = file.getvalue()
    return values
