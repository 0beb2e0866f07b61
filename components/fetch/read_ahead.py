"""Batches that a thread of their own reads ahead, so that a source is read while what came before is written."""

import contextlib
import queue
import threading
from collections.abc import Generator, Iterator

import pyarrow as pa

READ_AHEAD_BATCHES = 2
"""Batches that may lie between reading and writing: memory stays bounded."""


def read_ahead(batches: Iterator[pa.RecordBatch]) -> Generator[pa.RecordBatch, None, None]:
    """The same batches, and the error that ends them; once this is closed, they are closed too."""
    ready: queue.Queue[pa.RecordBatch | BaseException | None] = queue.Queue(READ_AHEAD_BATCHES)
    given_up = threading.Event()
    reader = threading.Thread(target=_fill_queue, args=(batches, ready, given_up), daemon=True)
    reader.start()
    try:
        while (batch := ready.get()) is not None:
            if isinstance(batch, BaseException):
                raise batch
            yield batch
    finally:
        given_up.set()
        while reader.is_alive():
            with contextlib.suppress(queue.Empty):  # a full queue would hold the reader up
                ready.get(timeout=0.05)


def _fill_queue(
    batches: Iterator[pa.RecordBatch],
    ready: "queue.Queue[pa.RecordBatch | BaseException | None]",
    given_up: threading.Event,
) -> None:
    end: BaseException | None = None
    try:
        for batch in batches:
            ready.put(batch)
            if given_up.is_set():
                break
        getattr(batches, "close", lambda: None)()  # here, where it was opened
    except BaseException as error:
        end = error
    if not given_up.is_set():
        ready.put(end)
