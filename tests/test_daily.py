"""The whole DAG, for real: kfp's local runner, a simulated shop, a Valkey, and a predictor over HTTP."""

import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import redis

from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.pipelines.package import write_package
from dawnlist.pipelines.placement import Placement
from dawnlist.records.run_records import StepRecord, find_step_report, read_step_records
from dawnlist.settings import Settings
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.shop import simulate_shop
from dawnlist.simulate.write import write_shop
from dawnlist.store.toplists import TopLists
from dawnlist.store.versions import list_versions
from tests.support.browsing import fetched
from tests.support.servers import predictor

DAYS = 40
DAY_1, DAY_2 = "2025-02-10T00:00:00Z", "2025-02-11T00:00:00Z"
SMALL = {
    "factors": "8",
    "regularization": "1",
    "alpha": "1,5",
    "half-life": "15",
    "iterations": "3",
}
STEPS = [
    "fetch",
    "clean",
    "filter_bots",
    "dataset",
    "tune",
    "train",
    "evaluate",
    "gate",
    "refit",
    "recommend",
    "publish",
]

PROVE = "DAWNLIST_PROVE" in os.environ

pytestmark = pytest.mark.timeout(900)


def make_shop(path: Path, seed: int, days: int) -> str:
    url = f"sqlite:///{path}"
    write_shop(simulate_shop(ShopConfig(users=400, items=150, days=days, seed=seed)), url)
    return url


@dataclass(frozen=True)
class Laptop:
    """A home folder and a store, and the command run on them."""

    home: Path
    redis: str

    def command(self, *words: str, **options: str) -> list[str]:
        flags = [
            part
            for name, value in options.items()
            for part in (f"--{name.replace('_', '-')}", value)
        ]
        return [sys.executable, "-m", "dawnlist.pipelines.cli", *words, *flags]

    def run(self, source: str, as_of: str, **options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(source, as_of, **options), capture_output=True, text=True, check=False
        )

    def words(self, source: str, as_of: str, **options: str) -> list[str]:
        small = {name.replace("-", "_"): value for name, value in SMALL.items()}
        given = {"source": source, "as_of": as_of, "redis": self.redis, "home": str(self.home)}
        return self.command("run", "--local", **{**small, **given, **options})

    def lake(self, namespace: str = "default") -> Lake:
        return Lake.open(str(self.home / "lake"), namespace)

    def records(self, as_of: str, namespace: str = "default") -> list[StepRecord]:
        """Of the newest run of a day."""
        lake = self.lake(namespace)
        found = [
            read_step_records(lake, parse_as_of(as_of), run)
            for run in lake.names("runs", as_of.replace("-", "").replace(":", ""))
        ]
        return max(found, key=lambda run: run[0]["started"])

    def page(self, as_of: str) -> str:
        lake, day = self.lake(), as_of.replace("-", "").replace(":", "")
        pages = [lake.read("reports", day, name) for name in lake.names("reports", day)]
        return "\n".join(page.decode() for page in pages if page)

    def store(self) -> dict[bytes, Any]:
        with redis.from_url(self.redis) as client:
            return {key: client.dump(key) for key in client.scan_iter()}


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory, valkey_server: str) -> Iterator[Laptop]:
    with redis.from_url(valkey_server) as client:
        client.flushall()
    yield Laptop(tmp_path_factory.mktemp("laptop"), valkey_server)


@pytest.fixture(scope="module")
def shop(laptop: Laptop) -> str:
    return make_shop(laptop.home / "shop.db", seed=1, days=DAYS + 1)


@pytest.fixture(scope="module")
def first(laptop: Laptop, shop: str) -> subprocess.CompletedProcess[str]:
    """The first run of the shop; later tests build on what it left."""
    done = laptop.run(shop, DAY_1)
    assert done.returncode == 0, done.stderr
    return done


def artifact(laptop: Laptop, step: str, name: str) -> Path:
    [path] = laptop.home.glob(f"artifacts/dawnlist-daily-*/{step}/{name}")
    return path


