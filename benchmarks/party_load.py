"""Messages that a watch party delivers on one core, beside a bare websockets.broadcast; and what an idle member takes.

    python benchmarks/party_load.py

Members in a process of their own say things in turn; each thing is delivered to all members of its room. The row
"bare" is a server of the library websockets alone, which sends what it gets to all by broadcast: it has no rooms, no
store, no checks. Both servers run alternately in one run. The CPU is that of the server's process while members talk:
neither their coming and going nor the store's process is in it. "a core" is how many messages one core could deliver.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from clicks import markdown
from websockets.asyncio.client import connect

sys.path.append(str(Path(__file__).parents[1]))  # the tests' servers

from tests.support.party_members import ask_ticket, create_room, party_process
from tests.support.servers import free_port
from tests.support.stores import valkey_of

ROOM_SIZE = 200
TICKET_PAUSE = 0.011
"""Seconds between two tickets: a process gives out a hundred a second."""
BARE_SERVER = """
import asyncio, sys
from websockets.asyncio.server import broadcast, serve
members = set()
async def talk(socket):
    members.add(socket)
    try:
        async for text in socket:
            broadcast(members, text)
    finally:
        members.discard(socket)
async def main():
    async with serve(talk, "127.0.0.1", int(sys.argv[1]), compression=None) as server:
        await server.serve_forever()
asyncio.run(main())
"""


def read_cpu_seconds(pid: int) -> float:
    """Read the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_memory(pid: int) -> int:
    """Read the bytes of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def deliver(
    pid: int, urls: list[list[tuple[str, str]]], seconds: float, pause: float
) -> dict[str, float]:
    """Let the members of each room talk; return what was delivered, and the times on the way.

    Args:
        pid: The server's process.
        urls: For each room its members: a socket's address and a ticket, empty for the bare server.
        seconds: How long they talk.
        pause: Seconds between two things that are said in one room.
    """
    times: list[float] = []
    delivered = 0

    async def listen(socket: Any) -> None:
        nonlocal delivered
        async for text in socket:
            message = json.loads(text)
            entry = message.get("entry", message)
            if "text" in entry:
                delivered += 1
                times.append(time.time() - float(entry["text"]))

    async with contextlib.AsyncExitStack() as stack:
        rooms = []
        for members in urls:
            sockets = []
            for url, ticket in members:
                socket = await stack.enter_async_context(
                    connect(url, compression=None, max_queue=None)
                )
                if ticket:
                    hello = {"type": "hello", "ticket": ticket, "last_seq": None, "last_chat": None}
                    await socket.send(json.dumps(hello))
                    await socket.recv()
                sockets.append(socket)
            rooms.append(sockets)
        listeners = [asyncio.create_task(listen(socket)) for room in rooms for socket in room]
        await asyncio.sleep(0.5)
        times.clear()
        delivered = 0
        cpu_before = read_cpu_seconds(pid)
        began = time.perf_counter()
        turn = 0
        while time.perf_counter() - began < seconds:
            for sockets in rooms:
                said = {"type": "chat", "id": uuid.uuid4().hex, "text": repr(time.time())}
                await sockets[turn % len(sockets)].send(json.dumps(said))
            turn += 1
            await asyncio.sleep(pause)
        await asyncio.sleep(1.0)
        took = time.perf_counter() - began - 1.0
        cpu = read_cpu_seconds(pid) - cpu_before
        for listener in listeners:
            listener.cancel()
    return {
        "delivered": delivered,
        "said": turn * len(rooms),
        "seconds": took,
        "cpu": cpu,
        "p50": float(np.percentile(times, 50)) * 1000,
        "p99": float(np.percentile(times, 99)) * 1000,
    }


def run_members(
    pid: int, urls: list[list[tuple[str, str]]], seconds: float, pause: float
) -> dict[str, float]:
    """Run the members in a process of their own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_run, (pid, urls, seconds, pause))


def _run(
    pid: int, urls: list[list[tuple[str, str]]], seconds: float, pause: float
) -> dict[str, float]:
    return asyncio.run(deliver(pid, urls, seconds, pause))


def list_sockets(address: str, rooms: int, size: int) -> list[list[tuple[str, str]]]:
    """Create rooms, and ask for the tickets of their members."""
    sockets = []
    for _ in range(rooms):
        room = create_room(address)["room"]
        url = f"{address.replace('http', 'ws', 1)}/v1/rooms/{room}/socket"
        members = []
        for number in range(size):
            members.append((url, ask_ticket(address, room, name=f"m{number}")["ticket"]))
            time.sleep(TICKET_PAUSE)
        sockets.append(members)
    return sockets


@contextlib.contextmanager
def bare_server() -> Iterator[tuple[str, int]]:
    """Run the bare server; give its address and its process."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", BARE_SERVER, str(port)])
    time.sleep(1.5)
    try:
        yield f"ws://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait()


def measure(
    name: str, pid: int, urls: list[list[tuple[str, str]]], seconds: float, pause: float
) -> dict[str, str]:
    """Measure one server in one round."""
    figures = run_members(pid, urls, seconds, pause)
    cpu_per_message = figures["cpu"] / figures["delivered"]
    expected = figures["said"] * len(urls[0])
    return {
        "server": name,
        "rooms": f"{len(urls)} of {len(urls[0])}",
        "delivered/s": f"{figures['delivered'] / figures['seconds']:,.0f}",
        "delivered": f"{figures['delivered'] / expected:.1%}",
        "CPU a message, µs": f"{1e6 * cpu_per_message:.1f}",
        "a core, messages/s": f"{1 / cpu_per_message:,.0f}",
        "p50 ms": f"{figures['p50']:.1f}",
        "p99 ms": f"{figures['p99']:.1f}",
    }


def measure_idle(address: str, pid: int, members: int) -> str:
    """Return the memory that an idle member takes."""

    async def hold() -> int:
        async with contextlib.AsyncExitStack() as stack:
            for number in range(members):
                if number % ROOM_SIZE == 0:
                    room = create_room(address)["room"]
                    url = f"{address.replace('http', 'ws', 1)}/v1/rooms/{room}/socket"
                ticket = ask_ticket(address, room, name=f"m{number}")["ticket"]
                connection = connect(url, compression=None, max_queue=None)
                socket = await stack.enter_async_context(connection)
                await socket.send(json.dumps({"type": "hello", "ticket": ticket}))
                await socket.recv()
                await asyncio.sleep(TICKET_PAUSE)
            return read_memory(pid)

    before = read_memory(pid)
    after = asyncio.run(hold())
    return f"{members:,} idle members: {(after - before) / members / 1024:.0f} kB each"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--idle", type=int, default=2_000)
    given = parser.parse_args()
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        valkey_of(Path(folder)) as port,
        party_process(f"redis://127.0.0.1:{port}/0") as (address, process),
    ):
        # A member may say five things in five seconds.
        for rooms, size, pause in ((1, 200, 0.02), (25, 8, 0.13)):
            sockets = list_sockets(address, rooms, size)
            rows.append(measure("party", process.pid, sockets, given.seconds, pause))
            with bare_server() as (bare, pid):
                everybody = [[(bare, "")] * size]
                rows.append(measure("bare", pid, everybody, given.seconds, pause / rooms))
        markdown(rows)
        print(measure_idle(address, process.pid, given.idle))


if __name__ == "__main__":
    main()
