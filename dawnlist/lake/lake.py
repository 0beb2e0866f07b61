"""The lake of one shop: immutable objects and Delta tables, in a folder, on gs:// or on s3://.

Everything lies under `{root}/{namespace}/`:

    landing/{table}/{start}_{end}/{run}.parquet   what a source gave for one window, unchanged
    tables/{name}                                 Delta tables: interactions, quarantine, items,
                                                  users, bot_*_days
    trials/{fingerprint}/{trial}.npz              finished trials of a search: each user's metrics
    searches/{as_of}/{run}.json                   the table of all trials of a run's search
    items_seen/{as_of}.parquet                    when each item was first listed in the items table
    challengers/{as_of}.json                      which model was the challenger; the next one
                                                  starts from it
    models/{fingerprint}/                         finished fits, so that a rerun does not fit again
    publications/{as_of}-{run}-{token}.json       what the store may serve: version, model, figures
    catalogue/{number}.json                       what a crawl found, and what had changed before it
    leases/{name}.json                            who does a job that two may not do at once
    champion.json                                 the publication that is active in the store, and
                                                  those before it
    gates/{as_of}/{run}.json                      the verdict of a gate, read for four weeks
    runs/{as_of}/{run}/{step}.json                the run record
    ablation/{as_of}.json                         what each bot rule is worth
    reports/{as_of}/{run}.html                    the daily report
    reports/index.html, reports/index.json        links to all reports, and how each run ended
    reports/{as_of}/{run}/told-{key}.json         marks that everybody was told about a run
    outbox/{as_of}-{run}-{key}.json               a message that a channel has not taken yet
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs

from dawnlist.lake.damaged_objects import (
    JsonTypes,
    parse_json,
    parse_json_object,
)
from dawnlist.lake.day_ranges import add_day_ranges
from dawnlist.lake.manifest import MANIFEST, check_manifest
from dawnlist.lake.object_stores import open_object_store
from dawnlist.lake.objects import ABSENT_REVISION, ObjectStore, Revision, StoredObject
from dawnlist.lake.table_log import check_commit, check_small_commits, find_damaged_commit
from dawnlist.namespace import check_namespace
from dawnlist.urls import mask_passwords

if TYPE_CHECKING:  # both import pandas, which takes a second that most steps need not spend
    import pyarrow.dataset as pads
    from deltalake import DeltaTable

FORBIDDEN_PATH_CHARACTERS = re.compile(r"[%\[\]^|\\]")
"""Characters that delta-rs reads in another way than Arrow, or can't read at all."""
_SCHEMES = ("file", "gs", "s3")
_BUCKET_URI = re.compile(r"\w+://[^/?#@]+(/[^?#@]*)?")


