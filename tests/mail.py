"""A real mail server: SMTP on a loopback port, which keeps what it takes, and can be told to refuse."""

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.servers import free_port


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
        return f"mailto://127.0.0.1:{self.port}?from=dawnlist@shop.example&to=oncall@shop.example&smtp=127.0.0.1"

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
        return AuthResult(success=(data.login, data.password) == (user.encode(), password.encode()))

    more: dict[str, Any] = {}
    if user:
        more = {"authenticator": check, "auth_required": True, "auth_require_tls": certificate is not None}
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        more |= {"tls_context": context, "require_starttls": True}
    controller = Controller(kept, hostname="127.0.0.1", port=kept.port, **more)
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
    return plain.get_content() if plain else "", html.get_content() if html else "", pictures
