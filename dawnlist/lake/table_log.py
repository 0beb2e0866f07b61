"""Find the commits of a Delta table's log that are damaged, which delta-rs does not name."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

from dawnlist.lake.damaged_objects import (
    RESTORE_ADVICE,
    DamagedObjectError,
    build_damage_error,
    quote_bytes,
)
from dawnlist.lake.objects import ObjectStore, StoredObject

_LOG_FOLDER: Final = "_delta_log"
_LOG_ACTIONS: Final = frozenset(
    ("add", "cdc", "commitInfo", "domainMetadata", "metaData", "protocol", "remove", "txn")
)
"""What a line of a Delta commit may be."""
SMALLEST_COMMIT_BYTES: Final = 150
"""A commit is larger: it says when it was made, by what, and for which operation."""


def check_commit(uri: str, objects: ObjectStore, table: str, version: int) -> None:
    """Refuse a commit that delta-rs reads without an error although it is none.

    It does so with an empty one, and with one that says `{}`: the table would lose rows, and nobody
    would know.

    Raises:
        DamagedObjectError: the commit is none. One that is gone is no error.
    """
    name = f"tables/{table}/{_LOG_FOLDER}/{version:020}.json"
    data = _read(objects, name)
    if data is not None and not _is_whole_commit(data):
        raise _build_commit_error(uri, name, quote_bytes(data))


def check_small_commits(uri: str, objects: ObjectStore, log: Iterable[StoredObject]) -> None:
    """Check all commits of a log that are too small to be one, as `check_commit` does.

    Raises:
        DamagedObjectError: a commit is none.
    """
    for stored in log:
        if stored.size < SMALLEST_COMMIT_BYTES and _is_commit(stored.name):
            _, table, _, file = stored.name.split("/")
            check_commit(uri, objects, table, int(file.removesuffix(".json")))


def find_damaged_commit(uri: str, objects: ObjectStore, table: str) -> DamagedObjectError | None:
    """Find the oldest commit or checkpoint of a table that can't be read, after delta-rs failed.

    Returns an error that names it, or None if each of them can be read and none is missing.
    """
    log = sorted(objects.walk(f"tables/{table}/{_LOG_FOLDER}"), key=lambda entry: entry.name)
    missing = _find_missing_commit([stored.name for stored in log])
    if missing is not None:
        name = f"tables/{table}/{_LOG_FOLDER}/{missing:020}.json"
        return _build_commit_error(uri, name, "it is gone")
    for stored in log:
        data = _read(objects, stored.name)
        if data is None:
            continue
        if _is_commit(stored.name) and not _is_whole_commit(data):
            return _build_commit_error(uri, stored.name, quote_bytes(data))
        if stored.name.endswith(".parquet") and not (data[:4] == data[-4:] == b"PAR1"):
            return build_damage_error(
                uri, stored.name, "is a checkpoint that is cut off or overwritten"
            )
    return None


def _find_missing_commit(names: list[str]) -> int | None:
    """Return the first commit that is missing between the others, or before all of them.

    The log may begin with any commit up to the one after a checkpoint.
    """
    commits = [int(name[-25:-5]) for name in names if _is_commit(name)]
    checkpoints = [name for name in names if name.endswith(".parquet")]
    if commits and commits[0] != 0 and not checkpoints:
        return 0
    for before, after in pairwise(commits):
        if after != before + 1:
            return before + 1
    return None


def _is_commit(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    stem = file.removesuffix(".json")
    return folder.endswith(_LOG_FOLDER) and stem != file and len(stem) == 20 and stem.isdigit()


def _is_whole_commit(data: bytes) -> bool:
    lines = data.splitlines()
    try:
        actions = [json.loads(line) for line in lines if line.strip()]
    except (ValueError, RecursionError):
        return False
    return bool(actions) and all(_is_action(action) for action in actions)


def _is_action(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and value.keys() <= _LOG_ACTIONS


def _build_commit_error(uri: str, name: str, content: str) -> DamagedObjectError:
    table = name.split("/")[1]
    return DamagedObjectError(
        f"{name} of the lake {uri} is a commit that is damaged ({content}), so the "
        f"table {table} can't be read: {RESTORE_ADVICE}; if it is the newest commit you may delete it, "
        "and the next run or `dawnlist backfill` brings its rows again "
        "(docs/OPERATIONS.md, A damaged lake)"
    )


def _read(objects: ObjectStore, name: str) -> bytes | None:
    stored = objects.get(name)
    return None if stored is None else stored[0]
