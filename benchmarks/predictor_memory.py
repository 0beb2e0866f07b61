"""How the predictor's memory grows with the catalogue, also while it takes a new version: what its limit has to hold.

python benchmarks/predictor_memory.py --items 10000,100000,500000      (needs the extra local)

Vectors of 64, random; requests with fold-ins go on while the second version is loaded. The users' lists are in the
store, so that their number does not matter.
"""

import argparse
import re
import sys
import tempfile
import threading
from pathlib import Path

import httpx
import numpy as np
from clicks import markdown
from predictor import process, ready, shop

from dawnlist.cuts import parse_as_of
from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.store import versions
from dawnlist.store.client import connect_store

USERS = 2_000
PORT = 18_095
URL = f"http://127.0.0.1:{PORT}"


def memory(pid: int, field: str) -> float:
    """MB; VmRSS is what is held, VmHWM the most that ever was."""
    return int(re.findall(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) / 1e3


def ask(stopped: threading.Event) -> None:
    """One caller, each request another user with two recent items."""
    with httpx.Client() as client:
        for user in range(10**9):
            if stopped.is_set():
                return
            client.get(
                f"{URL}/v1/recommendations/user-{user % USERS}?recent=item-1&recent=item-{user % 99}"
            )


def version() -> str:
    return str(
        re.findall(
            r"^dawnlist_version\{.*\} (\S+)$", httpx.get(f"{URL}/metrics").text, re.MULTILINE
        )[0]
    )


def measured(items: int) -> tuple[float, float]:
    """MB with one version, and the most until the second one had taken its place."""
    with (
        tempfile.TemporaryDirectory() as home,
        run_embedded_valkey(Path(home)) as redis,
        connect_store(redis) as client,
    ):
        versions.publish_version(
            client, "shop", shop(USERS, items), "run-1", parse_as_of("2026-01-01T03:00:00Z")
        )
        words = [
            str(Path(sys.executable).parent / "dawnlist"),
            "serve",
            "--redis",
            redis,
            "--namespace",
            "shop",
        ]
        words += ["--port", str(PORT), "--grpc-port", str(PORT + 1)]
        with process(words, f"{URL}/v2/models/dawnlist/ready") as pid:
            stopped = threading.Event()
            callers = [threading.Thread(target=ask, args=[stopped]) for _ in range(4)]
            for caller in callers:
                caller.start()
            stopped.wait(5)
            held = memory(pid, "VmRSS")
            versions.publish_version(
                client, "shop", shop(USERS, items), "run-2", parse_as_of("2026-01-02T03:00:00Z")
            )
            while version() != "2.0" or not ready(f"{URL}/v2/models/dawnlist/ready"):
                stopped.wait(0.2)
            stopped.wait(5)
            stopped.set()
            for caller in callers:
                caller.join()
            return held, memory(pid, "VmHWM")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", default="10000,100000,500000")
    sizes = [int(text) for text in parser.parse_args().items.split(",")]
    runs = [measured(items) for items in sizes]
    markdown([
        {"items": f"{items:,}", "one version, MB": round(held), "most, MB": round(most)}
        for items, (held, most) in zip(sizes, runs, strict=True)
    ])  # fmt: skip
    slope, start = np.polyfit(sizes, [most for _, most in runs], 1)
    print(f"\nmost: {start:.0f} MB and {slope * 1e3:.2f} kB for each item")


if __name__ == "__main__":
    main()
