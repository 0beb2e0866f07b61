"""What declared crawlers, staff and test accounts do on a day.

What stealthy bots do is in `dawnlist.simulate.bot_habits` and `dawnlist.simulate.stealth_bots`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dawnlist.arrays import Float64Array, Int64Array
from dawnlist.simulate.agents import SIMULATED_CRAWLERS

_STEPS_TO_PURCHASE = 5
"""How many events a test account needs for a purchase: one of each kind."""


@dataclass(frozen=True)
class BehaviourContext:
    """The events for which a behaviour chooses item, kind and time.

    The arrays are aligned, with one entry for each event. Events of one member are neighbours.
    """

    random: Generator
    """The source of random numbers."""
    member: Int64Array
    """The number of the member within its kind."""
    step: Int64Array
    """The number of the event within the member's day, from 0."""
    crawler: Int64Array
    """Index into `SIMULATED_CRAWLERS`; staff and tests don't use it."""
    day: int
    """The number of the day."""
    items: int
    """How many items are on sale."""

    def draw_exponential(self, mean: float) -> Float64Array:
        """Draw an exponentially distributed number for each event."""
        return self.random.exponential(mean, len(self.member))

    def compute_elapsed(self, pauses: Float64Array) -> Float64Array:
        """Sum up pauses to seconds since the member's first event of the day."""
        total = np.cumsum(pauses)
        starts = self._find_first_events()
        lengths = np.diff(starts, append=len(total))
        return total - np.repeat(total[starts], lengths)

    def draw_start(self, low: float, high: float) -> Float64Array:
        """Draw when each member's day begins, in seconds after midnight, for each of its events."""
        starts = self._find_first_events()
        seconds = self.random.uniform(low, high, len(starts))
        return np.repeat(seconds, np.diff(starts, append=len(self.member)))

    def _find_first_events(self) -> Int64Array:
        return np.flatnonzero(self.step == 0)


PlannedEvents = tuple[Int64Array, Int64Array, Float64Array]
"""Item, kind and seconds after midnight of each event."""


def crawl_in_order(context: BehaviourContext) -> PlannedEvents:
    """Look at the catalogue in order, from where the crawler stopped, at its own pace."""
    mean_pauses = np.array([crawler.pause for crawler in SIMULATED_CRAWLERS])
    item = (context.member * 977 + context.day * 40 + context.step) % context.items
    start = context.draw_start(0, 80_000)
    pauses = context.draw_exponential(1.0) * mean_pauses[context.crawler]
    return item, np.zeros_like(item), start + context.compute_elapsed(pauses)


def browse_as_staff(context: BehaviourContext) -> PlannedEvents:
    """Look at items as staff do: in office hours, and mostly at the newest ones."""
    drawn_age = context.draw_exponential(60.0).astype(np.int64)
    age = np.minimum(drawn_age, context.items - 1)
    start = context.draw_start(28_800, 54_000)
    pauses = 5 + context.draw_exponential(60)
    item = context.items - 1 - age
    return item, np.zeros_like(item), start + context.compute_elapsed(pauses)


def rehearse_purchases(context: BehaviourContext) -> PlannedEvents:
    """Buy the same two items again and again, with all events up to the purchase, as tests do."""
    is_second_item = context.step // _STEPS_TO_PURCHASE % 2
    item = (is_second_item * 7 + context.member) % context.items
    start = context.draw_start(28_800, 61_000)
    pauses = 1 + context.draw_exponential(3)
    seconds = start + context.compute_elapsed(pauses)
    return item, context.step % _STEPS_TO_PURCHASE, seconds


BEHAVIOURS: dict[str, Callable[[BehaviourContext], PlannedEvents]] = {
    "crawler": crawl_in_order,
    "staff": browse_as_staff,
    "test": rehearse_purchases,
}
"""Truth label -> behaviour, of everybody who doesn't hide."""
