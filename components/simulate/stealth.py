"""Stealthy bots: agents of browsers, accounts of customers, and each a different part of a customer's habits imitated.

An operator hides some of what gives a bot away and not the rest. So a kind is a purpose and, for each *tell*, the share
of its members that show it; who does not show a tell does as customers do in that respect. docs/SIMULATOR.md names the
papers.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.simulate.agents import BROWSER_AGENTS
from components.simulate.catalogue import Catalogue, Floats, Integers, public_ids
from components.simulate.config import ShopConfig
from components.simulate.traffic import DAY_US, FOLLOW_UPS, LAST_ITEMS, Events, hours

GENERATIONS, GENERATION_DAYS = 4, 91  # accounts are burnt and replaced every quarter
EFFORT = 2.0  # how unlike the numbers of tells of two members are
EVENTS_A_DAY = 1.05  # median of a member, in its own quarter
HUMAN_ACTS = np.array([share for _, share, _ in FOLLOW_UPS])
ACT_SECONDS = np.array([seconds for _, _, seconds in FOLLOW_UPS])
SOURCES = ("popular", "segment", "catalogue", "walk", "list", "target", "again")
POPULAR, SEGMENT, CATALOGUE, WALK, LIST, TARGET, AGAIN = range(len(SOURCES))
RING = 6  # members who push the same items
CUSTOMARY, ANY = -1.0, -2.0  # instead of an hour


@dataclass(frozen=True)
class Purpose:
    """Why a kind comes, and how many of its members show which tell."""

    source: int
    """Where the items come from that it is here for."""
    errand: float
    """Share of visits to them of a member that doesn't hide its errand; a fifth of that of one that does."""
    acts: tuple[float, float, float, float]
    """Share of those visits with a click, like, cart, purchase."""
    tells: dict[str, float]
    """Tell to share of members; see `habits`."""
    campaign_days: int = 21
    """A ring pushes the same items for so long."""
    lockstep: bool = False
    """A ring works in one room: on the same days, from the same hour, in one network."""


PURPOSES = {
    "stealth:fast": Purpose(
        CATALOGUE, 0.75, (0.5, 0.0, 0.0, 0.0),
        {"errand": 0.6, "hasty": 0.65, "even": 0.55, "silent": 0.45, "forward": 0.3, "sleepless": 0.45,
         "timetable": 0.35, "rigid": 0.55, "long": 0.4, "proxies": 0.6, "agents": 0.5, "routine": 0.5},
    ),
    "stealth:regular": Purpose(
        LIST, 0.6, (0.45, 0.0, 0.05, 0.0),
        {"errand": 0.55, "even": 0.6, "silent": 0.45, "forward": 0.25, "timetable": 0.65, "sleepless": 0.25,
         "rigid": 0.6, "often": 0.5, "proxies": 0.5, "agents": 0.5, "routine": 0.65, "workdays": 0.3},
    ),
    "stealth:wide": Purpose(
        WALK, 0.85, (0.5, 0.0, 0.0, 0.0),
        {"errand": 0.6, "even": 0.6, "silent": 0.45, "forward": 0.3, "sleepless": 0.45, "timetable": 0.35,
         "rigid": 0.6, "long": 0.4, "proxies": 0.6, "agents": 0.5, "routine": 0.6},
    ),
    "stealth:skew": Purpose(
        TARGET, 0.4, (0.2, 0.45, 0.5, 0.0),
        {"errand": 0.65, "blind": 0.6, "even": 0.6, "hasty": 0.4, "forward": 0.4, "timetable": 0.6, "rigid": 0.55,
         "proxies": 0.6, "agents": 0.5, "routine": 0.55, "workdays": 0.45},
    ),
    "stealth:scalper": Purpose(
        LIST, 0.6, (0.1, 0.0, 0.6, 0.0),
        {"errand": 0.6, "blind": 0.6, "hasty": 0.6, "even": 0.55, "forward": 0.25, "timetable": 0.65, "rigid": 0.55,
         "long": 0.3, "proxies": 0.6, "agents": 0.5, "routine": 0.5, "workdays": 0.3},
    ),
    "stealth:mimic": Purpose(
        CATALOGUE, 0.75, (0.35, 0.0, 0.0, 0.0),
        {"errand": 0.65, "even": 0.6, "silent": 0.3, "forward": 0.4, "sleepless": 0.35, "timetable": 0.45, "rigid": 0.6,
         "proxies": 0.65, "agents": 0.55, "routine": 0.6},
    ),
    "stealth:clickfarm": Purpose(
        TARGET, 0.5, (0.3, 0.5, 0.0, 0.0),
        {"errand": 0.6, "blind": 0.3, "hasty": 0.55, "forward": 0.5, "timetable": 0.65, "long": 0.4, "rigid": 0.3,
         "routine": 0.5, "agents": 0.5, "workdays": 0.55},
        campaign_days=7, lockstep=True,
    ),
}  # fmt: skip
HELD_OUT = "stealth:clickfarm"
"""The kind that no rule may be tuned on: benchmarks report it apart."""


