"""Take the events of one request: check each, write the good ones, keep the others' reasons."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import orjson
import redis.exceptions

from dawnlist.serving.collector.acceptance import (
    Record,
    RefusedEventError,
    RequestFacts,
    build_record,
    serialise_record,
)
from dawnlist.serving.collector.event_writer import EventGroup, EventStatus, EventWriter
from dawnlist.serving.collector.people_facts import ADDRESS_FIELD, complete_record
from dawnlist.serving.collector.places import PlaceFinder
from dawnlist.serving.collector.privacy import DailySalts, hide_person
from dawnlist.serving.collector.senders import BrowserRules
from dawnlist.values import describe_value

MAX_DEAD_LETTER_BYTES: Final = 4_000
"""Bytes of a dropped event that are kept in its dead letter."""
FULL_REASON: Final = "the store has no room, or does not answer: send it again later"

EventAnswer = dict[str, str]
"""What became of an event: its id if it has one, status and reason."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes events for one shop."""

    writer: EventWriter
    salts: DailySalts
    max_age_seconds: float
    browser_rules: BrowserRules
    places: PlaceFinder

    async def take_events(self, events: list[Any], request: RequestFacts) -> list[EventAnswer]:
        """Take events, and return what became of each, in their order."""
        group = EventGroup([], [])
        # For each event its id, and the reason why it is dropped; None if it is not.
        outcomes: list[tuple[str, str | None]] = []
        for event in events:
            try:
                record = build_record(event, request, self.max_age_seconds)
                self._check_claims(event, request)
                complete_record(record, request, self.places)
                await self._hide_person_without_consent(record)
                entry = (_compute_digest(event, record, request.sender), serialise_record(record))
            except RefusedEventError as error:
                group.dead_letters.append((serialise_dead_event(event), str(error)))
                outcomes.append((_read_event_id(event), str(error)))
            except redis.exceptions.RedisError:
                # The salt can't be read, so that nothing can be written either.
                return [{"status": EventStatus.RETRY, "reason": FULL_REASON} for _ in events]
            else:
                group.entries.append(entry)
                outcomes.append((record["id"], None))
        statuses = await self.writer.append(group)
        return _build_answers(outcomes, statuses, len(group.entries))

    def _check_claims(self, event: Record, request: RequestFacts) -> None:
        """Raise RefusedEventError if a browser claims what only a server may."""
        if not request.is_browser:
            return
        reason = self.browser_rules.explain_refusal(event)
        if reason is not None:
            raise RefusedEventError(reason)

    async def _hide_person_without_consent(self, record: Record) -> None:
        if record.get("consent") is False:
            hide_person(record, await self.salts.get_salt(record["received"]))


def _compute_digest(event: Record, record: Record, sender: str) -> bytes:
    """Compute what makes an event the same when it is sent again; empty if it has no id of its own.

    An id that a sender uses again for another person, item or type is no repeat, nor is one that
    another sender has used: nobody can make the events of others duplicates by guessing their ids.
    """
    if not event.get("id"):
        return b""
    parts = [sender, event["id"], event["type"]]
    parts += [record.get(name, "") for name in ("user", "anonymous", "item")]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()


def _read_event_id(event: Any) -> str:
    """Return the id of an event that is not valid, as far as it has one."""
    if isinstance(event, dict) and isinstance(event.get("id"), str):
        return str(event["id"][:128])
    return ""


def serialise_dead_event(event: Any) -> bytes:
    """Return the beginning of an event that was dropped, as JSON; or a description as a JSON text.

    The address of a person is left out, as it goes no further than the collector.
    """
    if isinstance(event, dict) and ADDRESS_FIELD in event:
        event = {name: value for name, value in event.items() if name != ADDRESS_FIELD}
    try:
        data = orjson.dumps(event)
    except orjson.JSONEncodeError:  # nested deeper than orjson writes
        data = orjson.dumps(describe_value(event))
    return data[:MAX_DEAD_LETTER_BYTES]


def _build_answers(
    outcomes: list[tuple[str, str | None]], statuses: list[EventStatus], entries: int
) -> list[EventAnswer]:
    """Join what is known of each event with what the writer says.

    Args:
        outcomes: Of each event its id, and the reason why it is dropped; None if it is not.
        statuses: First those of the events that were written, then those of the dead letters.
        entries: The number of events that were written.
    """
    written = iter(statuses[:entries])
    dropped = iter(statuses[entries:])
    answers = []
    for event_id, reason in outcomes:
        status = next(written) if reason is None else next(dropped)
        answer: EventAnswer = {"status": status}
        if event_id:
            answer["id"] = event_id
        if status == EventStatus.DROPPED and reason:
            answer["reason"] = reason
        if status == EventStatus.RETRY:
            answer["reason"] = FULL_REASON
        answers.append(answer)
    return answers
