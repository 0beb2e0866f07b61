"""Stealthy bots at work: agents of browsers, accounts of customers, and the habits that purposes.py gives them."""

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import Float64Array, Int64Array
from dawnlist.cuts import MICROSECONDS_PER_DAY
from dawnlist.simulate.agents import BROWSER_AGENT_COUNT
from dawnlist.simulate.bot_habits import (
    ACCOUNT_GENERATIONS,
    ANY_HOUR,
    CUSTOMARY_HOUR,
    ITEM_SOURCES,
    PURPOSES,
    SOURCE_POPULAR,
    SOURCE_REPEAT,
    SOURCE_WALK,
    draw_habits,
)
from dawnlist.simulate.catalogue import SimulatedCatalogue, assign_public_ids
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.traffic import (
    FOLLOW_UPS,
    REMEMBERED_ITEMS,
    SimulatedEvents,
    compute_hour_shares,
)

GENERATION_DAYS = 91
RING_MEMBERS = 6  # members who push the same items
ACT_DELAY_SECONDS = np.array([seconds for _, _, seconds in FOLLOW_UPS])


class Crew:
    """All members of one kind over time: where each stands in the catalogue, and what it saw last."""

    def __init__(
        self,
        config: ShopConfig,
        label: str,
        group: Int64Array,
        shop: SimulatedCatalogue,
        random: np.random.Generator,
    ):
        self.config, self.purpose, self.group, self.shop = config, PURPOSES[label], group, shop
        n = len(group)
        self.habits = draw_habits(self.purpose, random, n)
        self.generation = np.arange(n) % ACCOUNT_GENERATIONS
        self.begins = GENERATION_DAYS * self.generation - 28 * random.random(n)
        self.ring = self.generation + ACCOUNT_GENERATIONS * (
            np.arange(n) // (ACCOUNT_GENERATIONS * RING_MEMBERS)
        )
        wanted = np.exp(shop.appeal[: config.items])
        self.list = random.choice(config.items, (n, REMEMBERED_ITEMS), p=wanted / wanted.sum())
        self.width = random.integers(6, REMEMBERED_ITEMS + 1, n)
        self.theme = random.integers(0, config.themes, n)
        self.position = random.integers(0, config.items, n)
        self.agent = random.integers(0, BROWSER_AGENT_COUNT, n)
        self.address = draw_addresses(random, n)
        self.phase = random.integers(0, 1_000, n)
        if self.purpose.lockstep:
            self.phase = self.ring
            self.habits.hour[self.habits.hour >= 0] = (self.ring * 7.3 % 24)[self.habits.hour >= 0]
            self.address = (self.address[self.ring % n] & ~255) + np.arange(n) % 250
        self.last_items = np.zeros((n, REMEMBERED_ITEMS), np.int64)
        self.seen = np.zeros(n, np.int64)

    def day(
        self, random: np.random.Generator, day: int, events: float, popular: Int64Array, items: int
    ) -> SimulatedEvents | None:
        """About `events` events in all; `popular` is a sample of items that customers looked at that day."""
        came = self._came(random, day, events)
        if not len(came):
            return None
        who, start = self._sessions(random, came)
        habits = self.habits
        visits = np.where(
            habits.rigid[who],
            np.round(habits.visits[who]).astype(np.int64),
            random.geometric(1 / habits.visits[who]),
        )
        session = np.repeat(np.arange(len(who)), visits)
        member = who[session]
        elapsed = np.cumsum(self._pauses(random, member))
        first = np.cumsum(visits) - visits
        seconds = start[session] * 3_600 + elapsed - elapsed[first][session]
        source, item = self._items(random, member, day, popular, items)
        rows, kind, later = self._acts(random, member, source)
        rows_session = session[rows]
        agent = (
            self.agent[who] + 11 * (random.random(len(who)) * habits.agents[who]).astype(np.int64)
        ) % BROWSER_AGENT_COUNT
        address = np.where(habits.proxies[who], draw_addresses(random, len(who)), self.address[who])
        time = (
            self.config.start_us
            + day * MICROSECONDS_PER_DAY
            + ((seconds[rows] + later) * 1_000).astype(np.int64) * 1_000
        )
        return SimulatedEvents(
            self.group[member[rows]],
            item[rows],
            kind,
            time,
            rows_session,
            agent[rows_session],
            address[rows_session],
        )

    def _came(self, random: np.random.Generator, day: int, events: float) -> Int64Array:
        habits = self.habits
        alive = (day - self.begins) % (ACCOUNT_GENERATIONS * GENERATION_DAYS) < GENERATION_DAYS
        pace = events / float((habits.chance * habits.events)[alive].sum() or 1.0)
        draws = random.random(len(self.group))
        due = (day + self.phase) % np.maximum(habits.period, 1) == 0
        came = np.where(habits.period > 0, due & (draws < 1.2 * pace), draws < habits.chance * pace)
        weekend = (self.config.start.toordinal() + day - 1) % 7 >= 5
        return np.flatnonzero(alive & came & ~(habits.workdays & weekend))

    def _sessions(
        self, random: np.random.Generator, came: Int64Array
    ) -> tuple[Int64Array, Float64Array]:
        """Member and first hour of each session, by member, then by hour."""
        habits = self.habits
        mean = habits.sessions[came]
        count = np.where(
            habits.rigid[came], np.round(mean).astype(np.int64), 1 + random.poisson(mean - 1)
        )
        who = np.repeat(came, count)
        nth = np.arange(len(who)) - np.repeat(np.cumsum(count) - count, count)
        hour = habits.hour[who]
        customary = random.choice(24, len(who), p=compute_hour_shares(self.config)) + random.random(
            len(who)
        )
        set_hour = hour + nth * 24 / np.repeat(count, count) + random.normal(0, 0.15, len(who))
        any_hour = random.uniform(0, 24, len(who))
        start = np.where(
            hour == CUSTOMARY_HOUR, customary, np.where(hour == ANY_HOUR, any_hour, set_hour % 24)
        )
        order = np.lexsort((start, who))
        return who[order], start[order]

    def _pauses(self, random: np.random.Generator, member: Int64Array) -> Float64Array:
        jitter = self.habits.jitter[member]
        customary = np.exp(0.9 * random.standard_normal(len(member)))
        slept = 1 + jitter * random.uniform(-1, 1, len(member))
        return np.asarray(
            np.minimum(self.habits.pause[member] * np.where(jitter > 0, slept, customary), 1_500.0)
        )

    def _items(
        self,
        random: np.random.Generator,
        member: Int64Array,
        day: int,
        popular: Int64Array,
        items: int,
    ) -> tuple[Int64Array, Int64Array]:
        """Source and item of each visit."""
        n = len(member)
        source = np.minimum(
            (self.habits.source[member] < random.random(n)[:, None]).sum(axis=1),
            len(ITEM_SOURCES) - 1,
        )
        source[(source == SOURCE_REPEAT) & (self.seen[member] == 0)] = SOURCE_POPULAR
        draws = random.random(n)
        by_theme = popular[np.argsort(self.shop.theme[popular], kind="stable")]
        low, high = (
            np.searchsorted(self.shop.theme[by_theme], self.theme[member], side)
            for side in ("left", "right")
        )
        low, high = np.where(low < high, low, 0), np.where(low < high, high, len(popular))
        newest = (draws * np.minimum(self.seen[member], REMEMBERED_ITEMS)).astype(np.int64)
        week = (
            day // self.purpose.campaign_days * 104_729 + (draws * 3).astype(np.int64) * 1_299_709
        )
        choices = [
            popular[(draws * len(popular)).astype(np.int64)],
            by_theme[(low + draws * (high - low)).astype(np.int64)],
            (draws * items).astype(np.int64),
            self._walk(random, member, source == SOURCE_WALK, items),
            self.list[member, (draws * self.width[member]).astype(np.int64)],
            (self.ring[member] * 7_919 + week + 29) % items,
            self.last_items[member, newest],
        ]
        item = np.choose(source, choices)
        present, first = np.unique(member, return_index=True)
        count = np.diff(first, append=n)
        nth = np.arange(n) - np.repeat(first, count)
        self.last_items[member, (self.seen[member] + nth) % REMEMBERED_ITEMS] = item
        self.seen[present] += count
        return source, item

    def _walk(
        self,
        random: np.random.Generator,
        member: Int64Array,
        walking: npt.NDArray[np.bool_],
        items: int,
    ) -> Int64Array:
        """On from where it stopped, in the order of the ids that production shows, now and then over an item."""
        steps = np.where(walking, 1 + random.poisson(0.5, len(member)), 0)
        present, first = np.unique(member, return_index=True)
        total = np.cumsum(steps)
        before = (total - steps)[first]
        place = (
            self.position[member] + total - np.repeat(before, np.diff(first, append=len(member)))
        )
        self.position[present] = place[np.append(first[1:], len(member)) - 1]
        return np.asarray(np.argsort(assign_public_ids(np.arange(items)))[place % items])

    def _acts(
        self, random: np.random.Generator, member: Int64Array, source: Int64Array
    ) -> tuple[Int64Array, Int64Array, Float64Array]:
        """Visit, event type and seconds after the visit's begin of each event, by visit."""
        habits = self.habits
        errand = (source == self.purpose.source)[:, None]
        shares = np.where(errand, habits.errand_acts[member], habits.acts[member])
        visit, act = np.nonzero(random.random(shares.shape) < shares)
        acting = np.isin(np.arange(len(member)), visit)
        viewed = np.flatnonzero(~(acting & (random.random(len(member)) < habits.blind[member])))
        who = member[visit]
        slept = 1 + habits.jitter[who] * random.uniform(-1, 1, len(who))
        factor = np.where(habits.jitter[who] > 0, slept, random.exponential(1.0, len(who)))
        later = (1 + ACT_DELAY_SECONDS[act] * factor) * habits.pause[who] / 30
        rows = np.concatenate([viewed, visit])
        order = np.argsort(rows, kind="stable")
        kind = np.concatenate([np.zeros(len(viewed), np.int64), act + 1])
        return rows[order], kind[order], np.concatenate([np.zeros(len(viewed)), later])[order]


def draw_addresses(random: np.random.Generator, n: int) -> Int64Array:
    """IPv4 numbers of households, as customers have them."""
    return ((24 + random.integers(0, 180, n)) << 24) + random.integers(0, 1 << 24, n)
