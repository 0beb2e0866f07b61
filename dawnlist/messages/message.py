"""What is told to people: a message as mail clients show it, as plain text and in a chat, and its MIME form."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from dawnlist.urls import replace_unprintable

MAX_SUBJECT_LENGTH = 200
"""Of a subject."""


@dataclass(frozen=True)
class Message:
    """One message, for any number of people; nothing in it is secret."""

    key: str
    """Names what is told: two messages of one key are the same one."""
    moment: datetime
    """When it was made, with a zone."""
    subject: str
    text: str
    """Plain text: of a mail, beside its HTML."""
    short: str
    """A few lines of plain text, for a chat."""
    html: str = ""
    """For mail clients: inline styles, pictures as `cid:NAME`; empty: the mail is text alone."""
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    """Name -> PNG."""

    def prefix_subject(self, more: str) -> "Message":
        """The same with a few more words in front of its subject."""
        return replace(self, subject=f"{more} {self.subject}")

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        pictures = {name: base64.b64encode(data).decode() for name, data in self.pictures.items()}
        return asdict(self) | {"moment": self.moment.isoformat(), "pictures": pictures}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Message":
        """What `to_json` gave."""
        pictures = {name: base64.b64decode(data) for name, data in value["pictures"].items()}
        return cls(
            **{**value, "moment": datetime.fromisoformat(value["moment"]), "pictures": pictures}
        )


def build_mime_message(
    message: Message, sender: str, to: Iterable[str], headers: Mapping[str, str]
) -> EmailMessage:
    """The message as a mail: plain text and, if there is any, HTML with its pictures inside.

    Its Message-ID is made from its key, so that who gets it twice can know it.
    """
    mail = EmailMessage()
    mail["Subject"] = replace_unprintable(" ".join(message.subject.split()))[:MAX_SUBJECT_LENGTH]
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Date"] = format_datetime(message.moment)
    mail["Message-ID"] = (
        f"<{hashlib.sha256(message.key.encode()).hexdigest()[:32]}@dawnlist.invalid>"
    )
    mail["Auto-Submitted"] = "auto-generated"  # nobody's absence note comes back
    for name, value in headers.items():
        del mail[name]
        mail[name] = value
    mail.set_content(message.text)
    if message.html:
        mail.add_alternative(message.html, subtype="html")
        *_, body = mail.iter_parts()
        for name, data in message.pictures.items():
            body.add_related(
                data, "image", "png", cid=f"<{name}>", filename=name, disposition="inline"
            )
    return mail
