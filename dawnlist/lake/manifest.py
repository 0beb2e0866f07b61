"""MANIFEST: the sha256 of each file of a finished folder, by which a damaged or unfinished one is told."""

import hashlib
from pathlib import Path

MANIFEST = "MANIFEST"


def write_manifest(folder: Path) -> None:
    """Write MANIFEST: the sha256 of each other file of the folder, one a line."""
    files = sorted(file for file in folder.iterdir() if file.name != MANIFEST)
    (folder / MANIFEST).write_text("".join(f"{_hash_file(file)}  {file.name}\n" for file in files))


def check_manifest(folder: Path) -> None:
    """ValueError when the folder is not, byte for byte, what its MANIFEST says."""
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
        if not (folder / name).is_file() or _hash_file(folder / name) != digest:
            raise ValueError(
                f"{folder / name} is not the file that MANIFEST names: it was damaged, write it again"
            )


def _hash_file(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