@dataclass(frozen=True)
class Habits:
    """What a member of a kind always does: aligned arrays, one entry a member."""

    source: Floats  # (members, SOURCES), cumulative
    acts: Floats  # (members, 4): share of visits with a click, like, cart, purchase ...
    errand_acts: Floats  # ... and of visits to what it came for
    blind: Floats  # share of acts without the view before
    pause: Floats  # median seconds
    jitter: Floats  # 0: as customers pause; else pause * (1 - jitter ... 1 + jitter), evenly
    sessions: Floats  # mean a day on which it comes
    visits: Floats  # mean a session
    rigid: npt.NDArray[np.bool_]  # every session as long as the other
    hour: Floats  # at which it starts, or CUSTOMARY, or ANY
    period: Integers  # it comes every so many days; 0: on any
    chance: Floats  # of coming on a day
    events: Floats  # mean of a day on which it comes
    proxies: npt.NDArray[np.bool_]  # another network each session
    agents: Integers  # how many it goes through, a session each
    workdays: npt.NDArray[np.bool_]  # never comes at the weekend


def strewn(random: np.random.Generator, members: int, shares: list[float]) -> npt.NDArray[np.bool_]:
    """(members, shares): which member shows which tell; each share holds in each generation, however small, and whoever
    shows many already shows further ones less often: hiding costs effort, and operators spend about the same."""
    shown = np.zeros((members, len(shares)), bool)
    for generation in range(GENERATIONS):
        mine = np.arange(generation, members, GENERATIONS)
        for column in random.permutation(len(shares)):
            burden = shown[mine].sum(axis=1) + random.uniform(0, EFFORT, len(mine))
            shown[mine[np.argsort(burden)[: int(shares[column] * len(mine) + random.random())]], column] = True
    return shown


def habits(purpose: Purpose, random: np.random.Generator, members: int) -> Habits:
    """Fixed habits of the members of a kind, the tells strewn over them independently."""
    shown = dict(zip(purpose.tells, strewn(random, members, list(purpose.tells.values())).T, strict=True))

    def tell(name: str) -> npt.NDArray[np.bool_]:
        return shown[name] if name in shown else np.zeros(members, bool)

    def between(low: float, high: float) -> Floats:
        return random.uniform(low, high, members)

    errand = purpose.errand * np.where(tell("errand"), between(0.8, 1.1), between(0.0, 0.12))
    again = np.where(tell("forward"), 0.0, between(0.08, 0.16))
    taste = between(0.2, 0.8)
    source = np.zeros((members, len(SOURCES)))
    source[:, purpose.source] = errand
    source[:, AGAIN] = (1 - errand) * again if purpose.source != WALK else (1 - errand) ** 2 * again
    rest = 1 - source.sum(axis=1)
    source[:, POPULAR], source[:, SEGMENT] = rest * (1 - taste), rest * taste
    customary = HUMAN_ACTS * between(0.8, 1.2)[:, None]
    own = np.where(tell("errand")[:, None], np.array(purpose.acts), customary)
    quiet = np.where(tell("silent"), between(0.0, 0.4), 1.0)[:, None]
    jitter = np.where(tell("even"), between(0.05, 0.5), 0.0)
    start = np.where(tell("sleepless"), ANY, np.where(tell("timetable"), between(0, 24), CUSTOMARY))
    sessions = np.where(tell("often"), between(1.8, 3.0), between(1.0, 1.3))
    visits = np.where(tell("long"), between(4.0, 7.0), between(2.0, 3.0))
    rate = EVENTS_A_DAY * np.exp(0.25 * random.standard_normal(members).clip(-1.5, 2))
    acts, errand_acts = customary * quiet, own * quiet
    mean_acts = acts.sum(axis=1) * (1 - errand) + errand_acts.sum(axis=1) * errand
    events = sessions * visits * (1 + mean_acts)
    chance = np.minimum(rate / events * np.where(tell("workdays"), 7 / 5, 1.0), 1.0)
    return Habits(
        np.cumsum(source, axis=1), acts, errand_acts,
        np.where(tell("blind"), between(0.3, 0.9), 0.0),
        30.0 * np.where(tell("hasty"), between(0.12, 0.35), between(0.8, 1.3)),
        jitter, sessions, visits, tell("rigid"), start,
        np.where(tell("routine"), np.maximum(np.round(1 / chance), 1), 0).astype(np.int64),
        chance, events, tell("proxies"), np.where(tell("agents"), random.integers(3, 7, members), 1),
        tell("workdays"),
    )  # fmt: skip


