"""A link that is slow, trembles and loses packets: a TCP relay between a browser and a server on this machine.

The machine's own netem would need a kernel module and root. The relay does to the bytes what TCP makes of such a
link: all arrive, in order, later. Each way has its own chance.
"""

import asyncio
import contextlib
import math
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass

SEGMENT_BYTES = 1460
SHORTEST_RESEND_SECONDS = 0.2
"""A sender waits at least so long before it sends a lost segment again, where no later one shows the loss."""
READ_BYTES = 65_536


@dataclass(frozen=True)
class Link:
    """What a link does to each way of a connection."""

    delay: float
    """Seconds of each way."""
    jitter: float
    """Standard deviation of the delay, in seconds."""
    loss: float
    """Share of the segments that have to be sent again."""

    @property
    def rate(self) -> float:
        """Bytes a second that TCP reaches with this loss and this round trip (Mathis and others, 1997)."""
        if not self.loss:
            return float("inf")
        return 1.22 * SEGMENT_BYTES / (2 * self.delay * math.sqrt(self.loss))

    def draw_delay(self, size: int, chance: random.Random) -> float:
        """Draw how long these bytes are on their way, with what is sent again."""
        delay = self.delay + abs(chance.gauss(0.0, self.jitter))
        segments = -(-size // SEGMENT_BYTES)
        losses = sum(chance.random() < self.loss for _ in range(segments))
        if losses:
            delay += max(SHORTEST_RESEND_SECONDS, 2 * self.delay) * losses
        return delay


class Relay:
    """Carries connections to a server over one link."""

    def __init__(self, link: Link, port: int, seed: int) -> None:
        self._link = link
        self._server_port = port
        self._chance = random.Random(seed)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either end closes it."""
        await asyncio.sleep(2 * self._link.delay)  # the handshake
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.close()
            return
        ways = (self._pump(reader, up_writer), self._pump(up_reader, writer))
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(*ways)
        for end in (writer, up_writer):
            end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read bytes as they come, and write them when they arrive; a late segment holds up all behind it."""
        loop = asyncio.get_running_loop()
        arrivals: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        writing = asyncio.create_task(_write_arrivals(arrivals, writer))
        free_at = last_arrival = loop.time()
        while (data := await reader.read(READ_BYTES)) and not writer.is_closing():
            for start in range(0, len(data), SEGMENT_BYTES):
                part = data[start : start + SEGMENT_BYTES]
                free_at = max(free_at, loop.time()) + len(part) / self._link.rate
                arrival = free_at + self._link.draw_delay(len(part), self._chance)
                last_arrival = max(last_arrival, arrival)
                arrivals.put_nowait((last_arrival, part))
            # The sender's window is one round trip long.
            await asyncio.sleep(max(0.0, free_at - loop.time() - 2 * self._link.delay))
        arrivals.put_nowait((last_arrival, b""))
        await writing


async def _write_arrivals(
    arrivals: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        arrival, data = await arrivals.get()
        await asyncio.sleep(max(0.0, arrival - loop.time()))
        if not data:
            with contextlib.suppress(OSError):
                writer.write_eof()
            return
        if writer.is_closing():
            continue  # the other end has gone: nobody is there for what is on its way
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            await writer.drain()


@contextlib.contextmanager
def relays(links: list[Link], port: int, seed: int = 1) -> Iterator[list[int]]:
    """Run a relay for each link, and give their ports."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    servers: list[asyncio.Server] = []

    async def start() -> list[int]:
        ports = []
        for number, link in enumerate(links):
            relay = Relay(link, port, seed + number)
            server = await asyncio.start_server(relay.carry, "127.0.0.1", 0)
            servers.append(server)
            ports.append(server.sockets[0].getsockname()[1])
        return ports

    async def stop() -> None:
        for server in servers:
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # closed connections go in the loop's next turn

    try:
        yield asyncio.run_coroutine_threadsafe(start(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