@dataclass(frozen=True)
class Lake:
    """The objects and Delta tables of one shop.

    The path of an object is given as several parts, which are joined with `/`. Parts often come
    from values, so a part that leaves its folder (`..` or a leading slash) is a ValueError.
    """

    uri: str
    """The absolute URI of `{root}/{namespace}`, without a trailing slash."""
    objects: ObjectStore
    """The objects of the lake. Delta tables are read and written by delta-rs itself."""

    @classmethod
    def open(cls, root: str, namespace: str) -> "Lake":
        """Open the lake of `namespace` under `root`, a folder or a file://, gs:// or s3:// URI.

        Nothing is sent over the network yet.

        Raises:
            ValueError: The root or the namespace can't be used.
        """
        check_namespace(namespace)
        if not root:
            raise ValueError("the lake is empty: give a folder or a file://, gs:// or s3:// URI")
        uri = root
        if "://" not in root:
            uri = Path(root).expanduser().resolve().as_uri()
        _check_uri_kind(root, uri)
        uri = f"{uri.rstrip('/')}/{namespace}"
        forbidden = FORBIDDEN_PATH_CHARACTERS.search(_strip_scheme(uri))
        if forbidden:
            raise ValueError(
                f"lake {root!r} has a {forbidden[0]!r} in it, which Delta tables can't have: "
                "rename the folder"
            )
        return cls(uri, open_object_store(uri))

    @property
    def base(self) -> str:
        """The path of the lake's folder in `filesystem`."""
        return _strip_scheme(self.uri)

    @cached_property
    def filesystem(self) -> pafs.FileSystem:
        """Arrow's file system, to read Parquet files and to scan tables."""
        if self.uri.startswith("file://"):
            return pafs.LocalFileSystem()
        emulator = os.environ.get("STORAGE_EMULATOR_HOST")
        if self.uri.startswith("gs://") and emulator:
            scheme, _, host = emulator.rpartition("://")
            return pafs.GcsFileSystem(
                anonymous=True, endpoint_override=host, scheme=scheme or "http"
            )
        filesystem, _ = pafs.FileSystem.from_uri(self.uri)
        return filesystem

    def path(self, *parts: str) -> str:
        """Build the path of an object in `filesystem`."""
        return f"{self.base}/{_join_key(parts)}"

    def write(self, data: bytes | pa.Buffer, *parts: str) -> None:
        """Write an object whole or not at all."""
        self.objects.put(bytes(data), _join_key(parts))

    def create(self, data: bytes, *parts: str) -> bool:
        """Write a new object, whole or not at all; returns False when there is one already."""
        return self.objects.put(data, _join_key(parts), ABSENT_REVISION)

    def replace(self, data: bytes, expected: Revision, *parts: str) -> bool:
        """Write an object unless somebody has changed it since it was read.

        `expected` is the revision that `read_with_revision` returned. Returns False, and writes
        nothing, when the object has another revision.
        """
        return self.objects.put(data, _join_key(parts), expected)

    def upload(self, source: Path, *parts: str, if_absent: bool = False) -> bool:
        """Copy a local file into the lake, whole or not at all.

        With `if_absent`, nothing is written and False is returned when there is such an object.
        """
        if not if_absent:
            return self.objects.put(source, _join_key(parts))
        # the store itself may say so only after the whole file was sent
        if self.exists(*parts):
            return False
        return self.objects.put(source, _join_key(parts), ABSENT_REVISION)

    def read(self, *parts: str) -> bytes | None:
        """Read an object's bytes; None when there is no such object."""
        stored = self.objects.get(_join_key(parts))
        if stored is None:
            return None
        data, _ = stored
        return data

    def read_with_revision(self, *parts: str) -> tuple[bytes, Revision] | None:
        """Read an object's bytes and its revision; None when there is no such object."""
        return self.objects.get(_join_key(parts))

    def delete(self, *parts: str) -> None:
        """Remove an object, if it is there."""
        self.objects.delete(_join_key(parts))

    def walk(self, *parts: str) -> Iterator[StoredObject]:
        """List all objects below a folder, in no order; files of Delta tables are objects too."""
        return self.objects.walk(_join_key(parts))

    def write_json(self, value: Any, *parts: str) -> None:
        """Write a value as JSON, whole or not at all.

        Raises:
            ValueError: The value has a NaN or an infinity in it, which many JSON readers refuse.
        """
        self.write(json.dumps(value, indent=1, allow_nan=False).encode(), *parts)

    def read_json(self, *parts: str, types: JsonTypes | None = None) -> Any:
        """Read an object's JSON value; None when there is no such object.

        Args:
            parts: The object's path.
            types: The value must be a JSON object with these keys, of these types. None: any value.

        Raises:
            DamagedObjectError: There is something else. The message is one line that names the
                object, and says what to do.
        """
        data = self.read(*parts)
        if data is None:
            return None
        path = _join_key(parts)
        if types is None:
            return parse_json(self.uri, path, data)
        return parse_json_object(self.uri, path, data, types)

    def exists(self, *parts: str) -> bool:
        """Say whether there is an object of that name."""
        return self.objects.exists(_join_key(parts))

    def names(self, *parts: str) -> list[str]:
        """List the names of the objects and folders directly below a folder, sorted.

        The list is empty when there is no such folder.
        """
        return sorted(self.objects.names(_join_key(parts)))

    def upload_folder(self, source: Path, *parts: str) -> None:
        """Copy a local folder without subfolders into the lake.

        MANIFEST is written last, so that a folder with a MANIFEST is complete.
        """
        files = sorted(source.iterdir(), key=lambda file: (file.name == MANIFEST, file.name))
        for file in files:
            self.upload(file, *parts, file.name)

    def download_folder(self, target: Path, *parts: str) -> None:
        """Copy a folder of the lake, without subfolders, to the local folder `target`."""
        target.mkdir(parents=True, exist_ok=True)
        for name in self.names(*parts):
            data = self.read(*parts, name)
            if data is not None:
                (target / name).write_bytes(data)

    def reuse_or_make(self, target: Path, make: Callable[[], None], *parts: str) -> bool:
        """Fill the local folder `target` with a finished folder of the lake, or make it.

        This is how a step finds its own finished work after a retry. `make` writes the folder with
        a MANIFEST, and it is uploaded then. A folder of the lake that doesn't match its MANIFEST is
        made again. Returns True when the folder was in the lake.
        """
        if self.exists(*parts, MANIFEST):
            self.download_folder(target, *parts)
            try:
                check_manifest(target)
                return True
            except ValueError:
                shutil.rmtree(target)
        make()
        self.upload_folder(target, *parts)
        return False

    def table_uri(self, name: str) -> str:
        """Build the URI of a Delta table."""
        return f"{self.uri}/tables/{name}"

    def table(self, name: str, version: int | None = None) -> "DeltaTable | None":
        """Open a Delta table at `version` (default: the newest); None when it was never written.

        Raises:
            DamagedObjectError: A commit of its log is damaged. The message names it.
        """
        # `objects` is asked, since its errors are one line, and only for the first entry of the
        # log: a log has an entry for each commit
        first_entry = next(iter(self.walk("tables", name, "_delta_log")), None)
        if first_entry is None:
            return None
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            table = DeltaTable(self.table_uri(name), version=version)
        except TableNotFoundError:  # the process of the first commit was killed
            return None
        except DeltaError as error:
            raise find_damaged_commit(self.uri, self.objects, name) or error from None
        check_commit(self.uri, self.objects, name, table.version())
        return table

    def check_log(self, name: str) -> None:
        """Check all small commits of a Delta table's log; `table` checks only the newest one.

        Raises:
            DamagedObjectError: A commit is damaged. The message names it.
        """
        check_small_commits(self.uri, self.objects, self.walk("tables", name, "_delta_log"))

    def scan(self, table: "DeltaTable") -> "pads.Dataset":
        """Scan the rows of one of this lake's tables lazily, at the version that was opened.

        Arrow's own file system is used. The one of delta-rs runs Python code in the threads that
        read. When a scan was not read to its end (head, LIMIT), the interpreter hangs at exit.
        """
        name = table.table_uri.rstrip("/").rpartition("/")[2]
        table_filesystem = pafs.SubTreeFileSystem(self.path("tables", name), self.filesystem)
        return add_day_ranges(table.to_pyarrow_dataset(filesystem=table_filesystem))

    def rows(self, name: str, version: int | None = None) -> "pads.Dataset | None":
        """Scan a table's rows lazily; None when it was never written."""
        table = self.table(name, version)
        return None if table is None else self.scan(table)


def _check_uri_kind(root: str, uri: str) -> None:
    scheme = uri.split("://")[0]
    if scheme not in _SCHEMES:
        raise ValueError(
            f"lake {root!r} is of a kind that can't be used: give a folder or "
            "file://, gs:// or s3://"
        )
    if not uri.startswith("file://") and not _BUCKET_URI.fullmatch(uri):
        raise ValueError(
            f"lake {mask_passwords(root)!r} is no place in a bucket: "
            "give s3://bucket/folder, gs://bucket/folder"
        )


def _join_key(parts: tuple[str, ...]) -> str:
    for part in parts:
        if ".." in part.split("/") or part.startswith("/"):
            raise ValueError(f"{part!r} can't be part of a path in the lake: it leaves its folder")
    return "/".join(parts)


def _strip_scheme(uri: str) -> str:
    scheme, _, path = uri.partition("://")
    return unquote(path) if scheme == "file" else path
