"""Everyone who is not a customer: declared crawlers, stealthy bots with browser agents, staff and test accounts.

The kinds of stealthy bots follow what the literature describes, not what any rule looks for: docs/SIMULATOR.md names
the papers. Their number follows the day's real traffic, so that they make `robot_share` of all events.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from components.simulate.agents import BROWSER_AGENTS, CRAWLERS
from components.simulate.catalogue import INTRUDERS, PUBLIC_IDS, Floats, Integers, stream
from components.simulate.config import ShopConfig
from components.simulate.traffic import DAY_US, Events, joined


@dataclass(frozen=True)
class Kind:
    """One kind of intruder."""

    label: str
    """The truth label."""
    share: float
    """Of the intruders' events."""
    events: int
    """Mean events of one of them on a day on which it is active."""
    days_a_month: int
    """On about how many days of 30 one of them is active: sets how many of them there are."""


KINDS_OF_INTRUDER = (
    Kind("crawler", 0.48, 25, 6),
    Kind("stealth:fast", 0.12, 60, 1),
    Kind("stealth:regular", 0.11, 36, 10),
    Kind("stealth:wide", 0.10, 80, 5),
    Kind("stealth:skew", 0.05, 12, 6),
    Kind("stealth:scalper", 0.02, 8, 4),
    Kind("stealth:mimic", 0.05, 12, 6),
    Kind("staff", 0.05, 15, 12),
    Kind("test", 0.02, 15, 8),
)


