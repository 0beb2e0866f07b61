"""Files wherever they lie, a folder, gs:// or s3://, and plain local copies of those that are read."""

import codecs
import errno
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow.fs as pafs

REMOTE_SCHEMES = ("gs", "s3")
FILE_BLOCK_BYTES = 1 << 20
GCS_RETRY_SECONDS = 60
"""So long Google's client tries; its own limit is a quarter of an hour."""
COMPRESSIONS = {"gz": "gzip", "gzip": "gzip", "zst": "zstd", "zstd": "zstd"}
_DAY_IN_NAME = re.compile(r"(?:^|/)(?:\w+=)?(\d{4}-\d{2}-\d{2})")


@dataclass(frozen=True)
class SourceFile:
    """One file of a source."""

    filesystem: pafs.FileSystem
    path: str
    """As `filesystem` names it."""
    name: str
    """Below the source's folder, with slashes."""
    label: str
    """What messages call it: a path or a URI."""

    @property
    def ending(self) -> str:
        """The name's last ending in lower case but those of compressions: 'csv' of 'a.CSV.gz'."""
        parts = self.name.rpartition("/")[2].lower().split(".")[1:]
        return next((part for part in reversed(parts) if part not in COMPRESSIONS), "")

    @property
    def compression(self) -> str | None:
        """Arrow's name for the compression that the file's name says."""
        return COMPRESSIONS.get(self.name.lower().rpartition(".")[2])

    @property
    def day(self) -> date | None:
        """The day that the file, or the folder it lies in, is named by: 2026-01-31.csv, event_date=2026-01-31/x.csv."""
        found = _DAY_IN_NAME.search(self.name)
        if found is None:
            return None
        try:
            return date.fromisoformat(found[1])
        except ValueError:
            raise ValueError(
                f"{self.label!r} is named by a day that is none, {found[1]}: rename it"
            ) from None

    def first_line(self) -> str:
        """What the file begins with, up to the end of a line or of a block; what is no UTF-8 is shown as that."""
        with (
            explain_read_errors(self.label),
            self.filesystem.open_input_stream(self.path, compression=self.compression) as stream,
        ):
            line: str = stream.read(FILE_BLOCK_BYTES).decode(errors="replace").partition("\n")[0]
            return line.removeprefix("\ufeff")


def list_source_files(url: str) -> tuple[bool, list[SourceFile]]:
    """Whether `url` is a folder, and its files, those in folders too, by name; or the one file that it is.

    Hidden ones, of names that begin with a dot or an underscore, are left out.
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
    names = {info.path.removeprefix(base).lstrip("/"): info.path for info in infos if info.is_file}
    folder = url.rstrip("/")
    return True, [
        SourceFile(filesystem, path, name, f"{folder}/{name}")
        for name, path in sorted(names.items())
        if not any(part.startswith((".", "_")) for part in name.split("/"))
    ]


def match_files(files: Sequence[SourceFile], pattern: str) -> list[SourceFile]:
    """The files whose names match a pattern of fnmatch, folder by folder."""
    wanted = pattern.split("/")
    return [file for file in files if _matches_pattern(file.name.split("/"), wanted)]


def glob_files(pattern: str, folder: str) -> list[SourceFile]:
    """The files, if any, that a pattern stands for: a URI, an absolute path, or one relative to `folder`."""
    whole = pattern if "://" in pattern or pattern.startswith("/") else f"{folder}/{pattern}"
    parts = whole.split("/")
    fixed = next(
        (place for place, part in enumerate(parts) if re.search(r"[*?\[]", part)), len(parts)
    )
    try:
        is_folder, files = list_source_files("/".join(parts[:fixed]))
    except FileNotFoundError:
        return []
    return (
        match_files(files, "/".join(parts[fixed:])) if is_folder and fixed < len(parts) else files
    )


class LocalCopies:
    """Plain UTF-8 copies of files in a temporary folder, each made once, that go when this object does.

    A plain local file is only linked to. Memory is that of a block whatever the file's size; the disk must hold the
    files that are read, unpacked.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="dawnlist-source-"))
        self._made: dict[str, Path] = {}
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def names(self) -> list[str]:
        """The files that were copied so far."""
        return list(self._made)

    def get_local_path(
        self, file: SourceFile, compression: str | None, encodings: Sequence[str]
    ) -> Path:
        """The local copy of a file. ValueError when it is truncated, or text in none of the encodings."""
        if file.label not in self._made:
            # names without endings and wildcards, which DuckDB would obey
            target = self._folder / str(len(self._made))
            if (
                isinstance(file.filesystem, pafs.LocalFileSystem)
                and not compression
                and tuple(encodings) == ("utf-8",)
            ):
                target.symlink_to(Path(file.path).absolute())
            else:
                _copy_file(file, target, compression, encodings)
            self._made[file.label] = target
        return self._made[file.label]


