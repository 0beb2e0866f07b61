"""The outbox: a message lies in the lake until everybody has it, so that neither a crash nor a deaf server loses it.

    outbox/{as_of}-{run}-{key}.json               a message that not all channels have taken yet, and which have
    reports/{as_of}/{run}/told-{key}.json         that all have, or that it was given up

Who sends holds the lease `notify`, so one at a time. A message is marked after a channel took it, since a server can't
be asked again: a crash between the two sends it twice (with one Message-ID), never not at all.
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
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import LEASE_TTL_SECONDS, hold_lease
from dawnlist.messages.channels import SEND_TIMEOUT_SECONDS, Channel, run_with_timeout
from dawnlist.messages.message import Message
from dawnlist.urls import format_error

DELIVERY_PAUSES: Final = (2.0, 5.0, 10.0, 20.0, 30.0)
"""Seconds between tries; the last one again and again."""
MAX_MESSAGE_AGE: Final = timedelta(days=7)
"""A message that no run could send for so long is news no more."""
NOTIFY_LEASE_WAIT_SECONDS: Final = LEASE_TTL_SECONDS + 15
"""Seconds to wait for another who sends: longer than what a killed one leaves."""


@dataclass(frozen=True)
class MessageLocation:
    """Where a message lies."""

    as_of: str
    """The stamp of the day."""
    run: str
    key: str

    @property
    def place(self) -> tuple[str, str]:
        """While it is to be sent."""
        return "outbox", f"{self.as_of}-{self.run}-{self.key}.json"

    @property
    def told(self) -> tuple[str, ...]:
        """That it was; a part of the reports, which expire."""
        return "reports", self.as_of, self.run, f"told-{self.key}.json"


@dataclass(frozen=True)
class OutboxEntry:
    """A message in the outbox."""

    lake: Lake
    where: MessageLocation
    message: Message
    taken: dict[str, str]
    """Channel's key -> when it took the message."""

    @classmethod
    def read(cls, lake: Lake, place: tuple[str, str]) -> "OutboxEntry | None":
        """What lies there; None when it was sent since."""
        found = lake.read_json(*place)
        if found is None:
            return None
        return cls(
            lake,
            MessageLocation(**found["post"]),
            Message.from_json(found["message"]),
            found["taken"],
        )

    def offer(
        self, channels: Sequence[Channel], deadline: float, late: bool
    ) -> tuple[list[str], list[str]]:
        """Send to each channel that has not taken it: which took it now, and why others did not, a line each."""
        message = self.message.prefix_subject("Late:") if late else self.message
        took, failed = [], []
        for channel in channels:
            if channel.key in self.taken:
                continue
            try:
                run_with_timeout(
                    max(1.0, min(SEND_TIMEOUT_SECONDS, deadline - time.monotonic())),
                    partial(channel.send, message),
                )
            except (
                Exception
            ) as error:  # whatever a transport makes of a message, no run fails for it
                failed.append(f"{channel.name} took no message: {format_error(error)}")
                continue
            took.append(f"told {channel.name}: {message.subject}")
            self.taken[channel.key] = format_iso(datetime.now(UTC))
            self.lake.write_json(self.to_json(), *self.where.place)
        return took, failed

    def close(self) -> None:
        """Nothing is left to do; first the mark, so that it is never sent again."""
        self.lake.write_json(
            {"subject": self.message.subject, "taken": self.taken}, *self.where.told
        )
        self.lake.delete(*self.where.place)

    def to_json(self) -> dict[str, Any]:
        """As it lies there."""
        return {"post": vars(self.where), "message": self.message.to_json(), "taken": self.taken}


def post_message(lake: Lake, where: MessageLocation, message: Message) -> bool:
    """Put a message into the outbox, if it is new; False when everybody has got it."""
    if lake.exists(*where.told):
        return False
    lake.create(json.dumps(OutboxEntry(lake, where, message, {}).to_json()).encode(), *where.place)
    return True


def deliver_messages(
    lake: Lake, run: str, mine: MessageLocation | None, channels: Sequence[Channel], seconds: float
) -> list[str]:
    """Send a message, for `seconds` at most, and then what earlier runs had to leave, once; returns lines for the log.

    Raises nothing for a server that does not take it: the message stays.
    """
    said: list[str] = []
    try:
        with hold_lease(lake, "notify", run, NOTIFY_LEASE_WAIT_SECONDS, said.append):
            deadline = time.monotonic() + seconds
            said += _send_entry(lake, mine.place, channels, deadline, late=False) if mine else []
            for name in lake.names("outbox"):
                if (mine is None or name != mine.place[1]) and time.monotonic() < deadline:
                    said += _send_entry(lake, ("outbox", name), channels, deadline, late=True)
    except TimeoutError as error:  # the lease's
        said.append(f"{format_error(error)}; the message stays in the outbox for the next run")
    return said


def _send_entry(
    lake: Lake, place: tuple[str, str], channels: Sequence[Channel], deadline: float, late: bool
) -> list[str]:
    """Send a message to whom it was not sent yet: again and again or, when it is an old one, once."""
    entry = OutboxEntry.read(lake, place)
    if entry is None:
        return []
    if lake.exists(*entry.where.told):  # who had sent it was killed before it could remove it
        lake.delete(*place)
        return []
    said: list[str] = []
    for pause in chain(DELIVERY_PAUSES, repeat(DELIVERY_PAUSES[-1])):
        took, failed = entry.offer(channels, deadline, late)
        said += took
        if not failed:
            entry.close()
            return said
        if late or time.monotonic() + pause >= deadline:
            break
        time.sleep(pause)
    if datetime.now(UTC) - entry.message.moment > MAX_MESSAGE_AGE:
        entry.close()
        return [*said, *failed, f"given up: {entry.message.subject}"]
    return [*said, *failed, f"in the outbox for the next run: {entry.message.subject}"]
