"""What customers do: sessions, visits and events of every day, from the planted tastes.

A visit picks a theme (the user's taste, the interest of the moment, or the whole shop) and then an item in proportion
to its popularity of that day in the theme; the probability of an item for a user is thus a product of two non-negative
factor matrices, which drift. Nothing loops over events: the only loop is over days.
"""

from dataclasses import dataclass

import numpy as np

from dawnlist.arrays import Float64Array, Int64Array
from dawnlist.cuts import MICROSECONDS_PER_DAY
from dawnlist.simulate.agents import BROWSER_AGENT_COUNT
from dawnlist.simulate.catalogue import (
    TRAFFIC_STREAM,
    People,
    SimulatedCatalogue,
    create_random_stream,
)
from dawnlist.simulate.config import ShopConfig

SIMULATED_EVENT_KINDS = ("view", "click", "like", "cart", "purchase")
FOLLOW_UPS = (
    (1, 0.35, 8.0),
    (2, 0.05, 25.0),
    (3, 0.08, 40.0),
    (4, 0.035, 180.0),
)  # kind, share of visits, seconds later
HOURLY_WEIGHTS = np.array(
    [4, 2, 1, 1, 1, 2, 4, 7, 9, 10, 10, 11, 13, 12, 11, 11, 12, 14, 17, 20, 22, 21, 15, 8],
    np.float64,
)
WEEKDAY_WEIGHTS = np.array([0.95, 0.92, 0.95, 1.0, 1.05, 1.1, 1.15])  # Monday first
REMEMBERED_ITEMS = 12


@dataclass(frozen=True)
class SimulatedEvents:
    """Aligned arrays, one entry an event, no dirt yet."""

    actor: Int64Array  # index: customers from 0 up, others from the top of the public ids down
    item: Int64Array  # index
    kind: Int64Array  # into KINDS
    time: Int64Array  # microseconds since 1970
    session: Int64Array  # unique in the shop
    agent: Int64Array  # into AGENTS
    address: Int64Array  # IPv4 as a number

    def columns(self) -> tuple[Int64Array, ...]:
        return (self.actor, self.item, self.kind, self.time, self.session, self.agent, self.address)

    def take(self, rows: Int64Array) -> "SimulatedEvents":
        return SimulatedEvents(*(column[rows] for column in self.columns()))


def concatenate_events(parts: list[SimulatedEvents]) -> SimulatedEvents:
    """Several blocks of events as one, in the given order."""
    return SimulatedEvents(
        *(
            np.concatenate(columns)
            for columns in zip(*(part.columns() for part in parts), strict=True)
        )
    )


def compute_hour_shares(config: ShopConfig) -> Float64Array:
    """The share of the day's sessions that begin in each hour."""
    return HOURLY_WEIGHTS / HOURLY_WEIGHTS.sum() if config.night else np.full(24, 1 / 24)


def compute_seasonality(config: ShopConfig, day: int) -> float:
    """How busy a day is: weekday, time of the year, and the weeks before Christmas."""
    weekday = (config.start.toordinal() + day - 1) % 7
    of_year = (config.start.timetuple().tm_yday + day - 1) % 365
    return float(
        WEEKDAY_WEIGHTS[weekday]
        * (1 + 0.15 * np.cos(2 * np.pi * of_year / 365) + 0.4 * (325 <= of_year < 357))
    )


def build_popularity_tables(
    config: ShopConfig, shop: SimulatedCatalogue, n: int, day: int, buzz: Float64Array
) -> Float64Array:
    """(themes + 1) * n cumulative popularities of the day: row k runs from k to k + 1, the last is the whole shop."""
    age = day - shop.arrived[:n]
    novelty = config.novelty * 0.5 ** (age / config.novelty_days) * (shop.arrived[:n] > 0)
    phase = shop.theme[:n] / config.themes
    yearly = 0.4 * np.cos(2 * np.pi * (day / 365 - phase))
    weight = np.exp(shop.appeal[:n] + novelty + yearly + buzz[:n])
    table = np.full((config.themes + 1, n), 0.01) * weight
    columns = np.arange(n)
    table[shop.second_theme[:n], columns] = 0.35 * weight
    table[shop.theme[:n], columns] = weight
    table[-1] = weight
    cumulative = np.cumsum(table, axis=1)
    cumulative /= cumulative[:, -1:]
    return np.asarray((cumulative + np.arange(config.themes + 1)[:, None]).ravel())


def draw_themes(tastes: Float64Array, draws: Float64Array) -> Int64Array:
    """One theme for each row of cumulative tastes."""
    return np.asarray((tastes < draws[:, None]).sum(axis=1))