def test_every_step_did_its_work(laptop: Laptop, first: subprocess.CompletedProcess[str]) -> None:
    found = laptop.records(DAY_1)
    assert [record["step"] for record in found] == [*STEPS, "notify"]
    assert {record["state"] for record in found} == {"succeeded"}
    cleaned = find_step_report(found, "clean")
    assert find_step_report(found, "fetch")["rows"]["interactions"] == cleaned["rows_in"] > 5000
    assert cleaned["rows_in"] == sum(
        cleaned[name] for name in ("clean", "quarantined", "duplicates", "double_clicks")
    )
    assert len(find_step_report(found, "tune")["trials"]) == 2
    assert find_step_report(found, "gate")["winner"] in ("challenger", "popularity")
    assert "first run" in first.stdout and "Version 1 is live" in first.stdout


def test_the_artifacts_are_real(laptop: Laptop, first: subprocess.CompletedProcess[str]) -> None:
    evaluation = json.loads(artifact(laptop, "evaluate", "evaluation").read_text())
    arms = {"challenger", "item_knn", "popularity", "own_items"}
    assert set(evaluation["arms"]) == arms
    assert 0 < evaluation["arms"]["popularity"]["ndcg@20"] < 1
    lists = TopLists.load(artifact(laptop, "recommend", "lists"))
    assert len(lists.user_ids) > 300 and lists.k == 20
    page = artifact(laptop, "notify", "report").read_text()
    assert "<svg" in page or "data:image" in page
    assert page == laptop.page(DAY_1)
    assert "Gate" in artifact(laptop, "gate", "summary").read_text()
    assert artifact(laptop, "filter-bots", "drops").read_text().startswith("<!")


def test_artifacts_say_where_they_come_from_and_open_without_a_network(
    laptop: Laptop, first: subprocess.CompletedProcess[str]
) -> None:
    told, pages = {}, set()
    for path in laptop.home.glob("artifacts/dawnlist-daily-*/*/executor_output.json"):
        for name, found in json.loads(path.read_text())["artifacts"].items():
            told[path.parent.name, name] = found["artifacts"][0]["metadata"]
    [run] = {about["run"] for about in told.values() if "run" in about}
    day = {"lake": laptop.lake().uri, "namespace": "default", "as_of": DAY_1, "run": run}
    made = {
        "table": laptop.lake().table_uri("interactions"),
        "table_version": "0",
        "settings": Settings().digest,
    }
    for (step, name), about in told.items():
        if name.endswith("_metrics"):
            assert about and all(math.isfinite(value) for value in about.values())
            continue
        expected = day if step in ("fetch", "notify") else day | made
        assert expected.items() <= about.items(), (step, name)
        file = artifact(laptop, step, name)
        if file.is_file() and file.read_bytes().startswith(b"<!"):
            pages.add((step, name))
            assert fetched(file.read_text()) == []
    assert pages == {
        ("clean", "profile"),
        ("filter-bots", "drops"),
        ("gate", "page"),
        ("notify", "report"),
    }
    compared = {step for step, name in told if name == f"{step.replace('-', '_')}_metrics"}
    assert compared >= {
        "clean",
        "filter-bots",
        "dataset",
        "tune",
        "train",
        "evaluate",
        "gate",
        "publish",
    }


def test_hostile_text_comes_out_escaped(
    laptop: Laptop, first: subprocess.CompletedProcess[str]
) -> None:
    """The simulated shop has an item and a robot with <script> in their names; test_notify puts it everywhere."""
    for page in (laptop.page(DAY_1), artifact(laptop, "filter-bots", "drops").read_text(),
                 artifact(laptop, "notify", "summary").read_text()):  # fmt: skip
        assert not re.search(r"<script", page, re.IGNORECASE)
    titles = TopLists.load(artifact(laptop, "recommend", "lists")).catalogue["title"].to_pylist()
    assert any(
        title and "<script>" in title for title in titles
    )  # data stays as it is; pages escape it


