"""Rooms in the store. Each change is one command of the store, which also tells all processes.

No process owns a room: the store orders what happens, so that the death of a process costs nothing
but its sockets. What members are told is published by the same script that makes the change, in the
same order for all.
"""

import json
import secrets
from collections.abc import Callable
from typing import Any, Final

import redis.asyncio

from dawnlist.serving.watchparty.party_keys import PartyKeys
from dawnlist.serving.watchparty.playback import PlaybackState
from dawnlist.serving.watchparty.room_facts import Member, RoomFacts
from dawnlist.serving.watchparty.room_scripts import (
    CHANGE_SCRIPT,
    JOIN_SCRIPT,
    LEAVE_SCRIPT,
    MARK_SCRIPT,
    SAY_SCRIPT,
)

ROOM_SECONDS: Final = 6 * 3600
"""A room outlives its last member for so long."""
MAX_KEPT_CHAT: Final = 2_000
"""What was said last, that is kept: an id of it is not said twice."""
MAX_MISSED_CHAT: Final = 500
"""What was said last, that a member who comes back is told at most."""
PROCESS_SECONDS: Final = 3
"""A process that has not been heard of for so long is dead."""
MAX_ATTEMPTS: Final = 50
"""Tries to change a state while others change it."""

Envelope = dict[str, Any]
"""What is published: `message` for members, and `except`, `close` or `only` for processes."""


Queue = list[dict[str, str]]
"""Films that are queued: `item` and `title`, the oldest first."""


class RoomGoneError(LookupError):
    """There is no such room any more."""


