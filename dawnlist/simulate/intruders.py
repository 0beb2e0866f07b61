"""Everyone who is not a customer: declared crawlers, stealthy bots with browser agents, staff and test accounts.

Who they are and how many; what they do is in behaviours.py and, for the stealthy, in purposes.py and stealth.py. Their
number follows the day's real traffic, so that they make `robot_share` of all events.
"""

from dataclasses import dataclass

import numpy as np

from dawnlist.arrays import Int64Array
from dawnlist.cuts import MICROSECONDS_PER_DAY
from dawnlist.simulate.agents import BROWSER_AGENT_COUNT, SIMULATED_CRAWLERS
from dawnlist.simulate.behaviours import BEHAVIOURS, BehaviourContext
from dawnlist.simulate.bot_habits import ACCOUNT_GENERATIONS, MEDIAN_DAILY_EVENTS
from dawnlist.simulate.catalogue import (
    INTRUDER_STREAM,
    PUBLIC_ID_COUNT,
    SimulatedCatalogue,
    create_random_stream,
)
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.stealth_bots import Crew, draw_addresses
from dawnlist.simulate.traffic import SimulatedEvents, concatenate_events


@dataclass(frozen=True)
class IntruderKind:
    """One kind of intruder."""

    label: str
    """The truth label."""
    share: float
    """Of the intruders' events."""
    events: float = MEDIAN_DAILY_EVENTS
    """Mean events of one of them on a day on which it is active; of a stealthy one on any day of its quarter."""
    days_a_month: float = 30 / ACCOUNT_GENERATIONS
    """On about how many days of 30 one of them is active: sets how many of them there are."""


INTRUDER_KINDS = (
    IntruderKind("crawler", 0.48, 25, 6),
    IntruderKind("stealth:fast", 0.09),
    IntruderKind("stealth:regular", 0.07),
    IntruderKind("stealth:wide", 0.08),
    IntruderKind("stealth:skew", 0.06),
    IntruderKind("stealth:scalper", 0.05),
    IntruderKind("stealth:mimic", 0.06),
    IntruderKind("stealth:clickfarm", 0.04),
    IntruderKind("staff", 0.05, 15, 12),
    IntruderKind("test", 0.02, 15, 8),
)


def assign_members(config: ShopConfig, expected_a_day: float) -> list[Int64Array]:
    """The actor indices of each kind, from the top of the public ids down: at least two, and each crawler."""
    if config.robot_share == 0:
        return [np.zeros(0, np.int64) for _ in INTRUDER_KINDS]
    budget = expected_a_day * config.robot_share / (1 - config.robot_share)
    least = {"crawler": len(SIMULATED_CRAWLERS), "staff": 2, "test": 2}
    wanted = [
        round(budget * kind.share / kind.events * 30 / kind.days_a_month) for kind in INTRUDER_KINDS
    ]
    sizes = [
        max(least.get(kind.label, 2 * ACCOUNT_GENERATIONS), n)
        for kind, n in zip(INTRUDER_KINDS, wanted, strict=True)
    ]
    ends = np.cumsum(sizes).tolist()
    return [
        PUBLIC_ID_COUNT - 1 - np.arange(end - size, end)
        for size, end in zip(sizes, ends, strict=True)
    ]


def estimate_daily_events(config: ShopConfig) -> float:
    """Roughly how many events customers make a day; it doesn't depend on how many days are simulated."""
    mean_rate = config.sessions_a_day * float(np.exp(config.activity_spread**2 / 2))
    return config.users * 0.6 * mean_rate / 0.34 * 1.515


class Intruders:
    """Their identities and fixed habits; `day` gives what they do."""

    def __init__(self, config: ShopConfig, shop: SimulatedCatalogue) -> None:
        self.config = config
        self.members = assign_members(config, estimate_daily_events(config))
        random = create_random_stream(config, INTRUDER_STREAM, 2**32 - 1)
        weight = np.array([crawler.traffic for crawler in SIMULATED_CRAWLERS])
        first = np.arange(len(self.members[0])) % len(
            SIMULATED_CRAWLERS
        )  # each crawler at least once, where there are enough
        drawn = random.choice(len(SIMULATED_CRAWLERS), len(first), p=weight / weight.sum())
        self.crawler = np.where(np.arange(len(first)) < len(SIMULATED_CRAWLERS), first, drawn)
        self.crews: dict[str, Crew] = {}
        self.agent, self.address = [], []
        for kind, group in zip(INTRUDER_KINDS, self.members, strict=True):
            self.agent.append(random.integers(0, BROWSER_AGENT_COUNT, len(group)))
            self.address.append(draw_addresses(random, len(group)))
            if kind.label not in BEHAVIOURS:
                self.crews[kind.label] = Crew(config, kind.label, group, shop, random)
        network = np.array([crawler.first_address for crawler in SIMULATED_CRAWLERS])
        self.agent[0] = BROWSER_AGENT_COUNT + self.crawler
        self.address[0] = network[self.crawler] + 1 + np.arange(len(first)) % 250

    def labels(self) -> list[tuple[str, Int64Array]]:
        """(truth label, actor indices) of each kind."""
        return [
            (kind.label, group) for kind, group in zip(INTRUDER_KINDS, self.members, strict=True)
        ]

    def day(
        self, day: int, customers_events: int, popular: Int64Array, items: int
    ) -> SimulatedEvents | None:
        """One day's events; `popular` is a sample of items that customers looked at that day."""
        if self.config.robot_share == 0:
            return None
        budget = customers_events * self.config.robot_share / (1 - self.config.robot_share)
        random = create_random_stream(self.config, INTRUDER_STREAM, day)
        parts = []
        for number, kind in enumerate(INTRUDER_KINDS):
            events = budget * kind.share
            if kind.label in self.crews:
                part = self.crews[kind.label].day(random, day, events, popular, items)
            else:
                part = self._declared(random, number, day, events, items)
            if part is not None:
                part.session[:] += day * 10_000_000 + 5_000_000 + number * 500_000
                parts.append(part)
        return concatenate_events(parts) if parts else None

    def _declared(
        self, random: np.random.Generator, number: int, day: int, events: float, items: int
    ) -> SimulatedEvents | None:
        kind, group = INTRUDER_KINDS[number], self.members[number]
        wanted = int(random.poisson(events / kind.events))
        active = random.permutation(len(group))[: min(wanted, len(group))]
        if not len(active):
            return None
        steps = 1 + random.poisson(kind.events - 1, len(active))
        session = np.repeat(np.arange(len(active)), steps)
        who = active[session]
        step = np.arange(len(who)) - np.repeat(np.cumsum(steps) - steps, steps)
        crawler = self.crawler[who] if number == 0 else np.zeros_like(who)
        item, act, seconds = BEHAVIOURS[kind.label](
            BehaviourContext(random, who, step, crawler, day, items)
        )
        time = (
            self.config.start_us
            + day * MICROSECONDS_PER_DAY
            + np.round(seconds * 1_000).astype(np.int64) * 1_000
        )
        return SimulatedEvents(
            group[who], item, act, time, session, self.agent[number][who], self.address[number][who]
        )
