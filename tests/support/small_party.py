"""A small party server for the page: rooms in memory, without rights, limits or other processes.

It speaks the party's protocol (docs/WATCHPARTY-PAGE.md) as far as the page needs it.
"""

import asyncio
import contextlib
import json
import secrets
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from dawnlist.serving.watchparty.page.routes import DEMO_FILM, page_routes

BARRIER_SECONDS = 5.0
START_SECONDS = 0.7
Facts = dict[str, Any]


@dataclass
class SmallRoom:
    """A room: its facts, its state, its members and what they said."""

    facts: Facts
    state: Facts
    members: dict[str, Facts] = field(default_factory=dict)
    sockets: dict[str, WebSocket] = field(default_factory=dict)
    chat: list[Facts] = field(default_factory=list)
    queue: list[str] = field(default_factory=list)
    voters: dict[str, set[str]] = field(default_factory=dict)
    barrier: asyncio.Task[None] | None = None

    async def tell(self, message: Facts, but: str = "") -> None:
        for member, socket in list(self.sockets.items()):
            if member != but:
                with contextlib.suppress(WebSocketDisconnect):
                    await socket.send_text(json.dumps(message))

    def position(self) -> float:
        state = self.state
        if state["paused"] or state["held"]:
            return float(state["media_time"])
        elapsed = max(0.0, time.time() - state["server_time"])
        return float(state["media_time"] + state["rate"] * elapsed)

    async def change(self, changes: Facts, by: str | None = None) -> None:
        self.state = {**self.state, **changes, "seq": self.state["seq"] + 1}
        await self.tell({"type": "state", "state": self.state, "by": by})

    async def hold(self, changes: Facts, by: str | None = None) -> None:
        """Hold the room until all who are not behind are ready, or time is up."""
        members = [name for name, member in self.members.items() if not member["behind"]]
        held = {"held": True, "waiting_for": members, "server_time": time.time()}
        await self.change({**changes, **held}, by)
        if self.barrier:
            self.barrier.cancel()
        self.barrier = asyncio.create_task(self._time_out())

    async def _time_out(self) -> None:
        await asyncio.sleep(BARRIER_SECONDS)
        for name in self.state["waiting_for"]:
            self.members[name]["behind"] = True
        self.barrier = None
        await self.release()
        await self.tell({"type": "members", "members": list(self.members.values())})

    async def release(self) -> None:
        await self.change(
            {"held": False, "waiting_for": [], "server_time": time.time() + START_SECONDS}
        )

    async def take_ready(self, name: str, seq: int) -> None:
        self.members[name]["behind"] = False
        waiting = [other for other in self.state["waiting_for"] if other != name]
        if not self.state["held"] or seq != self.state["seq"]:
            return
        self.state["waiting_for"] = waiting
        if waiting:
            return
        if self.barrier:
            self.barrier.cancel()
            self.barrier = None
        await self.release()

    async def take_set(self, name: str, message: Facts) -> None:
        if message["seq"] != self.state["seq"]:
            refusal = {"type": "refused", "what": "set", "reason": "the room has changed"}
            await self.sockets[name].send_text(json.dumps({**refusal, "state": self.state}))
            return
        changes = dict(message["changes"])
        if "media_time" in changes or "item" in changes:
            await self.hold(changes, name)
            return
        changes["media_time"] = self.position()
        changes["server_time"] = time.time()
        if changes.get("paused") is False:
            changes["server_time"] += START_SECONDS
        await self.change(changes, name)

    async def take(self, name: str, message: Facts) -> None:
        kind = message["type"]
        if kind == "ready":
            await self.take_ready(name, message["seq"])
        elif kind == "set":
            await self.take_set(name, message)
        elif kind == "waiting":
            if not self.members[name]["behind"] and not self.state["held"]:
                await self.hold({"media_time": self.position()})
        elif kind == "chat":
            await self.take_chat(name, message)
        elif kind == "typing":
            await self.tell({"type": "typing", "member": name}, but=name)
        elif kind == "react":
            await self.tell({"type": "react", "member": name, "emoji": message["emoji"]})
        elif kind in ("queue", "vote", "suggest"):
            await self.take_wish(name, kind, message)

    async def take_chat(self, name: str, message: Facts) -> None:
        if any(entry["id"] == message["id"] for entry in self.chat):
            return
        author = {"member": name, "name": self.members[name]["name"], "time": time.time()}
        entry = {"id": message["id"], "seq": len(self.chat), "text": message["text"], **author}
        self.chat.append(entry)
        await self.tell({"type": "chat", "entry": entry})

    async def take_wish(self, name: str, kind: str, message: Facts) -> None:
        if kind == "suggest":
            names = [member["name"] for member in self.members.values()]
            item = {
                "item": "i7",
                "title": "The long way home",
                "score": 1.0,
                "for": names,
                "seen_by": names[1:],
            }
            other = {
                "item": "i8",
                "title": "Tin sailors",
                "score": 0.5,
                "for": names[:1],
                "seen_by": [],
            }
            await self.tell({"type": "suggestions", "items": [item, other]})
        elif kind == "vote":
            voters = self.voters.setdefault(message["item"], set())
            (voters.add if message["for"] else voters.discard)(name)
            await self.tell({"type": "votes", "votes": self.count_votes()})
        else:
            if message["action"] == "add":
                self.queue.append(message["item"])
            else:
                self.queue.remove(message.get("item", self.queue[0]))
            await self.tell({"type": "queue", "queue": self.queue})

    def count_votes(self) -> dict[str, int]:
        return {item: len(voters) for item, voters in self.voters.items()}

    def welcome(self, name: str) -> Facts:
        return {
            "type": "welcome",
            "member": name,
            "room": self.facts,
            "members": list(self.members.values()),
            "state": self.state,
            "chat": self.chat[-50:],
            "queue": self.queue,
            "votes": self.count_votes(),
            "resume": f"{name}.{self.members[name]['name']}",
        }


