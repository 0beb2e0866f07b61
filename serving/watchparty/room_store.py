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

ROOM_SECONDS: Final = 6 * 3600
"""A room outlives its last member for so long."""
MAX_CHAT: Final = 500
"""What was said last, that is kept."""
PROCESS_SECONDS: Final = 3
"""A process that has not been heard of for so long is dead."""
MAX_ATTEMPTS: Final = 50
"""Tries to change a state while others change it."""

CHANGE_SCRIPT: Final = """
local current = redis.call('HGET', KEYS[1], 'state')
if current ~= ARGV[1] then return current end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
if ARGV[3] ~= '' then redis.call('PUBLISH', KEYS[1], ARGV[3]) end
return 1
"""
"""Sets the state of a room if it is still the given one; else returns the present one."""

SAY_SCRIPT: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local known = redis.call('HGET', KEYS[3], ARGV[1])
if known then return known end
local seq = redis.call('HINCRBY', KEYS[1], 'chat_seq', 1)
local entry = '{"seq":' .. seq .. ',' .. ARGV[2] .. '}'
redis.call('RPUSH', KEYS[2], entry)
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[3]), -1)
if redis.call('HLEN', KEYS[3]) >= 4 * tonumber(ARGV[3]) then redis.call('DEL', KEYS[3]) end
redis.call('HSET', KEYS[3], ARGV[1], entry)
redis.call('PUBLISH', KEYS[1], '{"message":{"type":"chat","entry":' .. entry .. '}}')
return 1
"""
"""Adds to what was said, with the next number; what was said before with the same id is returned."""

JOIN_SCRIPT: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 'gone' end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0
    and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[4]) then return 'full' end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('PUBLISH', KEYS[1], ARGV[3])
return 'joined'
"""

LEAVE_SCRIPT: Final = """
local member = redis.call('HGET', KEYS[2], ARGV[1])
if not member or cjson.decode(member).socket ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('PUBLISH', KEYS[1], ARGV[3])
return 1
"""
"""Takes a member out, unless they have another socket by now."""

Envelope = dict[str, Any]
"""What is published: `message` for members, and `except`, `close` or `only` for processes."""


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
        parts = ("members", "chat", "said", "votes", "kicked")
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

    async def write_facts(self, facts: RoomFacts) -> None:
        """Write changed facts, and tell the members."""
        await self.client.hset(self.keys.room(facts.room), "facts", facts.encode())
        message = {"type": "room", "room": facts.to_message()}
        await self.publish(facts.room, {"message": message})

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
        key = self.keys.room(room)
        text = await self.client.hget(key, "state")
        for _ in range(MAX_ATTEMPTS):
            if text is None:
                raise RoomGoneError(f"there is no room {room!r}")
            state = PlaybackState.decode(text)
            changed = change(state)
            if changed == state:
                return state
            news = ""
            if changed.seq != state.seq:
                message = {"type": "state", "state": changed.to_message(), "by": member or None}
                envelope = {"message": message, "held_until": changed.held_until}
                news = json.dumps(envelope, ensure_ascii=False)
            text = await self.client.eval(CHANGE_SCRIPT, 1, key, text, changed.encode(), news)
            if text == 1:
                return changed
        raise TimeoutError(f"the state of room {room!r} changes all the time")

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
        known = await self.client.eval(SAY_SCRIPT, len(keys), *keys, name, inner, MAX_CHAT)
        if known is None:
            raise RoomGoneError(f"there is no room {room!r}")
        if known == 1:
            return None
        return json.loads(known)

    async def read_chat(self, room: str, last_id: str | None, newest: int) -> list[Any]:
        """Read what was said after an entry, or the newest entries if it is not known."""
        texts = await self.client.lrange(self.keys.part("chat", room), 0, -1)
        entries = [json.loads(text) for text in texts]
        for position, entry in enumerate(entries):
            if last_id is not None and entry["id"] == last_id:
                return entries[position + 1 :]
        return entries[-newest:]

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
            pipeline.hset(key, member.id, member.encode())
        await pipeline.execute()
        await self.tell_members(facts)

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
