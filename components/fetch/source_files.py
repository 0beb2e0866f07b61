"""List the files of a source, and make plain local copies of those that are read."""

import codecs
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow.fs as pafs

from dawnlist.components.fetch.filesystems import REMOTE_SCHEMES as REMOTE_SCHEMES
from dawnlist.components.fetch.filesystems import explain_read_errors, resolve_filesystem

FILE_BLOCK_BYTES = 1 << 20
COMPRESSIONS = {"gz": "gzip", "gzip": "gzip", "zst": "zstd", "zstd": "zstd"}
"""Ending of a file's name -> Arrow's name of the compression."""
_DAY_IN_NAME = re.compile(r"(?:^|/)(?:\w+=)?(\d{4}-\d{2}-\d{2})")
_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class SourceFile:
    """One file of a source."""

    filesystem: pafs.FileSystem
    path: str
    """The path in `filesystem`."""
    name: str
    """The path below the source's folder, with slashes."""
    label: str
    """The path or URI that messages show."""

    @property
    def ending(self) -> str:
        """The last ending that is no compression, in lower case: 'csv' for 'a.CSV.gz'."""
        endings = self.name.rpartition("/")[2].lower().split(".")[1:]
        for ending in reversed(endings):
            if ending not in COMPRESSIONS:
                return ending
        return ""

    @property
    def compression(self) -> str | None:
        """Arrow's name of the compression that the file's name tells; None for a plain file."""
        return COMPRESSIONS.get(self.name.lower().rpartition(".")[2])

    @property
    def day(self) -> date | None:
        """The day that the name of the file, or of its folder, begins with; None without one.

        Examples are 2026-01-31.csv and event_date=2026-01-31/x.csv.

        Raises:
            ValueError: There is no such day.
        """
        match = _DAY_IN_NAME.search(self.name)
        if match is None:
            return None
        try:
            return date.fromisoformat(match[1])
        except ValueError:
            raise ValueError(
                f"{self.label!r} is named by a day that is none, {match[1]}: rename it"
            ) from None

    def first_line(self) -> str:
        """Read the first line, or the first block of a longer one. Invalid UTF-8 is replaced."""
        with (
            explain_read_errors(self.label),
            self.filesystem.open_input_stream(self.path, compression=self.compression) as stream,
        ):
            block: str = stream.read(FILE_BLOCK_BYTES).decode(errors="replace")
            return block.partition("\n")[0].removeprefix("\ufeff")


def list_source_files(url: str) -> tuple[bool, list[SourceFile]]:
    """List the files at `url`: those of a folder and of its folders, by name, or a single file.

    Hidden files are left out: those whose name, or whose folder's name, begins with a dot or an
    underscore. Returns whether `url` is a folder, and the files.

    Raises:
        FileNotFoundError: There is nothing at `url`.
    """
    with explain_read_errors(url):
        filesystem, base = resolve_filesystem(url)
        kind = filesystem.get_file_info(base).type
        if kind == pafs.FileType.File:
            return False, [SourceFile(filesystem, base, base.rpartition("/")[2], url)]
        if kind == pafs.FileType.NotFound:
            raise FileNotFoundError(
                f"source {url!r} does not exist: give a database URL, a folder or a file"
            )
        infos = filesystem.get_file_info(pafs.FileSelector(base, recursive=True))
    folder = url.rstrip("/")
    files = []
    for info in infos:
        name = info.path.removeprefix(base).lstrip("/")
        if info.is_file and not _is_hidden(name):
            files.append(SourceFile(filesystem, info.path, name, f"{folder}/{name}"))
    return True, sorted(files, key=lambda file: file.name)


def _is_hidden(name: str) -> bool:
    return any(segment.startswith((".", "_")) for segment in name.split("/"))


def match_files(files: Sequence[SourceFile], pattern: str) -> list[SourceFile]:
    """Select the files whose names match a pattern of fnmatch, folder by folder."""
    return [file for file in files if _matches_pattern(file.name, pattern)]


def _matches_pattern(name: str, pattern: str) -> bool:
    name_segments, pattern_segments = name.split("/"), pattern.split("/")
    if len(name_segments) != len(pattern_segments):
        return False
    return all(map(fnmatchcase, name_segments, pattern_segments))


def glob_files(pattern: str, folder: str) -> list[SourceFile]:
    """List the files that match a pattern: a URI, an absolute path, or a path below `folder`."""
    if "://" not in pattern and not pattern.startswith("/"):
        pattern = f"{folder}/{pattern}"
    segments = pattern.split("/")
    fixed = _count_fixed_segments(segments)
    try:
        is_folder, files = list_source_files("/".join(segments[:fixed]))
    except FileNotFoundError:
        return []
    if is_folder and fixed < len(segments):
        return match_files(files, "/".join(segments[fixed:]))
    return files


def _count_fixed_segments(segments: Sequence[str]) -> int:
    """Count the segments of a path before the first that has a wildcard."""
    for index, segment in enumerate(segments):
        if _WILDCARD.search(segment):
            return index
    return len(segments)


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
        compression: str | None,
        encodings: Sequence[str],
    ) -> Path:
        """Return the local copy of a file.

        Args:
            file: The file.
            compression: Arrow's name of its compression; None for a plain file.
            encodings: The encodings to try, in that order.

        Raises:
            ValueError: The file is cut off, or its text is in none of the encodings.
        """
        if file.label not in self._paths:
            self._paths[file.label] = self._make_copy(file, compression, encodings)
        return self._paths[file.label]

    def _make_copy(
        self,
        file: SourceFile,
        compression: str | None,
        encodings: Sequence[str],
    ) -> Path:
        # A copy is named by a number: DuckDB acts on endings and wildcards in names.
        target = self._folder / str(len(self._paths))
        is_local = isinstance(file.filesystem, pafs.LocalFileSystem)
        if is_local and not compression and tuple(encodings) == ("utf-8",):
            target.symlink_to(Path(file.path).absolute())
        else:
            _copy_file(file, target, compression, encodings)
        return target


def _copy_file(
    file: SourceFile,
    target: Path,
    compression: str | None,
    encodings: Sequence[str],
) -> None:
    """Copy a file uncompressed, recoded from the first encoding that fits all of it."""
    for encoding in encodings:
        recode = None
        if len(encodings) > 1 or encoding != "utf-8":
            recode = _build_recoder(encoding)
        try:
            _copy_blocks(file, target, compression, recode)
            return
        except UnicodeDecodeError:
            continue
    raise ValueError(
        f"{file.label!r} is not text in {' or '.join(encodings)}: "
        "set its encoding in a mapping file, e.g. encoding: latin-1 (docs/SOURCES.md)"
    )


def _copy_blocks(
    file: SourceFile,
    target: Path,
    compression: str | None,
    recode: Callable[[bytes, bool], bytes] | None,
) -> None:
    with (
        explain_read_errors(file.label),
        file.filesystem.open_input_stream(file.path, compression=compression) as stream,
        target.open("wb") as copy,
    ):
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
