"""The socket of a room: hello, then messages both ways, until one side closes it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import redis.exceptions
from starlette.websockets import WebSocket, WebSocketDisconnect

from dawnlist.serving.watchparty.actions import Actions
from dawnlist.serving.watchparty.hub import Hub
from dawnlist.serving.watchparty.room_facts import Member, RoomFacts
from dawnlist.serving.watchparty.room_store import RoomGoneError
from dawnlist.serving.watchparty.session import (
    CloseCode,
    Session,
    SocketClosedError,
    read_message,
)
from dawnlist.serving.watchparty.tickets import (
    RESUME_SECONDS,
    Ticket,
    TicketError,
    sign_ticket,
    verify_ticket,
)
from dawnlist.serving.watchparty.watch_meter import WatchMeter
from dawnlist.serving.watchparty.wire import find_wire

party_log = logging.getLogger("dawnlist.party")

HELLO_SECONDS: Final = 5.0
RENEW_SECONDS: Final = 60.0
JOIN_REFUSALS: Final = {"full": CloseCode.FULL, "gone": CloseCode.NO_ROOM}
SHOWN_CHAT: Final = 50
"""What was said last, that a new member is told."""


@dataclass(frozen=True, slots=True)
class RoomSocket:
    """Answers the sockets of all rooms."""

    hub: Hub
    actions: Actions
    secret: bytes
    room_size: int
    allows_origin: Callable[[WebSocket], bool]

    async def answer(self, socket: WebSocket) -> None:
        """Answer one socket, from its beginning to its end."""
        await socket.accept()
        code: int = CloseCode.TOO_SLOW
        try:
            code = await self._serve(socket)
        except SocketClosedError as error:
            code = error.code
        except WebSocketDisconnect:
            return
        except RoomGoneError:
            code = CloseCode.NO_ROOM
        except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
            party_log.warning("a socket is closed: %s", error)
        except Exception:  # a fault of ours ends no other socket
            party_log.exception("a socket is closed")
        find_wire(socket).drop(code)

    async def _serve(self, socket: WebSocket) -> int:
        if not self.allows_origin(socket):
            return CloseCode.FORBIDDEN
        hello = await _read_hello(socket)
        room = socket.path_params["room"]
        try:
            ticket = verify_ticket(str(hello.get("ticket")), room, self.secret, time.time())
        except TicketError:
            return CloseCode.BAD_TICKET
        facts = await self.hub.store.read_facts(room)
        kicked = self.hub.store.keys.part("kicked", room)
        if await self.hub.store.client.sismember(kicked, ticket.member):
            return CloseCode.FORBIDDEN
        member = Member(ticket.member, ticket.name, ticket.user, self.hub.process)
        session = Session(socket, room, member, WatchMeter())
        member.socket, member.joined = session.id, time.time()
        try:
            await self.hub.enter(session)
            outcome = await self.hub.store.join(facts, member, self.room_size)
            if outcome != "joined":
                return JOIN_REFUSALS[outcome]
            await self._welcome(session, facts, ticket, hello.get("last_chat"))
            self.hub.events.record(session, "join")
            return await self._talk(session, ticket)
        finally:
            await self._say_goodbye(session)

    async def _welcome(
        self, session: Session, facts: RoomFacts, ticket: Ticket, last_chat: Any
    ) -> None:
        store = self.hub.store
        state = await store.read_state(session.room)
        session.meter.follow(state, time.time())
        members = await store.read_members(session.room)
        last_id = None
        if isinstance(last_chat, str):
            last_id = last_chat
        session.welcome(
            {
                "type": "welcome",
                "member": session.member.id,
                "room": facts.to_message(),
                "members": [member.to_message(facts.hosts) for member in members],
                "state": state.to_message(),
                "chat": await store.read_chat(session.room, last_id, SHOWN_CHAT),
                "queue": await store.read_queue(session.room),
                "votes": await self.actions.count_votes(session.room),
                "resume": self._renew(ticket),
            }
        )
        self.hub.schedule_release(session.room, state)

    def _renew(self, ticket: Ticket) -> str:
        """Return a ticket to come back with."""
        return sign_ticket(replace(ticket, expires=time.time() + RESUME_SECONDS), self.secret)

    async def _talk(self, session: Session, ticket: Ticket) -> int:
        """Let the member talk until they leave; return the code to close with."""
        renewal = asyncio.create_task(self._keep_renewing(session, ticket))
        try:
            await self._listen(session)
            return 1000
        finally:
            renewal.cancel()

    async def _listen(self, session: Session) -> None:
        while True:
            message = await session.read()
            received = time.time()
            if message["type"] == "ping":
                pong = {"type": "pong", "t0": message.get("t0"), "t1": received, "t2": time.time()}
                session.send(pong)
            elif message["type"] == "leave":
                session.is_leaving = True
                return
            else:
                await self.actions.act(session, message)

    async def _keep_renewing(self, session: Session, ticket: Ticket) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            session.send({"type": "resume", "ticket": self._renew(ticket)})

    async def _say_goodbye(self, session: Session) -> None:
        """Take the member out, and send what they did to the collector."""
        await self.hub.exit(session)
        session.meter.count(time.time())
        await self.hub.record_watched(session, session.meter.film)
        if session.said:
            self.hub.events.record(session, "chat", properties={"messages": session.said})
        with contextlib.suppress(redis.exceptions.RedisError, OSError, LookupError):
            await self.hub.take_out(session.room, session.member.id, session.id)
            if session.is_leaving:
                await self._choose_host(session.room)

    async def _choose_host(self, room: str) -> None:
        """Make the member who came first a host, if the last host has left."""
        store = self.hub.store
        members = await store.read_members(room)
        if not members:
            return

        def choose(facts: RoomFacts) -> None:
            if not any(member.id in facts.hosts for member in members):
                facts.hosts.append(members[0].id)

        facts = await store.read_facts(room)
        hosts = list(facts.hosts)
        choose(facts)
        if facts.hosts != hosts:
            await store.tell_members(await store.change_facts(room, choose))


async def _read_hello(socket: WebSocket) -> dict[str, Any]:
    """Return the first message of a socket, which has to be a hello.

    Raises:
        SocketClosedError: it does not come in time, or is another one.
    """
    try:
        hello = await asyncio.wait_for(read_message(socket), HELLO_SECONDS)
    except TimeoutError:
        raise SocketClosedError(CloseCode.NO_HELLO) from None
    if hello["type"] != "hello":
        raise SocketClosedError(CloseCode.NOT_UNDERSTOOD)
    return hello
