"""Replace ids of people who did not agree to be recognised, by one that changes each day.

The id is a hash of the sender's network and agent with random bytes, the salt of the day. The store
deletes a salt after two days; nobody can then join the id to a person or to other days.
"""

import hashlib
import secrets
from datetime import UTC, date, datetime
from typing import Any, Final

import redis.asyncio

from dawnlist.events.stream_keys import EventKeys
from dawnlist.serving.collector.acceptance import Record

SALT_BYTES: Final = 32
SALT_SECONDS: Final = 2 * 86_400
UNKNOWN_PREFIX: Final = "unknown-"
"""The ids of people who did not agree begin like this."""


class DailySalts:
    """The salt of each day, which all processes of a shop share by the store."""

    def __init__(self, client: "redis.asyncio.Redis", keys: EventKeys) -> None:
        self._client: Any = client
        self._keys = keys
        self._salts: dict[date, bytes] = {}

    async def get_salt(self, seconds: float) -> bytes:
        """Return the salt of the UTC day of a time, in seconds since 1970.

        Raises:
            redis.RedisError: the store does not answer.
        """
        day = datetime.fromtimestamp(seconds, UTC).date()
        salt = self._salts.get(day)
        if salt is None:
            key = self._keys.salt(day)
            new_salt = secrets.token_bytes(SALT_BYTES)
            # The first process sets the salt. NX together with GET needs Redis 7.
            await self._client.set(key, new_salt, nx=True, ex=SALT_SECONDS)
            salt = await self._client.get(key)
            self._salts = {day: salt}
        return salt


def hide_person(record: Record, salt: bytes) -> None:
    """Remove what identifies a person from a record, and give it the id of the day."""
    digest = hashlib.blake2b(_describe_person(record), key=salt, digest_size=12).hexdigest()
    for name in ("user", "session", "network", "properties"):
        record.pop(name, None)
    record["anonymous"] = UNKNOWN_PREFIX + digest


def _describe_person(record: Record) -> bytes:
    """Return what tells people apart on one day: their network and agent, or else the ids that a
    server gave them. Nobody is taken for somebody else of whom as little is known."""
    device = (record.get("network", ""), record.get("agent", ""))
    ids = (record.get("user", ""), record.get("anonymous", ""))
    for parts in (device, ids):
        if any(parts):
            return "\n".join(parts).encode()
    return secrets.token_bytes(SALT_BYTES)
