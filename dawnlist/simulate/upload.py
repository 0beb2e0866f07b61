"""Upload a simulated shop to a bucket, as daily files that a run's `--source` can name.

A bucket has no rename, so a shop can't appear there at once. Its last file, `items.csv`, is written
when all others are there: a prefix with this file holds a whole shop. An upload that was killed is
continued by the next one, if that writes the same bytes.
"""

from pathlib import Path

from dawnlist.lake.object_stores import open_object_store
from dawnlist.lake.objects import ABSENT_REVISION, ObjectStore

BUCKET_SCHEMES = ("s3", "gs")
LAST_FILE = "items.csv"
"""The file that is uploaded last."""


class ShopExistsError(FileExistsError):
    """The target holds a whole shop, or rows of somebody else, and is left as it is."""


def upload_shop(folder: Path, uri: str) -> None:
    """Upload all files of a folder that `write_shop` has filled.

    Args:
        folder: The folder, with `items.csv`.
        uri: Where to write, such as `s3://bucket/prefix`.

    Raises:
        ShopExistsError: There is a whole shop already.
        FileExistsError: There are objects that are not of this shop. None is changed.
    """
    store = open_object_store(uri)
    names = _list_files(folder)
    existing_names = {stored.name for stored in store.walk("")}
    if LAST_FILE in existing_names:
        raise ShopExistsError(
            f"{uri} holds a shop already; a shop is only written to an empty place: "
            "remove it or name another"
        )
    foreign_names = sorted(existing_names - set(names))
    if foreign_names:
        raise _build_foreign_error(uri, foreign_names[0])
    for name in names:
        _upload_file(store, folder / name, name, uri)


def _list_files(folder: Path) -> list[str]:
    """List the paths of the files, relative to the folder, in the order of the upload."""
    names = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            names.append(path.relative_to(folder).as_posix())
    names.remove(LAST_FILE)
    return [*names, LAST_FILE]


def _upload_file(store: ObjectStore, path: Path, name: str, uri: str) -> None:
    """Create the object, or accept the one that is there if it has the same bytes."""
    if store.put(path, name, ABSENT_REVISION):
        return
    existing = store.get(name)
    if existing is None or existing[0] != path.read_bytes():
        raise _build_foreign_error(uri, name)


def _build_foreign_error(uri: str, name: str) -> FileExistsError:
    return FileExistsError(
        f"{uri} has {name}, which is not of this shop; a shop is only written to an empty place: "
        "remove what is there or name another"
    )
