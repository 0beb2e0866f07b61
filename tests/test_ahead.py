import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest

from dawnlist.components.fetch.read_ahead import READ_AHEAD_BATCHES, read_ahead


def batches(count: int, log: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        for number in range(count):
            log.append(f"read {number}")
            yield pa.record_batch({"n": [number]})
        raise ConnectionError("the source broke off")
    finally:
        log.append(f"closed by {threading.current_thread() is threading.main_thread()}")


def test_batches_come_in_order_and_the_error_last() -> None:
    log: list[str] = []
    coming = read_ahead(batches(50, log))
    assert [next(coming)["n"].to_pylist() for _ in range(50)] == [[number] for number in range(50)]
    with pytest.raises(ConnectionError, match="the source broke off"):
        next(coming)
    assert log[-1] == "closed by False"


def test_a_read_that_is_given_up_is_closed_and_was_never_far_ahead() -> None:
    log: list[str] = []
    coming = read_ahead(batches(50, log))
    next(coming)
    coming.close()
    assert log[-1] == "closed by False"
    assert (
        len(log) - 1 <= 1 + READ_AHEAD_BATCHES + 3
    )  # taken, waiting, and what went on while it was being closed
