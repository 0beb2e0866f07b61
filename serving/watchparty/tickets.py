"""Tickets: who may open a socket to which room, signed, and short-lived."""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from typing import Final

TICKET_SECONDS: Final = 60.0
"""A ticket that was asked for opens a socket for so long."""
RESUME_SECONDS: Final = 600.0
"""A ticket to come back with is valid for so long; a member gets a new one each minute."""


class TicketError(ValueError):
    """The ticket is none, is for another room, or has expired."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who may open a socket to a room."""

    room: str
    member: str
    name: str
    user: str
    """The user's id in the shop; empty for a guest."""
    expires: float
    """Seconds since 1970."""


def sign_ticket(ticket: Ticket, secret: bytes) -> str:
    """Sign a ticket: its fields and a signature, as text that needs no escape in JSON."""
    body = _encode(json.dumps(asdict(ticket), ensure_ascii=False).encode())
    return f"{body}.{_encode(_sign(body, secret))}"


def verify_ticket(text: str, room: str, secret: bytes, now: float) -> Ticket:
    """Return a ticket whose signature is ours.

    Raises:
        TicketError: it is not, or is for another room, or has expired.
    """
    body, _, signature = text.partition(".")
    try:
        is_ours = hmac.compare_digest(_decode(signature), _sign(body, secret))
    except (binascii.Error, ValueError):
        is_ours = False
    if not is_ours:
        raise TicketError("the ticket is not valid")
    ticket = Ticket(**json.loads(_decode(body)))
    if ticket.room != room:
        raise TicketError("the ticket is for another room")
    if ticket.expires <= now:
        raise TicketError("the ticket has expired")
    return ticket


def _sign(body: str, secret: bytes) -> bytes:
    return hmac.digest(secret, body.encode(), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
