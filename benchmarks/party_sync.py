"""Four browsers in one room over bad links: how far is what they show apart, by the frames themselves?

python benchmarks/party_sync.py

The links delay each way by 20, 80, 160 and 300 ms, with jitter and 2% loss (tests/support/slow_links.py). The
browsers' clocks are wrong by up to half a minute. The same is done with Jellyfin's published rules in the same
page (party_jellyfin.js): as its client has them by default, and with its correction switched on.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

sys.path.append(str(Path(__file__).parents[1]))  # the tests' browser and links

from dawnlist.machine.embedded_valkey import run_embedded_valkey
from tests.support.party_members import party_process
from tests.support.slow_links import Link, relays
from tests.support.viewers import Shown, Viewer, measure_distances, open_viewer

DELAYS = (0.020, 0.080, 0.160, 0.300)
JITTER_SHARE = 0.2
LOSS = 0.02
SKEWS = (0.0, 29.0, -3.7, 0.8)
STEADY_FROM, STEADY_SECONDS = 10.0, 25.0
SEEKS = (12.0, 60.0, 4.0)
LAGS = (0.3, 1.5)
"""Seconds by which one player is put back, as one does that could not keep up."""
LAG_SECONDS = 12.0
NEAR_SECONDS = 0.1
AFTER_SEEK, AFTER_SEEK_SECONDS = 10.0, 6.0
POLICIES = {
    "dawnlist": "",
    "jellyfin, correction on": "useJellyfin(party, true)",
    "jellyfin, default": "useJellyfin(party, false)",
}


@dataclass
class Distances:
    """Seconds between the first and the last viewer of a room."""

    steady: list[float] = field(default_factory=list)
    at_ten: list[float] = field(default_factory=list)
    """From ten seconds after a seek on."""
    recoveries: dict[float, list[float]] = field(default_factory=dict)
    """Seconds until all were within NEAR_SECONDS again, by the lag of one of them."""


def watch_together(viewers: list[Viewer], distances: Distances) -> None:
    """Play, measure, seek, and measure again."""
    viewers[0].play()
    start = time.time() + STEADY_FROM
    sleep_until(start + STEADY_SECONDS + 1)
    shown = read_all(viewers)
    distances.steady += measure_distances(shown, start, start + STEADY_SECONDS)
    for number, place in enumerate(SEEKS):
        viewers[number].seek(place)
        after = time.time() + AFTER_SEEK
        sleep_until(after + AFTER_SEEK_SECONDS + 0.5)
        shown = read_all(viewers)
        distances.at_ten += measure_distances(shown, after, after + AFTER_SEEK_SECONDS)


def hold_back(viewers: list[Viewer], distances: Distances) -> None:
    """Put one player back, and measure when it is near the others again."""
    for lag in LAGS:
        start = time.time()
        viewers[2].evaluate(f"party.player.video.currentTime -= {lag}; 0")
        sleep_until(start + LAG_SECONDS + 0.5)
        apart = measure_distances(read_all(viewers), start, start + LAG_SECONDS)
        far = [step for step, distance in enumerate(apart) if distance > NEAR_SECONDS]
        distances.recoveries.setdefault(lag, []).append((max(far, default=-1) + 1) / 50)


def read_all(viewers: list[Viewer]) -> list[Shown]:
    """Read what each viewer has shown."""
    return [viewer.read_shown() for viewer in viewers]


def sleep_until(moment: float) -> None:
    """Sleep until a moment."""
    time.sleep(max(0.0, moment - time.time()))


def run_room(server: str, ports: list[int], rules: str, distances: Distances) -> None:
    """Have four browsers watch in a new room."""
    wish = {"name": "figures", "access": "open", "control": "all", "guests": True}
    room = httpx.post(f"{server}/v1/rooms", json=wish).json()["room"]
    script = Path(__file__).with_name("party_jellyfin.js").read_text()
    with contextlib.ExitStack() as stack:
        viewers = []
        for port, skew in zip(ports, SKEWS, strict=True):
            address = f"http://127.0.0.1:{port}/rooms/{room}"
            viewers.append(stack.enter_context(open_viewer(address, skew)))
        for number, viewer in enumerate(viewers):
            viewer.join(f"viewer {number}")
            if rules:
                viewer.evaluate(f"{script}; {rules}; 0")
        time.sleep(4)  # the clocks' first pings
        watch_together(viewers, distances)
        hold_back(viewers, distances)


def print_figures(name: str, distances: Distances) -> None:
    """Print a line of the table: milliseconds, and then seconds."""
    cells = []
    for values in (distances.steady, distances.at_ten):
        milliseconds = 1000 * np.array(values)
        cells += [f"{np.percentile(milliseconds, share):,.0f}" for share in (50, 95, 100)]
    cells += [format_recovery(distances.recoveries[lag]) for lag in LAGS]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def format_recovery(seconds: list[float]) -> str:
    """Format the median time of a recovery, in seconds."""
    median = float(np.median(seconds))
    if median >= LAG_SECONDS:
        return f"not in {LAG_SECONDS:.0f} s"
    return f"{median:.1f} s"


def main() -> None:
    """Measure each policy, in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    links = [Link(delay, JITTER_SHARE * delay, LOSS) for delay in DELAYS]
    results = {name: Distances() for name in POLICIES}
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        run_embedded_valkey(Path(home)) as store,
        party_process(store) as (server, _),
    ):
        port = int(server.rsplit(":", 1)[1])
        for number in range(rounds):
            with relays(links, port, seed=100 * number) as ports:
                for name, rules in POLICIES.items():
                    run_room(server, ports, rules, results[name])
    heads = ["steady p50", "p95", "max", "10 s after a seek p50", "p95", "max"]
    heads += [f"back from {lag} s behind" for lag in LAGS]
    print(f"| rules | {' | '.join(heads)} |")
    print(f"| --- | {' | '.join(['--:'] * len(heads))} |")
    for name, distances in results.items():
        print_figures(name, distances)


if __name__ == "__main__":
    main()
