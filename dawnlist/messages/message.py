"""A message to people, in a form for mail clients, as plain text and for a chat."""

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
"""A mail's subject is cut off after this many characters."""


@dataclass(frozen=True)
class Message:
    """One message, for any number of people. It contains no secrets."""

    key: str
    """Identifies the message: two messages with the same key are the same message."""
    moment: datetime
    """When the message was created, with a time zone."""
    subject: str
    text: str
    """The message as plain text. In a mail it stands beside the HTML."""
    short: str
    """The message in a few lines of plain text, for a chat."""
    html: str = ""
    """The message for mail clients: styles are inline, pictures are `cid:NAME`.

    If it is empty, the mail has only the plain text.
    """
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    """The pictures of the HTML, name -> PNG."""

    def prefix_subject(self, prefix: str) -> "Message":
        """Return the same message with more words in front of its subject."""
        return replace(self, subject=f"{prefix} {self.subject}")

    def to_json(self) -> dict[str, Any]:
        """Return the message as a JSON object."""
        pictures = {name: base64.b64encode(data).decode() for name, data in self.pictures.items()}
        return asdict(self) | {"moment": self.moment.isoformat(), "pictures": pictures}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Message":
        """Build a message from what `to_json` returned."""
        fields = dict(value)
        fields["moment"] = datetime.fromisoformat(value["moment"])
        fields["pictures"] = {
            name: base64.b64decode(data) for name, data in value["pictures"].items()
        }
        return cls(**fields)


def build_mime_message(
    message: Message, sender: str, to: Iterable[str], headers: Mapping[str, str]
) -> EmailMessage:
    """Build a mail with plain text and, if there is any, HTML that contains its pictures.

    The Message-ID is derived from the message's key, so that a mail client recognises a mail that
    arrives twice.

    Args:
        headers: More headers. They replace those of the same name.
    """
    mail = EmailMessage()
    subject = replace_unprintable(" ".join(message.subject.split()))
    message_id = hashlib.sha256(message.key.encode()).hexdigest()[:32]
    mail["Subject"] = subject[:MAX_SUBJECT_LENGTH]
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Date"] = format_datetime(message.moment)
    mail["Message-ID"] = f"<{message_id}@dawnlist.invalid>"
    mail["Auto-Submitted"] = "auto-generated"  # so that nobody's absence note comes back
    for name, value in headers.items():
        del mail[name]
        mail[name] = value
    mail.set_content(message.text)
    if message.html:
        mail.add_alternative(message.html, subtype="html")
        *_, html_part = mail.iter_parts()
        for name, data in message.pictures.items():
            html_part.add_related(
                data, "image", "png", cid=f"<{name}>", filename=name, disposition="inline"
            )
    return mail
