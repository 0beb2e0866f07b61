"""What customers do: the sessions, visits and events of every day, from the planted tastes.

A visit picks a theme (of the user's tastes, the user's interest of the moment, or the whole shop's)
and then an item of the theme, in proportion to the item's popularity on that day. So the
probability of an item for a user is a product of two non-negative factor matrices, which drift.
Nothing loops over events; the only loop is over days.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dawnlist.arrays import Float64Array, Int64Array
from dawnlist.simulate.agents import BROWSER_AGENT_COUNT
from dawnlist.simulate.catalogue import (
    People,
    RandomStream,
    SimulatedCatalogue,
    create_random_stream,
)
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.item_memory import ItemMemory

SIMULATED_EVENT_KINDS = ("view", "click", "like", "cart", "purchase")


@dataclass(frozen=True)
class FollowUp:
    """An event that may follow a view of the same item."""

    kind: int
    """Index into `SIMULATED_EVENT_KINDS`."""
    share: float
    """Share of visits that it follows."""
    seconds: float
    """Mean seconds after the view."""


FOLLOW_UPS = (
    FollowUp(1, 0.35, 8.0),
    FollowUp(2, 0.05, 25.0),
    FollowUp(3, 0.08, 40.0),
    FollowUp(4, 0.035, 180.0),
)
HOURLY_WEIGHTS = np.array(
    [4, 2, 1, 1, 1, 2, 4, 7, 9, 10, 10, 11, 13, 12, 11, 11, 12, 14, 17, 20, 22, 21, 15, 8],
    np.float64,
)
"""How many sessions begin in each hour of the day, UTC, relative to the other hours."""
WEEKDAY_WEIGHTS = np.array([0.95, 0.92, 0.95, 1.0, 1.05, 1.1, 1.15])
"""How busy each weekday is; Monday comes first."""
_MAX_PAUSE_SECONDS = 1_500.0
SESSIONS_PER_DAY = 10_000_000
"""How many numbers there are for the sessions of one day."""


@dataclass(frozen=True)
class SimulatedEvents:
    """Events without dirt: aligned arrays, with one entry for each event."""

    actor: Int64Array
    """Index of the user: customers count up from 0, others down from the top of the public ids."""
    item: Int64Array
    """Index of the item."""
    kind: Int64Array
    """Index into `SIMULATED_EVENT_KINDS`."""
    time: Int64Array
    """Microseconds since 1970."""
    session: Int64Array
    """Number of the session, unique in the shop."""
    agent: Int64Array
    """Index into `SIMULATED_AGENTS`."""
    address: Int64Array
    """IPv4 address as a number."""

    def list_columns(self) -> tuple[Int64Array, ...]:
        """List the arrays, in the order of the fields."""
        return (
            self.actor,
            self.item,
            self.kind,
            self.time,
            self.session,
            self.agent,
            self.address,
        )

    def take(self, rows: Int64Array) -> "SimulatedEvents":
        """Select events by their position."""
        return SimulatedEvents(*(column[rows] for column in self.list_columns()))


def concatenate_events(blocks: list[SimulatedEvents]) -> SimulatedEvents:
    """Join several blocks of events, in the given order."""
    columns = zip(*map(SimulatedEvents.list_columns, blocks), strict=True)
    return SimulatedEvents(*map(np.concatenate, columns))


def compute_hour_shares(config: ShopConfig) -> Float64Array:
    """Compute the share of the day's sessions that begin in each hour."""
    if not config.night:
        return np.full(24, 1 / 24)
    return np.asarray(HOURLY_WEIGHTS / HOURLY_WEIGHTS.sum())


def draw_customary_hours(config: ShopConfig, random: Generator, count: int) -> Float64Array:
    """Draw when sessions of customers begin, in hours after midnight."""
    hour = random.choice(24, count, p=compute_hour_shares(config))
    return hour + random.random(count)