def members(config: ShopConfig, expected_a_day: float) -> list[Integers]:
    """The actor indices of each kind, from the top of the public ids down: at least two, and each crawler."""
    if config.robot_share == 0:
        return [np.zeros(0, np.int64) for _ in KINDS_OF_INTRUDER]
    budget = expected_a_day * config.robot_share / (1 - config.robot_share)
    least = [len(CRAWLERS) if kind.label == "crawler" else 2 for kind in KINDS_OF_INTRUDER]
    wanted = [round(budget * kind.share / kind.events * 30 / kind.days_a_month) for kind in KINDS_OF_INTRUDER]
    sizes = np.maximum(least, wanted).tolist()
    ends = np.cumsum(sizes)
    return [PUBLIC_IDS - 1 - np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def expected_events(config: ShopConfig) -> float:
    """Roughly how many events customers make a day; it doesn't depend on how many days are simulated."""
    mean_rate = config.sessions_a_day * float(np.exp(config.activity_spread**2 / 2))
    return config.users * 0.6 * mean_rate / 0.34 * 1.515


class Intruders:
    """Their identities and fixed habits; `day` gives what they do."""

    def __init__(self, config: ShopConfig) -> None:
        self.config = config
        self.members = members(config, expected_events(config))
        random = stream(config, INTRUDERS, -1 % 2**32)
        self.habits = [random.random((len(group), 3)) for group in self.members]
        weight = np.array([crawler.traffic for crawler in CRAWLERS])
        first = np.arange(len(self.members[0])) % len(CRAWLERS)  # each crawler at least once, where there are enough
        drawn = random.choice(len(CRAWLERS), len(first), p=weight / weight.sum())
        self.crawler = np.where(np.arange(len(first)) < len(CRAWLERS), first, drawn)

    def labels(self) -> list[tuple[str, Integers]]:
        """(truth label, actor indices) of each kind."""
        return [(kind.label, group) for kind, group in zip(KINDS_OF_INTRUDER, self.members, strict=True)]

    def day(self, day: int, customers_events: int, popular: Integers, items: int) -> Events | None:
        """One day's events; `popular` is a sample of items that customers looked at that day."""
        budget = customers_events * self.config.robot_share / (1 - self.config.robot_share)
        random = stream(self.config, INTRUDERS, day)
        parts = []
        for number, kind in enumerate(KINDS_OF_INTRUDER):
            group = self.members[number]
            wanted = int(random.poisson(budget * kind.share / kind.events))
            active = random.permutation(len(group))[: min(wanted, len(group))]
            if not len(active):
                continue
            steps = 1 + random.poisson(kind.events - 1, len(active))
            who = np.repeat(active, steps)
            first = np.repeat(np.cumsum(steps) - steps, steps)
            scene = Scene(random, who, np.arange(len(who)) - first, self.habits[number][who], day, items, popular)
            parts.append(self._acted(scene, number, kind.label, group, steps))
        return joined(parts) if parts else None

    def _acted(self, scene: "Scene", number: int, label: str, group: Integers, steps: Integers) -> Events:
        item, kind, seconds, rotating = BEHAVIOURS[label](scene, self.crawler[scene.who] if number == 0 else scene.who)
        time = self.config.start_us + scene.day * DAY_US + np.round(seconds * 1_000).astype(np.int64) * 1_000
        session = np.repeat(np.arange(len(steps)), steps) + scene.day * 10_000_000 + 5_000_000 + number * 500_000
        agent = (scene.habit[:, 0] * BROWSER_AGENTS).astype(np.int64)
        address = ((24 + (scene.habit[:, 1] * 180).astype(np.int64)) << 24) + (scene.habit[:, 2] * (1 << 24)).astype(
            np.int64
        )
        if number == 0:
            network = np.array([crawler.first_address for crawler in CRAWLERS])
            address = network[self.crawler[scene.who]] + 1 + scene.who % 250
            agent = BROWSER_AGENTS + self.crawler[scene.who]
        if rotating:  # a new address from a proxy pool for every request
            address = address + scene.random.integers(0, 1 << 24, len(address))
        return Events(group[scene.who], item, kind, time, session, agent, address)


@dataclass(frozen=True)
class Scene:
    """What a behaviour is given: aligned arrays, one entry an event to be."""

    random: np.random.Generator
    who: Integers  # member within the kind
    step: Integers  # 0, 1, 2 ... within the member's day
    habit: Floats  # (events, 3) fixed numbers of the member from 0 to 1
    day: int
    items: int
    popular: Integers

    def drawn(self, mean: float) -> Floats:
        return self.random.exponential(mean, len(self.who))

    def cumulative(self, pauses: Floats) -> Floats:
        """Seconds since the member's first event of the day."""
        total = np.cumsum(pauses)
        starts = np.flatnonzero(self.step == 0)
        return total - np.repeat(total[starts], np.diff(starts, append=len(total)))

    def begin(self, low: float, high: float) -> Floats:
        """One moment of the day for each member, seconds after midnight, the same for all its events."""
        starts = np.flatnonzero(self.step == 0)
        moment = self.random.uniform(low, high, len(starts))
        return np.repeat(moment, np.diff(starts, append=len(self.who)))

    def some_popular(self) -> Integers:
        return self.popular[self.random.integers(0, len(self.popular), len(self.who))]

    def views(self) -> Integers:
        return np.zeros(len(self.who), np.int64)


Acts = tuple[Integers, Integers, Floats, bool]  # item, kind, seconds after midnight, rotating addresses


def crawl(scene: Scene, crawler: Integers) -> Acts:
    """Walks the catalogue in order from where it stopped, at the crawler's own pace, at any hour."""
    pause = np.array([crawler.pause for crawler in CRAWLERS])[crawler]
    item = (scene.who * 977 + scene.day * 40 + scene.step) % scene.items
    return item, scene.views(), scene.begin(0, 80_000) + scene.cumulative(scene.drawn(1.0) * pause), False


def fast(scene: Scene, _: Integers) -> Acts:
    """A scraper in a hurry: dozens of pages, a second or less apart."""
    item = scene.random.integers(0, scene.items, len(scene.who))
    return item, scene.views(), scene.begin(0, 85_000) + scene.cumulative(0.2 + scene.drawn(0.6)), False


def regular(scene: Scene, _: Integers) -> Acts:
    """A price monitor: the same handful of items, round the clock, like clockwork."""
    watched = 3 + (scene.habit[:, 0] * 9).astype(np.int64)
    item = (scene.who * 131 + scene.step % watched * 17) % scene.items
    seconds = (
        scene.step * 2_300.0 + scene.habit[:, 1] * 900 + scene.random.normal(0, 0.4, len(scene.who)).clip(-2, 2) + 3
    )
    return item, scene.views(), seconds, False


def wide(scene: Scene, _: Integers) -> Acts:
    """A patient copier of the catalogue: page after page at reading pace, never the same twice."""
    item = (scene.who * 389 + scene.day * 251 + scene.step) % scene.items
    return item, scene.views(), scene.begin(0, 60_000) + scene.cumulative(15 + scene.drawn(45)), False


def skew(scene: Scene, _: Integers) -> Acts:
    """A ring that pushes a few items: each session hides them among popular ones, and likes or carts them."""
    target = ((scene.who % 4) * 53 + scene.day // 21 * 101 + 29) % scene.items
    push = scene.step % 3 == 2
    kind = np.where(push, scene.random.choice([0, 2, 3], len(push)), 0)
    item = np.where(push, target, scene.some_popular())
    return item, kind, scene.begin(25_000, 84_000) + scene.cumulative(4 + scene.drawn(20)), False


def scalp(scene: Scene, _: Integers) -> Acts:
    """Holds stock: puts the talk of the day into carts within seconds of a fixed hour, buys none of it."""
    seconds = 36_000 + scene.habit[:, 0] * 30 + scene.cumulative(0.5 + scene.drawn(1.5))
    return scene.some_popular(), np.full(len(scene.who), 3), seconds, False


def mimic(scene: Scene, _: Integers) -> Acts:
    """Human pace, human hours, a new address each time: only the lack of any taste gives it away."""
    item = scene.random.integers(0, scene.items, len(scene.who))
    kind = (scene.random.random(len(scene.who)) < 0.25).astype(np.int64)
    pause = np.minimum(np.exp(3.4 + 0.9 * scene.random.standard_normal(len(scene.who))), 1_500.0)
    return item, kind, scene.begin(28_000, 80_000) + scene.cumulative(pause), True


def work(scene: Scene, _: Integers) -> Acts:
    """Staff: office hours, new items first."""
    back = np.minimum(scene.drawn(60.0).astype(np.int64), scene.items - 1)
    return (
        scene.items - 1 - back,
        scene.views(),
        scene.begin(28_800, 54_000) + scene.cumulative(5 + scene.drawn(60)),
        False,
    )


def rehearse(scene: Scene, _: Integers) -> Acts:
    """A test account: the whole way to the purchase, on the same two items, over and over."""
    item = (scene.step // 5 % 2 * 7 + scene.who) % scene.items
    return item, scene.step % 5, scene.begin(28_800, 61_000) + scene.cumulative(1 + scene.drawn(3)), False


BEHAVIOURS: dict[str, Callable[[Scene, Integers], Acts]] = {
    "crawler": crawl, "stealth:fast": fast, "stealth:regular": regular, "stealth:wide": wide, "stealth:skew": skew,
    "stealth:scalper": scalp, "stealth:mimic": mimic, "staff": work, "test": rehearse,
}  # fmt: skip
