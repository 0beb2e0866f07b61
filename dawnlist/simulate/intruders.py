"""Everybody who is not a customer: declared crawlers, stealthy bots, staff and test accounts.

This module says who they are and how many. What they do is in `dawnlist.simulate.behaviours`, and
for stealthy bots in `dawnlist.simulate.stealth_bots`. The number of their events follows the day's
real traffic, so that they make `robot_share` of all events.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dawnlist.arrays import Int64Array
from dawnlist.simulate.agents import BROWSER_AGENT_COUNT, SIMULATED_CRAWLERS
from dawnlist.simulate.behaviours import BEHAVIOURS, BehaviourContext
from dawnlist.simulate.bot_habits import ACCOUNT_GENERATIONS, MEDIAN_DAILY_EVENTS
from dawnlist.simulate.catalogue import (
    PUBLIC_ID_COUNT,
    RandomStream,
    SimulatedCatalogue,
    create_random_stream,
)
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.item_memory import number_within_groups
from dawnlist.simulate.stealth_bots import Crew, draw_addresses
from dawnlist.simulate.traffic import SESSIONS_PER_DAY, SimulatedEvents, concatenate_events

_CRAWLER_KIND = 0
"""Index of the crawlers in `INTRUDER_KINDS`."""
_MIN_MEMBERS = {"crawler": len(SIMULATED_CRAWLERS), "staff": 2, "test": 2}
_MIN_STEALTHY_MEMBERS = 2 * ACCOUNT_GENERATIONS
_IDENTITY_DAY = 2**32 - 1
"""Instead of a day, for the random numbers of what never changes."""
_FIRST_INTRUDER_SESSION = 5_000_000
_SESSIONS_PER_KIND = 500_000


@dataclass(frozen=True)
class IntruderKind:
    """One kind of intruder."""

    label: str
    """The truth label."""
    share: float
    """Its share of the intruders' events."""
    events: float = MEDIAN_DAILY_EVENTS
    """Mean events of a member on a day on which it is active.

    Of a stealthy bot: on any day of its quarter.
    """
    days_a_month: float = 30 / ACCOUNT_GENERATIONS
    """On how many days of 30 a member is active; the number of members follows from it."""


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


def assign_members(config: ShopConfig, expected_daily_events: float) -> list[Int64Array]:
    """Assign the actor indices of each kind, from the top of the public ids down.

    Each declared crawler has a member, and every other kind has at least two.
    """
    if config.robot_share == 0:
        return [np.zeros(0, np.int64) for _ in INTRUDER_KINDS]
    budget = _compute_event_budget(config, expected_daily_events)
    members = []
    end = 0
    for kind in INTRUDER_KINDS:
        size = round(budget * kind.share / kind.events * 30 / kind.days_a_month)
        size = max(_MIN_MEMBERS.get(kind.label, _MIN_STEALTHY_MEMBERS), size)
        start, end = end, end + size
        members.append(PUBLIC_ID_COUNT - 1 - np.arange(start, end))
    return members


def _compute_event_budget(config: ShopConfig, customer_events: float) -> float:
    """Compute how many events intruders make beside so many events of customers."""
    return customer_events * config.robot_share / (1 - config.robot_share)


def estimate_daily_events(config: ShopConfig) -> float:
    """Estimate how many events customers make a day.

    The estimate doesn't depend on how many days are simulated.
    """
    mean_rate = config.sessions_a_day * float(np.exp(config.activity_spread**2 / 2))
    return config.users * 0.6 * mean_rate / 0.34 * 1.515


class Intruders:
    """All intruders, with their identities and fixed habits."""

    def __init__(self, config: ShopConfig, shop: SimulatedCatalogue) -> None:
        """Draw who they are."""
        self.config = config
        self.members = assign_members(config, estimate_daily_events(config))
        random = create_random_stream(config, RandomStream.INTRUDERS, _IDENTITY_DAY)
        self.crawler = _draw_crawlers(random, len(self.members[_CRAWLER_KIND]))
        self.crews: dict[str, Crew] = {}
        self.agent = []
        self.address = []
        for kind, actors in zip(INTRUDER_KINDS, self.members, strict=True):
            self.agent.append(random.integers(0, BROWSER_AGENT_COUNT, len(actors)))
            self.address.append(draw_addresses(random, len(actors)))
            if kind.label not in BEHAVIOURS:
                self.crews[kind.label] = Crew(config, kind.label, actors, shop, random)
        networks = np.array([crawler.first_address for crawler in SIMULATED_CRAWLERS])
        host = 1 + np.arange(len(self.crawler)) % 250
        self.agent[_CRAWLER_KIND] = BROWSER_AGENT_COUNT + self.crawler
        self.address[_CRAWLER_KIND] = networks[self.crawler] + host

    def list_members(self) -> list[tuple[str, Int64Array]]:
        """List the truth label and the actor indices of each kind."""
        labels = [kind.label for kind in INTRUDER_KINDS]
        return list(zip(labels, self.members, strict=True))

    def draw_day(
        self, day: int, customer_events: int, popular: Int64Array, items: int
    ) -> SimulatedEvents | None:
        """Draw the events of one day; None when there are none.

        `popular` is a sample of the items that customers looked at that day.
        """
        if self.config.robot_share == 0:
            return None
        budget = _compute_event_budget(self.config, customer_events)
        random = create_random_stream(self.config, RandomStream.INTRUDERS, day)
        blocks = []
        for number, kind in enumerate(INTRUDER_KINDS):
            kind_events = budget * kind.share
            if kind.label in self.crews:
                crew = self.crews[kind.label]
                events = crew.draw_day(random, day, kind_events, popular, items)
            else:
                events = self._draw_declared(random, number, day, kind_events, items)
            if events is not None:
                first_session = _FIRST_INTRUDER_SESSION + number * _SESSIONS_PER_KIND
                events.session[:] += day * SESSIONS_PER_DAY + first_session
                blocks.append(events)
        return concatenate_events(blocks) if blocks else None

    def _draw_declared(
        self, random: Generator, number: int, day: int, events: float, items: int
    ) -> SimulatedEvents | None:
        """Draw the events of a kind that doesn't hide; `number` is its index."""
        kind, actors = INTRUDER_KINDS[number], self.members[number]
        active_count = int(random.poisson(events / kind.events))
        active = random.permutation(len(actors))[:active_count]
        if not len(active):
            return None
        event_counts = 1 + random.poisson(kind.events - 1, len(active))
        session = np.repeat(np.arange(len(active)), event_counts)
        member = active[session]
        step = number_within_groups(event_counts)
        crawler = np.zeros_like(member)
        if number == _CRAWLER_KIND:
            crawler = self.crawler[member]
        context = BehaviourContext(random, member, step, crawler, day, items)
        item, act, seconds = BEHAVIOURS[kind.label](context)
        milliseconds = np.round(seconds * 1_000).astype(np.int64)
        return SimulatedEvents(
            actor=actors[member],
            item=item,
            kind=act,
            time=self.config.compute_midnight(day) + milliseconds * 1_000,
            session=session,
            agent=self.agent[number][member],
            address=self.address[number][member],
        )


def _draw_crawlers(random: Generator, members: int) -> Int64Array:
    """Draw which crawler each member is: each crawler once, then by their traffic."""
    crawlers = len(SIMULATED_CRAWLERS)
    traffic = np.array([crawler.traffic for crawler in SIMULATED_CRAWLERS])
    number = np.arange(members)
    drawn = random.choice(crawlers, members, p=traffic / traffic.sum())
    return np.where(number < crawlers, number % crawlers, drawn)
