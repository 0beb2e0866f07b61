"""Objects of a lake in a local folder. A file is staged first, then linked or renamed."""

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
"""The folder of files that are being written, and of the lock. It is on the lake's file system."""
_LOCK_FILE = "lock"
_ABANDONED_SECONDS = 24 * 3600.0
_COPY_BYTES = 1 << 20
_DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PERMISSION_ERRORS = (errno.EROFS, errno.EACCES, errno.EPERM)
_PATH_ERRORS = (errno.ENOTDIR, errno.ENOENT, errno.EEXIST)


class LocalObjectStore:
    """An `ObjectStore` in a folder; a revision is the sha256 of the object's bytes.

    Files whose name begins with a dot are no objects.
    """

    def __init__(self, uri: str) -> None:
        """`uri` is the lake's, such as `file:///lake/default`."""
        self.base = Path(unquote(urlsplit(uri).path))

    def put(self, source: bytes | Path, key: str, expected: Revision | None = None) -> bool:
        """Write an object. One writer at a time compares the revision and renames the file."""
        target = self.base / key
        stream = BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        with stream, self._translate_errors(), self._stage(stream) as staged, self._lock():
            target.parent.mkdir(parents=True, exist_ok=True)
            if expected == ABSENT_REVISION:
                return _link_if_absent(staged, target)
            if expected is not None and not self._has_revision(key, expected):
                return False
            staged.replace(target)
        return True

    def get(self, key: str) -> tuple[bytes, Revision] | None:
        """Read an object."""
        try:
            data = (self.base / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return data, hashlib.sha256(data).hexdigest()

    def exists(self, key: str) -> bool:
        """Say whether there is a file of that name."""
        return (self.base / key).is_file()

    def delete(self, key: str) -> None:
        """Remove an object, and the folders that are empty then."""
        if not self.exists(key):
            return
        with self._translate_errors(), self._lock():
            (self.base / key).unlink(missing_ok=True)
            self._remove_empty_folders(key)

    def names(self, key: str) -> list[str]:
        """List a folder."""
        try:
            names = [entry.name for entry in (self.base / key).iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name for name in names if not name.startswith(".")]

    def walk(self, key: str) -> Iterator[StoredObject]:
        """List all objects below a folder."""
        for folder, folders, files in os.walk(self.base / key):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                if name.startswith("."):
                    continue
                # somebody may remove the file meanwhile
                with suppress(FileNotFoundError):
                    yield self._describe_object(Path(folder, name))

    def _describe_object(self, path: Path) -> StoredObject:
        status = path.stat()
        name = path.relative_to(self.base).as_posix()
        return StoredObject(name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def _has_revision(self, key: str, expected: Revision) -> bool:
        stored = self.get(key)
        return stored is not None and stored[1] == expected

    def _remove_empty_folders(self, key: str) -> None:
        # on a bucket a folder exists only while there are objects in it
        with suppress(OSError):
            for folder in Path(key).parents[:-1]:
                (self.base / folder).rmdir()

    @contextmanager
    def _stage(self, source: BinaryIO) -> Iterator[Path]:
        """Copy the source to a file on the lake's file system; it is removed at the end."""
        self._prepare_staging_folder()
        staged = self.base / STAGING_FOLDER / secrets.token_hex(8)
        try:
            with staged.open("xb") as file:
                shutil.copyfileobj(source, file, _COPY_BYTES)
                file.flush()
                # without it a power cut could leave the name without the bytes
                os.fsync(file.fileno())
            yield staged
        finally:
            staged.unlink(missing_ok=True)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Raise the system's errors with a message in one line that says what to do."""
        try:
            yield
        except OSError as error:
            translated = self._translate_error(error)
            if translated is None:
                raise
            raise translated from None

    def _translate_error(self, error: OSError) -> OSError | None:
        if error.errno in _DISK_FULL_ERRORS:
            return OSError(
                error.errno,
                f"no room on the disk of the lake {self.base}, nothing was written: "
                "free some space",
            )
        cause = f"the lake {self.base} can't be written: {error.strerror}"
        if error.errno in _PERMISSION_ERRORS:
            return PermissionError(
                f"{cause}: let this user write in that folder, or name another with --lake"
            )
        if error.errno in _PATH_ERRORS:
            return type(error)(f"{cause} {error.filename!r}: give a folder with --lake")
        return None

    def _prepare_staging_folder(self) -> None:
        """Create the folder, and remove the files that killed writers left in it a day ago."""
        folder = self.base / STAGING_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            if file.name == _LOCK_FILE:
                continue
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    file.unlink()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one writer at a time change objects; the lock is freed when its process dies."""
        self._prepare_staging_folder()
        with (self.base / STAGING_FOLDER / _LOCK_FILE).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _link_if_absent(staged: Path, target: Path) -> bool:
    try:
        os.link(staged, target)
    except FileExistsError:
        return False
    return True
