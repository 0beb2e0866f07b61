"""`dawnlist collect` on one machine: its processes, from an event to the lake; and the demo shop beside it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dawnlist.explore.lake_sql import query_lake
from dawnlist.lake.lake import Lake
from tests.support.collecting import serving
from tests.support.servers import Predictor, free_port

EVENT = {"type": "view", "user": "u1", "item": "i1"}


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextlib.contextmanager
def collecting(home: Path, valkey: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """`dawnlist collect` with all of its parts, and its URL."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "dawnlist.pipelines.cli",
        "collect",
        "--redis",
        valkey,
        "--port",
        str(port),
    ]
    command += ["--lake", str(home / "lake"), "--namespace", "shop", "--land-seconds", "1"]
    process = subprocess.Popen(command)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: is_ready(url))
        yield url, process
    finally:
        process.terminate()
        process.wait(120)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def find_children(process_id: int) -> list[int]:
    text = Path(f"/proc/{process_id}/task/{process_id}/children").read_text()
    return [int(number) for number in text.split()]


def is_running(process_id: int) -> bool:
    status = Path(f"/proc/{process_id}/status")
    with contextlib.suppress(OSError):
        return "State:\tZ" not in status.read_text()
    return False


def test_an_event_comes_to_the_lake_and_the_parts_end_together(valkey: str, tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    with collecting(tmp_path, valkey) as (url, process):
        children = find_children(process.pid)
        assert len(children) == 2
        answer = httpx.post(f"{url}/v1/events", json={"events": [EVENT]}).json()
        wait_until(lambda: lake.rows("events") is not None)
        rows = query_lake(lake, "SELECT event_id, item_id FROM events").to_pylist()
        assert rows == [{"event_id": answer["events"][0]["id"], "item_id": "i1"}]
        # What comes at the last moment is landed at the end.
        httpx.post(f"{url}/v1/events", json={"events": [EVENT]})
        command = [
            sys.executable,
            "-m",
            "dawnlist.pipelines.cli",
            "events",
            "lag",
            "--redis",
            valkey,
        ]
        done = subprocess.run(
            [*command, "--namespace", "shop", "--format", "json"], capture_output=True, check=True
        )
        assert [lag["stream"] for lag in json.loads(done.stdout)] == [
            "accepted",
            "enriched",
            "shown",
            "dead",
        ]
    assert not any(map(is_running, children))


def test_the_parts_end_also_when_the_collector_is_killed(valkey: str, tmp_path: Path) -> None:
    with collecting(tmp_path, valkey) as (_, process):
        children = find_children(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(lambda: not any(map(is_running, children)))


def test_the_demo_shop_shows_the_predictors_answer(served: Predictor) -> None:
    from dawnlist.serving.demo_shop.server import build_demo_shop

    with serving(build_demo_shop(served.url, "http://collector.example/", 'pk"<', "")) as client:
        page = client.get("/").text
        assert 'from "http://collector.example/v1/client.js"' in page and "pk&quot;&lt;" in page
        answer = client.get("/shelf", params={"user": "ann"}).json()
    asked = httpx.get(f"{served.url}/v1/recommendations/ann?k=12&explain=true", timeout=60).json()
    assert answer["items"] == asked["items"] and answer["items"]


def test_the_demo_shop_says_that_the_predictor_is_away() -> None:
    from dawnlist.serving.demo_shop.server import build_demo_shop

    with serving(
        build_demo_shop(f"http://127.0.0.1:{free_port()}", "http://c.example", "", "")
    ) as client:
        answer = client.get("/shelf", params={"user": "ann"})
    assert answer.status_code == 502 and "does not answer" in answer.json()["error"]


@pytest.mark.parametrize("store", ["redis+cluster://127.0.0.1:6379/0"])
def test_a_cluster_is_refused_in_one_line(store: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "dawnlist.pipelines.cli",
        "collect",
        "--role",
        "http",
        "--redis",
        store,
    ]
    done = subprocess.run(
        [*command, "--home", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "is a cluster: the collector needs a single server" in done.stderr.splitlines()[-1]
