"""Leases: one run at a time does what two had better not do at once, such as to compact a table or to fill its gaps.

`leases/{name}.json` names its holder and when it ends. The holder renews it; what a killed one leaves ends by itself,
or at once when that process ran on this very machine. A lease saves work and waiting. No data depends on it: clocks
differ and a paused process does not know that it was paused, so what may not happen twice is refused by Delta's own
check for conflicts and by the preconditions of objects.
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
from dawnlist.lake.lake import Lake
from dawnlist.lake.objects import ABSENT_REVISION, Revision

LeaseRecord = dict[str, Any]

TABLES_LEASE = "tables"
"""The lease of whoever commits to the lake's tables."""
BACKFILL_LEASE = "backfill"
"""The lease of whoever fills gaps, or drops days that one may be filling."""
LEASE_TTL_SECONDS = 60.0
"""Seconds that a lease lasts after it was last renewed."""


@contextmanager
def hold_lease(
    lake: Lake,
    name: str,
    run: str,
    wait: float = 600.0,
    on_wait: Callable[[str], None] | None = None,
    ttl: float = LEASE_TTL_SECONDS,
) -> "Iterator[Lease]":
    """Hold `name` while the block runs; wait up to `wait` seconds for another holder, of whom `on_wait` is told once.

    TimeoutError, with the holder, when it was not free by then.
    """
    held = Lease(
        lake,
        name,
        ttl,
        {"owner": secrets.token_hex(8), "run": run, **_describe_process(os.getpid())},
    )
    held.acquire(wait, on_wait)
    renewing = threading.Thread(target=held.keep, daemon=True)
    renewing.start()
    try:
        yield held
    finally:
        held.ended.set()
        renewing.join()
        held.release()


@dataclass
class Lease:
    """A lease that is held, until `check` says otherwise."""

    lake: Lake
    name: str
    ttl: float
    me: LeaseRecord
    ended: threading.Event = field(default_factory=threading.Event)
    _mark: Revision = ABSENT_REVISION
    """Of the record as this holder wrote it; ABSENT when it has not got the lease, or no more."""
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """RuntimeError when the lease was lost: this process stood still, or the lake was away, for too long."""
        if _is_expired(self.me):
            self._renew()
        if not self._mark:
            raise RuntimeError(
                f"run {self.me['run']} lost the lease {self.name!r} of {self.lake.uri}, which it could not renew for "
                f"{self.ttl:g} s: another run may be at it, so this one stops; run it again"
            )

    def acquire(self, wait: float, on_wait: Callable[[str], None] | None) -> None:
        """Become the holder, or raise TimeoutError; see lease."""
        deadline = time.monotonic() + wait
        while (holder := self._take()) is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(
                    f"{self._said(holder)}, and was not free within {wait:g} s: let that run end and run this again; "
                    f"if it was killed, its lease ends by itself within {self.ttl:g} s"
                )
            if on_wait:
                on_wait(f"{self._said(holder)}: waiting up to {wait:g} s")
                on_wait = None
            time.sleep(min(left, 0.25))

    def keep(self) -> None:
        """Renew until the end."""
        while not self.ended.wait(self.ttl / 4) and self._mark:
            with suppress(OSError):  # the lake is away: the next time will do, or check tells
                self._renew()

    def release(self) -> None:
        """Free it unless another has it by now; by a record, since a deletion takes no precondition."""
        if self._mark:
            freed = {**self.me, "released": format_iso(datetime.now(UTC))}
            with suppress(OSError):  # it ends by itself
                self.lake.replace(json.dumps(freed).encode(), self._mark, *self._place)

    @property
    def _place(self) -> tuple[str, str]:
        return "leases", f"{self.name}.json"

    def _take(self) -> LeaseRecord | None:
        """Try to become the holder; returns who is it instead."""
        holder, mark = self._read()
        if _is_live(holder):
            return holder
        return self._write(mark, format_iso(datetime.now(UTC)))

    def _renew(self) -> None:
        with self._turn:
            if self._mark:
                self._write(self._mark, self.me["since"])

    def _write(self, mark: Revision, since: str) -> LeaseRecord | None:
        """Write the record in place of the one of that mark; returns who is the holder instead."""
        mine = {
            **self.me,
            "since": since,
            "expires": format_iso(datetime.now(UTC) + timedelta(seconds=self.ttl)),
        }
        self.lake.replace(json.dumps(mine).encode(), mark, *self._place)
        holder, mark = (
            self._read()
        )  # what counts is what lies there: an answer may get lost, and tried again be a no
        if holder.get("owner") != self.me["owner"]:
            self._mark = ABSENT_REVISION
            return holder
        self.me, self._mark = holder, mark
        return None

    def _read(self) -> tuple[LeaseRecord, Revision]:
        found = self.lake.read_with_revision(*self._place)
        return (json.loads(found[0]), found[1]) if found else ({}, ABSENT_REVISION)

    def _said(self, holder: LeaseRecord) -> str:
        return (
            f"the lease {self.name!r} of {self.lake.uri} is held by run {holder.get('run')} on {holder.get('host')} "
            f"(process {holder.get('pid')}) since {holder.get('since')}"
        )


def _is_live(holder: LeaseRecord) -> bool:
    """Whether the lease is still its holder's: neither released nor expired, and the process, if it is ours to see."""
    if not holder or "released" in holder or _is_expired(holder):
        return False
    here = _describe_process(holder["pid"])
    return (
        not here["machine"]
        or here["machine"] != holder["machine"]
        or here["started"] == holder["started"]
    )


def _is_expired(holder: LeaseRecord) -> bool:
    return datetime.fromisoformat(holder["expires"]) <= datetime.now(UTC)


def _describe_process(pid: int) -> LeaseRecord:
    """A process of this machine, told apart from later ones of the same number; `started` is None when it is gone.

    Two containers of one node have one boot and numbers of their own: their machines are not the same.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        machine = f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux: a lease ends by its time alone
        machine = ""
    return {
        "host": platform.node(),
        "machine": machine,
        "pid": pid,
        "started": _read_start_tick(pid),
    }


def _read_start_tick(pid: int) -> str | None:
    """The clock tick at which a process began; None when it is gone, or dead and not yet buried."""
    try:
        about = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if about[0] in "ZX" else about[19]