class SmallParty:
    """The server's rooms."""

    def __init__(self) -> None:
        self.rooms: dict[str, SmallRoom] = {}

    async def list_rooms(self) -> list[Facts]:
        return [
            {**room.facts, "members": len(room.sockets), "item": room.state["title"]}
            for room in self.rooms.values()
        ]

    async def read_room(self, name: str) -> Facts | None:
        room = self.rooms.get(name)
        return room.facts if room else None

    async def create(self, request: Request) -> JSONResponse:
        wish = await request.json()
        name = secrets.token_urlsafe(9)
        rules = {"control": wish["control"], "links": False, "strategy": "mean", "locked": False}
        facts = {"room": name, "name": wish["name"], "access": wish["access"], **rules}
        film = {"item": "clip", "title": "Dawnlist's test film", "url": DEMO_FILM}
        place = {"paused": True, "rate": 1.0, "media_time": 0.0, "server_time": time.time()}
        state = {"seq": 1, **film, **place, "held": False, "waiting_for": []}
        self.rooms[name] = SmallRoom(facts, state)
        member = secrets.token_hex(4)
        return JSONResponse({"room": name, "ticket": f"{member}.Host", "member": member}, 201)

    async def give_ticket(self, request: Request) -> JSONResponse:
        wish = await request.json()
        member = secrets.token_hex(4)
        return JSONResponse({"ticket": f"{member}.{wish['name']}", "member": member})

    async def serve(self, socket: WebSocket) -> None:
        await socket.accept()
        room = self.rooms.get(socket.path_params["room"])
        hello = json.loads(await socket.receive_text())
        if room is None:
            await socket.close(4404)
            return
        name, _, title = hello["ticket"].partition(".")
        facts = {"id": name, "name": title, "host": not room.members, "user_known": False}
        room.members.setdefault(name, {**facts, "behind": False})
        room.sockets[name] = socket
        await socket.send_text(json.dumps(room.welcome(name)))
        await room.tell({"type": "joined", "member": room.members[name]}, but=name)
        try:
            await self._read(room, name, socket)
        except WebSocketDisconnect:
            del room.sockets[name]
            await room.tell({"type": "left", "member": room.members[name]})

    async def _read(self, room: SmallRoom, name: str, socket: WebSocket) -> None:
        while True:
            message = json.loads(await socket.receive_text())
            now = time.time()
            if message["type"] == "ping":
                pong = {"type": "pong", "t0": message["t0"], "t1": now, "t2": time.time()}
                await socket.send_text(json.dumps(pong))
            else:
                await room.take(name, message)


def build_small_party() -> Starlette:
    party = SmallParty()
    routes = [
        *page_routes(party.list_rooms, party.read_room),
        Route("/v1/rooms", party.create, methods=["POST"]),
        Route("/v1/rooms/{room}/tickets", party.give_ticket, methods=["POST"]),
        WebSocketRoute("/v1/rooms/{room}/socket", party.serve),
    ]
    return Starlette(routes=routes)


if __name__ == "__main__":
    uvicorn.run(build_small_party(), port=int(sys.argv[1]), log_level="warning")
