"""Leases: one run at a time does what two had better not do at once, such as to compact a table.

`leases/{name}.json` says who holds the lease and when it ends. The holder renews it. The lease of a
killed holder ends by itself, or at once when the killed process ran on this machine.

A lease saves work and waiting, and data depends on it in one case alone, since clocks differ and a
paused process does not know that it was paused. What must not happen twice is refused by Delta's own
check for conflicts and by the preconditions of objects. The exception is two compactions of one
table: delta-rs (1.6) commits both, and each row is there twice. HOUSEKEEPING_LEASE keeps them apart.
"""

import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dawnlist.cuts import format_iso
from dawnlist.lake.damaged_objects import JsonTypes, parse_json_object
from dawnlist.lake.lake import Lake
from dawnlist.lake.objects import ABSENT_REVISION, Revision

LeaseRecord = dict[str, Any]
"""The JSON of a lease: owner, run, host, machine, pid, started, since, expires; maybe released."""

TABLES_LEASE = "tables"
"""The lease of a run that commits to the lake's tables."""
BACKFILL_LEASE = "backfill"
"""The lease of a run that fills gaps, or drops days that a backfill may be filling."""
HOUSEKEEPING_LEASE = "housekeeping"
"""The lease of a run that compacts tables or drops what is old."""
LEASE_TTL_SECONDS = 60.0
"""How many seconds a lease lasts after it was last renewed."""
_POLL_SECONDS = 0.25
_RECORD_TYPES: JsonTypes = {"owner": str, "expires": str, "pid": int, "machine": str}


