"""Make plain local copies of the files that are read."""

import codecs
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from dawnlist.components.fetch.filesystems import explain_read_errors
from dawnlist.components.fetch.formats.compression import (
    BY_CONTENT,
    detect_encoding,
    open_uncompressed,
)
from dawnlist.components.fetch.source_files import SourceFile

FILE_BLOCK_BYTES = 1 << 20
_UTF8 = ("utf-8",)


class LocalCopies:
    """Plain UTF-8 copies of files in a temporary folder, which is deleted with this object.

    Each file is copied once; a plain local file is only linked to. Copying takes the memory of one
    block, whatever the size of the file. The disk must have room for the files that are read,
    uncompressed.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="dawnlist-source-"))
        self._paths: dict[str, Path] = {}
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def get_local_path(
        self,
        file: SourceFile,
        compression: str | None = BY_CONTENT,
        encodings: Sequence[str] | None = _UTF8,
    ) -> Path:
        """Return the local copy of a file.

        Args:
            file: The file.
            compression: Arrow's name of its compression; None for a plain file.
            encodings: The encodings to try, in that order; None for a file that is not text.

        Raises:
            ValueError: The file is cut off, is no file, or its text is in none of the encodings.
        """
        if file.label not in self._paths:
            self._paths[file.label] = self._make_copy(file, compression, encodings)
        return self._paths[file.label]

    def add_path(self) -> Path:
        """Return the path of a new file in the temporary folder."""
        # A copy is named by a number: DuckDB acts on endings and wildcards in names.
        return self._folder / str(sum(1 for _ in self._folder.iterdir()))

    def _make_copy(
        self,
        file: SourceFile,
        compression: str | None,
        encodings: Sequence[str] | None,
    ) -> Path:
        if file.problem:
            raise ValueError(f"{file.label!r} {file.problem}")
        target = self.add_path()
        for candidate in _UTF8 if encodings is None else encodings:
            try:
                self._copy(file, target, compression, encodings, candidate)
                return target
            except UnicodeDecodeError:
                continue
        raise ValueError(
            f"{file.label!r} is not text in {' or '.join(encodings or ())}: "
            "set its encoding in a mapping file, e.g. encoding: latin-1 (docs/SOURCES.md)"
        )

    def _copy(
        self,
        file: SourceFile,
        target: Path,
        compression: str | None,
        encodings: Sequence[str] | None,
        candidate: str,
    ) -> None:
        """Copy a file, or link to it, in the encoding `candidate`, unless its first bytes tell."""
        with open_source_file(file, compression) as (head, stream, is_compressed):
            encoding = None
            if encodings is not None:
                encoding = detect_encoding(head) or candidate
            is_plain = encoding in (None, "utf-8") and (encodings is None or len(encodings) == 1)
            is_local = isinstance(file.filesystem, pafs.LocalFileSystem)
            if is_local and is_plain and not is_compressed:
                target.symlink_to(Path(file.path).absolute())
                return
            recode = None if is_plain or encoding is None else _build_recoder(encoding)
            _copy_blocks(stream, target, recode)


@contextmanager
def open_source_file(
    file: SourceFile, compression: str | None = BY_CONTENT
) -> Iterator[tuple[bytes, Any, bool]]:
    """Open a file as `open_uncompressed` does; each error is one line that names the file."""
    with (
        explain_read_errors(file.label),
        open_uncompressed(file.filesystem, file.path, file.label, compression) as opened,
    ):
        yield opened


def read_first_line(file: SourceFile) -> str:
    """Read the first line, or the first block of a longer one. Invalid UTF-8 is replaced.

    A file that can't be read has an empty line: its error is told when it is read.
    """
    if file.problem:
        return ""
    with open_source_file(file) as (head, _, _):
        encoding = detect_encoding(head) or "utf-8"
        return head.decode(encoding, errors="replace").partition("\n")[0].removeprefix("\ufeff")


def _copy_blocks(
    stream: Any,
    target: Path,
    recode: Callable[[bytes, bool], bytes] | None,
) -> None:
    with target.open("wb") as copy:
        while True:
            block = stream.read(FILE_BLOCK_BYTES)
            if not block:
                break
            if recode:
                block = recode(block, False)
            copy.write(block)
        if recode:
            copy.write(recode(b"", True))


def _build_recoder(encoding: str) -> Callable[[bytes, bool], bytes]:
    """Return a function of a block and whether it is the last, which gives the block in UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)()
    return lambda block, is_last: decoder.decode(block, is_last).encode()
