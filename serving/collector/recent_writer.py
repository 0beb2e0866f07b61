"""Write what people did into the store's recent events, from where the predictor's next answer has it."""

import logging
from typing import Any

import redis

from dawnlist.events.event_types import ALIAS_TYPE, LIKE_TYPE, MOOD_TYPE
from dawnlist.serving.collector.acceptance import Record
from dawnlist.serving.collector.enrich.people import get_person
from dawnlist.settings import SourceSettings
from dawnlist.store.recent import (
    DISLIKE_TYPE,
    RecentEvent,
    build_recent_key,
    build_record_command,
    parse_recent_events,
)

Command = tuple[Any, ...]
"""A command of the store with its arguments."""

recent_log = logging.getLogger("dawnlist.collector")


class RecentWriter:
    """Writes the recent events of one shop's people."""

    def __init__(self, client: "redis.Redis", namespace: str, settings: SourceSettings) -> None:
        self._client: Any = client
        self._namespace = namespace
        self._event_types = settings.events
        self._weights = settings.wanted_weights

    def write(self, records: list[Record]) -> None:
        """Write the events of records that a model learns from.

        Events of programs are not written, nor those of nobody in particular. The records are
        enriched already, so one that can't be written is logged, and keeps no other back.
        """
        pipeline = self._client.pipeline(transaction=False)
        for record in records:
            try:
                for command in self._build_commands(record):
                    pipeline.execute_command(*command)
            except (KeyError, TypeError, ValueError) as error:
                recent_log.warning("a recent event could not be written: %r", error)
        if not len(pipeline):
            return
        for answer in pipeline.execute(raise_on_error=False):
            if isinstance(answer, redis.exceptions.ResponseError):
                recent_log.warning("the store refuses a recent event: %s", answer)

    def _build_commands(self, record: Record) -> list[Command]:
        """Build the commands that write a record."""
        commands: list[Command] = []
        if record["type"] == ALIAS_TYPE:
            commands += self._build_hand_over(record["anonymous"], record["user"])
        event = self._build_event(record)
        if event is not None:
            commands.append(build_record_command(self._namespace, get_person(record), event))
        return commands

    def _build_event(self, record: Record) -> RecentEvent | None:
        """Return a record as a recent event; None if it is none."""
        is_usable = record.get("item") and get_person(record) and not record.get("is_program")
        if not is_usable:
            return None
        event_type = self._event_types.get(record["type"], record["type"])
        if event_type == MOOD_TYPE:
            event_type = _choose_mood_type(record.get("mood_weight") or 0.0)
        if event_type not in self._weights and event_type != DISLIKE_TYPE:
            return None
        return RecentEvent(record["item"], event_type, record["time"])

    def _build_hand_over(self, anonymous: str, user: str) -> list[Command]:
        """Build the commands that give a user the recent events of an anonymous id of theirs."""
        key = build_recent_key(self._namespace, anonymous)
        value = self._client.get(key)
        if not value:
            return []
        commands: list[Command] = []
        for event in parse_recent_events(value):
            commands.append(build_record_command(self._namespace, user, event))
        commands.append(("DEL", key))
        return commands


def _choose_mood_type(weight: float) -> str:
    """Return the type of event that a mood of this weight counts like."""
    if weight > 0:
        return LIKE_TYPE
    if weight < 0:
        return DISLIKE_TYPE
    return MOOD_TYPE