def _copy_file(
    file: SourceFile, target: Path, compression: str | None, encodings: Sequence[str]
) -> None:
    for encoding in encodings:
        try:
            with (
                explain_read_errors(file.label),
                file.filesystem.open_input_stream(file.path, compression=compression) as stream,
            ):
                recode = (
                    _build_recoder(encoding) if len(encodings) > 1 or encoding != "utf-8" else None
                )
                with target.open("wb") as out:
                    while block := stream.read(FILE_BLOCK_BYTES):
                        out.write(recode(block, False) if recode else block)
                    out.write(recode(b"", True) if recode else b"")
            return
        except UnicodeDecodeError:
            continue
    raise ValueError(
        f"{file.label!r} is not text in {' or '.join(encodings)}: set its encoding in a mapping file, "
        "e.g. encoding: latin-1 (docs/SOURCES.md)"
    )


def _build_recoder(encoding: str) -> Callable[[bytes, bool], bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    return lambda block, final: decoder.decode(block, final).encode()


@contextmanager
def explain_read_errors(url: str) -> Iterator[None]:
    """What goes wrong with a place becomes one line that names it."""
    try:
        yield
    except FileNotFoundError as error:
        if url in str(error):
            raise
        raise FileNotFoundError(
            f"source {url!r} does not exist: check the bucket and the path"
        ) from None
    except OSError as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        if "Truncated" in said or "decompress" in said.lower() or "zlib" in said or "ZSTD" in said:
            raise ValueError(f"{url!r} is damaged or was cut off ({said}): copy it again") from None
        if error.errno == errno.ENOSPC:
            raise OSError(
                f"{url!r} has no room in the temporary folder: set TMPDIR to one on a bigger disk"
            ) from None
        kind = (
            PermissionError
            if isinstance(error, PermissionError) or "ACCESS_DENIED" in said
            else OSError
        )
        raise kind(
            f"{url!r} can't be read ({said}): check the place, and that you may read it"
        ) from None


def resolve_filesystem(url: str) -> tuple[pafs.FileSystem, str]:
    """Arrow's file system for a path or a URI, and the path as it names it; emulators by the usual variables."""
    scheme = url.partition("://")[0] if "://" in url else "file"
    emulator = os.environ.get("CLOUD_STORAGE_EMULATOR_ENDPOINT") or os.environ.get(
        "STORAGE_EMULATOR_HOST"
    )
    if emulator and scheme == "gs":
        protocol, _, host = emulator.rstrip("/").rpartition("://")
        patience = timedelta(seconds=GCS_RETRY_SECONDS)
        server = {
            "scheme": protocol or "http",
            "endpoint_override": host,
            "retry_time_limit": patience,
        }
        return pafs.GcsFileSystem(anonymous=True, **server), url.removeprefix("gs://").rstrip("/")
    if scheme in REMOTE_SCHEMES:
        limit = f"?retry_limit_seconds={GCS_RETRY_SECONDS}" if scheme == "gs" else ""
        filesystem, path = pafs.FileSystem.from_uri(f"{url}{limit}")
        return filesystem, path.rstrip("/")
    local = Path(url.removeprefix("file://")).expanduser().absolute()
    return pafs.LocalFileSystem(), str(local)


def _matches_pattern(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))
