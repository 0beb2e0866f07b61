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
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from dawnlist.lake.objects import ABSENT_REVISION, Revision, StoredObject

STAGING_FOLDER = ".staging"
"""Folder of the lake for what is being written, on the same file system, and for the lock."""
_ABANDONED_SECONDS = 24 * 3600.0
_DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PERMISSION_ERRORS = (errno.EROFS, errno.EACCES, errno.EPERM)
_PATH_ERRORS = (errno.ENOTDIR, errno.ENOENT, errno.EEXIST)


class LocalObjectStore:
    """See dawnlist.lake.objects.Objects. Names that begin with a dot are no objects."""

    def __init__(self, uri: str) -> None:
        self.base = Path(unquote(urlsplit(uri).path))

    def put(self, source: bytes | Path, key: str, expected: Revision | None = None) -> bool:
        target = self.base / key
        stream = BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        with stream, self._clear(), self._staged(stream) as staged, self._locked():
            target.parent.mkdir(parents=True, exist_ok=True)
            if expected == ABSENT_REVISION:
                return _link_if_absent(staged, target)
            if expected is not None:
                found = self.get(key)
                if found is None or found[1] != expected:
                    return False
            staged.replace(target)
        return True

    def get(self, key: str) -> tuple[bytes, Revision] | None:
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
        with self._clear(), self._locked():
            (self.base / key).unlink(missing_ok=True)
            with suppress(
                OSError
            ):  # elsewhere a folder is no more than its objects: an empty one is none
                for folder in (self.base / key).relative_to(self.base).parents[:-1]:
                    (self.base / folder).rmdir()

    def names(self, key: str) -> list[str]:
        try:
            return [
                entry.name
                for entry in (self.base / key).iterdir()
                if not entry.name.startswith(".")
            ]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def walk(self, key: str) -> Iterator[StoredObject]:
        for folder, folders, files in os.walk(self.base / key):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                path = Path(folder, name)
                with suppress(FileNotFoundError):  # somebody removed it meanwhile
                    if not name.startswith("."):
                        about = path.stat()
                        modified = datetime.fromtimestamp(about.st_mtime, UTC)
                        yield StoredObject(
                            path.relative_to(self.base).as_posix(), about.st_size, modified
                        )

    @contextmanager
    def _staged(self, source: BinaryIO) -> Iterator[Path]:
        """The source as a new file on the lake's file system, gone at the end if it is still there."""
        self._staging()
        staged = self.base / STAGING_FOLDER / secrets.token_hex(8)
        try:
            with staged.open("xb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())  # or a power cut leaves the name without the bytes
            yield staged
        finally:
            staged.unlink(missing_ok=True)

    @contextmanager
    def _clear(self) -> Iterator[None]:
        """The system's errors as one line each; those of reading a source are raised before."""
        try:
            yield
        except OSError as error:
            if error.errno in _DISK_FULL_ERRORS:
                raise OSError(
                    error.errno,
                    f"no room on the disk of the lake {self.base}, nothing was written: free some space",
                ) from None
            cause = f"the lake {self.base} can't be written: {error.strerror}"
            if error.errno in _PERMISSION_ERRORS:
                raise PermissionError(
                    f"{cause}: let this user write in that folder, or name another with --lake"
                ) from None
            if error.errno in _PATH_ERRORS:
                raise type(error)(
                    f"{cause} {error.filename!r}: give a folder with --lake"
                ) from None
            raise

    def _staging(self) -> None:
        """Make the folder, and remove from it what killed writers left a day ago."""
        folder = self.base / STAGING_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            with suppress(FileNotFoundError):
                if file.name != "lock" and file.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    file.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, between comparing an object and renaming over it; freed when the process dies."""
        self._staging()
        with (self.base / STAGING_FOLDER / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _link_if_absent(staged: Path, target: Path) -> bool:
    try:
        os.link(staged, target)
    except FileExistsError:
        return False
    return True
