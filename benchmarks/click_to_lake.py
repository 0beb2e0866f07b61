"""Measure how long an event takes to become a row of the lake, under load and with the default settings.

Collector, worker, firehose, store and lake run as `dawnlist collect` starts them on a laptop; 2,000 events a second of
other people come meanwhile. A row is there when a query by `dawnlist query`'s code finds it.

    python benchmarks/click_to_lake.py --clicks 60 --seconds 240
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pyarrow.compute as pc
from click_to_answer import BROWSER, run_server, send_load

sys.path.append(str(Path(__file__).parents[1]))

from dawnlist.lake.lake import Lake

ITEMS = [f"i{number}" for number in range(50)]


def read_event_ids(lake: Lake, prefix: str) -> set[str]:
    """Read the ids of the events of the measurement that the lake has."""
    rows = lake.rows("events")
    if rows is None:
        return set()
    found = rows.to_table(columns=["event_id"], filter=pc.starts_with(pc.field("event_id"), prefix))
    return set(found["event_id"].to_pylist())


def measure(url: str, lake: Lake, clicks: int, seconds: float) -> list[float]:
    """Click at even distances, and return the seconds until each click was in the lake."""
    sent: dict[str, float] = {}
    landed: dict[str, float] = {}
    began = time.perf_counter()
    while len(landed) < clicks:
        now = time.perf_counter()
        if len(sent) < clicks and now - began >= len(sent) * seconds / clicks:
            event_id = f"measured-{len(sent)}"
            event = {"id": event_id, "type": "view", "user": "u", "item": "i1"}
            httpx.post(
                f"{url}/v1/events", json={"events": [event]}, headers={"user-agent": BROWSER}
            )
            sent[event_id] = now
        for event_id in read_event_ids(lake, "measured-") - landed.keys():
            landed[event_id] = time.perf_counter() - sent[event_id]
        time.sleep(0.5)
        if now - began > seconds + 300:
            raise TimeoutError(f"{len(landed)} of {clicks} events are in the lake")
    return sorted(landed.values())


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clicks", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=240.0, help="over which the clicks come")
    parser.add_argument("--rate", type=float, default=2000.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dawnlist-lake-") as folder:
        home = Path(folder) / "home"
        with run_server("collect", "/readyz", home) as url:
            load = multiprocessing.Process(
                target=send_load, args=(url, arguments.rate, ITEMS), daemon=True
            )
            load.start()
            try:
                lake = Lake.open(str(home / "lake"), "default")
                seconds = measure(url, lake, arguments.clicks, arguments.seconds)
            finally:
                load.terminate()
                load.join()
            metrics = httpx.get(f"{url}/metrics").text
        rows = Lake.open(str(home / "lake"), "default").rows("events")
        count = 0 if rows is None else rows.count_rows()
    taken = [line for line in metrics.splitlines() if "events_total" in line and '"ok"' in line]
    print(f"events taken: {taken[0].rpartition(' ')[2]}, rows at the end: {count:,}")
    median, slow = seconds[len(seconds) // 2], seconds[int(0.99 * len(seconds))]
    print(f"event to a row of the lake: p50 {median:.0f} s, p99 {slow:.0f} s")


if __name__ == "__main__":
    main()