class Customers:
    """What changes from day to day: interests of the moment, the talk of the week, everyone's last items."""

    def __init__(self, config: ShopConfig, who: People, shop: SimulatedCatalogue) -> None:
        self.config, self.who, self.shop = config, who, shop
        self.buzz = np.zeros(len(shop.arrived))
        self.interest = np.full(len(who.arrived), -1)
        self.last_items = np.zeros((len(who.arrived), REMEMBERED_ITEMS), np.int64)
        self.visits = np.zeros(len(who.arrived), np.int64)

    def day(self, day: int) -> SimulatedEvents:
        """The events of one day, grouped by user; call it for each day, in order."""
        random = create_random_stream(self.config, TRAFFIC_STREAM, day)
        users, items = self.config.users_on(day), self.config.items_on(day)
        self._drift(random, users, items)
        session_user, start = self._sessions(random, users, day)
        length = random.geometric(0.45, len(session_user))
        session = np.repeat(np.arange(len(session_user)), length)
        user = session_user[session]
        item = self._items(random, user, items, day)
        pause = np.minimum(np.exp(3.4 + 0.9 * random.standard_normal(len(session))), 1_500.0)
        elapsed = np.cumsum(pause)
        first = np.cumsum(length) - length
        time = start[session] + ((elapsed - elapsed[first][session]) * 1e6).astype(np.int64)
        kinds = self._kinds(random, len(session))
        rows = np.concatenate([picked for _, picked, _ in kinds])
        kind = np.concatenate([np.full(len(picked), which) for which, picked, _ in kinds])
        later = np.concatenate([delay for _, _, delay in kinds])
        order = np.argsort(rows, kind="stable")
        rows, kind, later = rows[order], kind[order], later[order]
        actor = user[rows]
        agent, address = self._places(random, session_user)
        agent, address = agent[session[rows]], address[session[rows]]
        return SimulatedEvents(
            actor,
            item[rows],
            kind,
            time[rows] + later,
            session[rows] + day * 10_000_000,
            agent,
            address,
        )

    def _drift(self, random: np.random.Generator, users: int, items: int) -> None:
        switch = random.random(users) < 1 / self.config.interest_days
        switch |= self.interest[:users] < 0
        draws = random.random(users)
        changed = np.flatnonzero(switch)
        self.interest[changed] = draw_themes(self.who.tastes[changed], draws[changed])
        self.buzz *= 0.87
        talked_about = random.random(items) < 0.004
        self.buzz[:items] += talked_about * random.exponential(self.config.buzz, items)

    def _sessions(
        self, random: np.random.Generator, users: int, day: int
    ) -> tuple[Int64Array, Int64Array]:
        age = day - self.who.arrived[:users]
        curious = 1 + 1.5 * np.exp(-age / 5.0) * (self.who.arrived[:users] > 0)
        here = self.who.leaves[:users] > day
        count = random.poisson(
            self.who.rate[:users] * curious * here * compute_seasonality(self.config, day)
        )
        user = np.repeat(np.arange(users), count)
        hour = random.choice(24, len(user), p=compute_hour_shares(self.config)) + random.random(
            len(user)
        )
        return user, self.config.start_us + day * MICROSECONDS_PER_DAY + (hour * 3_600_000).astype(
            np.int64
        ) * 1_000

    def _items(
        self, random: np.random.Generator, user: Int64Array, items: int, day: int
    ) -> Int64Array:
        config, n = self.config, len(user)
        theme = draw_themes(self.who.tastes[user], random.random(n))
        theme = np.where(random.random(n) < config.focus_share, self.interest[user], theme)
        theme = np.where(random.random(n) < config.mainstream_share, config.themes, theme)
        tables = build_popularity_tables(config, self.shop, items, day, self.buzz)
        item = np.minimum(
            np.searchsorted(tables, theme + random.random(n)) - theme * items, items - 1
        )
        again = (random.random(n) < config.repeat_share) & (self.visits[user] > 0)
        slot = (random.random(n) * np.minimum(self.visits[user], REMEMBERED_ITEMS)).astype(np.int64)
        item = np.where(again, self.last_items[user, slot], item)
        present, first = np.unique(user, return_index=True)
        nth = np.arange(n) - np.repeat(first, np.diff(first, append=n))
        self.last_items[user, (self.visits[user] + nth) % REMEMBERED_ITEMS] = item
        self.visits[present] += np.diff(first, append=n)
        return item

    def _places(
        self, random: np.random.Generator, user: Int64Array
    ) -> tuple[Int64Array, Int64Array]:
        """Agent and address of each session: at home, or on the road with another device and a carrier's address."""
        roams = random.random(len(user)) < self.who.roams[user]
        carrier = (
            ((24 + user % 180) << 24)
            + ((user * 7_919 % 256) << 16)
            + random.integers(0, 1 << 16, len(user))
        )
        device = (
            1 + user % 7 + random.integers(0, 4, len(user)) * (user % 3 == 0)
        )  # a third has several
        agent = np.where(
            roams, (self.who.agent[user] + device) % BROWSER_AGENT_COUNT, self.who.agent[user]
        )
        return agent, np.where(roams, carrier, self.who.address[user])

    def _kinds(
        self, random: np.random.Generator, visits: int
    ) -> list[tuple[int, Int64Array, Int64Array]]:
        steps = [(0, np.arange(visits), np.zeros(visits, np.int64))]
        for kind, share, seconds in FOLLOW_UPS:
            rows = np.flatnonzero(random.random(visits) < share)
            delay = (1 + random.exponential(seconds, len(rows))) * 1e6
            steps.append((kind, rows, delay.astype(np.int64)))
        return steps
