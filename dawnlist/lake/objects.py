"""The interface of a lake's object store, which is the same on a folder, on S3 and on GCS.

An object is written whole or not at all, and it can be changed under a precondition. The stores
are in `dawnlist.lake.local` (a folder), `dawnlist.lake.s3` (s3://) and `dawnlist.lake.gcs` (gs://).

The message of an error is one line and names the lake:

    PermissionError     the credentials or the file's mode don't allow it
    FileNotFoundError   there is no such bucket
    ConnectionError     the store can't be reached, or there are no credentials
    OSError             the disk is full
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

Revision = str
"""Identifies the content that an object had when it was read: generation, ETag or digest."""
ABSENT_REVISION: Final[Revision] = ""
"""The revision of an object that is not there."""


@dataclass(frozen=True)
class StoredObject:
    """An object of the lake, as a listing describes it."""

    name: str
    """Its path in the lake, such as `runs/20260101T000000Z/run-1/fetch.json`."""
    size: int
    """Its size in bytes."""
    modified: datetime
    """When it was last written, UTC."""


class ObjectStore(Protocol):
    """Reads and writes objects. A key is an object's path in the lake."""

    def put(self, source: bytes | Path, key: str, expected: Revision | None = None) -> bool:
        """Write bytes or a local file to an object, whole or not at all.

        With `expected` the object is only written if it still has that revision. Returns False if
        it has another one. When the network loses the answer to a conditional write, the client
        may repeat it, and then return False although its own write succeeded.
        """

    def get(self, key: str) -> tuple[bytes, Revision] | None:
        """Read an object and its revision; None when there is no such object."""

    def exists(self, key: str) -> bool:
        """Say whether there is such an object."""

    def delete(self, key: str) -> None:
        """Remove an object. It is no error when there is none."""

    def names(self, key: str) -> list[str]:
        """List the names of the objects and folders directly below a folder."""

    def walk(self, key: str) -> Iterator[StoredObject]:
        """List all objects below a folder, in no order."""


def split_bucket_uri(uri: str) -> tuple[str, str]:
    """Split a URI like `s3://bucket/prefix` into bucket and prefix."""
    path = uri.partition("://")[2]
    bucket, _, prefix = path.partition("/")
    return bucket, prefix