class RoomStore:
    """The rooms of one shop."""

    def __init__(self, client: "redis.asyncio.Redis", keys: PartyKeys) -> None:
        self.client: Any = client
        self.keys = keys

    async def get_secret(self) -> bytes:
        """Return the bytes that sign tickets; the first process makes them."""
        await self.client.set(self.keys.secret, secrets.token_bytes(32), nx=True)
        secret: bytes = await self.client.get(self.keys.secret)
        return secret

    async def create(self, facts: RoomFacts, state: PlaybackState) -> None:
        """Write a new room."""
        key = self.keys.room(facts.room)
        pipeline = self.client.pipeline(transaction=True)
        pipeline.hset(
            key, mapping={"facts": facts.encode(), "state": state.encode(), "queue": "[]"}
        )
        if facts.access == "open":
            pipeline.sadd(self.keys.open_rooms, facts.room)
        await pipeline.execute()
        await self.touch(facts.room)

    async def touch(self, room: str) -> None:
        """Let the room live on for ROOM_SECONDS."""
        pipeline = self.client.pipeline(transaction=False)
        for key in self._list_keys(room):
            pipeline.expire(key, ROOM_SECONDS)
        await pipeline.execute()

    async def close(self, room: str) -> None:
        """Delete a room, and close all its sockets."""
        pipeline = self.client.pipeline(transaction=True)
        pipeline.delete(*self._list_keys(room))
        pipeline.srem(self.keys.open_rooms, room)
        await pipeline.execute()
        await self.publish(room, {"close": 4404})

    def _list_keys(self, room: str) -> list[str]:
        parts = ("members", "chat", "said", "votes", "kicked", "watched")
        return [self.keys.room(room), *(self.keys.part(name, room) for name in parts)]

    async def publish(self, room: str, envelope: Envelope) -> None:
        """Tell the processes that have members in a room."""
        await self.client.publish(self.keys.room(room), json.dumps(envelope, ensure_ascii=False))

    async def read_facts(self, room: str) -> RoomFacts:
        """Read what a room is.

        Raises:
            RoomGoneError: there is no such room.
        """
        text = await self.client.hget(self.keys.room(room), "facts")
        if text is None:
            raise RoomGoneError(f"there is no room {room!r}")
        return RoomFacts.decode(text)

    async def change_facts(self, room: str, change: Callable[[RoomFacts], None]) -> RoomFacts:
        """Change what a room is, and tell the members.

        Args:
            room: The room.
            change: Changes the facts; it is called anew while others change them.

        Raises:
            RoomGoneError: there is no such room.
        """
        changed = RoomFacts(room, "")

        def rewrite(text: bytes) -> tuple[str, str]:
            nonlocal changed
            changed = RoomFacts.decode(text)
            change(changed)
            news = {"message": {"type": "room", "room": changed.to_message()}}
            return changed.encode(), json.dumps(news, ensure_ascii=False)

        await self._change_field(room, "facts", rewrite)
        return changed

    async def read_state(self, room: str) -> PlaybackState:
        """Read the playback of a room.

        Raises:
            RoomGoneError: there is no such room.
        """
        text = await self.client.hget(self.keys.room(room), "state")
        if text is None:
            raise RoomGoneError(f"there is no room {room!r}")
        return PlaybackState.decode(text)

    async def change_state(
        self, room: str, change: Callable[[PlaybackState], PlaybackState], member: str = ""
    ) -> PlaybackState:
        """Change the playback of a room, and tell the members if its seq has changed.

        Args:
            room: The room.
            change: Computes the new state; it is called again while others change the state.
            member: Who changes it; empty for the room itself.

        Raises:
            RoomGoneError: there is no such room.
        """
        changed = PlaybackState()

        def rewrite(text: bytes) -> tuple[str, str]:
            nonlocal changed
            state = PlaybackState.decode(text)
            changed = change(state)
            news = ""
            if changed.seq != state.seq:
                message = {"type": "state", "state": changed.to_message(), "by": member or None}
                envelope = {"message": message, "held_until": changed.held_until}
                news = json.dumps(envelope, ensure_ascii=False)
            return changed.encode(), news

        await self._change_field(room, "state", rewrite)
        return changed

    async def read_queue(self, room: str) -> Queue:
        """Read the films that are queued, the oldest first; none if the room has gone."""
        text = await self.client.hget(self.keys.room(room), "queue")
        queue: Queue = json.loads(text or "[]")
        return queue

    async def change_queue(self, room: str, change: Callable[[Queue], Queue]) -> None:
        """Change the queue, and tell the members. `change` is called anew while others change it.

        Raises:
            RoomGoneError: there is no such room.
        """

        def rewrite(text: bytes) -> tuple[str, str]:
            queue = change(json.loads(text))
            news = {"message": {"type": "queue", "queue": queue}}
            return json.dumps(queue), json.dumps(news, ensure_ascii=False)

        await self._change_field(room, "queue", rewrite)

    async def _change_field(
        self, room: str, field: str, rewrite: Callable[[bytes], tuple[str, str]]
    ) -> None:
        """Replace a field of a room by what `rewrite` makes of it, and publish its news."""
        key = self.keys.room(room)
        text = await self.client.hget(key, field)
        for _ in range(MAX_ATTEMPTS):
            if text is None:
                raise RoomGoneError(f"there is no room {room!r}")
            changed, news = rewrite(text)
            if changed.encode() == text and not news:
                return
            text = await self.client.eval(CHANGE_SCRIPT, 1, key, field, text, changed, news)
            if text == 1:
                return
        raise TimeoutError(f"room {room!r} changes all the time")

    async def say(self, room: str, member: Member, said_id: str, text: str, now: float) -> Any:
        """Add to what was said in a room.

        Returns:
            None, or the entry if the member has said this before.

        Raises:
            RoomGoneError: there is no such room.
        """
        fields = {
            "id": said_id,
            "member": member.id,
            "name": member.name,
            "text": text,
            "time": round(now, 3),
        }
        inner = json.dumps(fields, ensure_ascii=False)[1:-1]
        keys = [self.keys.room(room), self.keys.part("chat", room), self.keys.part("said", room)]
        name = f"{member.id} {said_id}"
        known = await self.client.eval(SAY_SCRIPT, len(keys), *keys, name, inner, MAX_KEPT_CHAT)
        if known is None:
            raise RoomGoneError(f"there is no room {room!r}")
        if known == 1:
            return None
        return json.loads(known)

    async def read_chat(self, room: str, last_id: str | None, newest: int) -> list[Any]:
        """Read what was said after an entry, at most MAX_MISSED_CHAT.

        Args:
            room: The room.
            last_id: The id of the last entry that somebody has heard; None if they have heard none.
            newest: How many entries are read for who has heard none.
        """
        key = self.keys.part("chat", room)
        if last_id is None:
            return [json.loads(text) for text in await self.client.lrange(key, -newest, -1)]
        texts = await self.client.lrange(key, -MAX_MISSED_CHAT, -1)
        entries = [json.loads(text) for text in texts]
        for position, entry in enumerate(entries):
            if entry["id"] == last_id:
                return entries[position + 1 :]
        return entries

    async def join(self, facts: RoomFacts, member: Member, size: int) -> str:
        """Put a member into a room: joined, full or gone."""
        message = {"type": "joined", "member": member.to_message(facts.hosts)}
        envelope = {"message": message, "except": member.id, "replaces": [member.id, member.socket]}
        news = json.dumps(envelope, ensure_ascii=False)
        keys = (self.keys.room(facts.room), self.keys.part("members", facts.room))
        outcome = await self.client.eval(
            JOIN_SCRIPT, 2, *keys, member.id, member.encode(), news, size
        )
        return str(outcome.decode())

    async def leave(self, room: str, member: str, socket: str) -> bool:
        """Take a member out of a room, if this is still their socket."""
        news = json.dumps({"message": {"type": "left", "member": {"id": member}}})
        keys = (self.keys.room(room), self.keys.part("members", room))
        left = await self.client.eval(LEAVE_SCRIPT, 2, *keys, member, socket, news)
        return bool(left)

    async def read_members(self, room: str) -> list[Member]:
        """Read the members of a room, who came first first."""
        texts = await self.client.hvals(self.keys.part("members", room))
        members = [Member.decode(text) for text in texts]
        return sorted(members, key=lambda member: (member.joined, member.id))

    async def mark_behind(self, facts: RoomFacts, members: list[Member], behind: bool) -> None:
        """Mark members as behind or not, and tell all."""
        key = self.keys.part("members", facts.room)
        pipeline = self.client.pipeline(transaction=True)
        for member in members:
            member.behind = behind
            pipeline.eval(MARK_SCRIPT, 1, key, member.id, member.socket, member.encode())
        await pipeline.execute()
        await self.tell_members(facts)

    async def add_watched(self, room: str, member: str, item: str, seconds: float) -> float:
        """Add seconds of a film that a member has watched; return all of them.

        They are kept with the room, because a member may come by several sockets.
        """
        key = self.keys.part("watched", room)
        total = float(await self.client.hincrbyfloat(key, f"{member} {item}", seconds))
        await self.client.expire(key, ROOM_SECONDS)
        return total

    async def tell_members(self, facts: RoomFacts) -> None:
        """Tell all who is in the room."""
        members = await self.read_members(facts.room)
        entries = [member.to_message(facts.hosts) for member in members]
        await self.publish(facts.room, {"message": {"type": "members", "members": entries}})

    async def is_alive(self, process: str) -> bool:
        """Whether a process lives."""
        return bool(await self.client.exists(self.keys.process(process)))

    async def show_life(self, process: str) -> None:
        """Say that a process lives."""
        await self.client.set(self.keys.process(process), b"1", ex=PROCESS_SECONDS)
