"""Run a worker or a firehose as a process of its own, and the children of a collector on a laptop."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dawnlist.lake.lake import Lake
from dawnlist.serving.collector.firehose import Firehose
from dawnlist.serving.collector.worker import Worker
from dawnlist.settings import Settings
from dawnlist.store.client import connect_store

PARENT_PIPE: Final = "DAWNLIST_PARENT_PIPE"
"""The environment variable of a child: its standard input ends when its parent does."""
LIFE_FILE: Final = "dawnlist-alive"
CHILD_END_SECONDS: Final = 30.0
LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(message)s"


def run_worker(url: str, namespace: str, settings: Settings) -> None:
    """Enrich events until a signal ends the process.

    Raises:
        ConnectionError: the store does not answer when the worker starts.
    """
    stop = _stop_on_signals()
    with connect_store(url) as client:
        Worker(client, namespace, settings).run(stop, show_life)


def run_firehose(url: str, namespace: str, lake_uri: str, land_seconds: float) -> None:
    """Land events until a signal ends the process; then land what is left.

    Raises:
        ConnectionError: the store does not answer when the firehose starts.
        ValueError: the lake can't be used.
    """
    stop = _stop_on_signals()
    lake = Lake.open(lake_uri, namespace)
    with connect_store(url) as client:
        firehose = Firehose(client, lake, namespace, land_seconds)
        firehose.run(stop, show_life)
        firehose.land_everything()


def show_life() -> None:
    """Touch a file, by whose age a probe of Kubernetes sees that the process is at work."""
    (Path(tempfile.gettempdir()) / LIFE_FILE).touch()


@contextlib.contextmanager
def run_children(commands: list[list[str]]) -> Iterator[None]:
    """Run commands of `dawnlist` beside this process, and end them with it.

    They also end when this process is killed, as their standard input ends then.
    """
    environment = {**os.environ, PARENT_PIPE: "1"}
    children = []
    for command in commands:
        child = subprocess.Popen(
            [sys.executable, "-m", "dawnlist.pipelines.cli", *command],
            stdin=subprocess.PIPE,
            env=environment,
        )
        children.append(child)
    try:
        yield
    finally:
        for child in children:
            child.terminate()
        for child in children:
            _wait_for_child(child)


def _wait_for_child(child: "subprocess.Popen[bytes]") -> None:
    try:
        child.wait(CHILD_END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _stop_on_signals() -> threading.Event:
    """Return an event that is set by SIGTERM, by Ctrl-C, and by the end of the parent."""
    logging.basicConfig(format=LOG_FORMAT, level=logging.INFO)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if PARENT_PIPE in os.environ:
        threading.Thread(target=_wait_for_parent, args=(stop,), daemon=True).start()
    return stop


def _wait_for_parent(stop: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop.set()