def compute_seasonality(config: ShopConfig, day: int) -> float:
    """Compute how busy a day is, from weekday, time of the year, and the weeks before Christmas."""
    weekday_factor = WEEKDAY_WEIGHTS[config.compute_weekday(day)]
    day_of_year = (config.start.timetuple().tm_yday + day - 1) % 365
    winter = 0.15 * np.cos(2 * np.pi * day_of_year / 365)
    christmas = 0.4 * (325 <= day_of_year < 357)
    return float(weekday_factor * (1 + winter + christmas))


def build_popularity_tables(
    config: ShopConfig, shop: SimulatedCatalogue, items: int, day: int, buzz: Float64Array
) -> Float64Array:
    """Build the cumulative popularity of the first `items` items in each theme on a day.

    The result is flat, (themes + 1) * items long. The part of theme k runs from k to k + 1; the
    last part is the whole shop's.
    """
    arrived = shop.arrived[:items]
    theme = shop.theme[:items]
    age = day - arrived
    novelty = config.novelty * 0.5 ** (age / config.novelty_days) * (arrived > 0)
    season = theme / config.themes
    yearly = 0.4 * np.cos(2 * np.pi * (day / 365 - season))
    weight = np.exp(shop.appeal[:items] + novelty + yearly + buzz[:items])
    table = np.full((config.themes + 1, items), 0.01) * weight
    columns = np.arange(items)
    table[shop.second_theme[:items], columns] = 0.35 * weight
    table[theme, columns] = weight
    table[-1] = weight
    cumulative = np.cumsum(table, axis=1)
    cumulative /= cumulative[:, -1:]
    return np.asarray((cumulative + np.arange(config.themes + 1)[:, None]).ravel())


def draw_themes(tastes: Float64Array, draws: Float64Array) -> Int64Array:
    """Choose a theme for each row of cumulative tastes by a number from 0 to 1."""
    return np.asarray((tastes < draws[:, None]).sum(axis=1))