def test_a_predictor_answers_with_the_lists(
    laptop: Laptop, first: subprocess.CompletedProcess[str]
) -> None:
    lists = TopLists.load(artifact(laptop, "recommend", "lists"))
    user, expected = str(lists.user_ids[0]), lists.item_index[0][: lists.lengths[0]]
    ids, titles = lists.catalogue["item_id"].to_pylist(), lists.catalogue["title"].to_pylist()
    with predictor(laptop.redis, "default") as url:
        instances = [{"user_id": user}, {"user_id": "nobody", "k": 3}]
        answer = httpx.post(
            f"{url}/v1/models/dawnlist:predict", json={"instances": instances}
        ).json()
        known, unknown = answer["predictions"]
        assert [item["item_id"] for item in known["items"]] == [ids[index] for index in expected]
        assert [item["title"] for item in known["items"]] == [titles[index] for index in expected]
        assert (known["tier"], known["model_version"], known["as_of"]) == ("list", "1", DAY_1)
        assert [item["item_id"] for item in unknown["items"]] == [
            ids[i] for i in lists.popular_index[:3]
        ]
        assert unknown["tier"] == "popular"
        asked = subprocess.run(
            laptop.command("recommend", user, predictor=url),
            capture_output=True,
            text=True,
            check=True,
        )
    read = subprocess.run(
        laptop.command("recommend", user, redis=laptop.redis),
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout == read.stdout
    assert str(known["items"][0]["title"]) in asked.stdout


def find_last_user(laptop: Laptop) -> str:
    """Return the id of the user whose event arrived last."""
    query = "SELECT user_id FROM interactions ORDER BY received_at DESC LIMIT 1"
    with closing(sqlite3.connect(laptop.home / "shop.db")) as connection:
        [user] = connection.execute(query).fetchone()
    return str(user)


def test_a_day_whose_data_fails_leaves_the_store_untouched_and_still_reports(
    laptop: Laptop, shop: str, first: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    user = find_last_user(laptop)
    (tmp_path / "strict.yaml").write_text(f"gate: {{max_dropped: 0}}\nbots: {{deny: ['{user}']}}")
    before = laptop.store()
    done = laptop.run(shop, DAY_2, settings=str(tmp_path / "strict.yaml"))
    assert done.returncode == 0, done.stderr
    found = laptop.records(DAY_2)
    assert [record["step"] for record in found] == [*STEPS[: STEPS.index("gate") + 1], "notify"]
    reason = find_step_report(found, "gate")["reason"]
    assert reason.startswith("the day's data failed: events of the last 24 hours dropped as bots'")
    assert f"version 1 of {DAY_1} stays, 1.0 days old" in reason
    evaluation = find_step_report(found, "evaluate")
    assert "incumbent" in evaluation["arms"] and evaluation["kept_items"] > 0.9
    assert laptop.store() == before
    assert "events of the last 24 hours dropped as bots" in laptop.page(DAY_2)
    assert (laptop.lake().read_json("champion.json") or {})["version"] == 1


def test_the_next_day_fetches_only_itself_and_renews_what_is_live(
    laptop: Laptop, shop: str, first: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    """With so few users nothing can be chosen, and the live configuration is fitted on the new rows."""
    (tmp_path / "small.yaml").write_text("gate: {min_users: 100000}")
    done = laptop.run(shop, DAY_2, settings=str(tmp_path / "small.yaml"))
    assert done.returncode == 0, done.stderr
    found = laptop.records(DAY_2)
    assert find_step_report(found, "fetch")["window"] == [
        "2025-02-09T23:00:00Z",
        DAY_2,
    ]  # with the overlap
    assert find_step_report(found, "publish")["version"] == 2
    assert "nothing was searched: only" in find_step_report(found, "tune")["searched"]
    before, after = (find_step_report(laptop.records(day), "publish") for day in (DAY_1, DAY_2))
    assert (before["configured"], after["configured"]) == (DAY_1, DAY_1)
    assert (after["winner"], after["engine"]) == ("incumbent", before["engine"])
    assert "was renewed on this day's rows" in done.stdout
    assert (laptop.lake().read_json("champion.json") or {})["version"] == 2
    again = laptop.run(shop, DAY_2, settings=str(tmp_path / "small.yaml"))
    assert again.returncode == 0, again.stderr
    assert "is live and not older than this run" in again.stdout
    listed = subprocess.run(
        laptop.command("versions", redis=laptop.redis), capture_output=True, text=True, check=True
    ).stdout
    [active] = [line for line in listed.splitlines() if line.endswith("active")]
    assert active.split()[:2] == ["2", DAY_2]
    assert "renewed" in active


def test_a_rollback_moves_store_and_champion(
    laptop: Laptop, first: subprocess.CompletedProcess[str]
) -> None:
    done = subprocess.run(
        laptop.command("rollback", "1", redis=laptop.redis, home=str(laptop.home)),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "version 1 of 2025-02-10T00:00:00Z is live again, and held" in done.stdout
    assert (laptop.lake().read_json("champion.json") or {})["version"] == 1
    listed, compared, released = (
        subprocess.run(
            laptop.command(*words, redis=laptop.redis), capture_output=True, text=True, check=True
        ).stdout
        for words in (("versions", "--format", "json"), ("diff", "1", "2", "--format", "json"), ("release",))
    )  # fmt: skip
    found = json.loads(listed)
    assert ([version["active"] for version in found["versions"]], found["hold"]["version"]) == (
        [False, True],
        1,
    )
    difference = json.loads(compared)
    assert (
        0 < difference["churn"] < 1
        and difference["common"] > 300
        and "ndcg@20" in difference["metrics"]
    )
    assert "version 1 of 2025-02-10T00:00:00Z stays live until then" in released


def test_a_step_that_fails_is_named_with_its_reason(
    laptop: Laptop, shop: str, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text("source: {time_column: arrived}")
    before = laptop.store()
    done = laptop.run(
        shop, "2025-02-09T00:00:00Z", settings=str(tmp_path / "s.yaml"), namespace="broken"
    )
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("dawnlist:")]
    assert "fetch failed: table 'interactions' has no column 'arrived'" in line
    lake = laptop.lake("broken")
    [name] = lake.names("reports", "20250209T000000Z")
    page = (lake.read("reports", "20250209T000000Z", name) or b"").decode()
    assert "arrived" in page and "Traceback" in page
    assert laptop.store() == before


@pytest.fixture(scope="module")
def compact(laptop: Laptop, tmp_path_factory: pytest.TempPathFactory) -> tuple[Laptop, str]:
    """Another home, and a package that runs the short steps in fewer pods."""
    home = tmp_path_factory.mktemp("compact")
    package = home / "compact.yaml"
    write_package(package, Placement(patient=False, compact=True))
    return Laptop(home, laptop.redis), str(package)


def test_a_compact_package_publishes_the_same_lists(
    laptop: Laptop,
    shop: str,
    first: subprocess.CompletedProcess[str],
    compact: tuple[Laptop, str],
) -> None:
    other, package = compact
    done = other.run(shop, DAY_1, namespace="compact", package=package)
    assert done.returncode == 0, done.stderr
    found = other.records(DAY_1, "compact")
    assert [record["step"] for record in found] == [*STEPS, "notify"]
    own = TopLists.load(artifact(other, "refit-to-publish", "lists"))
    # Later tests have run other days in this home; the names of runs sort by time.
    first_lists, *_ = sorted(laptop.home.glob("artifacts/dawnlist-daily-*/recommend/lists"))
    expected = TopLists.load(first_lists)
    for name in ("user_ids", "item_index", "lengths", "popular_index"):
        assert np.array_equal(getattr(own, name), getattr(expected, name)), name
    assert own.catalogue["item_id"].to_pylist() == expected.catalogue["item_id"].to_pylist()
    report = find_step_report(found, "publish")
    expected_report = find_step_report(laptop.records(DAY_1), "publish")
    assert (report["version"], report["users"]) == (1, expected_report["users"])
    made = {path.parent.name for path in other.home.glob("artifacts/*/*/executor_output.json")}
    assert made == {
        "fetch", "clean-to-dataset", "tune", "train", "evaluate-and-gate", "refit-to-publish", "notify",
    }  # fmt: skip
    measured = artifact(other, "clean-to-dataset", "executor_output.json").read_text()
    for name in ("clean_metrics", "filter_bots_metrics", "dataset_metrics"):
        assert json.loads(measured)["artifacts"][name]["artifacts"][0]["metadata"]


def test_a_failure_in_a_compact_pod_names_the_step(
    shop: str, compact: tuple[Laptop, str], tmp_path: Path
) -> None:
    other, package = compact
    (tmp_path / "s.yaml").write_text("limits: {max_rejected: 0}")
    settings = str(tmp_path / "s.yaml")
    done = other.run(shop, DAY_1, settings=settings, namespace="strict", package=package)
    assert done.returncode == 1
    assert "dawnlist: clean failed: " in done.stderr
    found = other.records(DAY_1, "strict")
    assert [record["step"] for record in found] == ["fetch", "clean", "notify"]


@pytest.mark.parametrize("step", STEPS if PROVE else ["clean"])
def test_a_step_that_is_killed_is_named_and_the_next_run_succeeds(
    laptop: Laptop, shop: str, step: str, tmp_path: Path
) -> None:
    namespace = f"killed-{step.replace('_', '-')}"
    words = laptop.words(shop, DAY_1, namespace=namespace)
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    os.kill(started(laptop, process, step, namespace)["pid"], signal.SIGKILL)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 1
    assert f"{step} was killed" in err.splitlines()[-1]
    assert not list(tmp_path.iterdir())
    found = laptop.records(DAY_1, namespace)
    assert [record["step"] for record in found] == [*STEPS[: STEPS.index(step) + 1], "notify"]
    lake = laptop.lake(namespace)
    [name] = lake.names("reports", "20250210T000000Z")
    page = (lake.read("reports", "20250210T000000Z", name) or b"").decode()
    assert "killed" in page and step in page and "killed" in out
    if PROVE:  # a whole run; tests/test_crashes.py kills and repeats fetch and clean in any case
        again = laptop.run(shop, DAY_1, namespace=namespace)
        assert again.returncode == 0, again.stderr
        with redis.from_url(laptop.redis) as client:
            assert [version.active for version in list_versions(client, namespace)] == [True]


def started(
    laptop: Laptop, process: subprocess.Popen[str], step: str, namespace: str
) -> StepRecord:
    """The record of a step, as soon as it has started."""
    lake, deadline = laptop.lake(namespace), time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        for run in lake.names("runs", "20250210T000000Z"):
            record = lake.read_json("runs", "20250210T000000Z", run, f"{step}.json")
            if record and record["state"] == "started":
                return StepRecord(record)
        time.sleep(0.01)
    raise AssertionError(f"{step} never started: {process.communicate()}")


@pytest.mark.skipif(not PROVE, reason="two whole runs: DAWNLIST_PROVE=1 makes them")
def test_two_shops_share_a_lake_and_a_store_and_the_yaml_runs_too(
    laptop: Laptop, first: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    other = make_shop(tmp_path / "other.db", seed=2, days=DAYS)
    package = tmp_path / "daily.yaml"
    subprocess.run(laptop.command("compile", output=str(package)), check=True, capture_output=True)
    before = laptop.store()
    done = laptop.run(other, DAY_1, namespace="other", package=str(package))
    assert done.returncode == 0, done.stderr
    after = laptop.store()
    assert {key: after[key] for key in before} == before
    assert all(key.startswith(b"dawnlist:other:") for key in set(after) - set(before))
    assert find_step_report(laptop.records(DAY_1, "other"), "publish")["version"] == 1
    assert laptop.lake("other").read_json("champion.json") != laptop.lake().read_json(
        "champion.json"
    )
