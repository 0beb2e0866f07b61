"""What goes on beside a test."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from socketserver import BaseServer


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


@contextlib.contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """It answers during the block."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