class Customers:
    """The customers, with what changes from day to day.

    That is each user's interest of the moment and last items, and the items that everybody talks
    about.
    """

    def __init__(self, config: ShopConfig, people: People, shop: SimulatedCatalogue) -> None:
        """Before the first day nobody has an interest of the moment or has seen an item."""
        self.config = config
        self.people = people
        self.shop = shop
        self.buzz = np.zeros(len(shop.arrived))
        self.interest = np.full(len(people.arrived), -1)
        self.memory = ItemMemory(len(people.arrived))

    def day(self, day: int) -> SimulatedEvents:
        """Draw the events of one day, grouped by user. Call it for every day, in order."""
        random = create_random_stream(self.config, RandomStream.TRAFFIC, day)
        users, items = self.config.count_users(day), self.config.count_items(day)
        self._change_interests(random, users, items)
        session_user, session_start = self._draw_sessions(random, users, day)
        length = random.geometric(0.45, len(session_user))
        session = np.repeat(np.arange(len(session_user)), length)
        user = session_user[session]
        item = self._draw_items(random, user, items, day)
        time = session_start[session] + _draw_elapsed_times(random, session, length)
        visit, kind, delay = _draw_event_kinds(random, len(session))
        agent, address = self._draw_devices(random, session_user)
        event_session = session[visit]
        return SimulatedEvents(
            actor=user[visit],
            item=item[visit],
            kind=kind,
            time=time[visit] + delay,
            session=event_session + day * SESSIONS_PER_DAY,
            agent=agent[event_session],
            address=address[event_session],
        )

    def _change_interests(self, random: Generator, users: int, items: int) -> None:
        changes = random.random(users) < 1 / self.config.interest_days
        changes |= self.interest[:users] < 0
        draws = random.random(users)
        changed = np.flatnonzero(changes)
        self.interest[changed] = draw_themes(self.people.tastes[changed], draws[changed])
        self.buzz *= 0.87
        is_talked_about = random.random(items) < 0.004
        self.buzz[:items] += is_talked_about * random.exponential(self.config.buzz, items)

    def _draw_sessions(
        self, random: Generator, users: int, day: int
    ) -> tuple[Int64Array, Int64Array]:
        """Draw the user and the start of each session, in microseconds since 1970."""
        arrived = self.people.arrived[:users]
        age = day - arrived
        # new users are curious for some days
        curiosity = 1 + 1.5 * np.exp(-age / 5.0) * (arrived > 0)
        is_active = self.people.leaves[:users] > day
        rate = self.people.rate[:users] * curiosity * is_active
        count = random.poisson(rate * compute_seasonality(self.config, day))
        user = np.repeat(np.arange(users), count)
        hour = draw_customary_hours(self.config, random, len(user))
        milliseconds = (hour * 3_600_000).astype(np.int64)
        return user, self.config.compute_midnight(day) + milliseconds * 1_000

    def _draw_items(self, random: Generator, user: Int64Array, items: int, day: int) -> Int64Array:
        """Draw the item of each visit."""
        config, visits = self.config, len(user)
        theme = draw_themes(self.people.tastes[user], random.random(visits))
        theme = np.where(random.random(visits) < config.focus_share, self.interest[user], theme)
        # the last part of the tables is the whole shop's
        theme = np.where(random.random(visits) < config.mainstream_share, config.themes, theme)
        tables = build_popularity_tables(config, self.shop, items, day, self.buzz)
        position = np.searchsorted(tables, theme + random.random(visits))
        item = np.minimum(position - theme * items, items - 1)
        repeats = random.random(visits) < config.repeat_share
        repeats &= self.memory.has_items(user)
        item = np.where(repeats, self.memory.recall(user, random.random(visits)), item)
        self.memory.remember(user, item)
        return item

    def _draw_devices(self, random: Generator, user: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Draw the agent and the address of each session.

        They are those at home, or on the road another device and an address of a mobile carrier.
        """
        roams = random.random(len(user)) < self.people.roams[user]
        carrier_network = ((24 + user % 180) << 24) + ((user * 7_919 % 256) << 16)
        carrier = carrier_network + random.integers(0, 1 << 16, len(user))
        # one user in three has several devices
        has_several = user % 3 == 0
        device = 1 + user % 7 + random.integers(0, 4, len(user)) * has_several
        home_agent = self.people.agent[user]
        agent = np.where(roams, (home_agent + device) % BROWSER_AGENT_COUNT, home_agent)
        return agent, np.where(roams, carrier, self.people.address[user])


def _draw_elapsed_times(random: Generator, session: Int64Array, length: Int64Array) -> Int64Array:
    """Draw the microseconds of each visit after the start of its session.

    `session` is the position of each visit's session, `length` the visits of each session.
    """
    pauses = np.exp(3.4 + 0.9 * random.standard_normal(len(session)))
    elapsed = np.cumsum(np.minimum(pauses, _MAX_PAUSE_SECONDS))
    first_visit = np.cumsum(length) - length
    seconds = elapsed - elapsed[first_visit][session]
    return np.asarray((seconds * 1e6).astype(np.int64))


def _draw_event_kinds(random: Generator, visits: int) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Draw the events of each visit: a view, and maybe others after it.

    Returns visit, kind, and microseconds after the visit's begin of each event, by visit.
    """
    visit_blocks = [np.arange(visits)]
    kind_blocks = [np.zeros(visits, np.int64)]
    delay_blocks = [np.zeros(visits, np.int64)]
    for follow_up in FOLLOW_UPS:
        followed = np.flatnonzero(random.random(visits) < follow_up.share)
        delay = (1 + random.exponential(follow_up.seconds, len(followed))) * 1e6
        visit_blocks.append(followed)
        kind_blocks.append(np.full(len(followed), follow_up.kind))
        delay_blocks.append(delay.astype(np.int64))
    visit = np.concatenate(visit_blocks)
    order = np.argsort(visit, kind="stable")
    return visit[order], np.concatenate(kind_blocks)[order], np.concatenate(delay_blocks)[order]
