"""The watch party's pages and static files, as the server answers them."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from dawnlist.serving.watchparty.page.routes import DEMO_FILM, PAGE_FOLDER, page_routes

HOSTILE = '<script>alert(1)</script> {{locked}} "x"'
ROOM = "abcDEF123_-4"


class Rooms:
    """The rooms that a server would know."""

    def __init__(self) -> None:
        self.open_rooms: list[dict[str, Any]] = []
        self.facts: dict[str, Any] = {"room": ROOM, "name": HOSTILE, "locked": True}

    async def list_rooms(self) -> list[dict[str, Any]]:
        return self.open_rooms

    async def read_room(self, room: str) -> dict[str, Any] | None:
        return self.facts if room == ROOM else None


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


class Client:
    """Asks an application without a server."""

    def __init__(self, app: Starlette) -> None:
        self._transport = httpx.ASGITransport(app)

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return asyncio.run(self._get(path, headers))

    async def _get(self, path: str, headers: dict[str, str] | None) -> httpx.Response:
        base = "http://party.example"
        async with httpx.AsyncClient(transport=self._transport, base_url=base) as client:
            return await client.get(path, headers=headers)


@pytest.fixture
def client(rooms: Rooms) -> Client:
    return Client(Starlette(routes=page_routes(rooms.list_rooms, rooms.read_room)))


def test_a_lobby_without_rooms_says_so(client: Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert "No room is open" in answer.text and "<li>" not in answer.text


def test_the_lobby_lists_open_rooms_and_escapes_their_names(client: Client, rooms: Rooms) -> None:
    first = {"room": ROOM, "name": HOSTILE, "members": 1, "locked": True, "item": "<i>film</i>"}
    second = {"room": "x" * 12, "name": "Ana's", "members": 1200, "locked": False, "item": None}
    rooms.open_rooms = [first, second]
    page = client.get("/").text
    assert page.count("<li>") == 2 and f'href="/rooms/{ROOM}"' in page
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
    assert "1 person, watching &lt;i&gt;film&lt;/i&gt;, with a password" in page
    assert "1,200 people<" in page


def test_a_rooms_page_has_its_facts_and_escapes_them(client: Client, rooms: Rooms) -> None:
    page = client.get(f"/rooms/{ROOM}").text
    assert f'data-room="{ROOM}" data-locked="true"' in page
    assert "<script>alert" not in page
    assert page.count("{{locked}}") == 2  # a name that looks like a mark stays text
    rooms.facts["locked"] = False
    assert 'data-locked="false"' in client.get(f"/rooms/{ROOM}").text


@pytest.mark.parametrize(
    "room", ["abcDEF123_-5", "short", "a" * 13, "%3Cscript%3Ex", "abc.EF123_-4"]
)
def test_an_unknown_room_is_answered_with_a_page_of_its_own(client: Client, room: str) -> None:
    answer = client.get(f"/rooms/{room}")
    assert answer.status_code == 404
    assert "There is no such room" in answer.text and room not in answer.text


def test_pages_let_no_foreign_script_run(client: Client) -> None:
    for path, status in (("/", 200), (f"/rooms/{ROOM}", 200), ("/rooms/none", 404)):
        answer = client.get(path)
        policy = answer.headers["content-security-policy"]
        assert answer.status_code == status and "script-src 'self';" in policy
        assert "unsafe" not in policy and answer.headers["referrer-policy"] == "no-referrer"
        assert "<style" not in answer.text and " style=" not in answer.text
        assert answer.text.count("<script") == answer.text.count("<script type=")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("room.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("clip.webm", "video/webm"),
        ("hls-1.7.4.LICENSE.txt", "text/plain; charset=utf-8"),
    ],
)
def test_static_files_have_their_types(client: Client, name: str, kind: str) -> None:
    answer = client.get(f"/static/{name}")
    assert answer.headers["content-type"] == kind
    assert answer.content == (PAGE_FOLDER / name).read_bytes()
    unchanged = client.get(f"/static/{name}", headers={"if-none-match": answer.headers["etag"]})
    assert answer.headers["cache-control"] == "no-cache" and unchanged.status_code in (200, 304)


@pytest.mark.parametrize(
    "name", ["routes.py", "__init__.py", "room.html", "none.js", "..%2F__init__.py", ".", "%00.js"]
)
def test_nothing_else_is_given_away(client: Client, name: str) -> None:
    assert client.get(f"/static/{name}").status_code == 404


def test_a_player_may_ask_for_a_part_of_the_film(client: Client) -> None:
    film = (PAGE_FOLDER / "clip.webm").read_bytes()
    answer = client.get(DEMO_FILM, headers={"range": "bytes=1000-1999"})
    assert answer.status_code == 206 and answer.content == film[1000:2000]
    assert client.get(DEMO_FILM, headers={"range": f"bytes={len(film)}-"}).status_code == 416


def test_the_film_is_small_and_the_vendored_player_has_its_licence() -> None:
    assert (PAGE_FOLDER / "clip.webm").stat().st_size < 1_000_000
    players = sorted(path.name for path in PAGE_FOLDER.glob("hls*"))
    assert players == ["hls-1.7.4.LICENSE.txt", "hls-1.7.4.light.min.js"]
    assert "Apache License, Version 2.0" in (PAGE_FOLDER / players[0]).read_text()
    assert players[1] in (PAGE_FOLDER / "player.js").read_text()
