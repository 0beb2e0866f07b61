"""Objects of a lake on Google Cloud Storage: generation preconditions, resumable uploads, retries.

A client of its own beside those of Arrow and delta-rs, which have neither preconditions nor resumable uploads.
STORAGE_EMULATOR_HOST is honoured.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dawnlist.lake.objects import ABSENT_REVISION, Revision, StoredObject, split_bucket_uri
from dawnlist.urls import format_error

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Bucket  # type: ignore[import-untyped]

_CHUNK_BYTES = 16 * 1024 * 1024
"""Bytes of one request of a resumable upload: what is sent again after an error, and held in memory."""
_REQUEST_SECONDS = 120.0


class GcsObjectStore:
    """See dawnlist.lake.objects.Objects."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.bucket, self.prefix = split_bucket_uri(uri)

    def put(self, source: bytes | Path, key: str, expected: Revision | None = None) -> bool:
        from google.api_core.exceptions import PreconditionFailed

        # 0 is the generation of what is not there; with a precondition the client may send again what failed
        options: dict[str, Any] = {"checksum": "crc32c", "timeout": _REQUEST_SECONDS}
        if expected is not None:
            options["if_generation_match"] = 0 if expected == ABSENT_REVISION else int(expected)
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        with (
            source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file,
            self._clear(),
        ):
            blob = self._blob(key)
            blob.chunk_size = (
                _CHUNK_BYTES if size > _CHUNK_BYTES else None
            )  # a small object is one request
            try:
                blob.upload_from_file(file, size=size, **options)
            except PreconditionFailed:
                return False
        return True

    def get(self, key: str) -> tuple[bytes, Revision] | None:
        from google.api_core.exceptions import NotFound

        with self._clear():
            blob = self._blob(key)
            try:
                data: bytes = blob.download_as_bytes(timeout=_REQUEST_SECONDS)
            except NotFound:
                self._require_bucket()
                return None
            return data, str(blob.generation)

    def exists(self, key: str) -> bool:
        with self._clear():
            if self._blob(key).exists():
                return True
            self._require_bucket()
            return False

    def delete(self, key: str) -> None:
        from google.api_core.exceptions import NotFound

        with self._clear():
            try:
                self._blob(key).delete()
            except NotFound:
                self._require_bucket()

    def names(self, key: str) -> list[str]:
        with self._clear():
            prefix = self._key(key) + "/"
            listing = self._bucket.list_blobs(prefix=prefix, delimiter="/")
            found = [blob.name for blob in listing]
            return [
                name[len(prefix) :].rstrip("/")
                for name in [*listing.prefixes, *found]
                if name != prefix
            ]

    def walk(self, key: str) -> Iterator[StoredObject]:
        with self._clear():
            for blob in self._bucket.list_blobs(prefix=self._key(key) + "/"):
                if not blob.name.endswith("/"):
                    yield StoredObject(
                        blob.name.removeprefix(self._key("") + "/"), blob.size, blob.updated
                    )

    @cached_property
    def _bucket(self) -> "Bucket":
        from google.cloud.storage import Client

        return Client().bucket(self.bucket)

    def _key(self, key: str) -> str:
        return "/".join(part for part in (self.prefix, key) if part)

    def _blob(self, key: str) -> "Blob":
        return self._bucket.blob(self._key(key))

    def _require_bucket(self) -> None:
        """NotFound when it is the bucket that is missing, which an answer about one object does not tell."""
        if not self.__dict__.get("_bucket_seen"):
            next(iter(self._bucket.list_blobs(max_results=1)), None)
            self.__dict__["_bucket_seen"] = True

    @contextmanager
    def _clear(self) -> Iterator[None]:
        """The client's errors as one line each."""
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
            raise FileNotFoundError(
                f"there is no bucket {self.bucket!r} for the lake {self.uri}: make it"
            ) from None
        except (Forbidden, Unauthorized):
            raise PermissionError(
                f"no permission for the lake {self.uri}: allow these credentials to list, read, write and delete in it"
            ) from None
        except DefaultCredentialsError:
            raise ConnectionError(
                f"no credentials for the lake {self.uri}: set GOOGLE_APPLICATION_CREDENTIALS, or attach an account"
            ) from None
        except (GoogleAPICallError, GoogleAuthError, RequestException, RetryError) as error:
            raise ConnectionError(
                f"the lake {self.uri} can't be used: {format_error(error)[:300]}"
            ) from None
