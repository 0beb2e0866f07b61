"""Answer the watch party's pages: the lobby, a room's page, and static files."""

import html
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

RoomFacts = dict[str, Any]
ListRooms = Callable[[], Awaitable[list[RoomFacts]]]
ReadRoom = Callable[[str], Awaitable[RoomFacts | None]]

DEMO_FILM: Final = "/static/clip.webm"
"""Where the short film lies that `dawnlist party` shows when a room has no other."""
STATIC_CACHE: Final = "no-cache"
"""Browsers ask whether a file has changed: after an upgrade no page runs with an old script."""
PAGE_FOLDER: Final = Path(str(resources.files(__package__ or "")))
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".webm": "video/webm",
}
SECURITY_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "media-src 'self' blob: http: https:; connect-src 'self' http: https: ws: wss:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
ROOM_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{12}")
"""A room's id: twelve letters that need no escape in an address."""


@dataclass(frozen=True)
class PartyPages:
    """The pages, and the two questions that they ask the server."""

    list_rooms: ListRooms
    """Lists the open rooms: `room`, `name`, `members`, `locked`, `item` of each."""
    read_room: ReadRoom
    """Reads the public facts of a room: `room`, `name`, `locked`; None if there is no such room."""

    async def answer_lobby(self, request: Request) -> Response:
        """Answer the page with the open rooms, and the form that creates one."""
        rooms = await self.list_rooms()
        # The list is HTML of our own making; each value in it has been escaped.
        page = _read_page("lobby.html").replace("{{rooms}}", _render_rooms(rooms))
        return HTMLResponse(page, headers=SECURITY_HEADERS)

    async def answer_room(self, request: Request) -> Response:
        """Answer a room's page; 404 if there is no such room."""
        name = request.path_params["room"]
        facts = None
        if ROOM_PATTERN.fullmatch(name):
            facts = await self.read_room(name)
        if facts is None:
            return HTMLResponse(_read_page("missing.html"), 404, headers=SECURITY_HEADERS)
        values = {
            "room": name,
            "name": str(facts["name"]),
            "locked": str(bool(facts["locked"])).lower(),
        }
        return HTMLResponse(_fill_page("room.html", values), headers=SECURITY_HEADERS)


def page_routes(list_rooms: ListRooms, read_room: ReadRoom) -> list[Route]:
    """List the routes of the lobby, the rooms' pages, and static files.

    Args:
        list_rooms: Lists the facts of the open rooms.
        read_room: Reads a room's public facts; None if there is no such room.
    """
    pages = PartyPages(list_rooms, read_room)
    return [
        Route("/", pages.answer_lobby, methods=["GET"]),
        Route("/rooms/{room}", pages.answer_room, methods=["GET"]),
        Route("/static/{name}", answer_static, methods=["GET"]),
    ]


async def answer_static(request: Request) -> Response:
    """Answer a file of the page's folder, also a part of it (a player that seeks asks for parts)."""
    file = PAGE_FOLDER / request.path_params["name"]
    if file.parent != PAGE_FOLDER or file.suffix not in MEDIA_TYPES or not file.is_file():
        return PlainTextResponse("there is no such file", 404)
    headers = {"cache-control": STATIC_CACHE, "x-content-type-options": "nosniff"}
    return FileResponse(file, media_type=MEDIA_TYPES[file.suffix], headers=headers)


def _render_rooms(rooms: list[RoomFacts]) -> str:
    if not rooms:
        return '<p class="soft">No room is open. Create the first one.</p>'
    lines = [_render_room(facts) for facts in rooms]
    return f'<ul class="rooms">{"".join(lines)}</ul>'


def _render_room(facts: RoomFacts) -> str:
    remarks = [_count_people(int(facts["members"]))]
    if facts.get("item"):
        remarks.append(f"watching {facts['item']}")
    if facts.get("locked"):
        remarks.append("with a password")
    address = html.escape(f"/rooms/{facts['room']}")
    name = html.escape(str(facts["name"]))
    remark = html.escape(", ".join(remarks))
    return f'<li><a href="{address}">{name}</a> <span class="soft">{remark}</span></li>'


def _count_people(members: int) -> str:
    if members == 1:
        return "1 person"
    return f"{members:,} people"


def _fill_page(file: str, values: dict[str, str]) -> str:
    """Put values into a page, escaped, in one pass: a value that looks like a mark stays text."""
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: html.escape(values[mark[1]]), _read_page(file))


def _read_page(file: str) -> str:
    return (PAGE_FOLDER / file).read_text("utf-8")
