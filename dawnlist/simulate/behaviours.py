"""What declared crawlers, staff and test accounts do on a day; the stealthy bots are in purposes.py and stealth.py."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dawnlist.arrays import Float64Array, Int64Array
from dawnlist.simulate.agents import SIMULATED_CRAWLERS


@dataclass(frozen=True)
class BehaviourContext:
    """What a behaviour is given: aligned arrays, one entry an event to be."""

    random: np.random.Generator
    who: Int64Array  # member within the kind
    step: Int64Array  # 0, 1, 2 ... within the member's day
    crawler: Int64Array  # into CRAWLERS; nothing for staff and tests
    day: int
    items: int

    def drawn(self, mean: float) -> Float64Array:
        return self.random.exponential(mean, len(self.who))

    def cumulative(self, pauses: Float64Array) -> Float64Array:
        """Seconds since the member's first event of the day."""
        total = np.cumsum(pauses)
        starts = np.flatnonzero(self.step == 0)
        return total - np.repeat(total[starts], np.diff(starts, append=len(total)))

    def begin(self, low: float, high: float) -> Float64Array:
        """One moment of the day for each member, seconds after midnight, the same for all its events."""
        starts = np.flatnonzero(self.step == 0)
        moment = self.random.uniform(low, high, len(starts))
        return np.repeat(moment, np.diff(starts, append=len(self.who)))


PlannedEvents = tuple[Int64Array, Int64Array, Float64Array]  # item, kind, seconds after midnight


def crawl_in_order(scene: BehaviourContext) -> PlannedEvents:
    """Walks the catalogue in order from where it stopped, at the crawler's own pace, at any hour."""
    pause = np.array([crawler.pause for crawler in SIMULATED_CRAWLERS])[scene.crawler]
    item = (scene.who * 977 + scene.day * 40 + scene.step) % scene.items
    return (
        item,
        np.zeros_like(item),
        scene.begin(0, 80_000) + scene.cumulative(scene.drawn(1.0) * pause),
    )


def browse_as_staff(scene: BehaviourContext) -> PlannedEvents:
    """Staff: office hours, new items first."""
    back = np.minimum(scene.drawn(60.0).astype(np.int64), scene.items - 1)
    seconds = scene.begin(28_800, 54_000) + scene.cumulative(5 + scene.drawn(60))
    return scene.items - 1 - back, np.zeros_like(back), seconds


def rehearse_purchases(scene: BehaviourContext) -> PlannedEvents:
    """A test account: the whole way to the purchase, on the same two items, over and over."""
    item = (scene.step // 5 % 2 * 7 + scene.who) % scene.items
    return item, scene.step % 5, scene.begin(28_800, 61_000) + scene.cumulative(1 + scene.drawn(3))


BEHAVIOURS: dict[str, Callable[[BehaviourContext], PlannedEvents]] = {
    "crawler": crawl_in_order,
    "staff": browse_as_staff,
    "test": rehearse_purchases,
}
