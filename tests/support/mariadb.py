"""A real MariaDB for the tests, where its server is installed."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pymysql

from tests.support.servers import free_port, listens, running


def installed() -> bool:
    return bool(shutil.which("mariadbd") and shutil.which("mariadb-install-db"))


@contextlib.contextmanager
def mariadb(home: Path) -> Iterator[int]:
    """Start a server whose data lies in `home`; its port. Its user `shop` has the password `s3cret`."""
    user = ["--user=root"]
    data, place = f"--datadir={home / 'data'}", home / "socket"
    root = "--auth-root-authentication-method=normal"
    setup = ["mariadb-install-db", "--no-defaults", data, "--skip-test-db", root, *user]
    subprocess.run(setup, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    port = free_port()
    small = [
        "--innodb-buffer-pool-size=32M",
        "--innodb-flush-log-at-trx-commit=0",
        "--skip-log-bin",
    ]
    words = [
        "mariadbd",
        "--no-defaults",
        data,
        *user,
        f"--port={port}",
        "--bind-address=127.0.0.1",
        f"--socket={place}",
    ]
    with running([*words, f"--pid-file={home / 'pid'}", *small], lambda: listens(port)):
        _set_up(port)
        yield port


def _set_up(port: int) -> None:
    connection = pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop")
        cursor.execute("CREATE USER shop@'%' IDENTIFIED BY 's3cret'")
        cursor.execute("GRANT ALL ON shop.* TO shop@'%'")
        cursor.execute("GRANT ALL ON theirs.* TO shop@'%'")
