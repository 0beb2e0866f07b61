"""Where a server of the store listens, how to log in, and how its commands are packed."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import hiredis
from redis.connection import parse_url

from dawnlist.secret_values import read_secret
from dawnlist.store.client import strip_cluster_suffix
from dawnlist.urls import REDIS_PASSWORD


@dataclass(frozen=True)
class ServerEndpoint:
    """Where a server listens, and what to send to it first."""

    host: str
    port: int
    path: str = ""
    """The path of a Unix socket, which is used instead of host and port."""
    greeting: bytes = b""
    """The packed commands that go before all others: AUTH, SELECT."""
    greetings: int = 0
    """The number of commands in `greeting`."""
    tls: ssl.SSLContext | None = field(default=None, compare=False)
    """How to encrypt the connection; None: it is not encrypted."""

    @classmethod
    def from_url(cls, url: str) -> "ServerEndpoint":
        """Read a store's URL; the password comes from the environment.

        Raises:
            ValueError: the URL can't be used.
        """
        plain_url = strip_cluster_suffix(url)
        options: dict[str, Any] = dict(parse_url(plain_url))  # type: ignore[no-untyped-call]
        commands = _build_greeting(options)
        tls = None
        if plain_url.startswith("rediss:"):
            tls = _build_tls_context(options)
        return cls(
            host=options.get("host", "localhost"),
            port=int(options.get("port", 6379)),
            path=options.get("path", ""),
            greeting=b"".join(pack_command(command) for command in commands),
            greetings=len(commands),
            tls=tls,
        )


def _build_greeting(options: dict[str, Any]) -> list[tuple[str, ...]]:
    """List the commands that a new connection begins with."""
    commands: list[tuple[str, ...]] = []
    password = read_secret(REDIS_PASSWORD)
    user = options.get("username")
    # A user without a password must log in, too: otherwise the connection is the default user's.
    if user:
        commands.append(("AUTH", user, password or ""))
    elif password:
        commands.append(("AUTH", password))
    if options.get("db"):
        commands.append(("SELECT", str(options["db"])))
    return commands


def _build_tls_context(options: dict[str, Any]) -> ssl.SSLContext:
    """Build a TLS context from redis-py's options in a rediss:// URL."""
    context = ssl.create_default_context(
        cafile=options.get("ssl_ca_certs"), capath=options.get("ssl_ca_path")
    )
    if options.get("ssl_certfile"):
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    if str(options.get("ssl_cert_reqs", "required")).lower() == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        check_hostname = str(options.get("ssl_check_hostname", True)).lower()
        context.check_hostname = check_hostname not in ("false", "0")
    return context


def pack_command(words: Sequence[str | int | bytes]) -> bytes:
    """Pack a command in RESP, the protocol of Redis."""
    command: bytes = hiredis.pack_command(tuple(words))  # type: ignore[arg-type]  # annotated as a tuple of one
    return command
