"""The lake: immutable objects and Delta tables of one shop, on a local folder, gs:// or s3://.

The only module that knows the lake's paths. Everything lies under `{root}/{namespace}/`:

    landing/{table}/{start}_{end}/{run}.parquet   what a source gave for one window, untouched
    tables/{name}                                 Delta tables: interactions, quarantine, items, users, bot_*_days
    trials/{fingerprint}/{trial}.npz              finished trials of a search: each judged user's metrics
    searches/{as_of}/{run}.json                   the table of all trials of a run's search
    challengers/{as_of}.json                      which model was the challenger, for the next one to start from
    models/{fingerprint}/                         finished fits, so that a rerun does not fit again
    publications/{as_of}-{run}-{token}.json       what the store may show: a version, its model and its figures
    catalogue/{number}.json                       what crawls found, and what changed from one to the next
    leases/{name}.json                            who does something that two may not do at once
    champion.json                                 the publication that the store has active, and those before it
    gates/{as_of}/{run}.json                      what a gate found, for those of the next four weeks
    runs/{as_of}/{run}/{step}.json                the run record
    ablation/{as_of}.json                         what each bot rule is worth
    reports/{as_of}/{run}.html                    the daily report
    reports/{as_of}/{run}/told-{key}.json         that everybody was told of a run
    outbox/{as_of}-{run}-{key}.json               a message that somebody has not taken yet
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

from dawnlist.lake.manifest import MANIFEST, check_manifest
from dawnlist.lake.objects import ABSENT_REVISION, ObjectStore, Revision, StoredObject
from dawnlist.namespace import check_namespace
from dawnlist.urls import mask_passwords

if TYPE_CHECKING:  # both bring pandas along, a second that most steps need not spend
    import pyarrow.dataset as pads
    from deltalake import DeltaTable

FORBIDDEN_PATH_CHARACTERS = re.compile(r"[%\[\]^|\\]")
"""What delta-rs reads otherwise than Arrow, or stops at."""


@dataclass(frozen=True)
class Lake:
    """One shop's corner of an object store or a local folder."""

    uri: str
    """Absolute URI of `{root}/{namespace}`, without a trailing slash."""
    objects: ObjectStore
    """What lies there; Delta tables have their own way to it."""

    @classmethod
    def open(cls, root: str, namespace: str) -> "Lake":
        """The lake of `namespace` under `root`, a folder or a file://, gs:// or s3:// URI. ValueError when unusable.

        Nothing is asked of a network yet.
        """
        check_namespace(namespace)
        if not root:
            raise ValueError("the lake is empty: give a folder or a file://, gs:// or s3:// URI")
        uri = root if "://" in root else Path(root).expanduser().resolve().as_uri()
        if uri.split("://")[0] not in ("file", "gs", "s3"):
            raise ValueError(
                f"lake {root!r} is of a kind that can't be used: give a folder or file://, gs:// or s3://"
            )
        if not uri.startswith("file://") and not re.fullmatch(r"\w+://[^/?#@]+(/[^?#@]*)?", uri):
            raise ValueError(
                f"lake {mask_passwords(root)!r} is no place in a bucket: give s3://bucket/folder, gs://bucket/folder"
            )
        uri = f"{uri.rstrip('/')}/{namespace}"
        if bad := FORBIDDEN_PATH_CHARACTERS.search(_strip_scheme(uri)):
            raise ValueError(
                f"lake {root!r} has a {bad[0]!r} in it, which Delta tables can't have: rename the folder"
            )
        return cls(uri, open_object_store(uri))

    @property
    def base(self) -> str:
        """The lake's place as `filesystem` names it."""
        return _strip_scheme(self.uri)

    @cached_property
    def filesystem(self) -> pafs.FileSystem:
        """Arrow's way to the lake, to read Parquet and to scan tables."""
        if self.uri.startswith("file://"):
            return pafs.LocalFileSystem()
        emulator = os.environ.get("STORAGE_EMULATOR_HOST")
        if self.uri.startswith("gs://") and emulator:
            scheme, _, host = emulator.rpartition("://")
            return pafs.GcsFileSystem(
                anonymous=True, endpoint_override=host, scheme=scheme or "http"
            )
        return pafs.FileSystem.from_uri(self.uri)[0]

    def path(self, *parts: str) -> str:
        """The path of an object as `filesystem` names it; parts come from values, so a slash or `..` is refused."""
        return f"{self.base}/{_join_key(parts)}"

    def write(self, data: bytes | pa.Buffer, *parts: str) -> None:
        """Write an object whole or not at all."""
        self.objects.put(bytes(data), _join_key(parts))

    def create(self, data: bytes, *parts: str) -> bool:
        """Write an object that is not there yet, whole or not at all; False when it is there."""
        return self.objects.put(data, _join_key(parts), ABSENT_REVISION)

    def replace(self, data: bytes, mark: Revision, *parts: str) -> bool:
        """Write an object that nobody has changed since `read_marked` gave its mark; False when somebody has."""
        return self.objects.put(data, _join_key(parts), mark)

    def upload(self, source: Path, *parts: str, if_absent: bool = False) -> bool:
        """Copy a local file into the lake, whole or not at all; False when `if_absent` and there is such an object."""
        if if_absent and self.exists(
            *parts
        ):  # which the store itself may say only after it was sent
            return False
        return self.objects.put(source, _join_key(parts), ABSENT_REVISION if if_absent else None)

    def read(self, *parts: str) -> bytes | None:
        """The object's bytes, or None when there is no such object."""
        found = self.objects.get(_join_key(parts))
        return None if found is None else found[0]

    def read_with_revision(self, *parts: str) -> tuple[bytes, Revision] | None:
        """The object's bytes and the mark to replace it by, or None when there is no such object."""
        return self.objects.get(_join_key(parts))

    def delete(self, *parts: str) -> None:
        """Remove an object, if it is there."""
        self.objects.delete(_join_key(parts))

    def walk(self, *parts: str) -> Iterator[StoredObject]:
        """All objects below a folder, in no order; a table's own files too."""
        return self.objects.walk(_join_key(parts))

    def write_json(self, value: Any, *parts: str) -> None:
        """Write `value` as JSON, whole or not at all; NaN is refused, since readers of JSON refuse it."""
        self.write(json.dumps(value, indent=1, allow_nan=False).encode(), *parts)

    def read_json(self, *parts: str) -> Any:
        """The object's JSON value, or None when there is no such object."""
        data = self.read(*parts)
        return None if data is None else json.loads(data)

    def exists(self, *parts: str) -> bool:
        """Whether there is an object of that name."""
        return self.objects.exists(_join_key(parts))

    def names(self, *parts: str) -> list[str]:
        """Names of objects and folders directly below a folder, sorted; empty when there is no such folder."""
        return sorted(self.objects.names(_join_key(parts)))

    def upload_folder(self, source: Path, *parts: str) -> None:
        """Copy a flat local folder; MANIFEST goes last, so that a folder with one is whole."""
        for file in sorted(source.iterdir(), key=lambda file: (file.name == MANIFEST, file.name)):
            self.upload(file, *parts, file.name)

    def download_folder(self, target: Path, *parts: str) -> None:
        """Copy a flat folder of the lake to `target`."""
        target.mkdir(parents=True, exist_ok=True)
        for name in self.names(*parts):
            data = self.read(*parts, name)
            if data is not None:
                (target / name).write_bytes(data)

    def reuse_or_make(self, target: Path, make: Callable[[], None], *parts: str) -> bool:
        """Fill the folder `target` from finished work of that name, or make it and keep it. True when it was there.

        `make` writes a folder with a MANIFEST; one that is not what its MANIFEST says is made again. This is how a
        step recognises its own finished work after a retry.
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
        """The URI of a Delta table."""
        return f"{self.uri}/tables/{name}"

    def table(self, name: str, version: int | None = None) -> "DeltaTable | None":
        """The Delta table at `version` (the newest by default), or None when it was never written."""
        # asked of `objects`, whose errors are one line, and for the first alone: a log has an entry for each commit
        if next(iter(self.walk("tables", name, "_delta_log")), None) is None:
            return None
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            return DeltaTable(self.table_uri(name), version=version)
        except TableNotFoundError:  # the first commit was killed
            return None

    def scan(self, table: "DeltaTable") -> "pads.Dataset":
        """The rows of one of this lake's tables, at the version that was read, lazily.

        Through Arrow's own file system: delta-rs's needs Python in the reading threads, and a scan that is not read
        to its end (head, LIMIT) then hangs the interpreter when it exits.
        """
        name = table.table_uri.rstrip("/").rpartition("/")[2]
        place = pafs.SubTreeFileSystem(self.path("tables", name), self.filesystem)
        return table.to_pyarrow_dataset(filesystem=place)

    def rows(self, name: str, version: int | None = None) -> "pads.Dataset | None":
        """A table's rows, lazily, or None when it was never written."""
        table = self.table(name, version)
        return None if table is None else self.scan(table)


def _join_key(parts: tuple[str, ...]) -> str:
    for part in parts:
        if ".." in part.split("/") or part.startswith("/"):
            raise ValueError(f"{part!r} can't be part of a path in the lake: it leaves its folder")
    return "/".join(parts)


def _strip_scheme(uri: str) -> str:
    scheme, _, place = uri.partition("://")
    return unquote(place) if scheme == "file" else place


def open_object_store(uri: str) -> ObjectStore:
    """The objects under the URI of a lake; nothing is asked of the network yet."""
    if uri.startswith("s3://"):
        from dawnlist.lake.s3 import S3ObjectStore

        return S3ObjectStore(uri)
    if uri.startswith("gs://"):
        from dawnlist.lake.gcs import GcsObjectStore

        return GcsObjectStore(uri)
    from dawnlist.lake.local import LocalObjectStore

    return LocalObjectStore(uri)
