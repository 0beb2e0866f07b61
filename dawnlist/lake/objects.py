"""The objects of a lake: whole or not there, and changed under a precondition; one interface over three places.

A folder (objects_local), s3:// (objects_s3) and gs:// (objects_gcs). Errors are one line each and name the lake:
PermissionError when it says no, FileNotFoundError when there is no such bucket, ConnectionError when it can't be
reached or has no credentials, OSError when the disk is full.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

Revision = str
"""What an object was when it was read: its generation, its ETag, or its digest."""
ABSENT_REVISION: Final[Revision] = ""
"""The mark of an object that is not there."""


@dataclass(frozen=True)
class StoredObject:
    """An object that a walk came by."""

    name: str
    """Its path in the lake, such as `runs/20260101T000000Z/run-1/fetch.json`."""
    size: int
    """Bytes."""
    modified: datetime
    """UTC."""


class ObjectStore(Protocol):
    """What a place for objects can do; keys are paths in the lake."""

    def put(self, source: bytes | Path, key: str, expected: Revision | None = None) -> bool:
        """Write bytes or a local file whole or not at all; False when the object is not as `expected`, unless None.

        On a network that loses an answer a conditional write may say False for an object that it made itself.
        """

    def get(self, key: str) -> tuple[bytes, Revision] | None:
        """The object's bytes and mark, or None when there is no such object."""

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is as good as removed."""

    def names(self, key: str) -> list[str]:
        """Names of objects and folders directly below a folder."""

    def walk(self, key: str) -> Iterator[StoredObject]:
        """All objects below a folder, in no order."""


def split_bucket_uri(uri: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://bucket/prefix`."""
    bucket, _, prefix = uri.partition("://")[2].partition("/")
    return bucket, prefix
