"""The server's side of a socket: frames that are encoded once for all members, and what a slow reader costs.

What is sent goes into the transport's buffer at once, in the order in which it is sent. The common way, by ASGI,
takes a task's turn and an encoding for each member of a room.
"""

from typing import Any, Final

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

MAX_WAITING_BYTES: Final = 1_048_576
"""Bytes that wait for a member who reads slowly; beyond them the socket is closed."""
CLOSE_SECONDS: Final = 2.0
"""How long the other side may take to answer a close before the connection is cut."""
EXTENSION: Final = "dawnlist.wire"
"""The name by which the application finds the wire in a socket's scope."""


class PartyWire(WebSocketsSansIOProtocol):
    """A connection that takes encoded frames."""

    def handle_connect(self, event: Request) -> None:
        """Accept a connection, and show this wire to the application."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self

    @property
    def is_open(self) -> bool:
        """Whether anything can be sent."""
        is_ending = self.close_sent or self.disconnected or self.transport.is_closing()
        return self.handshake_complete and not is_ending and self.conn.state is State.OPEN

    @property
    def is_slow(self) -> bool:
        """Whether more waits for the other side than may."""
        return self.transport.get_write_buffer_size() > MAX_WAITING_BYTES

    def send_frame(self, frame: bytes) -> None:
        """Send a frame of `encode_frame`. Nothing is sent on a socket that is closed."""
        if self.is_open:
            self.transport.write(frame)

    def drop(self, code: int) -> None:
        """Close the socket with a code; cut it if the other side does not answer in CLOSE_SECONDS."""
        if not self.is_open:
            return
        self.stop_keepalive()
        self.conn.send_close(code)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)


def find_wire(socket: WebSocket) -> PartyWire:
    """Return the wire of a socket."""
    wire: PartyWire = socket.scope["extensions"][EXTENSION]
    return wire


def encode_frame(text: bytes) -> bytes:
    """Encode a text as a frame that a server sends; it is the same for all sockets."""
    return Frame(Opcode.TEXT, text).serialize(mask=False)
