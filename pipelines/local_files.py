"""The files that local runs leave in their folder: logs and artifacts, and how long they are kept."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from dawnlist.cuts import format_stamp

KEEP_LOCAL_FILES: Final = timedelta(days=30)
"""Logs and artifacts of earlier local runs are kept for so long. Lake and store have all results."""


def keep_earlier_log(home: Path) -> None:
    """Move the log of the run before to `logs/`, named by the time of its end."""
    log = home / "run.log"
    if not log.exists():
        return
    ended = datetime.fromtimestamp(log.stat().st_mtime, UTC)
    folder = home / "logs"
    folder.mkdir(exist_ok=True)
    stamp = format_stamp(ended)
    target = folder / f"{stamp}.log"
    number = 1
    while target.exists():  # another run ended in the same second
        number += 1
        target = folder / f"{stamp}-{number}.log"
    log.rename(target)


def delete_expired_files(home: Path, now: datetime) -> None:
    """Delete logs and artifacts of runs that ended more than KEEP_LOCAL_FILES before `now`.

    What can't be deleted stays for the next run.
    """
    for log in (home / "logs").glob("*.log"):
        if _is_expired(log, now):
            log.unlink(missing_ok=True)
    for folder in (home / "artifacts").glob("*"):
        if _is_expired(folder, now):
            shutil.rmtree(folder, ignore_errors=True)


def _is_expired(path: Path, now: datetime) -> bool:
    changed = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    return now - changed > KEEP_LOCAL_FILES