@contextmanager
def hold_lease(
    lake: Lake,
    name: str,
    run: str,
    wait: float = 600.0,
    on_wait: Callable[[str], None] | None = None,
    ttl: float = LEASE_TTL_SECONDS,
) -> "Iterator[Lease]":
    """Hold the lease `name` while the block runs.

    Args:
        lake: The lake that the lease is about.
        name: The name of the lease.
        run: The run that holds it, for people.
        wait: How many seconds to wait while somebody else holds the lease.
        on_wait: Called with a sentence: once about the holder when there is a wait, and once when
            the lease's object is not one that Dawnlist wrote. Nobody holds such a lease.
        ttl: How many seconds the lease lasts if this process is killed.

    Raises:
        TimeoutError: The lease was not free in time. The message names the holder.
    """
    record = {"owner": secrets.token_hex(8), "run": run, **_describe_process(os.getpid())}
    lease = Lease(lake, name, ttl, record)
    lease.acquire(wait, on_wait)
    renewing = threading.Thread(target=lease.renew_until_ended, daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        lease.ended.set()
        renewing.join()
        lease.release()


@dataclass
class Lease:
    """A lease that this process holds, until `check` says otherwise."""

    lake: Lake
    """The lake that the lease is about."""
    name: str
    """The name of the lease."""
    ttl: float
    """How many seconds the lease lasts after it was last renewed."""
    record: LeaseRecord
    """The record of this holder, as it was last written."""
    damage: str = ""
    """What was wrong with the record that was read last, if Dawnlist did not write it."""
    ended: threading.Event = field(default_factory=threading.Event)
    """Set when the holder doesn't need the lease any more."""
    _revision: Revision = ABSENT_REVISION
    """The revision of the record in the lake; absent unless this process holds the lease."""
    _write_lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """Check that the lease is still held, and renew it if it has expired.

        Raises:
            RuntimeError: The lease was lost, since this process was paused, or could not reach the
                lake, for too long.
        """
        if _is_expired(self.record):
            self._renew()
        if not self._revision:
            raise RuntimeError(
                f"run {self.record['run']} lost the lease {self.name!r} of {self.lake.uri}, "
                f"which it could not renew for {self.ttl:g} s: another run may be at it, "
                "so this one stops; run it again"
            )

    def acquire(self, wait: float, on_wait: Callable[[str], None] | None) -> None:
        """Wait until the lease is free and take it; see `hold_lease` for arguments and errors."""
        deadline = time.monotonic() + wait
        holder = self._try_to_acquire()
        if self.damage and on_wait:
            on_wait(self.damage)
        while holder is not None:
            seconds_left = deadline - time.monotonic()
            if seconds_left <= 0:
                raise TimeoutError(
                    f"{self._describe_holder(holder)}, and was not free within {wait:g} s: "
                    "let that run end and run this again; "
                    f"if it was killed, its lease ends by itself within {self.ttl:g} s"
                )
            if on_wait:
                on_wait(f"{self._describe_holder(holder)}: waiting up to {wait:g} s")
                on_wait = None
            time.sleep(min(seconds_left, _POLL_SECONDS))
            holder = self._try_to_acquire()

    def renew_until_ended(self) -> None:
        """Renew the lease again and again, until `ended` is set or the lease is lost."""
        while not self.ended.wait(self.ttl / 4) and self._revision:
            # when the lake can't be reached the next renewal may succeed, or `check` raises
            with suppress(OSError):
                self._renew()

    def release(self) -> None:
        """Free the lease, unless somebody else has it by now.

        A record is written that says so: an object can't be deleted under a precondition.
        """
        if not self._revision:
            return
        released = {**self.record, "released": format_iso(datetime.now(UTC))}
        # when it can't be written, the lease ends by itself
        with suppress(OSError):
            self.lake.replace(json.dumps(released).encode(), self._revision, *self._path)

    @property
    def _path(self) -> tuple[str, str]:
        return "leases", f"{self.name}.json"

    def _try_to_acquire(self) -> LeaseRecord | None:
        """Take the lease if it is free; returns the record of its holder if it is not."""
        holder, revision = self._read()
        if _is_held(holder):
            return holder
        return self._write(revision, format_iso(datetime.now(UTC)))

    def _renew(self) -> None:
        with self._write_lock:
            if self._revision:
                self._write(self._revision, self.record["since"])

    def _write(self, expected: Revision, since: str) -> LeaseRecord | None:
        """Write this holder's record over the one of the expected revision.

        Returns the record of the holder if that is somebody else.
        """
        expires = datetime.now(UTC) + timedelta(seconds=self.ttl)
        record = {**self.record, "since": since, "expires": format_iso(expires)}
        self.lake.replace(json.dumps(record).encode(), expected, *self._path)
        # the answer of the write says nothing: it may be lost, and a repeated write then fails
        holder, revision = self._read()
        if holder.get("owner") != self.record["owner"]:
            self._revision = ABSENT_REVISION
            return holder
        self.record, self._revision = holder, revision
        return None

    def _read(self) -> tuple[LeaseRecord, Revision]:
        stored = self.lake.read_with_revision(*self._path)
        if stored is None:
            return {}, ABSENT_REVISION
        data, revision = stored
        path = "/".join(self._path)
        try:
            record = parse_json_object(self.lake.uri, path, data, _RECORD_TYPES)
            datetime.fromisoformat(record["expires"]).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            self.damage = f"{error}; it is replaced"
            return {}, revision
        return record, revision

    def _describe_holder(self, holder: LeaseRecord) -> str:
        return (
            f"the lease {self.name!r} of {self.lake.uri} is held by run {holder.get('run')} "
            f"on {holder.get('host')} (process {holder.get('pid')}) since {holder.get('since')}"
        )


def _is_held(record: LeaseRecord) -> bool:
    """Say whether a record's lease is held: not released, not expired, and its process is alive.

    Only a process of this machine can be seen; any other is taken for alive.
    """
    if not record or "released" in record or _is_expired(record):
        return False
    process = _describe_process(record["pid"])
    if not process["machine"] or process["machine"] != record["machine"]:
        return True
    return bool(process["started"] == record.get("started"))


def _is_expired(record: LeaseRecord) -> bool:
    return datetime.fromisoformat(record["expires"]).astimezone(UTC) <= datetime.now(UTC)


def _describe_process(pid: int) -> LeaseRecord:
    """Describe a process of this machine, so that a later one with the same number differs.

    `started` is None when there is no such process. `machine` is empty where there is no Linux, and
    a lease then ends by its time alone. Two containers of one node share the boot id and have
    process numbers of their own, so their machines differ.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        machine = f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        machine = ""
    return {
        "host": platform.node(),
        "machine": machine,
        "pid": pid,
        "started": _read_start_tick(pid),
    }


def _read_start_tick(pid: int) -> str | None:
    """Read the clock tick at which a process began; None when it has ended, or is a zombie."""
    try:
        # the fields after the program's name, which may itself hold blanks and parentheses
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, start_tick = fields[0], fields[19]
    return None if state in "ZX" else start_tick
