"""People whose habits are rare: what they do, and how many of them there are.

They are people. Some do much in little time, some come at one time of the day, some go through a
list in order. What only machines do, none of them does.
"""

from dataclasses import dataclass
from enum import IntEnum

from dawnlist.simulate.traffic import FOLLOW_UPS


class ItemChoice(IntEnum):
    """Which items a person looks at."""

    POPULAR = 0
    """Items that customers look at on that day."""
    ANY = 1
    """Any item of the catalogue."""
    THEME_IN_ORDER = 2
    """The items of a theme in the order of their public ids, as a page lists them."""
    ORDER_FORM = 3
    """The same items each time, in the order of their public ids, as an order form lists them."""


@dataclass(frozen=True)
class UnusualHabit:
    """What one kind of unusual people does."""

    share: float
    """Share of the unusual accounts."""
    days_a_week: float
    """Mean days of a week on which a person comes."""
    visits: tuple[int, int]
    """The fewest and the most items of a session; the logarithm is evenly spread."""
    pause: float
    """Median seconds between two items."""
    hours: tuple[float, float]
    """A person's own hour lies in this range of hours after midnight."""
    hour_spread: float
    """Standard deviation, in hours, of the times at which a person comes."""
    items: ItemChoice
    acts: tuple[float, ...]
    """Shares of the items with a view, click, like, cart and purchase."""
    season_days: int = 60
    """A person comes on so many days of 60, which follow each other."""
    has_weekday: bool = False
    """Whether a person comes on one day of the week of its own."""
    is_workday: bool = False
    """Whether a person never comes at the weekend."""
    is_mobile: bool = False
    """Whether a person comes from other addresses of a carrier each time."""
    persons: int = 1
    """How many people share an account."""


_CUSTOMARY_ACTS = (1.0, *(follow_up.share for follow_up in FOLLOW_UPS))

UNUSUAL_HABITS: dict[str, UnusualHabit] = {
    "couple": UnusualHabit(
        share=0.5,
        days_a_week=0.8,
        visits=(1, 8),
        pause=30,
        hours=(0, 24),
        hour_spread=1.5,
        items=ItemChoice.POPULAR,
        acts=_CUSTOMARY_ACTS,
        persons=2,
    ),
    "evening rater": UnusualHabit(
        share=0.15,
        days_a_week=3,
        visits=(40, 250),
        pause=4,
        hours=(18, 22),
        hour_spread=1,
        items=ItemChoice.POPULAR,
        acts=(0, 0, 1, 0, 0),
        season_days=3,
    ),
    "gift hunter": UnusualHabit(
        share=0.15,
        days_a_week=4,
        visits=(10, 60),
        pause=15,
        hours=(9, 23),
        hour_spread=3,
        items=ItemChoice.ANY,
        acts=(1, 0.2, 0.05, 0.08, 0.02),
        season_days=5,
    ),
    "commuter": UnusualHabit(
        share=0.1,
        days_a_week=4,
        visits=(1, 6),
        pause=25,
        hours=(6, 8.5),
        hour_spread=0.15,
        items=ItemChoice.POPULAR,
        acts=_CUSTOMARY_ACTS,
        is_workday=True,
        is_mobile=True,
    ),
    "collector": UnusualHabit(
        share=0.06,
        days_a_week=1,
        visits=(15, 80),
        pause=8,
        hours=(10, 23),
        hour_spread=2,
        items=ItemChoice.THEME_IN_ORDER,
        acts=(1, 0.1, 0.5, 0.05, 0.03),
    ),
    "wholesale buyer": UnusualHabit(
        share=0.04,
        days_a_week=1,
        visits=(20, 80),
        pause=12,
        hours=(8, 16),
        hour_spread=0.3,
        items=ItemChoice.ORDER_FORM,
        acts=(0, 0, 0, 1, 1),
        has_weekday=True,
        is_workday=True,
    ),
}
"""Kind -> habit. The truth calls all of them human; the column `habit` has the kind."""
