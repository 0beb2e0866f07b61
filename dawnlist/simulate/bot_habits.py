"""The fixed habits of stealthy bots: they follow from their purpose and the tells they show."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dawnlist.arrays import BoolArray, Float64Array, Int64Array
from dawnlist.simulate.purposes import ItemSource, Purpose
from dawnlist.simulate.traffic import FOLLOW_UPS

ACCOUNT_GENERATIONS = 4
"""How often in a year the accounts are replaced: known ones are given up every quarter."""
EFFORT_SPREAD = 2.0
"""How much two members differ in the number of tells that they show."""
MEDIAN_DAILY_EVENTS = 1.05
"""The median over members of the events a day, in their own quarter."""
CUSTOMER_ACT_SHARES = np.array([follow_up.share for follow_up in FOLLOW_UPS])
"""Share of customers' visits with a click, like, cart, purchase."""
CUSTOMARY_HOUR = -1.0
"""Instead of an hour: sessions begin when those of customers do."""
ANY_HOUR = -2.0
"""Instead of an hour: sessions begin at any hour."""
_MEDIAN_PAUSE_SECONDS = 30.0


@dataclass(frozen=True)
class BotHabits:
    """What the members of a kind always do: aligned arrays, with one entry for each member."""

    source: Float64Array
    """(members, sources): the share of visits from each `ItemSource`, cumulative."""
    acts: Float64Array
    """(members, 4): the share of visits with a click, like, cart, purchase."""
    errand_acts: Float64Array
    """(members, 4): the same for visits of its errand."""
    blind: Float64Array
    """Share of acts without the view before."""
    pause: Float64Array
    """Median seconds between two visits."""
    jitter: Float64Array
    """Pauses are evenly spread over pause * (1 - jitter) to pause * (1 + jitter).

    With 0 they vary as customers' pauses do.
    """
    sessions: Float64Array
    """Mean sessions on a day on which it comes."""
    visits: Float64Array
    """Mean visits of a session."""
    rigid: BoolArray
    """Whether all sessions are equally long."""
    hour: Float64Array
    """The hour at which its day begins, or CUSTOMARY_HOUR, or ANY_HOUR."""
    period: Int64Array
    """It comes every so many days; 0 means on random days."""
    chance: Float64Array
    """The probability that it comes on a day."""
    events: Float64Array
    """Mean events of a day on which it comes."""
    proxies: BoolArray
    """Whether each session has another network."""
    agents: Int64Array
    """How many user agents it uses, one for each session."""
    workdays: BoolArray
    """Whether it never comes at the weekend."""


def distribute_tells(random: Generator, members: int, shares: list[float]) -> BoolArray:
    """Draw which member shows which tell: (members, shares).

    Each share holds in each generation, however small it is. A member that shows many tells is less
    likely to show another one: hiding costs effort, and all operators spend about the same.
    """
    shown = np.zeros((members, len(shares)), bool)
    for generation in range(ACCOUNT_GENERATIONS):
        group = np.arange(generation, members, ACCOUNT_GENERATIONS)
        for tell in random.permutation(len(shares)):
            tell_counts = shown[group].sum(axis=1)
            burden = tell_counts + random.uniform(0, EFFORT_SPREAD, len(group))
            count = int(shares[tell] * len(group) + random.random())
            least_burdened = group[np.argsort(burden)[:count]]
            shown[least_burdened, tell] = True
    return shown


def mix_item_sources(
    errand_source: ItemSource, errand: Float64Array, repeat: Float64Array, taste: Float64Array
) -> Float64Array:
    """Compute the share of visits from each source, cumulative: (members, sources).

    Args:
        errand_source: The source of the items that the bots are here for.
        errand: Share of visits to these items.
        repeat: Share of the other visits that go back to one of the last items.
        taste: Share of the visits that remain which follow the taste of a theme; the others follow
            the whole shop's.
    """
    shares = np.zeros((len(errand), len(ItemSource)))
    shares[:, errand_source] = errand
    shares[:, ItemSource.REPEAT] = (1 - errand) * repeat
    remaining = (1 - errand) * (1 - repeat)
    shares[:, ItemSource.POPULAR] = remaining * (1 - taste)
    shares[:, ItemSource.SEGMENT] = remaining * taste
    return np.cumsum(shares, axis=1)


