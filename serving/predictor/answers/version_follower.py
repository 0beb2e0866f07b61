"""The follower: a thread that looks every quarter of a second which version is active, and loads a new one.

It has a connection of its own that may wait; the event loop, which may not, takes `snapshot` as it finds it. One
assignment is the whole switch. A version that is gone or broken while it is loaded leaves the old one serving.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from redis import RedisError
from threadpoolctl import threadpool_limits

from dawnlist.serving.predictor.answers.loading import (
    LayoutError,
    generate_backoff_seconds,
    load_snapshot,
)
from dawnlist.serving.predictor.answers.metrics import EngineMetrics
from dawnlist.serving.predictor.answers.snapshot import Snapshot
from dawnlist.store.client import check_store_url, connect_store
from dawnlist.store.layout import StoreKeys
from dawnlist.urls import format_error

FOLLOWER_POLL_SECONDS: Final = 0.25
FOLLOWER_MIN_POLL_SECONDS: Final = 0.05
"""Between two looks at least, however many answers find a version gone."""
CHUNK_TIMEOUT_SECONDS: Final = 5.0
"""Seconds that an answer may take, a chunk of 4 MB."""
WARNING_INTERVAL_SECONDS: Final = 10.0
"""Between two lines at least that say why the store can't be followed."""

_log = logging.getLogger("dawnlist.predictor")


class VersionFollower:
    """Follows one namespace from `start` to `stop`. ValueError for a URL or a namespace that can't be used."""

    snapshot: Snapshot | None = None
    """Of the newest version that could be loaded."""
    loaded_at: float | None = None
    """Seconds since 1970."""

    def __init__(
        self, url: str, namespace: str, metrics: EngineMetrics, tried: Callable[[], None]
    ) -> None:
        """`tried` is called, from the thread, when the store has been asked for the first time, and what it had loaded
        or not."""
        self._url, self._keys, self._metrics, self._tried = (
            check_store_url(url),
            StoreKeys(namespace),
            metrics,
            tried,
        )
        self._client: Any = None
        self._stop, self._hurry = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="dawnlist-follower", daemon=True)
        self._failed: str | None = None
        self._pauses: Iterator[float] = generate_backoff_seconds()
        self._again_at = 0.0
        self._why, self._say_at = "", 0.0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for a step that is under way."""
        self._stop.set()
        self._hurry.set()
        self._thread.join(CHUNK_TIMEOUT_SECONDS)

    def hurry(self) -> None:
        """Look at once: an answer found that its version is gone."""
        self._hurry.set()

    def _run(self) -> None:
        with threadpool_limits(1, "blas"):  # as many threads as cores would hold requests up
            while not self._stop.is_set():
                try:
                    self._look()
                    self._why = ""
                except (
                    RedisError,
                    OSError,
                ) as error:  # store_client.connect raises ConnectionError
                    self._lost(error)
                except Exception:
                    _log.exception("following the active version failed")
                self._tried()
                self._stop.wait(FOLLOWER_MIN_POLL_SECONDS)
                self._hurry.wait(FOLLOWER_POLL_SECONDS - FOLLOWER_MIN_POLL_SECONDS)
                self._hurry.clear()
        self._disconnect()

    def _look(self) -> None:
        """See which version is active, and load it if it is another one."""
        if self._client is None:
            self._client = connect_store(self._url, CHUNK_TIMEOUT_SECONDS)
        found = self._client.get(self._keys.active)
        token = found.decode() if found else None
        if token is None or (self.snapshot is not None and self.snapshot.token == token):
            return
        if token != self._failed:
            self._failed, self._pauses, self._again_at = None, generate_backoff_seconds(), 0.0
        if time.monotonic() >= self._again_at:
            self._follow(token)

    def _follow(self, token: str) -> None:
        began = time.monotonic()
        try:
            snapshot = load_snapshot(self._client, self._keys, token)
        except (
            LookupError,
            ValueError,
            TypeError,
            LayoutError,
        ) as error:  # pyarrow's errors are ValueErrors
            self._metrics.report_corruption("version")
            self._again_at = time.monotonic() + next(self._pauses)
            if token != self._failed:
                _log.error(
                    "version %s can't be loaded, the one before goes on serving: %s",
                    token,
                    format_error(error),
                )
            self._failed = token
            return
        self.snapshot, self.loaded_at = snapshot, time.time()
        self._metrics.report_version(snapshot.version, snapshot.as_of, time.monotonic() - began)

    def _lost(self, error: Exception) -> None:
        """The store does not answer: a count does not tell a wrong password from a certificate, so say why, once."""
        self._metrics.report_store_error(type(error).__name__)
        why, now = format_error(error), time.monotonic()
        if why != self._why and now >= self._say_at:
            _log.warning("the active version can't be followed: %s", why)
            self._why, self._say_at = why, now + WARNING_INTERVAL_SECONDS
        self._disconnect()

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
