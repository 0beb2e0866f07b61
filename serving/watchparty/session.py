"""One socket of one member: what waits to be sent, and how fast the member may speak."""

import asyncio
import contextlib
import json
import secrets
import time
from collections import deque
from enum import IntEnum
from typing import Any, Final

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from dawnlist.serving.watchparty.room_facts import Member
from dawnlist.serving.watchparty.watch_meter import WatchMeter

MAX_FRAME_BYTES: Final = 4_096
MAX_WAITING_MESSAGES: Final = 256
"""Messages that wait for a member who reads slowly; beyond it the socket is closed."""
MESSAGES_PER_SECOND: Final = 50
CHAT_MESSAGES: Final = 5
CHAT_SECONDS: Final = 5.0
"""A member may say CHAT_MESSAGES things in CHAT_SECONDS."""


class CloseCode(IntEnum):
    """Why the server closes a socket."""

    NOT_UNDERSTOOD = 4400
    BAD_TICKET = 4401
    FORBIDDEN = 4403
    NO_ROOM = 4404
    NO_HELLO = 4408
    REPLACED = 4409
    TOO_LARGE = 4413
    TOO_FAST = 4429
    TOO_SLOW = 4503
    FULL = 4507


class SocketClosedError(Exception):
    """The socket is to be closed with a code."""

    def __init__(self, code: CloseCode) -> None:
        super().__init__(code.name)
        self.code = code


class RateLimit:
    """Allows so many actions in so many seconds."""

    def __init__(self, actions: int, seconds: float) -> None:
        self._times: deque[float] = deque(maxlen=actions)
        self._seconds = seconds

    def take(self, now: float) -> bool:
        """Say whether one more action is allowed at a time in seconds, and count it if it is."""
        is_full = len(self._times) == self._times.maxlen
        if is_full and now - self._times[0] < self._seconds:
            return False
        self._times.append(now)
        return True


class Session:
    """A socket that has said hello."""

    def __init__(self, socket: WebSocket, room: str, member: Member, meter: WatchMeter) -> None:
        self.id = secrets.token_hex(8)
        self.room = room
        self.member = member
        self.meter = meter
        self.is_leaving = False
        """Whether the member has said that they leave for good."""
        self.chat_limit = RateLimit(CHAT_MESSAGES, CHAT_SECONDS)
        self.said = 0
        """How many things the member has said."""
        self._message_limit = RateLimit(MESSAGES_PER_SECOND, 1.0)
        self._socket = socket
        self._waiting: asyncio.Queue[str | CloseCode] = asyncio.Queue(MAX_WAITING_MESSAGES)

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message for the member."""
        self.send_text(json.dumps(message, ensure_ascii=False))

    def send_text(self, text: str) -> None:
        """Queue an encoded message; a member who reads too slowly loses the socket."""
        try:
            self._waiting.put_nowait(text)
        except asyncio.QueueFull:
            self.close(CloseCode.TOO_SLOW)

    def close(self, code: CloseCode) -> None:
        """Close the socket before anything else is sent."""
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(code)

    async def write(self) -> None:
        """Send what waits, until the socket is to be closed."""
        while True:
            item = await self._waiting.get()
            if isinstance(item, CloseCode):
                raise SocketClosedError(item)
            await self._socket.send_text(item)

    async def read(self) -> dict[str, Any]:
        """Return the next message.

        Raises:
            SocketClosedError: it is not understood, too large, or comes too fast.
            WebSocketDisconnect: the member has closed the socket.
        """
        message = await read_message(self._socket)
        if not self._message_limit.take(time.monotonic()):
            raise SocketClosedError(CloseCode.TOO_FAST)
        return message


async def read_message(socket: WebSocket) -> dict[str, Any]:
    """Return the next message of a socket.

    Raises:
        SocketClosedError: it is no JSON object, or too large.
        WebSocketDisconnect: the other side has closed the socket.
    """
    frame = await socket.receive()
    if frame["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(frame.get("code", 1006))
    text = frame.get("text")
    if text is None:
        raise SocketClosedError(CloseCode.NOT_UNDERSTOOD)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_FRAME_BYTES:
        raise SocketClosedError(CloseCode.TOO_LARGE)
    try:
        message = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        raise SocketClosedError(CloseCode.NOT_UNDERSTOOD) from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise SocketClosedError(CloseCode.NOT_UNDERSTOOD)
    return message


async def close_socket(socket: WebSocket, code: int) -> None:
    """Close a socket, which may be closed already."""
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(code)
