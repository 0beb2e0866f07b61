"""Objects under preconditions: the same on a folder, on S3 and on GCS."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dawnlist.lake.lake import Lake
from tests.support.servers import forbidding, relay

LARGE = 20_000_000
"""Bytes: more than one request of an upload in parts."""


@pytest.fixture
def lake(root: str) -> Lake:
    return Lake.open(root, "shop")


@pytest.fixture(params=["s3_root", "gcs_root"])
def bucket(request: pytest.FixtureRequest) -> str:
    """The root of an empty lake in a bucket, of either kind."""
    found: str = request.getfixturevalue(request.param)
    return found


def test_an_object_is_created_once(lake: Lake) -> None:
    assert lake.create(b"first", "a", "b.json")
    assert not lake.create(b"second", "a", "b.json")
    assert lake.read("a", "b.json") == b"first"


def test_an_object_is_replaced_only_as_it_was_read(lake: Lake) -> None:
    assert lake.read_with_revision("a.json") is None
    lake.write(b"1", "a.json")
    data, mark = lake.read_with_revision("a.json") or (b"", "")
    assert data == b"1"
    assert lake.replace(b"2", mark, "a.json")
    assert not lake.replace(b"3", mark, "a.json")
    assert lake.read("a.json") == b"2"
    found = lake.read_with_revision("a.json")
    lake.delete("a.json")
    lake.delete("a.json")
    assert found and not lake.replace(b"4", found[1], "a.json")
    assert (lake.read("a.json"), lake.exists("a.json")) == (None, False)


def test_a_store_that_ignores_conditions_is_refused(
    s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetful = (b"if-none-match:", b"x-none-matches:")
    with relay(os.environ["AWS_ENDPOINT_URL"], change=forgetful) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        lake = Lake.open(s3_root, "shop")
        lake.write(b"1", "a.json")
        with pytest.raises(
            RuntimeError, match=r"ignores If-None-Match: two runs would overwrite each other's work"
        ):
            lake.create(b"2", "a.json")
        assert ([found.name for found in lake.walk()], lake.read("a.json")) == (["a.json"], b"1")


def test_names_and_walks(lake: Lake) -> None:
    assert (lake.names("runs"), list(lake.walk())) == ([], [])
    for name in ("runs/b/fetch.json", "runs/a.json", "runs-of-others/c.json"):
        lake.write(b"12345", *name.split("/"))
    assert lake.names("runs") == ["a.json", "b"]
    assert lake.names() == ["runs", "runs-of-others"]
    found = sorted(lake.walk("runs"), key=lambda entry: entry.name)
    assert [(entry.name, entry.size) for entry in found] == [
        ("runs/a.json", 5),
        ("runs/b/fetch.json", 5),
    ]
    assert all(abs(datetime.now(UTC) - entry.modified) < timedelta(minutes=5) for entry in found)
    assert sorted(entry.name for entry in lake.walk()) == [
        "runs-of-others/c.json",
        "runs/a.json",
        "runs/b/fetch.json",
    ]
    lake.delete("runs", "b", "fetch.json")
    assert (lake.names("runs"), lake.exists("runs"), lake.exists("runs", "a.json")) == (
        ["a.json"],
        False,
        True,
    )
    lake.delete("runs", "a.json")
    assert lake.names() == ["runs-of-others"]


def test_a_large_file_is_uploaded_whole_and_once(lake: Lake, tmp_path: Path) -> None:
    source, other = tmp_path / "source", tmp_path / "other"
    source.write_bytes(data := os.urandom(LARGE))
    other.write_bytes(b"")
    assert lake.upload(source, "landing", "a.parquet", if_absent=True)
    assert not lake.upload(other, "landing", "a.parquet", if_absent=True)
    assert lake.read("landing", "a.parquet") == data
    assert lake.upload(other, "landing", "a.parquet")
    assert lake.read("landing", "a.parquet") == b""
    with pytest.raises(FileNotFoundError, match="absent"):
        lake.upload(tmp_path / "absent", "b.parquet")
    assert not lake.exists("b.parquet")


def test_of_eight_at_once_one_creates(root: str) -> None:
    barrier = threading.Barrier(8)

    def create(number: int) -> bool:
        lake = Lake.open(root, "shop")
        lake.exists("a.json")
        barrier.wait()
        return lake.create(str(number).encode(), "a.json")

    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(create, range(8)))
    assert sum(created) == 1
    assert Lake.open(root, "shop").read("a.json") == str(created.index(True)).encode()


def test_of_eight_at_once_none_is_lost(root: str) -> None:
    """Each adds one to a number, until its replacement is taken."""
    Lake.open(root, "shop").write(b"0", "n")

    def add(_: int) -> None:
        lake = Lake.open(root, "shop")
        while True:
            data, mark = lake.read_with_revision("n") or (b"", "")
            if lake.replace(str(int(data) + 1).encode(), mark, "n"):
                return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert Lake.open(root, "shop").read("n") == b"8"


UPLOAD = """
import sys
from pathlib import Path
from dawnlist.lake.lake import Lake
Lake.open(sys.argv[1], "shop").upload(Path(sys.argv[2]), "landing", "a.parquet", if_absent=sys.argv[3] == "once")
"""


@pytest.mark.parametrize("once", ["once", "again"])
@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_an_upload_that_is_killed_half_way_shows_nothing(
    kind: str, once: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    root: str = request.getfixturevalue(f"{kind}_root")
    variable = "AWS_ENDPOINT_URL" if kind == "s3" else "STORAGE_EMULATOR_HOST"
    source = tmp_path / "source"
    source.write_bytes(os.urandom(LARGE))
    limit = LARGE // 2 if once == "once" and kind == "s3" else 1_000_000
    with relay(os.environ[variable], limit) as (url, stands):
        command = [sys.executable, "-c", UPLOAD, root, str(source), once]
        process = subprocess.Popen(command, env={**os.environ, variable: url})
        assert stands.wait(60)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    lake = Lake.open(root, "shop")
    assert (lake.exists("landing", "a.parquet"), lake.names("landing")) == (False, [])


def test_a_local_copy_that_is_killed_half_way_shows_nothing(tmp_path: Path) -> None:
    """The source is a pipe that gives half of it; what was staged goes when it is a day old."""
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    os.mkfifo(tmp_path / "source")
    process = subprocess.Popen(
        [sys.executable, "-c", UPLOAD, str(tmp_path / "lake"), str(tmp_path / "source"), "once"]
    )
    with (tmp_path / "source").open("wb", buffering=0) as pipe:
        pipe.write(bytes(2_000_000))
        process.kill()
        process.wait()
    assert (lake.names(), list(lake.walk())) == ([], [])
    [staged] = (tmp_path / "lake/shop/.staging").iterdir()
    os.utime(staged, (time.time() - 90_000,) * 2)
    assert lake.create(b"", "a")
    assert not staged.exists()


def everything(lake: Lake) -> tuple[Callable[[], object], ...]:
    """All that can be asked of a lake's objects."""
    return (
        lambda: lake.read("a"), lambda: lake.exists("a"), lambda: lake.names("a"), lambda: list(lake.walk()),
        lambda: lake.create(b"", "a"), lambda: lake.write(b"", "a"), lambda: lake.replace(b"", "1", "a"),
        lambda: lake.delete("a"), lambda: lake.table("items"),
    )  # fmt: skip


