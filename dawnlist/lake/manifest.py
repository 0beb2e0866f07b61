"""MANIFEST: the sha256 of each file of a folder, to recognise damaged and unfinished folders."""

import hashlib
from pathlib import Path

MANIFEST = "MANIFEST"


def write_manifest(folder: Path) -> None:
    """Write MANIFEST: the sha256 and the name of each other file of the folder, one file a line."""
    lines = []
    for file in sorted(folder.iterdir()):
        if file.name != MANIFEST:
            lines.append(f"{_hash_file(file)}  {file.name}\n")
    (folder / MANIFEST).write_text("".join(lines))


def check_manifest(folder: Path) -> None:
    """Check each file of the folder against MANIFEST.

    Raises:
        ValueError: There is no MANIFEST, it is empty, or a file is missing or has other bytes.
    """
    manifest = folder / MANIFEST
    if not manifest.exists():
        raise ValueError(
            f"{folder} has no MANIFEST: it is no finished directory, so it is not read"
        )
    lines = manifest.read_text(errors="replace").splitlines()
    if not lines:
        raise ValueError(f"{manifest} is empty: it was damaged, write the folder again")
    for line in lines:
        digest, _, name = line.partition("  ")
        file = folder / name
        if not file.is_file() or _hash_file(file) != digest:
            raise ValueError(
                f"{file} is not the file that MANIFEST names: it was damaged, write it again"
            )


def _hash_file(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
