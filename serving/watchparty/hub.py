"""What one process knows of its rooms: their sockets here, and what the store says about them.

The process subscribes to the channel of each room that has a socket here, and to no other. After it
has lost the store it subscribes again, and tells its members what they missed.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
import redis.exceptions

from dawnlist.serving.watchparty.party_events import PartyEvents
from dawnlist.serving.watchparty.playback import PlaybackState, release, stop_waiting_for
from dawnlist.serving.watchparty.room_store import MAX_MISSED_CHAT, RoomGoneError, RoomStore
from dawnlist.serving.watchparty.session import CloseCode, News, Session
from dawnlist.serving.watchparty.watch_meter import WatchedFilm

party_log = logging.getLogger("dawnlist.party")

LIFE_SECONDS: Final = 1.0
SWEEP_SECONDS: Final = 2.0
RECONNECT_SECONDS: Final = 0.2
SUBSCRIBE_SECONDS: Final = 10.0
GOODBYE_SECONDS: Final = 2.0
"""How long a process that ends waits for its members to go."""


class LocalRoom:
    """A room as this process has it."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.is_subscribed = asyncio.Event()
        self.timer: asyncio.TimerHandle | None = None


class Hub:
    """The rooms that have sockets in this process. It belongs to one event loop."""

    def __init__(self, store: RoomStore, events: PartyEvents) -> None:
        self.process = secrets.token_hex(8)
        self.store = store
        self.events = events
        self._rooms: dict[str, LocalRoom] = {}
        self._pubsub: Any = store.client.pubsub()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def sessions(self) -> int:
        """The number of sockets here."""
        return sum(len(room.sessions) for room in self._rooms.values())

    @property
    def rooms(self) -> int:
        """The number of rooms that have a socket here."""
        return len(self._rooms)

    async def enter(self, session: Session) -> None:
        """Let a session hear what happens in its room.

        Raises:
            TimeoutError: the store does not answer.
        """
        room = self._rooms.setdefault(session.room, LocalRoom())
        room.sessions[session.id] = session
        if not room.is_subscribed.is_set():
            # Two sessions may ask for the same channel, which the store hears once.
            await self._pubsub.subscribe(self.store.keys.room(session.room))
            await asyncio.wait_for(room.is_subscribed.wait(), SUBSCRIBE_SECONDS)

    async def exit(self, session: Session) -> None:
        """Let a session hear no more; the last one of a room ends the subscription."""
        room = self._rooms.get(session.room)
        if room is None:
            return
        room.sessions.pop(session.id, None)
        if not room.sessions:
            del self._rooms[session.room]
            if room.timer is not None:
                room.timer.cancel()
            await self._pubsub.unsubscribe(self.store.keys.room(session.room))

    async def close_all(self) -> None:
        """Ask all members to come back, to another process, and wait until they have been taken out."""
        for room in self._rooms.values():
            for session in list(room.sessions.values()):
                session.close(CloseCode.TOO_SLOW)
        deadline = time.monotonic() + GOODBYE_SECONDS
        while self.sessions and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    async def run(self) -> None:
        """Hear what the store publishes, until the task is cancelled."""
        is_lost = False
        while True:
            try:
                if is_lost:
                    await self._subscribe_again()
                    is_lost = False
                await self._listen()
            except (redis.exceptions.RedisError, OSError) as error:
                if not is_lost:
                    party_log.warning("the store is away: %s", error)
                is_lost = True
                await asyncio.sleep(RECONNECT_SECONDS)
            except Exception:  # whoever stops to hear leaves all members here alone
                party_log.exception("the store is asked anew what there is")
                is_lost = True
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        while True:
            if not self._pubsub.subscribed:
                await asyncio.sleep(0.02)
                continue
            entry = await self._pubsub.get_message(timeout=1.0)
            if entry is None:
                continue
            name = entry["channel"].decode().rpartition(":")[2]
            if entry["type"] == "subscribe":
                self._confirm(name)
            elif entry["type"] == "message":
                self._deliver(name, orjson.loads(entry["data"]))

    def _confirm(self, name: str) -> None:
        room = self._rooms.get(name)
        if room is not None:
            room.is_subscribed.set()

    async def _subscribe_again(self) -> None:
        """Subscribe anew after the store was away, and tell members what they missed."""
        await self._pubsub.aclose()
        self._pubsub = self.store.client.pubsub()
        for name in list(self._rooms):
            await self._pubsub.subscribe(self.store.keys.room(name))
        for name in list(self._rooms):
            await self.synchronise(name)

    async def synchronise(self, name: str) -> None:
        """Tell the members here the present state, and what was said that they were not told."""
        room = self._rooms.get(name)
        if room is None:
            return
        try:
            await self._tell_what_is_there(name, room)
        except RoomGoneError:
            self._deliver(name, {"close": CloseCode.NO_ROOM})

    async def _tell_what_is_there(self, name: str, room: LocalRoom) -> None:
        state = await self.store.read_state(name)
        chat = await self.store.read_chat(name, None, MAX_MISSED_CHAT)
        newest = 0
        if chat:
            newest = chat[-1]["seq"]
        for session in room.sessions.values():
            # A store that lost its last second gives those numbers out again.
            session.last_chat = min(session.last_chat, newest)
        message = {"type": "state", "state": state.to_message(), "by": None}
        self._deliver(name, {"message": message, "held_until": state.held_until})
        for entry in chat:
            self._deliver(name, {"message": {"type": "chat", "entry": entry}})
        queue = await self.store.read_queue(name)
        self._deliver(name, {"message": {"type": "queue", "queue": queue}})
        facts = await self.store.read_facts(name)
        self._deliver(name, {"message": {"type": "room", "room": facts.to_message()}})
        await self.store.tell_members(facts)

    def _deliver(self, name: str, envelope: dict[str, Any]) -> None:
        """Give what was published to the sessions of a room."""
        room = self._rooms.get(name)
        if room is None:
            return
        if "replaces" in envelope:
            _close_replaced(room, *envelope["replaces"])
        if "close" in envelope:
            _close_sessions(room, CloseCode(envelope["close"]), envelope.get("member"))
            return
        message = envelope["message"]
        news = News.encode(message)
        for session in list(room.sessions.values()):
            if session.member.id != envelope.get("except"):
                session.hear(news)
        if message["type"] == "state":
            self._follow_state(name, room, message["state"], envelope["held_until"])

    def _follow_state(
        self, name: str, room: LocalRoom, fields: dict[str, Any], held_until: float
    ) -> None:
        state = PlaybackState.decode(orjson.dumps({**fields, "held_until": held_until}))
        now = time.time()
        for session in room.sessions.values():
            film = session.meter.follow(state, now)
            if film is not None:
                self._start_task(self.record_watched, session, film)
        self.schedule_release(name, state)

    async def record_watched(self, session: Session, film: WatchedFilm) -> None:
        """Tell the collector what a member has watched of a film, by this socket and those before."""
        if not film.item or film.seconds <= 0:
            return
        total = film.film_seconds
        with contextlib.suppress(redis.exceptions.RedisError, OSError):
            total = await self.store.add_watched(
                session.room, session.member.id, film.item, film.film_seconds
            )
        self.events.record_watched(session, film, is_seen=film.becomes_seen(total))

    def schedule_release(self, name: str, state: PlaybackState) -> None:
        """Let a held room go on when its time is up."""
        room = self._rooms.get(name)
        if room is None:
            return
        if room.timer is not None:
            room.timer.cancel()
            room.timer = None
        if state.held:
            loop = asyncio.get_running_loop()
            delay = max(0.0, state.held_until - time.time())
            room.timer = loop.call_later(delay, self._start_task, self._release, name, state.seq)

    def _start_task(self, action: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        async def run() -> None:
            try:
                await action(*arguments)
            except (redis.exceptions.RedisError, OSError, LookupError) as error:
                party_log.warning("%s: %s", action.__name__, error)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _release(self, name: str, seq: int) -> None:
        """Let a room go on without those it waits for; each process that has it may do so."""
        waited_for: list[str] = []

        def go_on(state: PlaybackState) -> PlaybackState:
            waited_for.clear()
            if state.seq != seq or not state.held:
                return state
            waited_for.extend(state.waiting_for)
            return release(state, time.time())

        await self.store.change_state(name, go_on)
        if waited_for:
            facts = await self.store.read_facts(name)
            members = await self.store.read_members(name)
            late = [member for member in members if member.id in waited_for]
            await self.store.mark_behind(facts, late, True)

    async def show_life(self) -> None:
        """Say that this process lives, and take out members of dead ones, until cancelled."""
        last_sweep = 0.0
        while True:
            try:
                await self.store.show_life(self.process)
                if time.monotonic() - last_sweep >= SWEEP_SECONDS:
                    last_sweep = time.monotonic()
                    for name in list(self._rooms):
                        await self._sweep(name)
            except (redis.exceptions.RedisError, OSError, LookupError) as error:
                party_log.warning("life can't be shown: %s", error)
            await asyncio.sleep(LIFE_SECONDS)

    async def _sweep(self, name: str) -> None:
        """Take members out of a room whose process has died, and let the room live on."""
        await self.store.touch(name)
        for member in await self.store.read_members(name):
            if member.process != self.process and not await self.store.is_alive(member.process):
                await self.take_out(name, member.id, member.socket)

    async def take_out(self, room: str, member: str, socket: str) -> None:
        """Take a member out of a room, which then waits for them no longer."""
        if not await self.store.leave(room, member, socket):
            return

        def stop_waiting(state: PlaybackState) -> PlaybackState:
            return stop_waiting_for(state, member, time.time())

        await self.store.change_state(room, stop_waiting)


def _close_replaced(room: LocalRoom, member: str, socket: str) -> None:
    """Close the sockets that a member had before."""
    for session in list(room.sessions.values()):
        if session.member.id == member and session.id != socket:
            session.close(CloseCode.REPLACED)


def _close_sessions(room: LocalRoom, code: CloseCode, member: str | None) -> None:
    """Close all sockets of a room, or those of one member."""
    for session in list(room.sessions.values()):
        if member is None or session.member.id == member:
            session.close(code)
