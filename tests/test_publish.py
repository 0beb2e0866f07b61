"""The publish step: from a directory to the active version, also when it is killed on the way."""

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from dawnlist.components.notify.daily import render_text_report
from dawnlist.components.publish.component import publish as step
from dawnlist.components.publish.publication import publish_top_lists
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.records import registry
from dawnlist.records.run_records import find_step_report, read_step_records
from dawnlist.store import builds, memory, versions
from dawnlist.store.client import connect_store
from tests.support.servers import NOBODY
from tests.support.top_lists import of_many
from tests.test_store import ANN_AND_BOB, read

FIRST, SECOND = (datetime(2026, 3, day, 3, tzinfo=UTC) for day in (1, 2))
"""The as_of of the runs."""
PUBLISH = """
import sys, time
from datetime import datetime
from pathlib import Path
from dawnlist.store import builds, content
from dawnlist.lake.lake import Lake
from dawnlist.components.publish.publication import publish_top_lists
content.BUCKETS_PER_BATCH = 10
checkpoint = builds.checkpoint_build

def unhurried(*given):  # so that it is not at its end before it is killed
    time.sleep(0.01)
    checkpoint(*given)

builds.checkpoint_build = unhurried
lake = Lake.open(sys.argv[3], "shop")
publish_top_lists(Path(sys.argv[1]), lake, sys.argv[2], "shop", "run-2", datetime.fromisoformat("2026-03-02T03:00:00Z"))
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """The lists of 100,000 users: writing their buckets ten at a time takes seconds."""
    of_many(ANN_AND_BOB, 100_000).save(tmp_path / "many")
    return tmp_path / "many"


def test_a_publisher_that_is_killed_leaves_the_active_version_and_the_next_one_succeeds(
    valkey: str, lists: Path, tmp_path: Path, lake: Lake
) -> None:
    ANN_AND_BOB.save(tmp_path / "lists")
    publish_top_lists(tmp_path / "lists", lake, valkey, "shop", "run-1", FIRST)
    with connect_store(valkey) as client:
        size = client.dbsize()
        with subprocess.Popen(
            [sys.executable, "-c", PUBLISH, lists, valkey, tmp_path / "lake"]
        ) as publisher:
            while client.dbsize() < size + 1_000:
                time.sleep(0.01)
            publisher.send_signal(signal.SIGKILL)
        assert publisher.returncode == -signal.SIGKILL
        half = client.dbsize()
        assert size + 1_000 <= half < size + 12_500
        assert [version.version for version in versions.list_versions(client, "shop")] == [1]
        live = versions.read_active_version(client, "shop")
        assert live and live.run == "run-1"

        report = publish_top_lists(lists, lake, valkey, "shop", "run-2", SECOND)
        version = report.version
        assert version and (version.version, version.users, version.previous) == (2, 100_000, 1)
        assert version.resumed * 2 >= half - size - 30
        assert client.dbsize() == size + 2 * 6_250 + 3
        assert not client.exists("dawnlist:{shop}:building")
        for user in ("u0", "u77", "u99999"):
            found, _ = read(client, user)
            assert found is not None and found.item_index.tolist() == [2, 0]


def test_another_run_clears_away_what_can_never_be_published(
    valkey: str, tmp_path: Path, lake: Lake
) -> None:
    """What is older than the active version, and what was left by a publisher that has been silent for long."""
    ANN_AND_BOB.save(tmp_path)
    left = {"digest": "d", "owner": "o", "done": 1, "buckets": 1, "chunks": {"c": 1, "f": 0}}
    with connect_store(valkey) as client:
        for version, day, at in (
            ("7", "02-01", time.time()),
            ("8", "09-09", 0),
            ("9", "09-09", time.time()),
        ):
            entry = {
                **left,
                "run": "dead",
                "as_of": f"2026-{day}T00:00:00Z",
                "token": f"{version}-0",
                "at": at,
            }
            client.hset("dawnlist:{shop}:building", version, json.dumps(entry))
            client.set(f"dawnlist:shop:{version}-0:u:0", b"half")
        client.set("dawnlist:{shop}:counter", 9)
        publish_top_lists(tmp_path, lake, valkey, "shop", "run-1", FIRST)
        report = publish_top_lists(tmp_path, lake, valkey, "shop", "run-2", SECOND)
        assert report.version and report.version.version == 11
        assert client.hkeys("dawnlist:{shop}:building") == [b"9"]
        assert [client.exists(f"dawnlist:shop:{version}-0:u:0") for version in (7, 8, 9)] == [
            0,
            0,
            1,
        ]


def test_a_full_store_is_one_clear_line_and_the_active_version_stays(
    valkey: str, tmp_path: Path, lake: Lake
) -> None:
    """Also where it does not tell its memory before, so that it is full in the middle."""
    ANN_AND_BOB.save(tmp_path)
    publish_top_lists(tmp_path, lake, valkey, "shop", "run-1", FIRST)
    with connect_store(valkey) as client, pytest.MonkeyPatch.context() as patch:
        client.config_set("maxmemory", "1mb")
        try:
            with pytest.raises(
                RuntimeError, match=r"of 3 users takes about 0\.0 MB .* and 0\.0 MB are free"
            ):
                publish_top_lists(tmp_path, lake, valkey, "shop", "run-2", SECOND)
            patch.setattr(memory, "_read_memory_info", lambda client: [])
            with pytest.raises(
                ConnectionError,
                match=r"publishing 3 lists to redis://.* failed: .*run the publish step again",
            ):
                publish_top_lists(tmp_path, lake, valkey, "shop", "run-2", SECOND)
        finally:
            client.config_set("maxmemory", "0")
        live = versions.read_active_version(client, "shop")
        assert live and live.run == "run-1"


def test_a_bad_number_of_versions_or_directory_is_refused_before_any_writing(
    valkey: str, tmp_path: Path, lake: Lake
) -> None:
    ANN_AND_BOB.save(tmp_path)
    with pytest.raises(ValueError, match="keep = 0"):
        publish_top_lists(tmp_path, lake, valkey, "shop", "r", FIRST, keep=0)
    with pytest.raises(ValueError, match="is no finished directory"):
        publish_top_lists(tmp_path / "nowhere", lake, valkey, "shop", "r", FIRST)
    with connect_store(valkey) as client:
        assert client.dbsize() == 0


class Shop:
    """A lake and a store, published to day by day in January 2026."""

    def __init__(self, lake: Lake, url: str, folder: Path) -> None:
        self.lake, self.url, self.folder = lake, url, folder
        ANN_AND_BOB.save(folder)

    def publish(self, day: int, run: str) -> dict[str, Any]:
        as_of = datetime(2026, 1, day, tzinfo=UTC)
        report = publish_top_lists(self.folder, self.lake, self.url, "shop", run, as_of)
        return report.as_dict()

    def dies_after_the_switch(self, day: int, run: str) -> None:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(builds, "drop_old_versions", killed)
            self.publish(day, run)

    def rollback(self, version: int | None = None) -> None:
        with connect_store(self.url) as client:
            registry.roll_back_champion(self.lake, client, "shop", version)
            versions.release_hold(client, "shop")

    @property
    def live(self) -> str | None:
        """The run that the store and the champion agree on."""
        with connect_store(self.url) as client:
            active, champion = (
                versions.read_active_version(client, "shop"),
                registry.read_champion(self.lake),
            )
        assert (active.token if active else None) == (champion or {}).get("token")
        return active.run if active else None

    def incumbent(self, day: int) -> str | None:
        found = registry.find_incumbent(self.lake, datetime(2026, 1, day, tzinfo=UTC))
        return found["run"] if found else None


def killed(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def shop(valkey: str, lake: Lake, tmp_path: Path) -> Shop:
    return Shop(lake, valkey, tmp_path / "lists")


def test_each_run_of_a_day_has_a_publication_to_go_back_to(shop: Shop) -> None:
    shop.publish(1, "a")
    shop.publish(2, "b")
    shop.rollback()
    assert (shop.live, shop.incumbent(3)) == ("a", "a")
    shop.publish(2, "c")
    assert (shop.live, shop.incumbent(3)) == ("c", "c")
    shop.rollback(2)
    assert (shop.live, shop.incumbent(3), shop.incumbent(2)) == ("b", "b", "a")
    shop.rollback(3)
    assert (shop.live, shop.incumbent(3), shop.incumbent(2)) == ("c", "c", "a")


def test_a_publish_that_died_after_the_switch_is_retried(shop: Shop) -> None:
    shop.publish(1, "a")
    shop.dies_after_the_switch(2, "b")
    report = shop.publish(2, "b")
    assert (report["version"], report["published"]) == (2, True)
    assert (shop.live, shop.incumbent(3)) == ("b", "b")


def test_a_publish_that_died_after_the_switch_is_retried_when_another_is_live(shop: Shop) -> None:
    shop.publish(2, "a")
    shop.dies_after_the_switch(3, "b")
    shop.publish(4, "c")
    shop.publish(3, "b")
    assert (shop.live, [shop.incumbent(day) for day in (3, 4, 5)]) == ("c", ["a", "b", "c"])


def test_a_rerun_of_a_day_whose_publish_died_puts_the_champion_right(shop: Shop) -> None:
    shop.publish(1, "a")
    shop.dies_after_the_switch(2, "b")
    report = shop.publish(2, "c")
    assert report["published"] is False and "is not newer than version 2" in report["reason"]
    assert (shop.live, shop.incumbent(3)) == ("b", "b")


def test_a_rollback_after_a_publish_that_died_forgets_it(shop: Shop) -> None:
    shop.publish(1, "a")
    shop.dies_after_the_switch(2, "b")
    shop.rollback()
    assert (shop.live, shop.incumbent(3)) == ("a", "a")


def test_what_never_went_live_is_no_incumbent(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.publish(1, "a")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(versions, "_switch_version", killed)
        shop.publish(2, "b")
    assert len(shop.lake.names("publications")) == 2
    assert (shop.live, shop.incumbent(3)) == ("a", "a")
    shop.publish(3, "c")
    assert (shop.live, shop.incumbent(3), shop.incumbent(4)) == ("c", "a", "c")


def test_an_emptied_store_gives_no_number_twice(shop: Shop) -> None:
    shop.publish(1, "a")
    shop.publish(2, "b")
    with connect_store(shop.url) as client:
        client.flushall()
    with pytest.raises(
        LookupError, match="nothing has been published yet in namespace shop: check the store"
    ):
        shop.rollback()
    assert (shop.live, shop.incumbent(3)) == (
        None,
        "b",
    )  # no champion, so the gate lets a rerun of the day through
    assert shop.publish(2, "c")["version"] == 3
    assert shop.publish(3, "d")["version"] == 4
    assert (shop.live, shop.incumbent(3), shop.incumbent(2)) == ("d", "c", "a")
    shop.rollback(3)
    assert (shop.live, shop.incumbent(3)) == ("c", "c")


def test_a_store_that_went_back_to_a_snapshot_gives_no_number_twice(shop: Shop) -> None:
    first = shop.publish(1, "a")
    with connect_store(shop.url) as client:
        snapshot = {key: client.dump(key) for key in client.scan_iter()}
        second = shop.publish(2, "b")
        client.flushall()
        for key, value in snapshot.items():
            client.restore(key, 0, value)
    assert shop.publish(1, "a") == first
    assert (second["version"], shop.publish(2, "b")["version"]) == (2, 3)
    assert (shop.live, shop.incumbent(3)) == ("b", "b")


def test_another_store_counts_by_itself(shop: Shop, tmp_path: Path) -> None:
    shop.publish(1, "a")
    other = Shop(shop.lake, shop.url.replace("/0", "/1"), shop.folder)
    assert other.publish(2, "b")["version"] == 1
    assert other.publish(3, "c")["version"] == 2
    assert shop.publish(4, "d")["version"] == 3


def test_a_live_version_whose_keys_are_gone_is_published_again(shop: Shop) -> None:
    shop.publish(1, "a")
    for run, version in (("a", 2), ("b", 3)):
        with connect_store(shop.url) as client:
            client.delete(*client.scan_iter(match="dawnlist:shop:*"))
        assert shop.publish(1, run)["version"] == version
        assert (shop.live, shop.incumbent(2)) == (run, run)


def test_a_champion_follows_when_active_was_lost(shop: Shop) -> None:
    shop.publish(1, "a")
    shop.publish(2, "b")
    for repair in (lambda: shop.publish(2, "b"), lambda: shop.rollback(2)):
        with connect_store(shop.url) as client:
            client.delete("dawnlist:{shop}:active")
        registry.reconcile_champion(shop.lake, shop.url, "shop")
        assert (shop.live, shop.incumbent(3)) == (None, "b")
        repair()
        assert (shop.live, shop.incumbent(3), shop.incumbent(2)) == ("b", "b", "a")


def test_a_version_of_another_lake_is_not_gone_back_to(
    shop: Shop, valkey: str, tmp_path: Path
) -> None:
    other = Shop(Lake.open(str(tmp_path / "other"), "shop"), valkey, tmp_path / "lists")
    other.publish(1, "a")
    shop.publish(2, "b")
    with pytest.raises(
        ValueError, match=r"version 1 of 2026-01-01T00:00:00Z was not published from file://"
    ):
        shop.rollback()
    assert shop.live == "b"


def test_the_step_records_and_reports_what_was_not_published(shop: Shop, tmp_path: Path) -> None:
    shop.publish(2, "a")
    lists, metrics = dsl.Dataset(uri=str(shop.folder)), dsl.Metrics(uri=str(tmp_path / "metrics"))
    for day, run in ((1, "b"), (3, "c")):
        as_of = f"2026-01-{day:02}T00:00:00Z"
        step.python_func(lists, metrics, shop.url, str(tmp_path / "lake"), "shop", as_of, run)
        report = find_step_report(read_step_records(shop.lake, parse_as_of(as_of), run), "publish")
        assert report["published"] is (run == "c")
        assert metrics.metadata == {
            name: report[name] for name in ("version", "users", "items", "bytes") if day == 3
        }
    assert render_text_report(shop.lake, datetime(2026, 1, 1, tzinfo=UTC), "b").endswith(
        "NOT PUBLISHED: Nothing was published: run 'b' of 2026-01-01T00:00:00Z is not newer than version 1 of "
        "2026-01-02T00:00:00Z, which is active; roll back to an older version first if it is meant to go live."
    )
    assert "PUBLISHED: Version 2 is live" in render_text_report(
        shop.lake, datetime(2026, 1, 3, tzinfo=UTC), "c"
    )


def test_a_held_store_is_reported_and_released(shop: Shop, tmp_path: Path) -> None:
    shop.publish(1, "a")
    shop.publish(2, "b")
    with connect_store(shop.url) as client:
        registry.roll_back_champion(shop.lake, client, "shop", 1)
    lists, metrics = dsl.Dataset(uri=str(shop.folder)), dsl.Metrics(uri=str(tmp_path / "metrics"))
    step.python_func(
        lists, metrics, shop.url, str(tmp_path / "lake"), "shop", "2026-01-03T00:00:00Z", "c"
    )
    assert (shop.live, shop.incumbent(4), metrics.metadata) == ("a", "a", {})
    told = render_text_report(shop.lake, datetime(2026, 1, 3, tzinfo=UTC), "c").splitlines()[-1]
    assert told.startswith(
        "ON HOLD: The model passed, and nothing was published: version 1 is held since it was rolled"
    )
    assert told.endswith("to let the next run go live: `dawnlist release`.")


def test_a_run_asks_the_store_first(shop: Shop) -> None:
    """What a publish that died left behind is put right before the next run asks for its incumbent."""
    shop.publish(1, "a")
    shop.dies_after_the_switch(2, "b")
    assert shop.incumbent(3) == "a"
    assert registry.reconcile_champion(shop.lake, shop.url, "shop") == {"active": 2}
    assert (shop.live, shop.incumbent(3)) == ("b", "b")
    told = registry.reconcile_champion(shop.lake, f"redis://{NOBODY}/0", "shop")["unasked"]
    assert (
        told.startswith(f"no store answers at redis://{NOBODY}/0")
        and "what this lake last knew" in told
    )
    assert shop.incumbent(3) == "b"
