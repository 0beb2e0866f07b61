"""Objects of a lake in a local folder: staged beside, then linked or renamed into their place."""

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from components.objects import ABSENT, Found, Mark

STAGING = ".staging"
"""Folder of the lake for what is being written, on the same file system, and for the lock."""
_ABANDONED_SECONDS = 24 * 3600.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LocalObjects:
    """See components.objects.Objects. Names that begin with a dot are no objects."""

    def __init__(self, uri: str) -> None:
        self.base = Path(unquote(urlsplit(uri).path))

    def put(self, source: bytes | Path, key: str, expected: Mark | None = None) -> bool:
        target = self.base / key
        with self._staged(source) as staged, self._locked():
            target.parent.mkdir(parents=True, exist_ok=True)
            if expected == ABSENT:
                return _linked(staged, target)
            if expected is not None:
                found = self.get(key)
                if found is None or found[1] != expected:
                    return False
            staged.replace(target)
        return True

    def get(self, key: str) -> tuple[bytes, Mark] | None:
        try:
            data = (self.base / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return data, hashlib.sha256(data).hexdigest()

    def exists(self, key: str) -> bool:
        return (self.base / key).is_file()

    def delete(self, key: str) -> None:
        if not self.exists(key):
            return
        with self._locked():
            (self.base / key).unlink(missing_ok=True)
            with suppress(OSError):  # elsewhere a folder is no more than its objects: an empty one is none
                for folder in (self.base / key).relative_to(self.base).parents[:-1]:
                    (self.base / folder).rmdir()

    def names(self, key: str) -> list[str]:
        try:
            return [entry.name for entry in (self.base / key).iterdir() if not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def walk(self, key: str) -> Iterator[Found]:
        for folder, folders, files in os.walk(self.base / key):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                path = Path(folder, name)
                with suppress(FileNotFoundError):  # somebody removed it meanwhile
                    if not name.startswith("."):
                        about = path.stat()
                        modified = datetime.fromtimestamp(about.st_mtime, UTC)
                        yield Found(path.relative_to(self.base).as_posix(), about.st_size, modified)

    @contextmanager
    def _staged(self, source: bytes | Path) -> Iterator[Path]:
        """The source as a new file on the lake's file system, gone at the end if it is still there."""
        self._staging()
        staged = self.base / STAGING / secrets.token_hex(8)
        try:
            with staged.open("xb") as file:
                if isinstance(source, Path):
                    with source.open("rb") as stream:
                        shutil.copyfileobj(stream, file, 1 << 20)
                else:
                    file.write(source)
                file.flush()
                os.fsync(file.fileno())  # or a power cut leaves the name without the bytes
            yield staged
        except OSError as error:
            if error.errno in _FULL:
                raise OSError(
                    error.errno, f"no room on the disk of the lake {self.base}, nothing was written: free some space"
                ) from None
            raise
        finally:
            staged.unlink(missing_ok=True)

    def _staging(self) -> None:
        """Make the folder, and remove from it what killed writers left a day ago."""
        folder = self.base / STAGING
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            with suppress(FileNotFoundError):
                if file.name != "lock" and file.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    file.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, between comparing an object and renaming over it; freed when the process dies."""
        self._staging()
        with (self.base / STAGING / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _linked(staged: Path, target: Path) -> bool:
    try:
        os.link(staged, target)
    except FileExistsError:
        return False
    return True
