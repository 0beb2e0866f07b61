"""A client of the store, by its URL: one server or a cluster, by TCP, TLS or a Unix socket."""

from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from dawnlist.urls import (
    REDIS_PASSWORD,
    format_error,
    mask_passwords,
    read_password,
    refuse_password,
)

CLUSTER_SUFFIX: Final = "+cluster"

StoreClient = redis.Redis | RedisCluster
STORE_ERRORS: Final = (redis.RedisError, redis.exceptions.RedisClusterException)
"""What redis-py raises when the store is lost; a cluster that is, is no RedisError."""


class ClusterClient(RedisCluster):
    """redis-py's, whose `close` leaves the connections to the nodes open: up to 8.1 it does not own their pools."""

    def close(self) -> None:
        """Close the client with its connections."""
        if hasattr(self, "nodes_manager"):  # else it never got that far
            self.disconnect_connection_pools()  # type: ignore[no-untyped-call]
        super().close()


def check_store_url(url: str) -> str:
    """The store's URL, unchanged; ValueError when it is of another kind or holds a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster"):
        raise ValueError(
            f"store {mask_passwords(url)!r} is of a kind that can't be used: give redis://HOST:PORT/0, rediss:// (TLS), "
            "redis+cluster:// or rediss+cluster:// (any node of a cluster), or unix://PATH"
        )
    if "password" in parse_qs(parts.query):
        raise ValueError(
            f"the store's URL holds a password: take it out and set {REDIS_PASSWORD} instead"
        )
    return refuse_password(url, REDIS_PASSWORD)


def is_cluster_url(url: str) -> bool:
    """Whether a store's URL names a node of a cluster."""
    return urlsplit(url).scheme.endswith(CLUSTER_SUFFIX)


def strip_cluster_suffix(url: str) -> str:
    """The URL as redis-py takes it, without `+cluster`; ValueError as checked_url."""
    return (
        check_store_url(url).replace(CLUSTER_SUFFIX, "", 1)
        if is_cluster_url(url)
        else check_store_url(url)
    )


def connect_store(url: str, timeout: float = 60) -> StoreClient:
    """A client that has been answered once; ConnectionError when there is no answer or it is refused.

    `timeout`: seconds that an answer may take.
    A user stands in the URL (redis://USER@HOST), the password in the environment; `ssl_ca_certs=FILE` and redis-py's
    other options of TLS may stand in the query of a rediss:// URL.
    """
    kind: Any = ClusterClient if is_cluster_url(url) else redis.Redis
    retry = Retry(NoBackoff(), 1)  # a pooled connection that the server has closed since
    times = {"socket_timeout": timeout, "socket_connect_timeout": 5, "retry": retry}
    options = {"password": read_password(REDIS_PASSWORD), **times}
    try:
        client: StoreClient = kind.from_url(
            strip_cluster_suffix(url), **options
        )  # of a cluster this asks for its nodes
    except STORE_ERRORS as error:
        raise _build_connection_error(url, error) from error
    try:
        client.ping()
    except redis.RedisError as error:
        client.close()
        raise _build_connection_error(url, error) from error
    return client


def _build_connection_error(url: str, error: Exception) -> ConnectionError:
    reasons: list[BaseException] = [error]  # of a cluster, what its nodes said lies beneath
    while beneath := reasons[-1].__cause__ or reasons[-1].__context__:
        reasons.append(beneath)
    if any(isinstance(reason, redis.AuthenticationError) for reason in reasons):
        return ConnectionError(
            f"the store at {mask_passwords(url)} refuses the password: set {REDIS_PASSWORD} to the right one"
        )
    if refused := [
        reason for reason in reasons if isinstance(reason, redis.exceptions.NoPermissionError)
    ]:
        return ConnectionError(
            f"the store at {mask_passwords(url)} refuses this user ({refused[0]}): see Rights in docs/STORE.md"
        )
    known = [reason for reason in reasons if isinstance(reason, (*STORE_ERRORS, OSError))][
        -1
    ]  # not redis-py's own flow
    why = format_error(
        str(known) or type(error).__name__
    )  # TLS, a name, a file: all are ConnectionErrors to redis-py
    return ConnectionError(
        f"no store answers at {mask_passwords(url)} ({why}): start it, or give another URL"
    )
