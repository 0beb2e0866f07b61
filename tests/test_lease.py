"""Leases, between real processes."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import hold_lease

HOLD = """
import sys
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import hold_lease
lake = Lake.open(sys.argv[1], "shop")
with hold_lease(lake, "compact", sys.argv[2], wait=20, ttl=float(sys.argv[3])) as held:
    print("held", flush=True)
    for line in sys.stdin:
        try:
            held.check()
            print("mine", flush=True)
        except RuntimeError as error:
            print(error, flush=True)
print("freed", flush=True)
"""


@contextlib.contextmanager
def holder(root: Path, run: str, ttl: float = 60) -> Iterator[subprocess.Popen[str]]:
    """A process that waits for the lease, then holds it until its input is closed, and checks it for each line."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(root), run, str(ttl)], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().rstrip()


def ask(process: subprocess.Popen[str]) -> str:
    assert process.stdin
    process.stdin.write("?\n")
    process.stdin.flush()
    return line(process)


def stop(process: subprocess.Popen[str], root: Path) -> None:
    """Let it stand still, but not as it renews its lease: it would keep the folder's lock, which all wait for."""
    with (root / "shop/.staging/lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process.send_signal(signal.SIGSTOP)
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.01)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path), "shop")


def test_one_after_the_other(lake: Lake) -> None:
    for run in ("one", "two"):
        with hold_lease(lake, "compact", run, wait=0) as held:
            held.check()
            assert lake.read_json("leases", "compact.json")["run"] == run
    assert "released" in lake.read_json("leases", "compact.json")


def test_the_loser_says_who_holds_it_and_gives_up(lake: Lake) -> None:
    said: list[str] = []
    with hold_lease(lake, "compact", "first"), hold_lease(lake, "expire", "other"):
        since = lake.read_json("leases", "compact.json")["since"]
        with (
            pytest.raises(
                TimeoutError, match=r"and was not free within 0\.2 s: let that run end"
            ) as caught,
            hold_lease(lake, "compact", "second", wait=0.2, on_wait=said.append, ttl=0.5),
        ):
            raise AssertionError
    told = f"the lease 'compact' of {lake.uri} is held by run first on {os.uname().nodename} (process {os.getpid()})"
    assert said == [f"{told} since {since}: waiting up to 0.2 s"]
    assert str(caught.value).startswith(f"{told} since {since}") and "\n" not in str(caught.value)


def test_two_processes_contend(lake: Lake, tmp_path: Path) -> None:
    """Four processes add one to a number, 10 times each, that no precondition guards."""
    add = """
import sys, time
from dawnlist.lake.lake import Lake
from dawnlist.lake.lease import hold_lease
lake = Lake.open(sys.argv[1], "shop")
for _ in range(10):
    with hold_lease(lake, "count", sys.argv[2]):
        n = lake.read_json("n.json")
        time.sleep(0.01)
        lake.write_json(n + 1, "n.json")
"""
    lake.write_json(0, "n.json")
    processes = [
        subprocess.Popen([sys.executable, "-c", add, str(tmp_path), str(n)]) for n in range(4)
    ]
    assert [process.wait(300) for process in processes] == [0] * 4
    assert lake.read_json("n.json") == 40


def test_a_holder_that_was_killed_is_followed_at_once(lake: Lake, tmp_path: Path) -> None:
    with holder(tmp_path, "killed") as first:
        assert line(first) == "held"
        first.kill()  # not waited for: a process that nobody has buried yet is dead, too
        with hold_lease(lake, "compact", "next", wait=50):
            pass  # before its 60 s are over, or there is an error after 50


def test_a_killed_holder_elsewhere_is_followed_when_its_time_is_up(
    lake: Lake, tmp_path: Path
) -> None:
    with holder(tmp_path, "killed", ttl=1.5) as first:
        assert line(first) == "held"
        first.kill()
        first.wait()
        left = lake.read_json("leases", "compact.json") | {"machine": "another"}
        later = format_iso(
            datetime.now(UTC) + timedelta(minutes=9)
        )  # or a busy machine asks when the time is up
        lake.write_json(left | {"expires": later}, "leases", "compact.json")
        with pytest.raises(TimeoutError), hold_lease(lake, "compact", "next", wait=0):
            pass
        lake.write_json(left, "leases", "compact.json")
        with hold_lease(lake, "compact", "next", wait=60) as held:
            held.check()


def test_a_lease_lasts_as_long_as_it_is_renewed(lake: Lake) -> None:
    with hold_lease(
        lake, "compact", "long", ttl=3
    ) as held:  # a busy machine may renew it seconds late
        time.sleep(3.2)
        with pytest.raises(TimeoutError), hold_lease(lake, "compact", "next", wait=0):
            pass
        held.check()


def test_a_holder_that_stood_still_learns_that_it_lost(lake: Lake, tmp_path: Path) -> None:
    with holder(tmp_path, "paused", ttl=0.6) as first:
        assert (line(first), ask(first)) == ("held", "mine")
        stop(first, tmp_path)
        with hold_lease(lake, "compact", "next", wait=60):
            first.send_signal(signal.SIGCONT)
            assert ask(first).startswith(
                f"run paused lost the lease 'compact' of {lake.uri}, which it could not renew"
            )
            first.communicate()
            assert (
                lake.read_json("leases", "compact.json")["run"] == "next"
            )  # which its end left alone


def test_a_holder_that_stood_still_goes_on_when_nobody_came(lake: Lake, tmp_path: Path) -> None:
    with holder(tmp_path, "paused", ttl=0.6) as first:
        assert line(first) == "held"
        stop(first, tmp_path)
        time.sleep(1)
        first.send_signal(signal.SIGCONT)
        assert ask(first) == "mine"


def test_the_record_holds_no_more_than_it_says(lake: Lake) -> None:
    with hold_lease(lake, "compact", "run-1"):
        record = json.loads(lake.read("leases", "compact.json") or b"")
        assert set(record) == {
            "owner",
            "run",
            "host",
            "machine",
            "pid",
            "started",
            "since",
            "expires",
        }
