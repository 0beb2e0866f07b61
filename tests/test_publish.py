"""The publish step: from a directory to the active version, also when it is killed on the way."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components import store
from components.publish.publication import publish
from tests.test_store import ANN_AND_BOB

PUBLISH = """
import sys
from pathlib import Path
from components import store
from components.publish.publication import publish
store.KEYS_A_CALL = 10
publish(Path(sys.argv[1]), sys.argv[2], "shop", "run-2", "2026-03-02T03:00:00Z")
"""


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """The lists of 200,000 users: writing them ten at a time takes seconds."""
    n = 200_000
    many = replace(
        ANN_AND_BOB,
        user_ids=np.array([f"u{i}" for i in range(n)], dtype=object),
        item_index=np.tile(np.array([[2, 0]], dtype=np.uint32), (n, 1)),
        score=np.tile(np.array([[0.5, 0.25]], dtype=np.float32), (n, 1)),
        lengths=np.full(n, 2),
    )
    many.save(tmp_path / "many")
    return tmp_path / "many"


def test_a_publisher_that_is_killed_leaves_the_active_version_and_the_next_one_succeeds(
    valkey: str, lists: Path, tmp_path: Path
) -> None:
    ANN_AND_BOB.save(tmp_path / "lists")
    publish(tmp_path / "lists", valkey, "shop", "run-1", "2026-03-01T03:00:00Z")
    with store.connect(valkey) as client:
        size = client.dbsize()
        with subprocess.Popen([sys.executable, "-c", PUBLISH, lists, valkey]) as publisher:
            while client.dbsize() < size + 1_000:
                time.sleep(0.01)
            publisher.send_signal(signal.SIGKILL)
        assert publisher.returncode == -signal.SIGKILL
        half = client.dbsize()
        assert size + 1_000 <= half < size + 200_000
        assert [version["version"] for version in store.versions(client, "shop")] == [1]
        assert (store.active(client, "shop") or {})["run"] == "run-1"

        report = publish(lists, valkey, "shop", "run-2", "2026-03-02T03:00:00Z")
        assert (report["version"], report["users"], report["previous"]) == (3, 200_000, 1)
        assert list(client.scan_iter(match="dawnlist:shop:v:2:*", count=10_000)) == []
        assert not client.exists("dawnlist:shop:building")


def test_another_run_clears_away_what_can_never_be_published(valkey: str, tmp_path: Path) -> None:
    ANN_AND_BOB.save(tmp_path)
    with store.connect(valkey) as client:
        client.hset("dawnlist:shop:building", "1", '{"run": "dead", "as_of": "2026-02-01T00:00:00Z"}')
        client.set("dawnlist:shop:v:1:u:ann", b"half")
        client.set("dawnlist:shop:counter", 1)
        publish(tmp_path, valkey, "shop", "run-1", "2026-03-01T03:00:00Z")
        assert publish(tmp_path, valkey, "shop", "run-2", "2026-03-02T03:00:00Z")["version"] == 3
        assert not client.exists("dawnlist:shop:v:1:u:ann", "dawnlist:shop:building")


def test_a_full_store_is_one_clear_line_and_the_active_version_stays(valkey: str, tmp_path: Path) -> None:
    ANN_AND_BOB.save(tmp_path)
    publish(tmp_path, valkey, "shop", "run-1", "2026-03-01T03:00:00Z")
    with store.connect(valkey) as client:
        client.config_set("maxmemory", "1mb")
        try:
            with pytest.raises(
                ConnectionError, match=r"publishing 3 lists to redis://.* failed: .*the active version is"
            ):
                publish(tmp_path, valkey, "shop", "run-2", "2026-03-02T03:00:00Z")
        finally:
            client.config_set("maxmemory", "0")
        assert (store.active(client, "shop") or {})["run"] == "run-1"


def test_a_bad_as_of_or_directory_is_refused_before_anything_is_written(valkey: str, tmp_path: Path) -> None:
    ANN_AND_BOB.save(tmp_path)
    with pytest.raises(ValueError, match="was never replaced"):
        publish(tmp_path, valkey, "shop", "r", "[[ScheduledTime]]")
    with pytest.raises(ValueError, match="keep = 0"):
        publish(tmp_path, valkey, "shop", "r", "2026-03-01T03:00:00Z", keep=0)
    with pytest.raises(FileNotFoundError):
        publish(tmp_path / "nowhere", valkey, "shop", "r", "2026-03-01T03:00:00Z")
    with store.connect(valkey) as client:
        assert client.dbsize() == 0
