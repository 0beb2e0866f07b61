"""Read record batches ahead in a thread, so that reading and writing overlap."""

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator

import pyarrow as pa

RecordBatches = Iterator[pa.RecordBatch]
"""A stream of batches with one schema."""
READ_AHEAD_BATCHES = 2
"""The most batches that wait between reading and writing, so that memory stays bounded."""


def read_ahead(batches: RecordBatches) -> Generator[pa.RecordBatch, None, None]:
    """Yield the same batches, and raise the error that ends them.

    Closing the generator closes `batches` too.
    """
    ready: queue.Queue[pa.RecordBatch | BaseException | None] = queue.Queue(READ_AHEAD_BATCHES)
    is_cancelled = threading.Event()
    reader = threading.Thread(target=_fill_queue, args=(batches, ready, is_cancelled), daemon=True)
    reader.start()
    try:
        while True:
            batch = ready.get()
            if batch is None:
                return
            if isinstance(batch, BaseException):
                raise batch
            yield batch
    finally:
        is_cancelled.set()
        while reader.is_alive():
            # The reader may be waiting for room in a full queue.
            with contextlib.suppress(queue.Empty):
                ready.get(timeout=0.05)


def _fill_queue(
    batches: RecordBatches,
    ready: "queue.Queue[pa.RecordBatch | BaseException | None]",
    is_cancelled: threading.Event,
) -> None:
    """Put the batches into the queue, then None or the error that ended them."""
    end: BaseException | None = None
    try:
        for batch in batches:
            ready.put(batch)
            if is_cancelled.is_set():
                break
        # Close the generator in the thread that opened it.
        getattr(batches, "close", lambda: None)()
    except BaseException as error:
        end = error
    if not is_cancelled.is_set():
        ready.put(end)


def take_rows(batches: RecordBatches, rows: int) -> RecordBatches:
    """Yield batches up to a number of rows, then read no further."""
    left = rows
    for batch in batches:
        yield batch.slice(0, left)
        left -= min(left, batch.num_rows)
        if not left:
            return


def count_rows(batches: RecordBatches, show_rows: Callable[[int], None]) -> RecordBatches:
    """Yield the same batches, and call `show_rows` with the rows so far.

    Closing the generator closes `batches` too.
    """
    rows = 0
    try:
        for batch in batches:
            rows += batch.num_rows
            show_rows(rows)
            yield batch
    finally:
        getattr(batches, "close", lambda: None)()
