"""What goes on beside a test."""

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """It is done again and again during the block."""
    ended = threading.Event()

    def acting() -> None:
        while not ended.is_set():
            act()

    thread = threading.Thread(target=acting)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
