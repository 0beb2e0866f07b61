from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from dawnlist.lake.lake import Lake
from dawnlist.lake.local import LocalObjectStore
from dawnlist.lake.manifest import write_manifest
from dawnlist.lake.objects import StoredObject
from dawnlist.upkeep.expiry import Expiry


def test_an_object_is_whole_or_not_there(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path), "shop")
    assert lake.read("runs", "a.json") is None
    lake.write_json({"a": 1}, "runs", "a.json")
    assert lake.read_json("runs", "a.json") == {"a": 1}
    with pytest.raises(FileNotFoundError):
        lake.upload(tmp_path / "absent", "runs", "b.json")
    assert lake.names("runs") == ["a.json"]
    assert [file.name for file in (tmp_path / "shop/runs").iterdir()] == ["a.json"]


def test_not_a_number_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path), "shop")
    with pytest.raises(ValueError, match="Out of range float"):
        lake.write_json({"ndcg": float("nan")}, "a.json")
    assert not lake.exists("a.json")


def test_two_shops_do_not_see_each_other(tmp_path: Path) -> None:
    one, two = Lake.open(str(tmp_path), "one"), Lake.open(str(tmp_path), "two")
    one.write(b"1", "champion.json")
    assert two.read("champion.json") is None
    assert one.table_uri("items") == f"{tmp_path.as_uri()}/one/tables/items"


@pytest.mark.parametrize("namespace", ["", "A", "a/b", "..", "-a", "a" * 41])
def test_a_namespace_that_breaks_paths_is_refused(tmp_path: Path, namespace: str) -> None:
    with pytest.raises(ValueError, match="not usable in paths and keys"):
        Lake.open(str(tmp_path), namespace)


@pytest.mark.parametrize("name", ["100%", "[x]", "a^b", "a|b", "a\\b"])
def test_a_name_that_delta_tables_can_not_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="Delta tables can't have: rename the folder"):
        Lake.open(str(tmp_path / name), "shop")
    assert Lake.open("file:///tmp/my%20lake", "shop").base == "/tmp/my lake/shop"


@pytest.mark.parametrize("root", ["", "ftp://host/x"])
def test_an_unusable_root_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match="give a folder or"):
        Lake.open(root, "shop")


@pytest.mark.parametrize(
    "root", ["s3://", "gs:///folder", "s3://key:word@bucket", "s3://bucket/a?secret_key=word"]
)
def test_a_root_that_is_more_than_a_bucket_and_a_folder_is_refused(root: str) -> None:
    with pytest.raises(
        ValueError, match="is no place in a bucket: give s3://bucket/folder, gs://bucket/folder"
    ) as caught:
        Lake.open(root, "shop")
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    "parts", [("runs", "../../x"), ("/x",), ("runs", "/x"), ("a/../b",), ("..",)]
)
def test_a_part_of_a_path_never_leaves_its_folder(parts: tuple[str, ...], tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    for act in (
        partial(lake.write, b""),
        lake.read,
        lake.delete,
        lake.exists,
        lake.names,
        lake.walk,
    ):
        with pytest.raises(ValueError, match="leaves its folder"):
            act(*parts)
    assert not list(tmp_path.rglob("x"))


def test_dots_within_a_name_stay_in_their_folder(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path), "shop")
    for name in ("x..", "a..b"):
        lake.write(b"1", "runs", name)
    assert lake.names("runs") == ["a..b", "x.."]


class RecordingStore(LocalObjectStore):
    """A folder that remembers in which order its objects were written and deleted."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.written: list[str] = []
        self.deleted: list[str] = []

    def put(self, source: bytes | Path, key: str, expected: str | None = None) -> bool:
        self.written.append(key)
        return super().put(source, key, expected)

    def delete(self, key: str) -> None:
        self.deleted.append(key)
        super().delete(key)


def test_a_manifest_is_uploaded_last_and_deleted_first(tmp_path: Path) -> None:
    """A folder with a MANIFEST is complete, however early its upload or deletion is cut off."""
    uri = Lake.open(str(tmp_path / "lake"), "shop").uri
    store = RecordingStore(uri)
    lake = Lake(uri, store)
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("A", "MANIFEST", "Z", "a", "z"):
        (folder / name).write_text(name)
    lake.upload_folder(folder, "models", "m1")
    assert store.written == [f"models/m1/{name}" for name in ("A", "Z", "a", "z", "MANIFEST")]
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    expired = Expiry(lake, moment, moment + timedelta(days=9_000)).expire_trials(0)
    assert expired["dropped"] == 0
    Expiry(lake, moment, moment)._delete_objects(list(lake.walk("models")))
    assert store.deleted[0] == "models/m1/MANIFEST"
    assert sorted(store.deleted) == sorted(store.written)
    assert lake.names("models") == []


def test_finished_work_is_recognised(tmp_path: Path) -> None:
    lake, made = Lake.open(str(tmp_path / "lake"), "shop"), []

    def into(folder: Path) -> bool:
        def make() -> None:
            made.append(folder)
            folder.mkdir()
            (folder / "a").write_text("x")
            write_manifest(folder)

        return lake.reuse_or_make(folder, make, "models", "m1")

    assert not into(tmp_path / "first")
    assert into(tmp_path / "second")
    lake.write(b"damaged", "models", "m1", "a")
    assert not into(tmp_path / "third")
    assert into(tmp_path / "fourth")
    assert (made.pop(), (tmp_path / "fourth/a").read_text()) == (tmp_path / "third", "x")
    assert (made, (tmp_path / "second/a").read_text()) == ([tmp_path / "first"], "x")


def test_a_folder_without_manifest_is_made_again(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    lake.write(b"half", "models", "m1", "a")

    def make() -> None:
        (tmp_path / "new").mkdir()
        (tmp_path / "new/a").write_text("whole")
        write_manifest(tmp_path / "new")

    assert not lake.reuse_or_make(tmp_path / "new", make, "models", "m1")
    assert lake.read("models", "m1", "a") == b"whole"


def test_to_see_that_a_table_is_there_its_log_is_not_listed(tmp_path: Path) -> None:
    """The newest commit is read, and no other."""

    class FirstAlone(LocalObjectStore):
        def walk(self, key: str) -> Iterator[StoredObject]:
            yield from list(super().walk(key))[:1]
            raise AssertionError(f"listed all of {key}")

    lake = Lake.open(str(tmp_path), "shop")
    assert lake.table("items") is None
    for number in range(3):
        write_deltalake(lake.table_uri("items"), pa.table({"item_id": [number]}), mode="append")
    table = Lake(lake.uri, FirstAlone(lake.uri)).table("items")
    assert table is not None and table.version() == 2
