"""The whole way of an event: a request to the collector, a worker, the firehose, a run, and somebody's list."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import redis

from dawnlist.lake.lake import Lake
from dawnlist.serving.collector.firehose import Firehose
from dawnlist.serving.collector.worker import Worker
from dawnlist.settings import Settings
from tests.support.collecting import collector, send, statuses
from tests.support.kfp_api import dawnlist

DAY = 86_400.0
USERS, ITEMS = 80, 30


def build_views(now: float) -> list[dict[str, object]]:
    """Views of two tastes: even users look at even items, the others at odd ones."""
    views: list[dict[str, object]] = []
    for user in range(USERS):
        for number in range(10):
            item = (user + 2 * number) % ITEMS
            age = (0.2 + (user * 7 + number * 3) % 50 / 10) * DAY
            views.append(
                {"type": "view", "user": f"u{user}", "item": f"i{item}", "time": now - age}
            )
    return views


def collect(valkey: str, lake: Lake, events: list[dict[str, object]]) -> None:
    """Send events to a collector, and land them in the lake."""
    with collector(valkey) as client:
        answer = send(client, *events)
        assert answer.status_code == 202 and set(statuses(answer)) == {"ok"}
    with redis.from_url(valkey) as store:
        worker = Worker(store, "shop", Settings())
        worker.ensure_group()
        while worker.work_once(1):
            pass
        assert Firehose(store, lake, "shop").land_everything() == len(events)


def list_items(valkey: str, user: str) -> list[str]:
    """The item ids of a user's list, of all items that there are."""
    done = dawnlist("recommend", user, "--redis", valkey, "--namespace", "shop", "--format", "json")
    assert done.code == 0, done.err
    return [item["item_id"] for item in json.loads(done.out)["items"]]


def test_what_the_collector_takes_is_in_tomorrows_lists(valkey: str, tmp_path: Path) -> None:
    now = time.time()
    views = build_views(now)
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    collect(valkey, lake, views)
    disliked: dict[str, object] = {
        "type": "mood",
        "user": "u0",
        "item": "i24",
        "mood": "\U0001f44e\U0001f3fd",
    }
    collect(valkey, lake, [disliked])
    # The second in which the last event was taken has to end before a run can fetch it.
    end = int(time.time()) + 1
    time.sleep(max(0.0, end - time.time()))
    as_of = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    done = dawnlist(
        "run", "--local", "--source", "events", "--namespace", "shop", "--redis", valkey,
        "--home", str(tmp_path), "--lake", str(tmp_path / "lake"), "--as-of", as_of, "-k", "30",
        "--factors", "8", "--force", "a new shop", "--require-published",
    )  # fmt: skip
    assert done.code == 0, done.err
    first, second = list_items(valkey, "u0"), list_items(valkey, "u2")
    assert "i24" in second and "i24" not in first
