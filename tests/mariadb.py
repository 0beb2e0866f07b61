"""A real MariaDB for the tests, where its server is installed."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql


def installed() -> bool:
    return bool(shutil.which("mariadbd") and shutil.which("mariadb-install-db"))


@contextlib.contextmanager
def mariadb(home: Path) -> Iterator[int]:
    """Start a server whose data lies in `home`; its port. Its user `shop` has the password `s3cret`."""
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    user = ["--user=root"]
    data, place = f"--datadir={home / 'data'}", home / "socket"
    setup = ["mariadb-install-db", "--no-defaults", data, "--skip-test-db", *user]
    subprocess.run([*setup, "--auth-root-authentication-method=normal"], check=True, **quiet)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    small = ["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"]
    words = [
        "mariadbd",
        "--no-defaults",
        data,
        *user,
        f"--port={port}",
        "--bind-address=127.0.0.1",
        f"--socket={place}",
    ]
    server = subprocess.Popen([*words, f"--pid-file={home / 'pid'}", *small], **quiet)
    try:
        _set_up(port, server)
        yield port
    finally:
        server.terminate()
        server.wait(30)


def _set_up(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            connection = pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True)
            break
        except pymysql.err.OperationalError:
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop")
        cursor.execute("CREATE USER shop@'%' IDENTIFIED BY 's3cret'")
        cursor.execute("GRANT ALL ON shop.* TO shop@'%'")
