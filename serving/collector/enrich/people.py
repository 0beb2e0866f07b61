"""Join events of one person: anonymous ids to users, and events to visits."""

import hashlib
from typing import Any

import redis

from dawnlist.events.event_types import ALIAS_TYPE
from dawnlist.events.stream_keys import EventKeys
from dawnlist.serving.collector.acceptance import Record
from dawnlist.settings import CollectorSettings


def get_person(record: Record) -> str:
    """Return the id by which a person is known best: the user, or else the anonymous id."""
    return str(record.get("user") or record.get("anonymous") or "")


def remember_aliases(
    client: "redis.Redis", keys: EventKeys, records: list[Record], settings: CollectorSettings
) -> None:
    """Remember the users that alias events join anonymous ids to."""
    pipeline: Any = client.pipeline(transaction=False)
    for record in records:
        if record["type"] == ALIAS_TYPE:
            key = keys.alias(record["anonymous"])
            pipeline.set(key, record["user"], ex=round(settings.alias_days * 86_400))
    if pipeline:
        pipeline.execute()


def add_known_users(client: "redis.Redis", keys: EventKeys, records: list[Record]) -> None:
    """Add the user to records that have only an anonymous id which was joined to one."""
    anonymous_records = []
    for record in records:
        if "user" not in record and record.get("anonymous") and record.get("consent") is not False:
            anonymous_records.append(record)
    if not anonymous_records:
        return
    alias_keys = [keys.alias(record["anonymous"]) for record in anonymous_records]
    untyped_client: Any = client
    for record, user in zip(anonymous_records, untyped_client.mget(alias_keys), strict=True):
        if user:
            record["user"] = user.decode()


def add_visits(
    client: "redis.Redis", keys: EventKeys, records: list[Record], session_seconds: float
) -> None:
    """Give each record that has no session the id of the person's visit.

    A visit ends after `session_seconds` without an event. Its id is a hash of the person and of the
    time of the first event. The store has `{time of the last event} {id}` for each person.
    """
    open_records = [record for record in records if not record.get("session")]
    if not open_records:
        return
    people = list(dict.fromkeys(get_person(record) for record in open_records))
    untyped_client: Any = client
    stored = untyped_client.mget([keys.visit(person) for person in people])
    visits: dict[str, tuple[float, str]] = {}
    for person, value in zip(people, stored, strict=True):
        if value:
            last_time, _, visit = value.decode().partition(" ")
            visits[person] = float(last_time), visit
    for record in sorted(open_records, key=lambda record: record["time"]):
        _add_visit(record, visits, session_seconds)
    pipeline: Any = client.pipeline(transaction=False)
    for person, (last_time, visit) in visits.items():
        pipeline.set(keys.visit(person), f"{last_time} {visit}", ex=round(session_seconds))
    pipeline.execute()


def _add_visit(
    record: Record, visits: dict[str, tuple[float, str]], session_seconds: float
) -> None:
    """Continue the person's visit, or begin a new one."""
    person = get_person(record)
    time = record["time"]
    last_time, visit = visits.get(person, (time, ""))
    if not visit or time - last_time > session_seconds:
        visit = _build_visit_id(person, time)
    record["session"] = visit
    visits[person] = max(last_time, time), visit


def _build_visit_id(person: str, time: float) -> str:
    return hashlib.blake2b(f"{person}\n{time}".encode(), digest_size=12).hexdigest()
