"""Unusual people at work. Their accounts exist from the opening day on, apart from the customers'."""

import numpy as np
from numpy.random import Generator

from dawnlist.arrays import BoolArray, Int64Array
from dawnlist.simulate.agents import BROWSER_AGENT_COUNT
from dawnlist.simulate.catalogue import (
    PUBLIC_ID_COUNT,
    RandomStream,
    SimulatedCatalogue,
    assign_public_ids,
    create_random_stream,
)
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.item_memory import number_within_groups
from dawnlist.simulate.stealth_bots import draw_addresses
from dawnlist.simulate.traffic import SESSIONS_PER_DAY, SimulatedEvents, concatenate_events
from dawnlist.simulate.unusual_habits import UNUSUAL_HABITS, ItemChoice, UnusualHabit

_IDENTITY_DAY = 2**32 - 1
"""Instead of a day, for the random numbers of what never changes."""
_FIRST_SESSION = 4_000_000
_SESSIONS_PER_KIND = 100_000
_SEASON_DAYS = 60
_MAX_PAUSE_SECONDS = 1_500.0
_CHECKOUT_SECONDS = 60.0
_PURCHASE = 4
"""Index of purchases in `SIMULATED_EVENT_KINDS`."""


class UnusualPeople:
    """All unusual people, whose actor indices count down from `top`."""

    def __init__(self, config: ShopConfig, shop: SimulatedCatalogue, top: int) -> None:
        """Draw who they are."""
        self.config = config
        random = create_random_stream(config, RandomStream.UNUSUAL_PEOPLE, _IDENTITY_DAY)
        self.groups: dict[str, _Group] = {}
        for kind, habit in UNUSUAL_HABITS.items():
            accounts = round(config.users * config.unusual_share * habit.share)
            actors = top - np.arange(accounts)
            top -= accounts
            self.groups[kind] = _Group(config, habit, actors, shop, random)

    def list_members(self) -> list[tuple[str, Int64Array]]:
        """List the kind and the actor indices of each group."""
        return [(kind, group.actors) for kind, group in self.groups.items()]

    def draw_day(self, day: int, popular: Int64Array, items: int) -> SimulatedEvents | None:
        """Draw the events of one day; None when there are none. Call it for every day, in order.

        `popular` is a sample of the items that customers looked at that day.
        """
        random = create_random_stream(self.config, RandomStream.UNUSUAL_PEOPLE, day)
        blocks = []
        for number, group in enumerate(self.groups.values()):
            events = group.draw_day(random, day, popular, items)
            if events is not None:
                first_session = _FIRST_SESSION + number * _SESSIONS_PER_KIND
                events.session[:] += day * SESSIONS_PER_DAY + first_session
                blocks.append(events)
        return concatenate_events(blocks) if blocks else None


def find_top_actor(intruders: list[tuple[str, Int64Array]]) -> int:
    """Find the highest actor index below those of all intruders."""
    return PUBLIC_ID_COUNT - 1 - sum(len(actors) for _, actors in intruders)