def test_without_its_bucket_a_lake_says_so(bucket: str) -> None:
    lake = Lake.open(re.sub(r"bucket-\w+", "no-such-bucket", bucket), "shop")
    line = re.escape(f"there is no bucket 'no-such-bucket' for the lake {lake.uri}: make it")
    for act in everything(lake):
        with pytest.raises(FileNotFoundError, match=f"^{line}$"):
            act()


def test_without_permission_a_lake_says_so(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake.open(bucket, "shop")
    line = re.escape(
        f"no permission for the lake {lake.uri}: allow these credentials to list, read, write and delete"
    )
    with forbidding() as url:
        for name in ("AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"):
            monkeypatch.setenv(name, url)
        for act in everything(lake):
            with pytest.raises(PermissionError, match=f"^{line}"):
                act()


def test_without_credentials_a_lake_says_so(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "STORAGE_EMULATOR_HOST",
        "GOOGLE_SERVICE_ACCOUNT",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    lake = Lake.open(bucket, "shop")
    with forbidding() as url:
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", url)
        with pytest.raises(
            ConnectionError, match=rf"^no credentials for the lake {lake.uri}: set (AWS|GOOGLE)_.*"
        ):
            lake.read("a")


FILL = """
import sys
from dawnlist.lake.lake import Lake
lake = Lake.open(sys.argv[1], "shop")
lake.write(b"small", "a")
if len(sys.argv) > 2:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    lake.write(bytes(1_000_000), "landing", "b")
except OSError as error:
    print(error)
print(lake.names(), [entry.name for entry in lake.walk()])
"""


def test_a_file_beyond_the_limit_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path), "limit"], capture_output=True, text=True
    )
    line = (
        f"[Errno {errno.EFBIG}] no room on the disk of the lake {tmp_path}/shop, "
        "nothing was written: free some space"
    )
    assert (done.stdout, done.stderr) == (f"{line}\n['a'] ['a']\n", "")
    assert list((tmp_path / "shop/.staging").glob("[!l]*")) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(tmp_path)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root can make a disk of 256 kB")
    try:
        done = subprocess.run(
            [sys.executable, "-c", FILL, str(tmp_path)], capture_output=True, text=True
        )
        line = f"[Errno {errno.ENOSPC}] no room on the disk of the lake {tmp_path}/shop, nothing was written"
        assert done.stdout == f"{line}: free some space\n['a'] ['a']\n"
        assert list((tmp_path / "shop/.staging").glob("[!l]*")) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_local_lake_loads_no_cloud_client(tmp_path: Path) -> None:
    code = "import sys; from dawnlist.lake.lake import Lake; Lake.open(sys.argv[1], 'shop').create(b'', 'a'); " \
           "print({'obstore', 'google.cloud.storage', 'deltalake'} & set(sys.modules))"  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("place", ["{}/file", "/proc/lake"])
