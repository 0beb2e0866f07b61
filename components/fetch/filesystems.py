"""Open the file system of a path or a URI, and explain its errors in one line."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pyarrow.fs as pafs

REMOTE_SCHEMES = ("gs", "s3")
GCS_RETRY_SECONDS = 60
"""How long Google's client retries; by itself it would retry for a quarter of an hour."""


@contextmanager
def explain_read_errors(url: str) -> Iterator[None]:
    """Turn errors of a file system into one line that names `url`.

    Raises:
        FileNotFoundError: The bucket or the path does not exist.
        ValueError: A compressed file is damaged.
        PermissionError, OSError: It can't be read, or there is no room for a copy of it.
    """
    try:
        yield
    except FileNotFoundError as error:
        if url in str(error):
            raise
        raise FileNotFoundError(
            f"source {url!r} does not exist: check the bucket and the path"
        ) from None
    except OSError as error:
        raise _explain_os_error(url, error) from None


def _explain_os_error(url: str, error: OSError) -> Exception:
    message = str(error).strip() or type(error).__name__
    line = message.splitlines()[0]
    if _tells_damage(line):
        return ValueError(f"{url!r} is damaged or was cut off ({line}): copy it again")
    if error.errno == errno.ENOSPC:
        return OSError(
            f"{url!r} has no room in the temporary folder: set TMPDIR to one on a bigger disk"
        )
    text = f"{url!r} can't be read ({line}): check the place, and that you may read it"
    if isinstance(error, PermissionError) or "ACCESS_DENIED" in line:
        return PermissionError(text)
    return OSError(text)


def _tells_damage(line: str) -> bool:
    """Whether a message of Arrow is about compressed data that it can't decompress."""
    if "decompress" in line.lower():
        return True
    return any(word in line for word in ("Truncated", "zlib", "ZSTD"))


def resolve_filesystem(url: str) -> tuple[pafs.FileSystem, str]:
    """Return Arrow's file system for a path or a URI, and the path as that file system names it.

    The variables CLOUD_STORAGE_EMULATOR_ENDPOINT and STORAGE_EMULATOR_HOST name an emulator of
    Google Cloud Storage.
    """
    scheme = url.partition("://")[0] if "://" in url else "file"
    emulator = os.environ.get("CLOUD_STORAGE_EMULATOR_ENDPOINT")
    emulator = emulator or os.environ.get("STORAGE_EMULATOR_HOST")
    if emulator and scheme == "gs":
        return _connect_gcs_emulator(emulator), url.removeprefix("gs://").rstrip("/")
    if scheme in REMOTE_SCHEMES:
        limit = f"?retry_limit_seconds={GCS_RETRY_SECONDS}" if scheme == "gs" else ""
        filesystem, path = pafs.FileSystem.from_uri(f"{url}{limit}")
        return filesystem, path.rstrip("/")
    local_path = Path(url.removeprefix("file://")).expanduser().absolute()
    return pafs.LocalFileSystem(), str(local_path)


def _connect_gcs_emulator(url: str) -> pafs.GcsFileSystem:
    protocol, _, host = url.rstrip("/").rpartition("://")
    return pafs.GcsFileSystem(
        anonymous=True,
        scheme=protocol or "http",
        endpoint_override=host,
        retry_time_limit=timedelta(seconds=GCS_RETRY_SECONDS),
    )
