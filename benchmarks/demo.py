"""The demo: a year of a shop's clicks become 20 titles that a KServe predictor answers with, and a click changes the
next answer (`make demo`).

Runs the commands a user would type, on embedded parts below .dawnlist/demo, and prints the seconds each took.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx

HOME = Path(".dawnlist/demo")
SHOP = HOME / "shop.db"
VISITOR = "a-new-visitor"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"
ANSWER_SECONDS = 60.0
DAWNLIST = [str(Path(sys.executable).parent / "dawnlist")]


def command(*words: str) -> float:
    """Run a dawnlist command, shown as a user would type it; the seconds it took."""
    print(f"\n$ dawnlist {' '.join(words)}", flush=True)
    clock = time.perf_counter()
    done = subprocess.run([*DAWNLIST, *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return time.perf_counter() - clock


def a_customer() -> str:
    """Someone who came on the last day: the first customer among the newest clean rows."""
    with closing(sqlite3.connect(SHOP)) as connection, connection:
        query = (
            "SELECT i.user_id FROM interactions i JOIN users u USING (user_id) WHERE u.role = 'customer' "
            "AND i.event = 'purchase' ORDER BY i.received_at DESC LIMIT 1"
        )
        return str(connection.execute(query).fetchone()[0])


@contextlib.contextmanager
def background(name: str, ready: str, *words: str, takes_home: bool = True) -> Iterator[str]:
    """Run a server of dawnlist on a free port until its address `ready` answers; yield its URL, then stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if takes_home:
        words = (*words, "--home", str(HOME))
    print(f"\n$ dawnlist {name} --port {port} {' '.join(words)} &", flush=True)
    with (HOME / f"{name}.log").open("w") as log:
        command_line = [*DAWNLIST, name, "--port", str(port), *words]
        server = subprocess.Popen(command_line, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(f"{url}{ready}", server, name)
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


def wait_until_ready(address: str, server: "subprocess.Popen[bytes]", name: str) -> None:
    """Wait until a server is ready, a minute at most."""
    for _ in range(240):
        if server.poll() is not None:
            sys.exit(f"dawnlist {name} ended: see {HOME / f'{name}.log'}")
        try:
            if httpx.get(address).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.25)
    sys.exit(f"dawnlist {name} was not ready within a minute: see {HOME / f'{name}.log'}")


def click(collector: str, predictor: str) -> None:
    """Let a visitor without a history look at an item, and wait until the answer is another one."""
    address = f"{predictor}/v1/recommendations/{VISITOR}"
    before = httpx.get(address).json()["items"]
    event = {"type": "view", "user": VISITOR, "item": before[0]["item_id"]}
    body = json.dumps({"events": [event]})
    print(f"\n$ curl {collector}/v1/events -d '{body}'", flush=True)
    clock = time.perf_counter()
    headers = {"user-agent": BROWSER}
    print(httpx.post(f"{collector}/v1/events", content=body, headers=headers).text)
    while httpx.get(address).json()["items"] == before:
        if time.perf_counter() - clock > ANSWER_SECONDS:
            sys.exit("the click changed no answer")
        time.sleep(0.02)
    print(
        f"the answer is another one {time.perf_counter() - clock:.2f} s after the click", flush=True
    )


def ask_predictor(user: str) -> None:
    """Ask a predictor as a client would; then let a click change its next answer."""
    serve = background("serve", "/v2/models/dawnlist/ready", "--log-answers")
    with serve as predictor, background("collect", "/readyz") as collector:
        command("recommend", user, "--predictor", predictor)
        command("recommend", VISITOR, "-k", "5", "--predictor", predictor)
        click(collector, predictor)
        command("recommend", VISITOR, "-k", "5", "--predictor", predictor)


def main() -> None:
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    source = f"sqlite:///{SHOP}"
    simulated = command("simulate", "--out", source)
    ran = command(
        "run", "--local", "--source", source, "--as-of", "2026-01-01T00:00:00Z", "--home", str(HOME)
    )
    ask_predictor(a_customer())
    set_up = os.environ.get("DAWNLIST_SETUP_SECONDS")
    if set_up:
        print(f"\nset-up     {int(set_up):6d} s   environment and packages")
    print(
        f"simulation {simulated:6.0f} s   the shop's database\nrun        {ran:6.0f} s   the whole pipeline"
    )


if __name__ == "__main__":
    main()
