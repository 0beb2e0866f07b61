"""Connect to the store by its URL: a single server or a cluster, over TCP, TLS or a Unix socket."""

from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from dawnlist.secret_values import read_secret
from dawnlist.urls import (
    REDIS_PASSWORD,
    format_error,
    mask_passwords,
    refuse_password,
)

CLUSTER_SUFFIX: Final = "+cluster"
URL_SCHEMES: Final = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")

StoreClient = redis.Redis | RedisCluster
STORE_ERRORS: Final = (redis.RedisError, redis.exceptions.RedisClusterException)
"""What redis-py raises when the store is lost. The error for a lost cluster is no RedisError."""


class ClusterClient(RedisCluster):
    """A RedisCluster whose `close` also closes the connections to the nodes.

    redis-py's own `close` leaves them open: up to version 8.1 it does not own their pools.
    """

    def close(self) -> None:
        """Close the client and its connections."""
        if hasattr(self, "nodes_manager"):  # missing if the constructor failed
            self.disconnect_connection_pools()  # type: ignore[no-untyped-call]
        super().close()


def check_store_url(url: str) -> str:
    """Return the store's URL unchanged.

    Raises:
        ValueError: the scheme is not supported, or the URL holds a password.
    """
    parts = urlsplit(url)
    if parts.scheme not in URL_SCHEMES:
        raise ValueError(
            f"store {mask_passwords(url)!r} is of a kind that can't be used: "
            "give redis://HOST:PORT/0, rediss:// (TLS), redis+cluster:// or rediss+cluster:// "
            "(any node of a cluster), or unix://PATH"
        )
    if "password" in parse_qs(parts.query):
        raise ValueError(
            "the store's URL holds a password: "
            f"remove it from the URL and set {REDIS_PASSWORD} instead"
        )
    return refuse_password(url, REDIS_PASSWORD)


def is_cluster_url(url: str) -> bool:
    """Say whether a store's URL names a node of a cluster."""
    return urlsplit(url).scheme.endswith(CLUSTER_SUFFIX)


def strip_cluster_suffix(url: str) -> str:
    """Return the URL in redis-py's form, without `+cluster`.

    Raises:
        ValueError: as in `check_store_url`.
    """
    checked_url = check_store_url(url)
    if is_cluster_url(url):
        return checked_url.replace(CLUSTER_SUFFIX, "", 1)
    return checked_url


def connect_store(url: str, timeout: float = 60) -> StoreClient:
    """Connect to the store and wait for its first answer.

    The URL may name a user (redis://USER@HOST). The password comes from the environment variable
    DAWNLIST_REDIS_PASSWORD. The query of a rediss:// URL may hold `ssl_ca_certs=FILE` and
    redis-py's other TLS options.

    Args:
        timeout: Seconds that one answer may take.

    Raises:
        ConnectionError: the store does not answer, or refuses the user or the password.
        ValueError: as in `check_store_url`.
    """
    client_class: Any = redis.Redis
    if is_cluster_url(url):
        client_class = ClusterClient
    try:
        # A cluster's client asks for the list of nodes here.
        client: StoreClient = client_class.from_url(
            strip_cluster_suffix(url),
            password=read_secret(REDIS_PASSWORD),
            socket_timeout=timeout,
            socket_connect_timeout=5,
            # One retry, since the server may have closed a pooled connection.
            retry=Retry(NoBackoff(), 1),
        )
    except STORE_ERRORS as error:
        raise _build_connection_error(url, error) from error
    try:
        client.ping()
    except redis.RedisError as error:
        client.close()
        raise _build_connection_error(url, error) from error
    return client


def open_async_client(url: str, timeout: float, cluster_advice: str) -> "redis.asyncio.Redis":
    """Return a client for asyncio of a single server; it connects when it is used.

    Args:
        url: The store's URL, as for `connect_store`.
        timeout: Seconds that a connection or an answer may take.
        cluster_advice: What the error about a cluster's URL says to do.

    Raises:
        ValueError: as in `check_store_url`, or the URL names a cluster.
    """
    if is_cluster_url(url):
        raise ValueError(f"the store {mask_passwords(url)!r} is a cluster: {cluster_advice}")
    client: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
        strip_cluster_suffix(url),
        password=read_secret(REDIS_PASSWORD),
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
    )
    return client


def _build_connection_error(url: str, error: Exception) -> ConnectionError:
    """Build the error that explains to people why the store can't be used."""
    store = f"the store at {mask_passwords(url)}"
    causes = _list_causes(error)
    for cause in causes:
        if isinstance(cause, redis.AuthenticationError):
            return ConnectionError(
                f"{store} refuses the password: set {REDIS_PASSWORD} to the right one"
            )
    for cause in causes:
        if isinstance(cause, redis.exceptions.NoPermissionError):
            return ConnectionError(
                f"{store} refuses this user ({cause}): see Rights in docs/STORE.md"
            )
    # The innermost cause says most; errors of other types belong to redis-py's control flow.
    reasons = [cause for cause in causes if isinstance(cause, (*STORE_ERRORS, OSError))]
    # redis-py raises a ConnectionError for everything: TLS, an unknown host, a missing file.
    reason = format_error(str(reasons[-1]) or type(error).__name__)
    return ConnectionError(
        f"no store answers at {mask_passwords(url)} ({reason}): "
        "start the store, or give another URL"
    )


def _list_causes(error: BaseException) -> list[BaseException]:
    """List the error and the errors behind it, the innermost last.

    For a cluster, the errors of its nodes are behind the client's error.
    """
    causes = [error]
    while True:
        last = causes[-1]
        cause = last.__cause__ or last.__context__
        if cause is None:
            return causes
        causes.append(cause)
