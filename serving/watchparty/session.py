"""One socket of one member: what the member is told, and how fast they may speak."""

import secrets
import time
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from dawnlist.serving.watchparty.room_facts import Member
from dawnlist.serving.watchparty.watch_meter import WatchMeter
from dawnlist.serving.watchparty.wire import encode_frame, find_wire

MAX_FRAME_BYTES: Final = 4_096
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


@dataclass(frozen=True, slots=True)
class News:
    """What all members of a room are told, encoded once."""

    kind: str
    seq: int
    """The number of a state or of what was said; 0 for other kinds."""
    frame: bytes

    @classmethod
    def encode(cls, message: dict[str, Any]) -> "News":
        """Encode a message."""
        kind = message["type"]
        numbered = {}
        if kind == "chat":
            numbered = message["entry"]
        elif kind == "state":
            numbered = message["state"]
        return cls(kind, numbered.get("seq", 0), encode_frame(orjson.dumps(message)))


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
        self.last_chat = 0
        """The number of the last thing said that the member was told."""
        self._message_limit = RateLimit(MESSAGES_PER_SECOND, 1.0)
        self._socket = socket
        self._wire = find_wire(socket)
        self._early: list[News] | None = []
        """News that came before the welcome; None once the member is welcome."""

    def send(self, message: dict[str, Any]) -> None:
        """Tell the member alone."""
        self._send_frame(encode_frame(orjson.dumps(message)))

    def welcome(self, message: dict[str, Any]) -> None:
        """Tell the member what is there, and then the news that came meanwhile and is newer."""
        if message["chat"]:
            self.last_chat = message["chat"][-1]["seq"]
        self.send(message)
        early, self._early = self._early or [], None
        for news in early:
            if news.kind != "state" or news.seq > message["state"]["seq"]:
                self.hear(news)

    def hear(self, news: News) -> None:
        """Tell the member news of the room; nothing that was said is told twice."""
        if self._early is not None:
            self._early.append(news)
            return
        if news.kind == "chat":
            if news.seq <= self.last_chat:
                return
            self.last_chat = news.seq
        self._send_frame(news.frame)

    def _send_frame(self, frame: bytes) -> None:
        """Send a frame; a member who reads too slowly loses the socket."""
        if self._wire.is_slow:
            self.close(CloseCode.TOO_SLOW)
            return
        self._wire.send_frame(frame)

    def close(self, code: CloseCode) -> None:
        """Close the socket."""
        self._wire.drop(code)

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