class _Group:
    """All people of one kind. The arrays have an entry for each person, neighbours by account."""

    def __init__(
        self,
        config: ShopConfig,
        habit: UnusualHabit,
        actors: Int64Array,
        shop: SimulatedCatalogue,
        random: Generator,
    ) -> None:
        persons = len(actors) * habit.persons
        self.config, self.habit, self.shop = config, habit, shop
        self.actors = actors
        self.actor = np.repeat(actors, habit.persons)
        self.hour = random.uniform(*habit.hours, persons)
        self.weekday = random.integers(0, 5, persons)
        self.phase = random.integers(0, _SEASON_DAYS, persons)
        self.theme = random.integers(0, config.themes, persons)
        self.position = random.integers(0, config.items, persons)
        self.stride = random.integers(3, 20, persons)
        self.agent = random.integers(0, BROWSER_AGENT_COUNT, persons)
        self.address = draw_addresses(random, persons)

    def draw_day(
        self, random: Generator, day: int, popular: Int64Array, items: int
    ) -> SimulatedEvents | None:
        """Draw the events of a day: a session of each person who comes."""
        person = np.flatnonzero(self._comes(random, day))
        if not len(person):
            return None
        low, high = np.log(self.habit.visits)
        length = np.exp(random.uniform(low, high, len(person))).astype(np.int64)
        session = np.repeat(np.arange(len(person)), length)
        hour = self.hour[person] + self.habit.hour_spread * random.standard_normal(len(person))
        pauses = self.habit.pause * np.exp(0.8 * random.standard_normal(len(session)))
        elapsed = np.cumsum(np.minimum(pauses, _MAX_PAUSE_SECONDS))
        first, last = np.cumsum(length) - length, np.cumsum(length) - 1
        seconds = (hour % 24)[session] * 3_600 + elapsed - elapsed[first][session]
        checkout = seconds[last][session] + _CHECKOUT_SECONDS
        item = self._draw_items(random, person, length, popular, items)
        visit, kind = np.nonzero(random.random((len(session), 5)) < np.array(self.habit.acts))
        delay = np.where(kind > 0, random.exponential(8.0, len(visit)), 0.0)
        moment = np.where(kind == _PURCHASE, checkout[visit], seconds[visit] + delay)
        event_session = session[visit]
        address = self._draw_addresses(random, person)
        return SimulatedEvents(
            actor=self.actor[person[event_session]],
            item=item[visit],
            kind=kind.astype(np.int64),
            time=self.config.compute_midnight(day) + (moment * 1_000).astype(np.int64) * 1_000,
            session=event_session,
            agent=self.agent[person[event_session]],
            address=address[event_session],
        )

    def _comes(self, random: Generator, day: int) -> BoolArray:
        """Draw who comes on a day."""
        habit = self.habit
        weekday = self.config.compute_weekday(day)
        is_in_season = (day + self.phase) % _SEASON_DAYS < habit.season_days
        if habit.is_workday and weekday >= 5:
            return np.zeros(len(self.actor), bool)
        if habit.has_weekday:
            return np.asarray(is_in_season & (self.weekday == weekday))
        days = 5 if habit.is_workday else 7
        return np.asarray(
            is_in_season & (random.random(len(self.actor)) < habit.days_a_week / days)
        )

    def _draw_items(
        self,
        random: Generator,
        person: Int64Array,
        length: Int64Array,
        popular: Int64Array,
        items: int,
    ) -> Int64Array:
        """Draw the item of each visit, of sessions of these lengths."""
        draws = random.random(length.sum())
        step = number_within_groups(length)
        if self.habit.items == ItemChoice.POPULAR:
            return np.asarray(popular[(draws * len(popular)).astype(np.int64)])
        if self.habit.items == ItemChoice.ANY:
            return np.asarray((draws * items).astype(np.int64))
        in_order = np.argsort(assign_public_ids(np.arange(items)))
        if self.habit.items == ItemChoice.ORDER_FORM:
            position = np.repeat(self.position[person], length)
            steps = step * np.repeat(self.stride[person], length)
            return np.asarray(in_order[(position + steps) % items])
        return self._walk_theme(person, length, step, in_order)

    def _walk_theme(
        self, person: Int64Array, length: Int64Array, step: Int64Array, in_order: Int64Array
    ) -> Int64Array:
        """Go on in each person's theme from where the person stopped the last time."""
        by_theme = in_order[np.argsort(self.shop.theme[in_order], kind="stable")]
        themes = self.shop.theme[by_theme]
        low = np.searchsorted(themes, self.theme[person], "left")
        high = np.maximum(np.searchsorted(themes, self.theme[person], "right"), low + 1)
        position = np.repeat(self.position[person], length) + step
        offset = position % np.repeat(high - low, length)
        self.position[person] += length
        position = np.repeat(low, length) + offset
        return np.asarray(by_theme[np.minimum(position, len(by_theme) - 1)])

    def _draw_addresses(self, random: Generator, person: Int64Array) -> Int64Array:
        """Draw the address of each session: that at home, or another one of the same carrier."""
        if not self.habit.is_mobile:
            return self.address[person]
        carrier = self.address[person] >> 16 << 16
        return carrier + random.integers(0, 1 << 16, len(person))
