"""Load a version from the store into memory, one checked chunk at a time, in its own thread."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from dawnlist.arrays import Float32Array, PopularItems
from dawnlist.ranking.coarse import NOTHING_HIDDEN
from dawnlist.ranking.fold_in import NO_PAIRS, UserPairs
from dawnlist.serving.predictor.answers.snapshot import Snapshot
from dawnlist.store.control_values import parse_version_meta, parse_version_number
from dawnlist.store.item_chunks import unpack_catalogue, unpack_factors, unpack_popular
from dawnlist.store.layout import LAYOUT_VERSION, StoreKeys, VersionMeta
from dawnlist.store.toplists import EVERYBODY

CHUNK_PAUSE_SECONDS: Final = 0.002
"""Seconds between two chunks of 4 MB, in which the store can answer other clients."""
FIRST_BACKOFF_SECONDS: Final = 0.5
MAX_BACKOFF_SECONDS: Final = 8.0


class LayoutError(RuntimeError):
    """The version has a layout that this Dawnlist can't read."""


def read_version_meta(client: Any, keys: StoreKeys, token: str) -> VersionMeta:
    """Read the metadata of a version.

    Raises:
        LookupError: the store no longer has the version.
        LayoutError: the version has a layout that this Dawnlist can't read.
    """
    version = parse_version_number(token)
    field = str(version)
    meta = parse_version_meta(field.encode(), client.hget(keys.versions, field) or b"")
    if meta is None or meta["token"] != token:
        raise LookupError(f"version {version} is gone")
    if meta.get("layout") != LAYOUT_VERSION:
        raise LayoutError(
            f"version {version} has layout {meta.get('layout')}, this Dawnlist reads "
            f"{LAYOUT_VERSION}: upgrade the older of the two, the pipeline or the predictor"
        )
    return meta


def load_snapshot(client: Any, keys: StoreKeys, token: str) -> Snapshot:
    """Load the version of a token, and compile everything that answering needs.

    Raises:
        LookupError: the version, or a part of it, is no longer in the store.
        ValueError, TypeError: a part is not what the publisher wrote.
        LayoutError: the version has a layout that this Dawnlist can't read.
    """
    meta = read_version_meta(client, keys, token)
    chunk_counts = meta["chunks"]
    catalogue_keys = [keys.catalogue(token, chunk) for chunk in range(chunk_counts["c"])]
    vector_keys = [keys.factors(token, chunk) for chunk in range(chunk_counts["f"])]
    tables = [unpack_catalogue(_read_chunk(client, key)) for key in catalogue_keys]
    catalogue = pa.concat_tables(tables)
    chunks = (_read_chunk(client, key) for key in vector_keys)
    vectors, bias = _assemble_vectors(chunks, meta)
    popular = unpack_popular(_read_chunk(client, keys.popular(token)))
    _check_sizes(meta, catalogue, popular)
    snapshot = Snapshot.from_store(meta, catalogue, vectors, bias, popular)
    _compile_kernels(snapshot)
    return snapshot


def _read_chunk(client: Any, key: str) -> bytes:
    """Read a value after a short pause; raise LookupError if it is gone."""
    time.sleep(CHUNK_PAUSE_SECONDS)
    value: bytes | None = client.get(key)
    if value is None:
        raise LookupError(f"{key.rsplit(':', 2)[-2]} is gone")
    return value


def _assemble_vectors(
    chunks: Iterable[bytes], meta: VersionMeta
) -> tuple[Float32Array, Float32Array]:
    """Return the vectors [factors | content], shape (items, factors + d), and the biases, (items,).

    Raises:
        ValueError: there are more or fewer vectors than the metadata says.
    """
    items = int(meta["items"])
    factors = int(meta["factors"])
    content = int(meta["content"])
    vectors = np.empty((items, factors + content), np.float32)
    bias = np.empty(items, np.float32)
    end = 0
    for chunk in chunks:
        rows = unpack_factors(chunk, factors + 1 + content)
        begin = end
        end += len(rows)
        if end > items:
            break
        vectors[begin:end, :factors] = rows[:, :factors]
        vectors[begin:end, factors:] = rows[:, factors + 1 :]
        bias[begin:end] = rows[:, factors]
    if end != items:
        raise ValueError(
            f"version {meta['version']} has vectors of {end} items, its meta says {items}"
        )
    return vectors, bias


def _check_sizes(
    meta: VersionMeta, catalogue: pa.Table, popular: Mapping[str, PopularItems]
) -> None:
    """Raise ValueError unless the catalogue and the popular lists fit the metadata."""
    items = int(meta["items"])
    if catalogue.num_rows != items:
        raise ValueError(
            f"version {meta['version']} has a catalogue of {catalogue.num_rows} items, "
            f"its meta says {items}"
        )
    last_row = max(0, items - 1)
    are_rows_valid = all(rows.max(initial=0) <= last_row for rows, _ in popular.values())
    if EVERYBODY not in popular or not are_rows_valid:
        raise ValueError(
            f"version {meta['version']} has popular lists that do not fit its {items} items"
        )


def _compile_kernels(snapshot: Snapshot) -> None:
    """Run the compiled functions once.

    The first call in a process compiles for seconds, or reads compiled code from disk.
    """
    items = len(snapshot.item_ids)
    fold_in = snapshot.fold_in
    first_item = np.zeros(min(1, items), np.int64)
    pairs = UserPairs(first_item, weight=np.ones(1), age=np.zeros(1))
    if len(pairs):
        equation = fold_in.build_equation(pairs, NO_PAIRS, 0.0)
        fold_in.vector(equation)
        fold_in.explain_scores(equation, pairs.index)
    user = np.zeros((1, snapshot.width), np.float32)
    hidden = np.zeros(0, np.int32)
    mask = np.ones((1, items), bool)
    snapshot.coarse.best(user, 1, NOTHING_HIDDEN, hidden, mask)
    snapshot.coarse.best_of_rows(user[0], 1, first_item, hidden)


def generate_backoff_seconds() -> Iterator[float]:
    """Generate the seconds to wait after each failure in a row: half a second, doubled up to 8."""
    seconds = FIRST_BACKOFF_SECONDS
    while True:
        yield seconds
        seconds = min(MAX_BACKOFF_SECONDS, 2 * seconds)
