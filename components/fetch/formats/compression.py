"""Tell how a file is compressed and encoded by its first bytes, whatever its name says."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs

COMPRESSIONS = {
    "gz": "gzip",
    "gzip": "gzip",
    "zst": "zstd",
    "zstd": "zstd",
    "bz2": "bz2",
    "lz4": "lz4",
}
"""Ending of a file's name -> Arrow's name of the compression."""
BY_CONTENT = "by content"
"""The compression of a file that tells by its first bytes how it is compressed."""
HEAD_BYTES = 1 << 16
_MAX_LAYERS = 3
_FIRST_BYTES = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"BZh91AY&SY", "bz2"),
)
_UNREADABLE_FIRST_BYTES = (
    (b"PK\x03\x04", "a zip archive or a spreadsheet: unpack it, or export it as CSV"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet (.xls): export it as CSV"),
    (b"\xfd7zXZ", "compressed with xz: unpack it, or use gz or zst"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it"),
)
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class _PeekedStream:
    """A stream whose first bytes can be looked at before it is read, for pyarrow.PythonFile."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.head: bytes = stream.read(HEAD_BYTES)
        self._unread = self.head
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes."""
        if self._unread and size >= 0:
            head: bytes = self._unread[:size]
            self._unread = self._unread[size:]
            return head
        block: bytes = self._stream.read(size) if size >= 0 else self._stream.read()
        block, self._unread = self._unread + block, b""
        return block

    def close(self) -> None:
        """Close the stream below."""
        self.closed = True
        self._stream.close()


def detect_compression(head: bytes, label: str) -> str | None:
    """Return Arrow's name of the compression that the first bytes tell; None for plain data.

    Raises:
        ValueError: The data is in an archive or a spreadsheet.
    """
    for first_bytes, compression in _FIRST_BYTES:
        if head.startswith(first_bytes):
            return compression
    for first_bytes, kind in _UNREADABLE_FIRST_BYTES:
        if head.startswith(first_bytes):
            raise ValueError(f"{label!r} is {kind}")
    return None


def detect_encoding(head: bytes) -> str | None:
    """Return the encoding that a byte order mark tells; None without one of UTF-16."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    return None


@contextmanager
def open_uncompressed(
    filesystem: pafs.FileSystem, path: str, label: str, compression: str | None
) -> Iterator[tuple[bytes, Any, bool]]:
    """Open a file as a stream of uncompressed bytes.

    `compression` is Arrow's name, None for a plain file, or BY_CONTENT. Yields the first bytes
    without taking them from the stream, the stream, and whether the file is compressed.

    Raises:
        ValueError: The data is in an archive or a spreadsheet.
        OSError: The file can't be opened, or its first bytes can't be decompressed.
    """
    peeked = _PeekedStream(_open_bytes(filesystem, path))
    layers = 0
    try:
        while layers < _MAX_LAYERS:
            layer = compression
            if compression == BY_CONTENT:
                layer = detect_compression(peeked.head, label)
            elif layers:
                layer = None
            if layer is None:
                break
            source = pa.PythonFile(peeked, mode="r")
            peeked = _PeekedStream(pa.CompressedInputStream(source, layer))
            layers += 1
        yield peeked.head, peeked, layers > 0
    finally:
        peeked.close()


def _open_bytes(filesystem: pafs.FileSystem, path: str) -> Any:
    if isinstance(filesystem, pafs.LocalFileSystem):
        # Arrow opens no path that is not UTF-8.
        return Path(path).open("rb")
    return filesystem.open_input_stream(path, compression=None)
