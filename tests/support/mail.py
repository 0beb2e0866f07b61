"""Real servers that people are told by, which keep what comes: SMTP with login and TLS, and a web hook."""

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.support.servers import free_port
from tests.support.threads import serving


@dataclass
class MailServer:
    """What it got, and what it is to say."""

    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    """Sender and recipients of each."""
    refused: set[str] = field(default_factory=set)
    """Recipients that it does not take."""
    answer: str = "250 taken"
    """To the data of a mail."""
    port: int = 0

    @property
    def url(self) -> str:
        """That apprise reads, for one who may log in."""
        return f"mailto://127.0.0.1:{self.port}?smtp=127.0.0.1&from=dawnlist@shop.example&to=oncall@shop.example"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address in self.refused:
            return "550 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
            self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        return self.answer


@contextlib.contextmanager
def mail_server(
    user: str = "", password: str = "", certificate: tuple[Path, Path] | None = None, port: int = 0
) -> Iterator[MailServer]:
    """A mail server that is up; with a user, for that one alone; with a certificate and its key, by STARTTLS alone."""
    kept = MailServer(port=port or free_port())

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = (data.login, data.password) == (user.encode(), password.encode())
        return AuthResult(success=right, handled=False)

    more: dict[str, Any] = {}
    if user:
        more = {
            "authenticator": check,
            "auth_required": True,
            "auth_require_tls": certificate is not None,
        }
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        more |= {"tls_context": context, "require_starttls": True}
    controller = Controller(kept, hostname="127.0.0.1", port=kept.port, ready_timeout=60, **more)
    controller.start()
    try:
        yield kept
    finally:
        controller.stop(no_assert=True)


def parts(mail: EmailMessage) -> tuple[str, str, dict[str, bytes]]:
    """Plain text, HTML and pictures by their cid."""
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    pictures = {
        str(part["Content-ID"]).strip("<>"): bytes(part.get_payload(decode=True))
        for part in mail.walk()
        if part.get_content_maintype() == "image"
    }
    return _text(plain), _text(html), pictures


def _text(part: Any) -> str:
    return str(part.get_content()).replace("\r\n", "\n") if part else ""


@dataclass
class Hook:
    """A web hook that keeps what is posted to it."""

    port: int
    status: int = 200
    posted: list[dict[str, Any]] = field(default_factory=list)


@contextlib.contextmanager
def hook() -> Iterator[Hook]:
    """A web hook that is up."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(kept.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept = Hook(server.server_address[1])
        with serving(server):
            yield kept


@contextlib.contextmanager
def deaf_server() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