class Crew:
    """All members of one kind over time: where each stands in the catalogue, and what it saw last."""

    def __init__(self, config: ShopConfig, label: str, group: Integers, shop: Catalogue, random: np.random.Generator):
        self.config, self.purpose, self.group, self.shop = config, PURPOSES[label], group, shop
        n = len(group)
        self.habits = habits(self.purpose, random, n)
        self.generation = np.arange(n) % GENERATIONS
        self.begins = GENERATION_DAYS * self.generation - 28 * random.random(n)
        self.ring = self.generation + GENERATIONS * (np.arange(n) // (GENERATIONS * RING))
        wanted = np.exp(shop.appeal[: config.items])
        self.list = random.choice(config.items, (n, LAST_ITEMS), p=wanted / wanted.sum())
        self.width = random.integers(6, LAST_ITEMS + 1, n)
        self.theme = random.integers(0, config.themes, n)
        self.position = random.integers(0, config.items, n)
        self.agent = random.integers(0, BROWSER_AGENTS, n)
        self.address = any_address(random, n)
        self.phase = random.integers(0, 1_000, n)
        if self.purpose.lockstep:
            self.phase = self.ring
            self.habits.hour[self.habits.hour >= 0] = (self.ring * 7.3 % 24)[self.habits.hour >= 0]
            self.address = (self.address[self.ring % n] & ~255) + np.arange(n) % 250
        self.last_items = np.zeros((n, LAST_ITEMS), np.int64)
        self.seen = np.zeros(n, np.int64)

    def day(self, random: np.random.Generator, day: int, events: float, popular: Integers, items: int) -> Events | None:
        """About `events` events in all; `popular` is a sample of items that customers looked at that day."""
        came = self._came(random, day, events)
        if not len(came):
            return None
        who, start = self._sessions(random, came)
        habits = self.habits
        visits = np.where(
            habits.rigid[who], np.round(habits.visits[who]).astype(np.int64), random.geometric(1 / habits.visits[who])
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
        ) % BROWSER_AGENTS
        address = np.where(habits.proxies[who], any_address(random, len(who)), self.address[who])
        time = self.config.start_us + day * DAY_US + ((seconds[rows] + later) * 1_000).astype(np.int64) * 1_000
        return Events(
            self.group[member[rows]], item[rows], kind, time, rows_session, agent[rows_session], address[rows_session]
        )

    def _came(self, random: np.random.Generator, day: int, events: float) -> Integers:
        habits = self.habits
        alive = (day - self.begins) % (GENERATIONS * GENERATION_DAYS) < GENERATION_DAYS
        pace = events / float((habits.chance * habits.events)[alive].sum() or 1.0)
        draws = random.random(len(self.group))
        due = (day + self.phase) % np.maximum(habits.period, 1) == 0
        came = np.where(habits.period > 0, due & (draws < 1.2 * pace), draws < habits.chance * pace)
        weekend = (self.config.start.toordinal() + day - 1) % 7 >= 5
        return np.flatnonzero(alive & came & ~(habits.workdays & weekend))

    def _sessions(self, random: np.random.Generator, came: Integers) -> tuple[Integers, Floats]:
        """Member and first hour of each session, by member, then by hour."""
        habits = self.habits
        mean = habits.sessions[came]
        count = np.where(habits.rigid[came], np.round(mean).astype(np.int64), 1 + random.poisson(mean - 1))
        who = np.repeat(came, count)
        nth = np.arange(len(who)) - np.repeat(np.cumsum(count) - count, count)
        hour = habits.hour[who]
        customary = random.choice(24, len(who), p=hours(self.config)) + random.random(len(who))
        set_hour = hour + nth * 24 / np.repeat(count, count) + random.normal(0, 0.15, len(who))
        any_hour = random.uniform(0, 24, len(who))
        start = np.where(hour == CUSTOMARY, customary, np.where(hour == ANY, any_hour, set_hour % 24))
        order = np.lexsort((start, who))
        return who[order], start[order]

    def _pauses(self, random: np.random.Generator, member: Integers) -> Floats:
        jitter = self.habits.jitter[member]
        customary = np.exp(0.9 * random.standard_normal(len(member)))
        slept = 1 + jitter * random.uniform(-1, 1, len(member))
        return np.asarray(np.minimum(self.habits.pause[member] * np.where(jitter > 0, slept, customary), 1_500.0))

    def _items(
        self, random: np.random.Generator, member: Integers, day: int, popular: Integers, items: int
    ) -> tuple[Integers, Integers]:
        """Source and item of each visit."""
        n = len(member)
        source = np.minimum((self.habits.source[member] < random.random(n)[:, None]).sum(axis=1), len(SOURCES) - 1)
        source[(source == AGAIN) & (self.seen[member] == 0)] = POPULAR
        draws = random.random(n)
        by_theme = popular[np.argsort(self.shop.theme[popular], kind="stable")]
        low, high = (np.searchsorted(self.shop.theme[by_theme], self.theme[member], side) for side in ("left", "right"))
        low, high = np.where(low < high, low, 0), np.where(low < high, high, len(popular))
        newest = (draws * np.minimum(self.seen[member], LAST_ITEMS)).astype(np.int64)
        week = day // self.purpose.campaign_days * 104_729 + (draws * 3).astype(np.int64) * 1_299_709
        choices = [
            popular[(draws * len(popular)).astype(np.int64)],
            by_theme[(low + draws * (high - low)).astype(np.int64)],
            (draws * items).astype(np.int64),
            self._walk(random, member, source == WALK, items),
            self.list[member, (draws * self.width[member]).astype(np.int64)],
            (self.ring[member] * 7_919 + week + 29) % items,
            self.last_items[member, newest],
        ]
        item = np.choose(source, choices)
        present, first = np.unique(member, return_index=True)
        count = np.diff(first, append=n)
        nth = np.arange(n) - np.repeat(first, count)
        self.last_items[member, (self.seen[member] + nth) % LAST_ITEMS] = item
        self.seen[present] += count
        return source, item

    def _walk(
        self, random: np.random.Generator, member: Integers, walking: npt.NDArray[np.bool_], items: int
    ) -> Integers:
        """On from where it stopped, in the order of the ids that production shows, now and then over an item."""
        steps = np.where(walking, 1 + random.poisson(0.5, len(member)), 0)
        present, first = np.unique(member, return_index=True)
        total = np.cumsum(steps)
        before = (total - steps)[first]
        place = self.position[member] + total - np.repeat(before, np.diff(first, append=len(member)))
        self.position[present] = place[np.append(first[1:], len(member)) - 1]
        return np.asarray(np.argsort(public_ids(np.arange(items)))[place % items])

    def _acts(
        self, random: np.random.Generator, member: Integers, source: Integers
    ) -> tuple[Integers, Integers, Floats]:
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
        later = (1 + ACT_SECONDS[act] * factor) * habits.pause[who] / 30
        rows = np.concatenate([viewed, visit])
        order = np.argsort(rows, kind="stable")
        kind = np.concatenate([np.zeros(len(viewed), np.int64), act + 1])
        return rows[order], kind[order], np.concatenate([np.zeros(len(viewed)), later])[order]


def any_address(random: np.random.Generator, n: int) -> Integers:
    """IPv4 numbers of households, as customers have them."""
    return ((24 + random.integers(0, 180, n)) << 24) + random.integers(0, 1 << 24, n)