class _HabitSource:
    """Draws numbers for the members of a kind, depending on the tells that they show."""

    def __init__(self, purpose: Purpose, random: Generator, members: int) -> None:
        self.random = random
        self.members = members
        shown = distribute_tells(random, members, list(purpose.tells.values()))
        self.shown_by_tell: dict[str, BoolArray] = dict(zip(purpose.tells, shown.T, strict=True))

    def shows(self, tell: str) -> BoolArray:
        """Say of each member whether it shows the tell."""
        nobody = np.zeros(self.members, bool)
        return self.shown_by_tell.get(tell, nobody)

    def draw(self, low: float, high: float) -> Float64Array:
        """Draw an evenly distributed number for each member."""
        return self.random.uniform(low, high, self.members)

    def draw_by_tell(
        self, tell: str, shown: tuple[float, float], hidden: tuple[float, float]
    ) -> Float64Array:
        """Draw a number from one range for members that show the tell, else from the other."""
        return np.where(self.shows(tell), self.draw(*shown), self.draw(*hidden))

    def draw_if_shown(self, tell: str, low: float, high: float, default: float) -> Float64Array:
        """Draw a number for members that show the tell; the others get the default."""
        return np.where(self.shows(tell), self.draw(low, high), default)


def draw_habits(purpose: Purpose, random: Generator, members: int) -> BotHabits:
    """Draw the habits of the members of a kind: those of customers, except for the shown tells.

    The order of the draws must not change: the same seed gives the same shop.
    """
    habits = _HabitSource(purpose, random, members)
    errand = purpose.errand * habits.draw_by_tell("errand", (0.8, 1.1), (0.0, 0.06))
    repeat = np.where(habits.shows("forward"), 0.0, habits.draw(0.08, 0.16))
    source = mix_item_sources(purpose.source, errand, repeat, habits.draw(0.2, 0.8))
    acts, errand_acts = _draw_acts(purpose, habits)
    jitter = habits.draw_if_shown("even", 0.05, 0.5, 0.0)
    hour = habits.draw_if_shown("timetable", 0, 24, CUSTOMARY_HOUR)
    hour = np.where(habits.shows("sleepless"), ANY_HOUR, hour)
    sessions = habits.draw_by_tell("often", (1.8, 3.0), (1.0, 1.3))
    visits = habits.draw_by_tell("long", (4.0, 7.0), (2.0, 3.0))
    spread = np.exp(0.25 * random.standard_normal(members).clip(-1.5, 2))
    customary_act_count = acts.sum(axis=1) * (1 - errand)
    errand_act_count = errand_acts.sum(axis=1) * errand
    events = sessions * visits * (1 + (customary_act_count + errand_act_count))
    # on workdays it comes more often, since it doesn't come at the weekend
    weekend_factor = np.where(habits.shows("workdays"), 7 / 5, 1.0)
    chance = np.minimum(MEDIAN_DAILY_EVENTS * spread / events * weekend_factor, 1.0)
    days_between = np.maximum(np.round(1 / chance), 1)
    return BotHabits(
        source=source,
        acts=acts,
        errand_acts=errand_acts,
        blind=habits.draw_if_shown("blind", 0.3, 0.9, 0.0),
        pause=_MEDIAN_PAUSE_SECONDS * habits.draw_by_tell("hasty", (0.12, 0.35), (0.8, 1.3)),
        jitter=jitter,
        sessions=sessions,
        visits=visits,
        rigid=habits.shows("rigid"),
        hour=hour,
        period=np.where(habits.shows("routine"), days_between, 0).astype(np.int64),
        chance=chance,
        events=events,
        proxies=habits.shows("proxies"),
        agents=np.where(habits.shows("agents"), random.integers(3, 7, members), 1),
        workdays=habits.shows("workdays"),
    )


def _draw_acts(purpose: Purpose, habits: _HabitSource) -> tuple[Float64Array, Float64Array]:
    """Draw the shares of visits with acts: of visits as a customer, and of visits of the errand."""
    customary = CUSTOMER_ACT_SHARES * habits.draw(0.8, 1.2)[:, None]
    shows_errand = habits.shows("errand")[:, None]
    errand_acts = np.where(shows_errand, np.array(purpose.acts), customary)
    activity = habits.draw_if_shown("silent", 0.0, 0.4, 1.0)[:, None]
    return customary * activity, errand_acts * activity
