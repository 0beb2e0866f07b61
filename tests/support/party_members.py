"""Watch party servers in processes of their own, and members of their rooms."""

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.servers import free_port

WAIT_SECONDS = 60.0


@contextlib.contextmanager
def party_process(
    redis_url: str,
    *options: str,
    port: int | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run `dawnlist party`; give its address and its process."""
    port = port or free_port()
    command = [sys.executable, "-m", "dawnlist.pipelines.cli", "party", f"--redis={redis_url}"]
    command += ["--namespace=shop", f"--port={port}", *options]
    process = subprocess.Popen(
        command, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(address, process)
        yield address, process
    finally:
        process.kill()
        process.wait()


def wait_until_ready(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        assert process.poll() is None and time.monotonic() < deadline
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        time.sleep(0.05)


def create_room(address: str, status: int = 201, **wish: Any) -> Any:
    answer = httpx.post(f"{address}/v1/rooms", json={"name": "Friday", **wish})
    assert answer.status_code == status, answer.text
    return answer.json()


def ask_ticket(address: str, room: str, status: int = 201, **wish: Any) -> Any:
    headers = wish.pop("headers", {})
    answer = httpx.post(
        f"{address}/v1/rooms/{room}/tickets", json={"name": "Ann", **wish}, headers=headers
    )
    assert answer.status_code == status, answer.text
    return answer.json()


class PartyMember:
    """A member of a room, by a socket of their own."""

    def __init__(self, address: str, room: str, ticket: str, last_chat: str | None = None) -> None:
        self.address, self.room = address, room
        url = f"{address.replace('http', 'ws', 1)}/v1/rooms/{room}/socket"
        connection = connect(url, max_size=None, open_timeout=WAIT_SECONDS)
        self.socket: ClientConnection = connection.__enter__()
        self.send("hello", ticket=ticket, last_seq=None, last_chat=last_chat)
        self.welcome = self.receive("welcome")
        self.id: str = self.welcome["member"]
        self.state: dict[str, Any] = self.welcome["state"]
        self.said: list[dict[str, Any]] = list(self.welcome["chat"])

    @classmethod
    def join(cls, address: str, room: str, name: str = "Ann", **wish: Any) -> "PartyMember":
        ticket = ask_ticket(address, room, name=name, **wish)["ticket"]
        return cls(address, room, ticket)

    def send(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def say(self, text: str, said_id: str | None = None) -> str:
        said_id = said_id or uuid.uuid4().hex
        self.send("chat", id=said_id, text=text)
        return said_id

    def take(self, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """The next message; the state and what was said are remembered."""
        message: dict[str, Any] = json.loads(self.socket.recv(seconds))
        if "state" in message:
            self.state = message["state"]
        if message["type"] == "chat":
            self.said.append(message["entry"])
        return message

    def receive(self, kind: str, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        """The next message of a kind; those before it are passed over."""
        deadline = time.monotonic() + seconds
        while True:
            message = self.take(max(0.01, deadline - time.monotonic()))
            if message["type"] == kind:
                return message

    def receive_state(self, **expected: Any) -> dict[str, Any]:
        """The next state that has these values."""
        while True:
            state = self.receive("state")["state"]
            if all(state[name] == value for name, value in expected.items()):
                return dict(state)

    def set(self, **changes: Any) -> None:
        self.send("set", seq=self.state["seq"], changes=changes)

    def report(self, kind: str) -> None:
        """Say `ready` or `waiting` for the present state."""
        self.send(kind, seq=self.state["seq"], media_time=self.state["media_time"])

    def read_close_code(self) -> int:
        """The code by which the server closes the socket."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self.socket.recv(WAIT_SECONDS)
        code = self.socket.close_code
        assert code is not None
        return code

    def leave(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            self.send("leave")
        self.socket.close()
