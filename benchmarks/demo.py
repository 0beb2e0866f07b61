"""The demo: a year of a shop's clicks become 20 titles that a KServe predictor answers with (`make demo`).

Runs the commands a user would type, on embedded parts below .dawnlist/demo, and prints the seconds each took.
"""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import httpx

HOME = Path(".dawnlist/demo")
SHOP = HOME / "shop.db"
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


def ask_predictor(user: str) -> None:
    """Start `dawnlist serve`, ask it as a client would, and stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    print(f"\n$ dawnlist serve --port {port} --home {HOME} &", flush=True)
    with (HOME / "serve.log").open("w") as log:
        words = [*DAWNLIST, "serve", "--port", str(port), "--home", str(HOME)]
        server = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}", server)
        command("recommend", user, "--predictor", f"http://127.0.0.1:{port}")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)


def wait_until_ready(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Until the model answers that it is ready, a minute at most."""
    for _ in range(240):
        if server.poll() is not None:
            sys.exit(f"the predictor ended: see {HOME / 'serve.log'}")
        try:
            if httpx.get(f"{url}/v2/models/dawnlist/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.25)
    sys.exit(f"the predictor was not ready within a minute: see {HOME / 'serve.log'}")


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
