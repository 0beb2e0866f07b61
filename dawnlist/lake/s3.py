"""Objects of a lake on S3, through obstore: delta-rs's client, with the same AWS_* variables."""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from dawnlist.lake.buckets import BucketObjectStore
from dawnlist.lake.objects import ABSENT_REVISION, Revision, StoredObject
from dawnlist.urls import format_error

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import ClientConfig, RetryConfig, S3Store

_REQUEST_TIMEOUT = timedelta(minutes=10)
"""Of one request. The default of 30 seconds is too short for a large object on a slow line."""
_RETRY_POLICY: "RetryConfig" = {"max_retries": 8, "retry_timeout": timedelta(minutes=2)}
_TRUE_TEXTS = ("true", "1", "yes", "on", "y")
"""Values of AWS_ALLOW_HTTP that mean yes, as delta-rs reads it."""
_DENIED_TEXTS = ("403 Forbidden", "401 Unauthorized", "AccessDenied")


class S3ObjectStore(BucketObjectStore):
    """An `ObjectStore` on S3; a revision is the object's ETag.

    An upload with a precondition is one request, so 5 GB is the most that it may send.
    """

    def put(self, source: bytes | Path, key: str, expected: Revision | None = None) -> bool:
        """Upload an object.

        Raises:
            RuntimeError: The store ignores preconditions, and `expected` is given.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode: PutMode = "overwrite"
        if expected is not None:
            self._check_preconditions()
            mode = "create" if expected == ABSENT_REVISION else {"e_tag": expected}
        with _open_buffer(source) as data, self._translate_errors():
            try:
                self._store.put(key, data, mode=mode)
            except (AlreadyExistsError, PreconditionError):
                self._require_bucket()
                return False
        return True

    def get(self, key: str) -> tuple[bytes, Revision] | None:
        """Download an object."""
        with self._translate_errors():
            try:
                response = self._store.get(key)
                data = bytes(response.bytes())
            except FileNotFoundError:
                self._require_bucket()
                return None
            return data, response.meta["e_tag"] or ABSENT_REVISION

    def exists(self, key: str) -> bool:
        """Ask for an object's metadata."""
        with self._translate_errors():
            try:
                self._store.head(key)
            except FileNotFoundError:
                self._require_bucket()
                return False
        return True

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        with self._translate_errors():
            try:
                self._store.delete(key)
            except FileNotFoundError:
                self._require_bucket()

    def names(self, key: str) -> list[str]:
        """List a folder."""
        with self._translate_errors():
            listing = self._store.list_with_delimiter(key or None)
        object_paths = [entry["path"] for entry in listing["objects"]]
        paths = [*listing["common_prefixes"], *object_paths]
        return [path.rpartition("/")[2] for path in paths]

    def walk(self, key: str) -> Iterator[StoredObject]:
        """List all objects below a folder."""
        with self._translate_errors():
            for page in self._store.list(key or None, chunk_size=1000):
                for entry in page:
                    yield StoredObject(entry["path"], entry["size"], entry["last_modified"])

    @cached_property
    def _store(self) -> "S3Store":
        from obstore.store import S3Store

        allow_http = os.environ.get("AWS_ALLOW_HTTP", "").lower() in _TRUE_TEXTS
        options: ClientConfig = {"timeout": _REQUEST_TIMEOUT, "allow_http": allow_http}
        return S3Store(
            self.bucket, prefix=self.prefix, client_options=options, retry_config=_RETRY_POLICY
        )

    def _list_first_object(self) -> None:
        next(iter(self._store.list(chunk_size=1)), None)

    def _check_preconditions(self) -> None:
        if not self._heeds_preconditions:
            raise RuntimeError(
                f"the store of the lake {self.uri} ignores If-None-Match: two runs would "
                "overwrite each other's work, and nobody would know; use one that heeds it, "
                "such as S3 or SeaweedFS 3.97 or newer"
            )

    @cached_property
    def _heeds_preconditions(self) -> bool:
        """Whether the store refuses to create an object that exists; old stores overwrite it."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        probe = f".conditions-{uuid4().hex}"
        with self._translate_errors():
            self._store.put(probe, b"", mode="create")
            try:
                self._store.put(probe, b"", mode="create")
            except (AlreadyExistsError, PreconditionError):
                return True
            finally:
                self._store.delete(probe)
        return False

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Raise the client's errors, which are pages long, as Python's own in one line each."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (FileNotFoundError, BaseError) as error:
            raise self._translate_error(error) from None

    def _translate_error(self, error: Exception) -> OSError:
        text = format_error(str(error).partition("Debug source:")[0])
        # all errors of a listing have the same class; what S3 answered is in their text
        if isinstance(error, FileNotFoundError) or "NoSuchBucket" in text:
            return self._build_missing_bucket_error()
        # a machine in the cloud gets its role at this path; the client asks there last
        if "/latest/api/token" in text:
            return self._build_credentials_error(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role"
            )
        if any(denied in text for denied in _DENIED_TEXTS):
            return self._build_permission_error()
        return self._build_connection_error(text)


@contextmanager
def _open_buffer(source: bytes | Path) -> Iterator[bytes | mmap.mmap]:
    """Give the bytes of the source; a file is mapped into memory, not read."""
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        # an empty file can't be mapped
        if not source.stat().st_size:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data