def test_a_lake_where_no_folder_can_be_is_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("no folder")
    lake = Lake.open(place.format(tmp_path), "shop")
    line = f"^the lake {lake.base} can't be written: (Not a directory|No such file or directory) '.*': give a folder"
    for act in (
        lambda: lake.create(b"", "a"),
        lambda: lake.upload(tmp_path / "file", "b"),
        lambda: lake.write(b"", "c"),
    ):
        with pytest.raises((NotADirectoryError, FileNotFoundError), match=line):
            act()


def test_a_lake_that_may_only_be_read_says_so(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path), "shop")
    lake.write(b"1", "a")
    line = (
        re.escape(f"the lake {lake.base} can't be written: ")
        + "(Read-only file system|Permission denied): let this"
    )
    with _read_only(tmp_path / "shop"):
        for act in (
            lambda: lake.write(b"2", "a"),
            lambda: lake.create(b"2", "b"),
            lambda: lake.delete("a"),
        ):
            with pytest.raises(PermissionError, match=f"^{line} user write in that folder"):
                act()
        assert lake.read("a") == b"1"
    lake.write(b"2", "a")


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    """A folder as it looks to whoever may not write there: to root only another mount does."""
    if os.getuid():
        parts = (folder, folder / ".staging", folder / ".staging/lock")
        modes = (0o500, 0o500, 0o400)
        undo = [(part, part.stat().st_mode) for part in parts]
        for part, mode in zip(parts, modes, strict=True):
            part.chmod(mode)
        try:
            yield
        finally:
            for part, mode in undo:
                part.chmod(mode)
        return
    if subprocess.run(
        ["mount", "--bind", "-o", "ro", str(folder), str(folder)], capture_output=True
    ).returncode:
        pytest.skip("this root may not mount")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
