"""List the files of a source: those of a folder on a disk or in a bucket, or a single file."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

from dawnlist.components.fetch.filesystems import explain_read_errors, resolve_filesystem
from dawnlist.components.fetch.source_files import SourceFile, match_files

LINK_TO_NOWHERE = "is a link that leads nowhere: take it away, or restore the file"
NO_REGULAR_FILE = "is a pipe, a socket or a device, not a file: write what it gives into a file"
_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class _Entry:
    """A file on a disk, as os names it: bytes that are not UTF-8 are surrogates."""

    path: str
    problem: str
    """Why it can't be read; empty for a file that can be."""


def list_source_files(url: str) -> tuple[bool, list[SourceFile]]:
    """List the files at `url`: those of a folder and of its folders, by name, or a single file.

    Hidden files are left out: those whose name, or whose folder's name, begins with a dot or an
    underscore. Returns whether `url` is a folder, and the files. Those that can't be read, such as
    pipes, say so in `problem`.

    Raises:
        FileNotFoundError: There is nothing at `url`.
    """
    with explain_read_errors(url):
        filesystem, base = resolve_filesystem(url)
        if isinstance(filesystem, pafs.LocalFileSystem):
            return _list_local_files(filesystem, base, url)
        return _list_remote_files(filesystem, base, url)


def _list_remote_files(
    filesystem: pafs.FileSystem, base: str, url: str
) -> tuple[bool, list[SourceFile]]:
    kind = filesystem.get_file_info(base).type
    if kind == pafs.FileType.File:
        return False, [SourceFile(filesystem, base, base.rpartition("/")[2], url)]
    if kind == pafs.FileType.NotFound:
        raise _build_missing_error(url)
    infos = filesystem.get_file_info(pafs.FileSelector(base, recursive=True))
    folder = url.rstrip("/")
    files = []
    for info in infos:
        name = info.path.removeprefix(base).lstrip("/")
        if info.is_file and not any(map(_is_hidden, name.split("/"))):
            files.append(SourceFile(filesystem, info.path, name, f"{folder}/{name}"))
    return True, sorted(files, key=lambda file: file.name)


def _list_local_files(
    filesystem: pafs.FileSystem, base: str, url: str
) -> tuple[bool, list[SourceFile]]:
    if not os.path.lexists(base):
        raise _build_missing_error(url)
    if not Path(base).is_dir():
        name = _make_printable(Path(base).name)
        problem = _find_problem(base)
        return False, [SourceFile(filesystem, base, name, _make_printable(url), problem)]
    folder = url.rstrip("/")
    files = []
    for entry in _walk_folder(base, set()):
        name = _make_printable(entry.path.removeprefix(base).lstrip("/"))
        label = _make_printable(f"{folder}/{name}")
        files.append(SourceFile(filesystem, entry.path, name, label, entry.problem))
    return True, sorted(files, key=lambda file: file.name)


def _build_missing_error(url: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"source {_make_printable(url)!r} does not exist: give a database URL, a folder or a file"
    )


def _walk_folder(folder: str, visited: set[tuple[int, int]]) -> Iterator[_Entry]:
    """Yield the files below a folder. A folder that links lead to again is walked once."""
    status = Path(folder).stat()
    identity = (status.st_dev, status.st_ino)
    if identity in visited:
        return
    visited.add(identity)
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not _is_hidden(entry.name)]
    # Real folders come first, so that files keep the names that they have without links.
    visible.sort(key=lambda entry: (entry.is_symlink(), entry.name))
    for entry in visible:
        if Path(entry.path).is_dir():
            yield from _walk_folder(entry.path, visited)
        else:
            yield _Entry(entry.path, _find_problem(entry.path))


def _find_problem(path: str) -> str:
    try:
        mode = Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return LINK_TO_NOWHERE
    except OSError:
        # A link that leads to itself.
        if Path(path).is_symlink():
            return LINK_TO_NOWHERE
        raise
    return "" if stat.S_ISREG(mode) else NO_REGULAR_FILE


def _is_hidden(segment: str) -> bool:
    return segment.startswith((".", "_"))


def _make_printable(text: str) -> str:
    r"""Write bytes of a name that are not UTF-8 as \xe9."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


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
