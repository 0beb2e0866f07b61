"""The outbox: a message stays in the lake until every channel has it.

So neither a crash nor a server that is down loses a message.

    outbox/{as_of}-{run}-{key}.json          a message, and the channels that have it already
    reports/{as_of}/{run}/told-{key}.json    a message that every channel has, or one given up

The sender holds the lease `notify`, so only one sends at a time. A channel is marked after it took
the message, because a server can't be asked later. After a crash between the two the message is
sent again with the same Message-ID; it is never lost.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, repeat
from typing import Any, Final

from dawnlist.cuts import format_iso
from dawnlist.lake.damaged_objects import DamagedObjectError, JsonTypes
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import LEASE_TTL_SECONDS, hold_lease
from dawnlist.messages.channels import SEND_TIMEOUT_SECONDS, Channel, run_with_timeout
from dawnlist.messages.message import Message
from dawnlist.urls import format_error

DELIVERY_PAUSES: Final = (2.0, 5.0, 10.0, 20.0, 30.0)
"""Seconds between attempts; the last pause is repeated."""
_ENTRY_TYPES: Final[JsonTypes] = {"post": dict, "message": dict, "taken": dict}
MAX_MESSAGE_AGE: Final = timedelta(days=7)
"""An older message that could not be sent is given up."""
NOTIFY_LEASE_WAIT_SECONDS: Final = LEASE_TTL_SECONDS + 15
"""Seconds to wait for another sender: longer than the lease of a killed one lasts."""


@dataclass(frozen=True)
class MessageLocation:
    """The names of the objects that a message has in the lake."""

    as_of: str
    """The stamp of the run's day."""
    run: str
    """The id of the run."""
    key: str
    """The last part of the message's key."""

    @property
    def pending_path(self) -> tuple[str, str]:
        """The object of a message that is still to be sent."""
        return "outbox", f"{self.as_of}-{self.run}-{self.key}.json"

    @property
    def delivered_path(self) -> tuple[str, ...]:
        """The object that marks a message as sent; it expires with the reports."""
        return "reports", self.as_of, self.run, f"told-{self.key}.json"


@dataclass(frozen=True)
class OutboxEntry:
    """A message in the outbox."""

    lake: Lake
    """The lake that the outbox is in."""
    location: MessageLocation
    """Where the message is in the lake."""
    message: Message
    """The message."""
    taken: dict[str, str]
    """The key of each channel that has the message -> when it took it."""

    @classmethod
    def read(cls, lake: Lake, path: tuple[str, str]) -> "OutboxEntry | None":
        """Read an entry; None when another sender has sent it since."""
        content = lake.read_json(*path, types=_ENTRY_TYPES)
        if content is None:
            return None
        location = MessageLocation(**content["post"])
        return cls(lake, location, Message.from_json(content["message"]), content["taken"])

    def send_to_channels(
        self, channels: Sequence[Channel], deadline: float, late: bool
    ) -> tuple[list[str], list[str]]:
        """Send to each channel that does not have the message.

        `deadline` is a time of `time.monotonic`. A late message says so in its subject.

        Returns:
            Lines about the channels that took the message, and lines about those that did not.
        """
        message = self.message.prefix_subject("Late:") if late else self.message
        successes, failures = [], []
        for channel in channels:
            if channel.key in self.taken:
                continue
            seconds = max(1.0, min(SEND_TIMEOUT_SECONDS, deadline - time.monotonic()))
            try:
                run_with_timeout(seconds, partial(channel.send, message))
            except Exception as error:  # no error of any transport may fail the run
                failures.append(f"{channel.name} took no message: {format_error(error)}")
                continue
            successes.append(f"told {channel.name}: {message.subject}")
            self.taken[channel.key] = format_iso(datetime.now(UTC))
            self.lake.write_json(self.to_json(), *self.location.pending_path)
        return successes, failures

    def close(self) -> None:
        """Remove the entry from the outbox."""
        # The mark is written first, so that a crash in between does not send the message again.
        mark = {"subject": self.message.subject, "taken": self.taken}
        self.lake.write_json(mark, *self.location.delivered_path)
        self.lake.delete(*self.location.pending_path)

    def to_json(self) -> dict[str, Any]:
        """Return the entry as it is written to the lake."""
        return {
            "post": vars(self.location),
            "message": self.message.to_json(),
            "taken": self.taken,
        }


def post_message(lake: Lake, location: MessageLocation, message: Message) -> bool:
    """Put a message into the outbox; False when every channel has it already."""
    if lake.exists(*location.delivered_path):
        return False
    entry = OutboxEntry(lake, location, message, {})
    lake.create(json.dumps(entry.to_json()).encode(), *location.pending_path)
    return True


def deliver_messages(
    lake: Lake,
    run: str,
    location: MessageLocation | None,
    channels: Sequence[Channel],
    seconds: float,
) -> list[str]:
    """Send the run's own message, and then once those that earlier runs could not send.

    A server that does not take a message raises no error: the message stays in the outbox.

    Args:
        location: The run's own message, or None if it has none to send.
        seconds: How long to try.

    Returns:
        What happened, in lines for the log.
    """
    log_lines: list[str] = []
    try:
        with hold_lease(lake, "notify", run, NOTIFY_LEASE_WAIT_SECONDS, log_lines.append):
            deadline = time.monotonic() + seconds
            own_path = None
            if location is not None:
                own_path = location.pending_path
                log_lines += _send_entry(lake, own_path, channels, deadline, late=False)
            for name in lake.names("outbox"):
                path = ("outbox", name)
                if path != own_path and time.monotonic() < deadline:
                    log_lines += _send_entry(lake, path, channels, deadline, late=True)
    except TimeoutError as error:  # another sender holds the lease
        reason = format_error(error)
        log_lines.append(f"{reason}; the message stays in the outbox for the next run")
    return log_lines


def _send_entry(
    lake: Lake, path: tuple[str, str], channels: Sequence[Channel], deadline: float, late: bool
) -> list[str]:
    """Send a message to the channels that lack it, until the deadline; a late one only once."""
    try:
        entry = OutboxEntry.read(lake, path)
    except DamagedObjectError as error:
        return [str(error)]
    if entry is None:
        return []
    if lake.exists(*entry.location.delivered_path):
        # The sender was killed after it had marked the message, and before it could remove it.
        lake.delete(*path)
        return []
    log_lines: list[str] = []
    for pause in chain(DELIVERY_PAUSES, repeat(DELIVERY_PAUSES[-1])):
        successes, failures = entry.send_to_channels(channels, deadline, late)
        log_lines += successes
        if not failures:
            entry.close()
            return log_lines
        if late or time.monotonic() + pause >= deadline:
            break
        time.sleep(pause)
    log_lines += failures
    log_lines.append(_give_up_or_keep(entry))
    return log_lines


def _give_up_or_keep(entry: OutboxEntry) -> str:
    """Remove an old message from the outbox, or leave it for the next run; return a log line."""
    subject = entry.message.subject
    if datetime.now(UTC) - entry.message.moment > MAX_MESSAGE_AGE:
        entry.close()
        return f"given up: {subject}"
    return f"in the outbox for the next run: {subject}"
