"""Objects of a lake on S3, through obstore: the client that delta-rs uses, with the same AWS_* environment."""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from dawnlist.lake.objects import ABSENT_REVISION, Revision, StoredObject, split_bucket_uri
from dawnlist.urls import format_error

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import ClientConfig, RetryConfig, S3Store

_REQUEST_TIMEOUT = timedelta(minutes=10)
"""Of one request: the default of 30 seconds is too short for a large object on a slow line."""
_RETRY_POLICY: "RetryConfig" = {"max_retries": 8, "retry_timeout": timedelta(minutes=2)}


class S3ObjectStore:
    """See dawnlist.lake.objects.Objects. An upload with a precondition is one request, of 5 GB at most."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.bucket, self.prefix = split_bucket_uri(uri)

    def put(self, source: bytes | Path, key: str, expected: Revision | None = None) -> bool:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode: PutMode = "overwrite"
        if expected is not None:
            if not self._heeds_conditions:
                raise RuntimeError(
                    f"the store of the lake {self.uri} ignores If-None-Match: two runs would overwrite each other's "
                    "work, and nobody would know; use one that heeds it, such as S3 or SeaweedFS 3.97 or newer"
                )
            mode = "create" if expected == ABSENT_REVISION else {"e_tag": expected}
        with _open_buffer(source) as data, self._clear():
            try:
                self._store.put(key, data, mode=mode)
            except (AlreadyExistsError, PreconditionError):
                self._require_bucket()
                return False
        return True

    def get(self, key: str) -> tuple[bytes, Revision] | None:
        with self._clear():
            try:
                found = self._store.get(key)
                return bytes(found.bytes()), found.meta["e_tag"] or ABSENT_REVISION
            except FileNotFoundError:
                self._require_bucket()
                return None

    def exists(self, key: str) -> bool:
        with self._clear():
            try:
                self._store.head(key)
            except FileNotFoundError:
                self._require_bucket()
                return False
        return True

    def delete(self, key: str) -> None:
        with self._clear():
            try:
                self._store.delete(key)
            except FileNotFoundError:
                self._require_bucket()

    def names(self, key: str) -> list[str]:
        with self._clear():
            found = self._store.list_with_delimiter(key or None)
        paths = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        return [path.rpartition("/")[2] for path in paths]

    def walk(self, key: str) -> Iterator[StoredObject]:
        with self._clear():
            for page in self._store.list(key or None, chunk_size=1000):
                for entry in page:
                    yield StoredObject(entry["path"], entry["size"], entry["last_modified"])

    @cached_property
    def _store(self) -> "S3Store":
        from obstore.store import S3Store

        plain = os.environ.get("AWS_ALLOW_HTTP", "").lower() in (
            "true",
            "1",
            "yes",
            "on",
            "y",
        )  # as delta-rs reads it
        options: ClientConfig = {"timeout": _REQUEST_TIMEOUT, "allow_http": plain}
        return S3Store(
            self.bucket, prefix=self.prefix, client_options=options, retry_config=_RETRY_POLICY
        )

    def _require_bucket(self) -> None:
        """FileNotFoundError when it is the bucket that is missing, which an answer about one object does not tell."""
        if not self.__dict__.get("_bucket_seen"):
            next(iter(self._store.list(chunk_size=1)), None)
            self.__dict__["_bucket_seen"] = True

    @cached_property
    def _heeds_conditions(self) -> bool:
        """Whether the store refuses to create what is there; old ones overwrite it in silence."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        probe = f".conditions-{uuid4().hex}"
        with self._clear():
            self._store.put(probe, b"", mode="create")
            try:
                self._store.put(probe, b"", mode="create")
            except (AlreadyExistsError, PreconditionError):
                return True
            finally:
                self._store.delete(probe)
        return False

    @contextmanager
    def _clear(self) -> Iterator[None]:
        """The client's errors, which hold pages of its own words, as one line each."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (FileNotFoundError, BaseError) as error:
            raise self._said(error) from None

    def _said(self, error: Exception) -> OSError:
        text = format_error(str(error).partition("Debug source:")[0])
        # a listing's errors have one class; what S3 answered stands in their text
        if isinstance(error, FileNotFoundError) or "NoSuchBucket" in text:
            return FileNotFoundError(
                f"there is no bucket {self.bucket!r} for the lake {self.uri}: make it"
            )
        if "/latest/api/token" in text:  # asked last: where a machine in the cloud finds its role
            return ConnectionError(
                f"no credentials for the lake {self.uri}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role"
            )
        if any(sign in text for sign in ("403 Forbidden", "401 Unauthorized", "AccessDenied")):
            return PermissionError(
                f"no permission for the lake {self.uri}: allow these credentials to list, read, write and delete in it"
            )
        return ConnectionError(f"the lake {self.uri} can't be used: {text[:300]}")


@contextmanager
def _open_buffer(source: bytes | Path) -> Iterator[bytes | mmap.mmap]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        if not source.stat().st_size:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data
