"""A version read from the store into memory, a chunk at a time, each checked; for a thread of its own."""

import json
import time
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Final

import numpy as np
import pyarrow as pa

from dawnlist.arrays import Float32Array, PopularItems
from dawnlist.ranking.coarse import NOTHING_HIDDEN
from dawnlist.ranking.fold_in import NO_PAIRS, UserPairs
from dawnlist.serving.predictor.answers.snapshot import Snapshot
from dawnlist.store.item_chunks import unpack_catalogue, unpack_factors, unpack_popular
from dawnlist.store.layout import LAYOUT_VERSION, StoreKeys, VersionMeta, parse_version_number
from dawnlist.store.toplists import EVERYBODY

CHUNK_PAUSE_SECONDS: Final = 0.002
"""Seconds between two chunks: the server, which sends 4 MB in one go, answers others meanwhile."""


class LayoutError(RuntimeError):
    """The version is of a layout that this Dawnlist does not read."""


def read_version_meta(client: Any, keys: StoreKeys, token: str) -> VersionMeta:
    """The meta of a version; LookupError when it is gone, LayoutError when it can't be read."""
    version = parse_version_number(token.encode())
    found = client.hget(keys.versions, str(version))
    meta: VersionMeta = json.loads(found) if found else {}
    if meta.get("token") != token:
        raise LookupError(f"version {version} is gone")
    if meta.get("layout") != LAYOUT_VERSION:
        raise LayoutError(
            f"version {version} has layout {meta.get('layout')}, this Dawnlist reads {LAYOUT_VERSION}: upgrade the older of "
            "the two, the pipeline or the predictor"
        )
    return meta


def load_snapshot(client: Any, keys: StoreKeys, token: str) -> Snapshot:
    """The version of a token, ready to answer, everything that is compiled included.

    LookupError when it, or a part of it, is gone; ValueError, TypeError when a part is not what was written;
    LayoutError.
    """
    meta = read_version_meta(client, keys, token)
    chunks = meta["chunks"]
    tables = [
        unpack_catalogue(_read_chunk(client, keys.catalogue(token, i))) for i in range(chunks["c"])
    ]
    catalogue = pa.concat_tables(tables)
    values = (_read_chunk(client, keys.factors(token, i)) for i in range(chunks["f"]))
    vectors, bias = _assemble_vectors(values, meta)
    popular = unpack_popular(_read_chunk(client, keys.popular(token)))
    _check_sizes(meta, catalogue, popular)
    snapshot = Snapshot.of(meta, catalogue, vectors, bias, popular)
    _compile_kernels(snapshot)
    return snapshot


def _read_chunk(client: Any, key: str) -> bytes:
    time.sleep(CHUNK_PAUSE_SECONDS)
    value: bytes | None = client.get(key)
    if value is None:
        raise LookupError(f"{key.rsplit(':', 2)[-2]} is gone")
    return value


def _assemble_vectors(
    values: Iterator[bytes], meta: VersionMeta
) -> tuple[Float32Array, Float32Array]:
    """[factors | content] and biases of all items; ValueError when they are not as many as the meta says."""
    items, factors, content = int(meta["items"]), int(meta["factors"]), int(meta["content"])
    vectors, bias = np.empty((items, factors + content), np.float32), np.empty(items, np.float32)
    begin = 0
    for value in values:
        rows = unpack_factors(value, factors + 1 + content)
        part = slice(begin, begin + len(rows))
        begin += len(rows)
        if begin > items:
            break
        vectors[part, :factors], bias[part], vectors[part, factors:] = (
            rows[:, :factors],
            rows[:, factors],
            rows[:, factors + 1 :],
        )
    if begin != items:
        raise ValueError(
            f"version {meta['version']} has vectors of {begin} items, its meta says {items}"
        )
    return vectors, bias


def _check_sizes(
    meta: VersionMeta, catalogue: pa.Table, popular: Mapping[str, PopularItems]
) -> None:
    items = int(meta["items"])
    if catalogue.num_rows != items:
        raise ValueError(
            f"version {meta['version']} has a catalogue of {catalogue.num_rows} items, its meta says {items}"
        )
    if EVERYBODY not in popular or any(
        index.max(initial=0) >= max(1, items) for index, _ in popular.values()
    ):
        raise ValueError(
            f"version {meta['version']} has popular lists that do not fit its {items} items"
        )


def _compile_kernels(snapshot: Snapshot) -> None:
    """Run what is compiled once: the first call of a process compiles for seconds, or reads from disk."""
    fold = snapshot.fold_in
    some = UserPairs(np.zeros(min(1, len(snapshot.item_ids)), np.int64), np.ones(1), np.zeros(1))
    if snapshot.can_fold and len(some):
        equation = fold.build_equation(some, NO_PAIRS, 0.0)
        fold.vector(equation)
        fold.explain_scores(equation, some.index)
    width = snapshot.coarse.vectors.shape[1]
    allowed = np.ones((1, len(snapshot.item_ids)), bool)
    none = np.zeros(0, np.int32)
    snapshot.coarse.best(np.zeros((1, width), np.float32), 1, NOTHING_HIDDEN, none, allowed)


def generate_backoff_seconds() -> Iterator[float]:
    """Seconds to wait after one failure after another: a half, doubled up to eight."""
    return (min(8.0, 0.5 * 2**n) for n in count())
