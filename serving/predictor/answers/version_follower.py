"""Follow the active version: a thread asks the store every quarter of a second and loads a new one.

It follows the withdrawn items in the same way, with the same command. A version answers only after
its withdrawn items are known.

The thread has a connection of its own that may wait, which the event loop may not. The event loop
reads `snapshot`, and one assignment is the whole switch. If a version disappears or turns out to be
damaged while it is loaded, the previous one keeps answering.
"""

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
from dawnlist.serving.predictor.logger import predictor_log
from dawnlist.store.client import check_store_url, connect_store
from dawnlist.store.layout import StoreKeys
from dawnlist.store.withdrawals import read_withdrawn_ids
from dawnlist.urls import format_error

FOLLOWER_POLL_SECONDS: Final = 0.25
FOLLOWER_MIN_POLL_SECONDS: Final = 0.05
"""The shortest time between two polls, however many answers ask for one."""
CHUNK_TIMEOUT_SECONDS: Final = 5.0
"""Seconds in which the store has to send a chunk of 4 MB."""
WARNING_INTERVAL_SECONDS: Final = 10.0
"""The shortest time between two warnings that the store does not answer."""


class VersionFollower:
    """Follows the active version of a namespace from `start` to `stop`."""

    snapshot: Snapshot | None = None
    """The newest version that could be loaded, without withdrawn items; None while there is none."""
    withdrawn_ids: frozenset[str] = frozenset()
    """The ids of the items that are withdrawn, whether the version has them or not."""
    loaded_at: float | None = None
    """When it was loaded, in seconds since 1970."""

    def __init__(
        self, url: str, namespace: str, metrics: EngineMetrics, on_poll: Callable[[], None]
    ) -> None:
        """`on_poll` is called from the thread after each poll, whether it succeeded or not.

        Raises:
            ValueError: the URL or the namespace can't be used.
        """
        self._url = check_store_url(url)
        self._keys = StoreKeys(namespace)
        self._metrics = metrics
        self._on_poll = on_poll
        self._client: Any = None
        self._stop_requested = threading.Event()
        self._poll_requested = threading.Event()
        # The version as it was loaded, with the items that were withdrawn since its run.
        self._loaded: Snapshot | None = None
        # What `withdrawal` was when the withdrawn items were read; b"" before that.
        self._withdrawal: bytes | None = b""
        self._thread = threading.Thread(target=self._run, name="dawnlist-follower", daemon=True)
        # The version that could not be loaded, and when it is tried again.
        self._failed_token: str | None = None
        self._backoff: Iterator[float] = generate_backoff_seconds()
        self._next_attempt = 0.0
        # The last warning about the store, and the earliest time for the next.
        self._last_warning = ""
        self._next_warning = 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and wait for what it is doing."""
        self._stop_requested.set()
        self._poll_requested.set()
        self._thread.join(CHUNK_TIMEOUT_SECONDS)

    def poll_now(self) -> None:
        """Ask the store at once: an answer found that its version is no longer there."""
        self._poll_requested.set()

    def _run(self) -> None:
        """Poll until the follower is stopped."""
        with threadpool_limits(1, "blas"):  # as many threads as cores would delay requests
            while not self._stop_requested.is_set():
                self._poll_safely()
                self._on_poll()
                self._stop_requested.wait(FOLLOWER_MIN_POLL_SECONDS)
                self._poll_requested.wait(FOLLOWER_POLL_SECONDS - FOLLOWER_MIN_POLL_SECONDS)
                self._poll_requested.clear()
        self._disconnect()

    def _poll_safely(self) -> None:
        """Poll, and handle every error."""
        try:
            self._poll()
            self._last_warning = ""
        except (RedisError, OSError) as error:  # connect_store raises ConnectionError
            self._handle_store_error(error)
        except Exception:
            predictor_log.exception("following the active version failed")

    def _poll(self) -> None:
        """Ask which version is active and which items are withdrawn, and load what is new."""
        if self._client is None:
            self._client = connect_store(self._url, CHUNK_TIMEOUT_SECONDS)
        encoded, withdrawal = self._client.mget(self._keys.active, self._keys.withdrawal)
        if not encoded and self.snapshot is not None:
            return  # the store was emptied: what is in memory goes on serving
        if withdrawal != self._withdrawal:
            self._follow_withdrawals(withdrawal)
        if not encoded:
            return
        token = encoded.decode(errors="replace")  # loading refuses what is no token
        if self.snapshot is not None and self.snapshot.token == token:
            return
        if token != self._failed_token:
            self._failed_token = None
            self._backoff = generate_backoff_seconds()
            self._next_attempt = 0.0
        if time.monotonic() >= self._next_attempt:
            self._load(token)

    def _follow_withdrawals(self, withdrawal: bytes | None) -> None:
        """Read the withdrawn items, and answer without them."""
        withdrawn_ids = read_withdrawn_ids(self._client, self._keys)
        self._withdrawal = withdrawal
        if withdrawn_ids == self.withdrawn_ids:
            return
        self.withdrawn_ids = withdrawn_ids
        if self._loaded is not None:
            self.snapshot = self._loaded.without_items(withdrawn_ids)
        self._metrics.report_withdrawals(len(withdrawn_ids))

    def _load(self, token: str) -> None:
        """Load a version, and let it answer."""
        started = time.monotonic()
        try:
            snapshot = load_snapshot(self._client, self._keys, token)
        except (LookupError, ValueError, TypeError, LayoutError) as error:
            # pyarrow's errors are ValueErrors
            self._handle_load_error(token, error)
            return
        self._loaded = snapshot
        self.snapshot = snapshot.without_items(self.withdrawn_ids)
        self.loaded_at = time.time()
        self._metrics.report_version(snapshot.version, snapshot.as_of, time.monotonic() - started)

    def _handle_load_error(self, token: str, error: Exception) -> None:
        """Log why the version can't be loaded, the first time only, and plan the next attempt."""
        self._metrics.report_corruption("version")
        self._next_attempt = time.monotonic() + next(self._backoff)
        if token != self._failed_token:
            predictor_log.error(
                "version %s can't be loaded, the one before goes on serving: %s",
                token,
                format_error(error),
            )
        self._failed_token = token

    def _handle_store_error(self, error: Exception) -> None:
        """Count the error, and log its message once.

        The count alone would not distinguish a wrong password from a wrong certificate.
        """
        self._metrics.report_store_error(type(error).__name__)
        warning = format_error(error)
        now = time.monotonic()
        if warning != self._last_warning and now >= self._next_warning:
            predictor_log.warning("the active version can't be followed: %s", warning)
            self._last_warning = warning
            self._next_warning = now + WARNING_INTERVAL_SECONDS
        self._disconnect()

    def _disconnect(self) -> None:
        """Close the connection; the next poll opens a new one."""
        if self._client is not None:
            self._client.close()
            self._client = None
