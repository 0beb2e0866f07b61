"""Stealthy bots at work: browsers' agents, customers' accounts, and the habits of their kind."""

import numpy as np
from numpy.random import Generator

from dawnlist.arrays import BoolArray, Float64Array, Int64Array
from dawnlist.simulate.agents import BROWSER_AGENT_COUNT
from dawnlist.simulate.bot_habits import (
    ACCOUNT_GENERATIONS,
    ANY_HOUR,
    CUSTOMARY_HOUR,
    draw_habits,
)
from dawnlist.simulate.catalogue import SimulatedCatalogue, assign_public_ids
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.item_memory import REMEMBERED_ITEMS, ItemMemory, number_within_groups
from dawnlist.simulate.purposes import PURPOSES, ItemSource
from dawnlist.simulate.traffic import FOLLOW_UPS, SimulatedEvents, draw_customary_hours

GENERATION_DAYS = 91
"""For how many days an account is used."""
RING_MEMBERS = 6
"""How many members of a generation push the same items."""
ACT_DELAY_SECONDS = np.array([follow_up.seconds for follow_up in FOLLOW_UPS])
"""Mean seconds from a customer's visit to a click, like, cart, purchase."""


class Crew:
    """All members of one kind over time: where each is in the catalogue, and what it saw last."""

    def __init__(
        self,
        config: ShopConfig,
        label: str,
        actors: Int64Array,
        shop: SimulatedCatalogue,
        random: Generator,
    ):
        """`label` is the truth label of the kind, `actors` has the members' indices."""
        members = len(actors)
        self.config = config
        self.purpose = PURPOSES[label]
        self.actors = actors
        self.shop = shop
        self.habits = draw_habits(self.purpose, random, members)
        generation = np.arange(members) % ACCOUNT_GENERATIONS
        self.first_day = GENERATION_DAYS * generation - 28 * random.random(members)
        ring_in_generation = np.arange(members) // (ACCOUNT_GENERATIONS * RING_MEMBERS)
        self.ring = generation + ACCOUNT_GENERATIONS * ring_in_generation
        weight = np.exp(shop.appeal[: config.items])
        shares = weight / weight.sum()
        self.item_list = random.choice(config.items, (members, REMEMBERED_ITEMS), p=shares)
        self.list_length = random.integers(6, REMEMBERED_ITEMS + 1, members)
        self.theme = random.integers(0, config.themes, members)
        self.position = random.integers(0, config.items, members)
        self.agent = random.integers(0, BROWSER_AGENT_COUNT, members)
        self.address = draw_addresses(random, members)
        self.phase = random.integers(0, 1_000, members)
        if self.purpose.lockstep:
            self._align_rings()
        self.memory = ItemMemory(members)

    def _align_rings(self) -> None:
        """Let the members of a ring come on the same days and hours, from the same network."""
        members = len(self.actors)
        self.phase = self.ring
        has_hour = self.habits.hour >= 0
        self.habits.hour[has_hour] = (self.ring * 7.3 % 24)[has_hour]
        ring_network = self.address[self.ring % members] & ~255
        self.address = ring_network + np.arange(members) % 250

    def draw_day(
        self, random: Generator, day: int, events: float, popular: Int64Array, items: int
    ) -> SimulatedEvents | None:
        """Draw the events of a day, about `events` in all; None when nobody comes.

        `popular` is a sample of the items that customers looked at that day.
        """
        active = self._draw_active_members(random, day, events)
        if not len(active):
            return None
        session_member, start_hour = self._draw_sessions(random, active)
        length = self._draw_session_lengths(random, session_member)
        session = np.repeat(np.arange(len(session_member)), length)
        member = session_member[session]
        elapsed = np.cumsum(self._draw_pauses(random, member))
        first_visit = np.cumsum(length) - length
        seconds = start_hour[session] * 3_600 + elapsed - elapsed[first_visit][session]
        source, item = self._draw_items(random, member, day, popular, items)
        visit, kind, delay = self._draw_acts(random, member, source)
        agent, address = self._draw_devices(random, session_member)
        milliseconds = ((seconds[visit] + delay) * 1_000).astype(np.int64)
        event_session = session[visit]
        return SimulatedEvents(
            actor=self.actors[member[visit]],
            item=item[visit],
            kind=kind,
            time=self.config.compute_midnight(day) + milliseconds * 1_000,
            session=event_session,
            agent=agent[event_session],
            address=address[event_session],
        )

    def _draw_active_members(self, random: Generator, day: int, events: float) -> Int64Array:
        """Draw which members come on a day, so that they make about `events` events."""
        habits = self.habits
        account_age = (day - self.first_day) % (ACCOUNT_GENERATIONS * GENERATION_DAYS)
        has_account = account_age < GENERATION_DAYS
        expected_events = float((habits.chance * habits.events)[has_account].sum() or 1.0)
        pace = events / expected_events
        draws = random.random(len(self.actors))
        is_due = (day + self.phase) % np.maximum(habits.period, 1) == 0
        comes_by_period = is_due & (draws < 1.2 * pace)
        comes_by_chance = draws < habits.chance * pace
        comes = np.where(habits.period > 0, comes_by_period, comes_by_chance)
        is_weekend = self.config.compute_weekday(day) >= 5
        return np.flatnonzero(has_account & comes & ~(habits.workdays & is_weekend))

    def _draw_sessions(
        self, random: Generator, active: Int64Array
    ) -> tuple[Int64Array, Float64Array]:
        """Draw member and first hour of each session, sorted by member, then by hour."""
        habits = self.habits
        mean = habits.sessions[active]
        fixed_count = np.round(mean).astype(np.int64)
        count = np.where(habits.rigid[active], fixed_count, 1 + random.poisson(mean - 1))
        member = np.repeat(active, count)
        hour = habits.hour[member]
        customary = draw_customary_hours(self.config, random, len(member))
        hours_later = number_within_groups(count) * 24 / np.repeat(count, count)
        timetable = (hour + hours_later + random.normal(0, 0.15, len(member))) % 24
        any_hour = random.uniform(0, 24, len(member))
        start = np.where(hour == ANY_HOUR, any_hour, timetable)
        start = np.where(hour == CUSTOMARY_HOUR, customary, start)
        order = np.lexsort((start, member))
        return member[order], start[order]

    def _draw_session_lengths(self, random: Generator, member: Int64Array) -> Int64Array:
        """Draw how many visits each session has."""
        mean = self.habits.visits[member]
        fixed_length = np.round(mean).astype(np.int64)
        return np.where(self.habits.rigid[member], fixed_length, random.geometric(1 / mean))

    def _draw_pauses(self, random: Generator, member: Int64Array) -> Float64Array:
        """Draw the seconds before each visit."""
        jitter = self.habits.jitter[member]
        customary = np.exp(0.9 * random.standard_normal(len(member)))
        even = 1 + jitter * random.uniform(-1, 1, len(member))
        factor = np.where(jitter > 0, even, customary)
        return np.asarray(np.minimum(self.habits.pause[member] * factor, 1_500.0))

    def _draw_devices(self, random: Generator, member: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Draw the agent and the address of each session."""
        habits = self.habits
        agent_number = (random.random(len(member)) * habits.agents[member]).astype(np.int64)
        agent = (self.agent[member] + 11 * agent_number) % BROWSER_AGENT_COUNT
        proxy_address = draw_addresses(random, len(member))
        address = np.where(habits.proxies[member], proxy_address, self.address[member])
        return agent, address

    def _draw_items(
        self,
        random: Generator,
        member: Int64Array,
        day: int,
        popular: Int64Array,
        items: int,
    ) -> tuple[Int64Array, Int64Array]:
        """Draw the source and the item of each visit."""
        source = self._draw_sources(random, member)
        draws = random.random(len(member))
        popular_position = (draws * len(popular)).astype(np.int64)
        list_position = (draws * self.list_length[member]).astype(np.int64)
        # in the order of ItemSource
        choices = [
            popular[popular_position],
            self._choose_by_theme(member, popular, draws),
            (draws * items).astype(np.int64),
            self._walk_on(random, member, source == ItemSource.WALK, items),
            self.item_list[member, list_position],
            self._choose_targets(member, day, draws, items),
            self.memory.recall(member, draws),
        ]
        item = np.choose(source, choices)
        self.memory.remember(member, item)
        return source, item

    def _draw_sources(self, random: Generator, member: Int64Array) -> Int64Array:
        draws = random.random(len(member))[:, None]
        source = (self.habits.source[member] < draws).sum(axis=1)
        source = np.minimum(source, len(ItemSource) - 1)
        has_no_items = ~self.memory.has_items(member)
        source[(source == ItemSource.REPEAT) & has_no_items] = ItemSource.POPULAR
        return np.asarray(source)

    def _choose_by_theme(
        self, member: Int64Array, popular: Int64Array, draws: Float64Array
    ) -> Int64Array:
        """Choose popular items of each member's theme, or of all themes when it has none."""
        by_theme = popular[np.argsort(self.shop.theme[popular], kind="stable")]
        themes = self.shop.theme[by_theme]
        low = np.searchsorted(themes, self.theme[member], "left")
        high = np.searchsorted(themes, self.theme[member], "right")
        has_items = low < high
        low = np.where(has_items, low, 0)
        high = np.where(has_items, high, len(popular))
        return by_theme[(low + draws * (high - low)).astype(np.int64)]

    def _choose_targets(
        self, member: Int64Array, day: int, draws: Float64Array, items: int
    ) -> Int64Array:
        """Choose one of the three items that each member's ring pushes in the current campaign."""
        campaign = day // self.purpose.campaign_days
        target = (draws * 3).astype(np.int64)
        # the primes spread the targets of rings and campaigns over the catalogue
        campaign_target = campaign * 104_729 + target * 1_299_709
        return (self.ring[member] * 7_919 + campaign_target + 29) % items

    def _walk_on(
        self, random: Generator, member: Int64Array, walks: BoolArray, items: int
    ) -> Int64Array:
        """Go on from where each member stopped, in the order of public ids; some are skipped."""
        steps = np.where(walks, 1 + random.poisson(0.5, len(member)), 0)
        unique_members, first = np.unique(member, return_index=True)
        total = np.cumsum(steps)
        total_before = (total - steps)[first]
        visit_counts = np.diff(first, append=len(member))
        position = self.position[member] + total - np.repeat(total_before, visit_counts)
        last = np.append(first[1:], len(member)) - 1
        self.position[unique_members] = position[last]
        by_public_id = np.argsort(assign_public_ids(np.arange(items)))
        return np.asarray(by_public_id[position % items])

    def _draw_acts(
        self, random: Generator, member: Int64Array, source: Int64Array
    ) -> tuple[Int64Array, Int64Array, Float64Array]:
        """Draw the events of each visit: a view, and maybe acts.

        Returns visit, kind, and seconds after the visit's begin of each event, by visit.
        """
        habits = self.habits
        is_errand = (source == self.purpose.source)[:, None]
        shares = np.where(is_errand, habits.errand_acts[member], habits.acts[member])
        act_visit, act = np.nonzero(random.random(shares.shape) < shares)
        has_act = np.isin(np.arange(len(member)), act_visit)
        is_blind = random.random(len(member)) < habits.blind[member]
        viewed = np.flatnonzero(~(has_act & is_blind))
        act_delay = self._draw_act_delays(random, member[act_visit], act)
        visit = np.concatenate([viewed, act_visit])
        kind = np.concatenate([np.zeros(len(viewed), np.int64), act + 1])
        delay = np.concatenate([np.zeros(len(viewed)), act_delay])
        order = np.argsort(visit, kind="stable")
        return visit[order], kind[order], delay[order]

    def _draw_act_delays(
        self, random: Generator, member: Int64Array, act: Int64Array
    ) -> Float64Array:
        """Draw the seconds from the visit to each act."""
        jitter = self.habits.jitter[member]
        even = 1 + jitter * random.uniform(-1, 1, len(member))
        factor = np.where(jitter > 0, even, random.exponential(1.0, len(member)))
        return (1 + ACT_DELAY_SECONDS[act] * factor) * self.habits.pause[member] / 30


def draw_addresses(random: Generator, count: int) -> Int64Array:
    """Draw IPv4 addresses of households, as customers have them, as numbers."""
    first_octet = 24 + random.integers(0, 180, count)
    return (first_octet << 24) + random.integers(0, 1 << 24, count)
