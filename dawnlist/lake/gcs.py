"""Objects of a lake on Google Cloud Storage: generation preconditions, resumable uploads, retries.

It uses Google's own client, since those of Arrow and delta-rs have neither preconditions nor
resumable uploads. The environment variable STORAGE_EMULATOR_HOST is honoured.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dawnlist.lake.buckets import BucketObjectStore
from dawnlist.lake.objects import ABSENT_REVISION, Revision, StoredObject
from dawnlist.urls import format_error

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket  # type: ignore[import-untyped]

_CHUNK_BYTES = 16 * 1024 * 1024
"""Bytes of one request of a resumable upload: what is held in memory, and repeated on an error."""
_REQUEST_SECONDS = 120.0


class GcsObjectStore(BucketObjectStore):
    """An `ObjectStore` on Google Cloud Storage; a revision is the object's generation."""

    def put(self, source: bytes | Path, key: str, expected: Revision | None = None) -> bool:
        """Upload an object. Its checksum is checked by the server."""
        from google.api_core.exceptions import PreconditionFailed

        options: dict[str, Any] = {"checksum": "crc32c", "timeout": _REQUEST_SECONDS}
        if expected is not None:
            # with a precondition the client may repeat a request that failed
            options["if_generation_match"] = _parse_generation(expected)
        size, stream = _open_stream(source)
        with stream, self._translate_errors():
            blob = self._get_blob(key)
            # a small object is sent in one request
            blob.chunk_size = _CHUNK_BYTES if size > _CHUNK_BYTES else None
            try:
                blob.upload_from_file(stream, size=size, **options)
            except PreconditionFailed:
                return False
        return True

    def get(self, key: str) -> tuple[bytes, Revision] | None:
        """Download an object."""
        from google.api_core.exceptions import NotFound

        with self._translate_errors():
            blob = self._get_blob(key)
            try:
                data: bytes = blob.download_as_bytes(timeout=_REQUEST_SECONDS)
            except NotFound:
                self._require_bucket()
                return None
            return data, str(blob.generation)

    def exists(self, key: str) -> bool:
        """Ask for an object's metadata."""
        with self._translate_errors():
            if self._get_blob(key).exists():
                return True
            self._require_bucket()
            return False

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        from google.api_core.exceptions import NotFound

        with self._translate_errors():
            try:
                self._get_blob(key).delete()
            except NotFound:
                self._require_bucket()

    def names(self, key: str) -> list[str]:
        """List a folder; the bucket's own placeholder of the folder is left out."""
        with self._translate_errors():
            prefix = self._build_blob_name(key) + "/"
            listing = self._bucket.list_blobs(prefix=prefix, delimiter="/")
            # the prefixes are only there after the blobs were read
            blob_names = [blob.name for blob in listing]
            paths = [*listing.prefixes, *blob_names]
            return [path[len(prefix) :].rstrip("/") for path in paths if path != prefix]

    def walk(self, key: str) -> Iterator[StoredObject]:
        """List all objects below a folder; placeholders of folders are left out."""
        root = self._build_blob_name("") + "/"
        with self._translate_errors():
            for blob in self._bucket.list_blobs(prefix=self._build_blob_name(key) + "/"):
                if not blob.name.endswith("/"):
                    name = blob.name.removeprefix(root)
                    yield StoredObject(name, blob.size, blob.updated)

    @cached_property
    def _bucket(self) -> "Bucket":
        from google.cloud.storage import Client

        return Client().bucket(self.bucket)

    def _build_blob_name(self, key: str) -> str:
        return "/".join(filter(None, (self.prefix, key)))

    def _get_blob(self, key: str) -> "Blob":
        return self._bucket.blob(self._build_blob_name(key))

    def _list_first_object(self) -> None:
        next(iter(self._bucket.list_blobs(max_results=1)), None)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Raise the client's errors as Python's own, in one line each."""
        from google.api_core.exceptions import (
            Forbidden,
            GoogleAPICallError,
            NotFound,
            RetryError,
            Unauthorized,
        )
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
        from requests.exceptions import RequestException  # type: ignore[import-untyped]

        try:
            yield
        except NotFound:
            raise self._build_missing_bucket_error() from None
        except (Forbidden, Unauthorized):
            raise self._build_permission_error() from None
        except DefaultCredentialsError:
            advice = "set GOOGLE_APPLICATION_CREDENTIALS, or attach an account"
            raise self._build_credentials_error(advice) from None
        except (GoogleAPICallError, GoogleAuthError, RequestException, RetryError) as error:
            raise self._build_connection_error(format_error(error)) from None


def _parse_generation(revision: Revision) -> int:
    """Turn a revision into a generation; 0 is the generation of an object that is not there."""
    return 0 if revision == ABSENT_REVISION else int(revision)


def _open_stream(source: bytes | Path) -> tuple[int, BinaryIO]:
    """Open the source; returns its size in bytes and a stream."""
    if isinstance(source, Path):
        return source.stat().st_size, source.open("rb")
    return len(source), io.BytesIO(source)
