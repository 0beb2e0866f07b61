"""The configuration of a simulated shop: its size, its people, its robots and its dirt."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dawnlist.cuts import MICROSECONDS_PER_DAY

DIRT_SHARE_FIELDS = (
    "double_click_share",
    "replay_share",
    "late_share",
    "odd_time_share",
    "odd_id_share",
    "null_text_share",
    "corrupt_share",
)
"""Fields of `ShopConfig` that are the share of rows with one kind of dirt."""
SHARE_FIELDS = (
    "repeat_share",
    "mainstream_share",
    "focus_share",
    "robot_share",
    "unusual_share",
    *DIRT_SHARE_FIELDS,
)
"""Fields of `ShopConfig` that are shares, from 0 to 1."""
_COUNT_RANGES = {
    "users": (1, 4_000_000),
    "items": (1, 2_000_000),
    "days": (1, 3_660),
    "themes": (1, 200),
}
_POSITIVE_FIELDS = (
    "taste_concentration",
    "interest_days",
    "novelty_days",
    "sessions_a_day",
    "stay_days",
)
_UP_TO_TEN_FIELDS = (
    "user_growth",
    "item_growth",
    "popularity_spread",
    "novelty",
    "buzz",
    "activity_spread",
)


@dataclass(frozen=True)
class ShopConfig:
    """Size, seed and habits of one shop. The same config gives the same rows; more days add rows.

    A share is a number from 0 to 1. Days count from 0, the opening day.
    """

    users: int = 8_000
    """People who have an account on the opening day."""
    items: int = 2_200
    """Items on sale on the opening day."""
    days: int = 365
    """How many days to simulate; events were received in [start, start + days)."""
    seed: int = 1
    """The seed of all random numbers."""
    start: date = date(2025, 1, 1)
    """The opening day, UTC."""

    user_growth: float = 0.3
    """New users over 365 days, as a share of `users`; they arrive evenly, every day."""
    item_growth: float = 0.3
    """New items over 365 days, as a share of `items`."""

    themes: int = 20
    """Rank of the planted factor model: each user mixes themes, each theme prefers items."""
    taste_concentration: float = 0.15
    """Dirichlet parameter of a user's mixture of themes: small means a few strong tastes."""
    mainstream_share: float = 0.36
    """Share of visits that follow the whole shop's popularity instead of the user's tastes."""
    focus_share: float = 0.4
    """Share of the other visits that follow the user's interest of the moment."""
    interest_days: float = 60.0
    """Mean days until a user's interest of the moment changes: drift of tastes."""
    repeat_share: float = 0.12
    """Share of visits that go back to one of the user's last items."""
    popularity_spread: float = 1.5
    """Standard deviation of an item's log popularity inside its theme."""
    novelty: float = 1.0
    """Log of the extra popularity of a new item; it fades with a half-life of `novelty_days`."""
    novelty_days: float = 14.0
    """Days until half of a new item's extra popularity is gone."""
    buzz: float = 0.8
    """Mean log of the extra popularity of an item that becomes the talk of the week."""
    sessions_a_day: float = 0.07
    """Median over users of the sessions a day while they are active."""
    activity_spread: float = 0.9
    """Standard deviation of the log of a user's sessions a day: the tail of the history lengths."""
    stay_days: float = 500.0
    """Mean days from a user's first day in the shop to the last; users don't come back after it."""
    night: bool = True
    """Whether customers sleep at night; if not, they live in all time zones."""

    unusual_share: float = 0.02
    """Accounts of unusual people, as a share of `users`; they come beside these.

    They are couples on one account, evening raters, gift hunters, commuters, collectors and
    wholesale buyers.
    """

    robot_share: float = 0.15
    """Share of events that don't come from customers: crawlers, stealthy bots, staff, tests.

    The events of unusual people do not count.
    """

    double_click_share: float = 0.02
    """Share of events sent twice within a second, under two event ids."""
    replay_share: float = 0.01
    """Share of events delivered twice, minutes to hours apart, under one event id."""
    late_share: float = 0.01
    """Share of events that arrive hours to days after they happened."""
    odd_time_share: float = 0.25
    """Share of times that are not ISO-8601 with Z.

    They have an offset or no zone (UTC is meant), or are epoch seconds or milliseconds.
    """
    odd_id_share: float = 0.08
    """Share of ids written as a float ("17850.0") or between blanks."""
    null_text_share: float = 0.01
    """Share of session ids, user agents and addresses that say "null", "NaN" or ""."""
    corrupt_share: float = 0.0005
    """Share of rows that nobody can use.

    They have no user, no item, an unknown event, a date in 1970 or 2099, or no date at all.
    """
    rename_day: int | None = 240
    """From this day on, the column `user_agent` is called `ua`; None means never."""
    sessionless_days: tuple[int, int] | None = (180, 184)
    """From the first to before the second of these days, session_id is missing."""

    def __post_init__(self) -> None:
        """Check every field; raises ValueError."""
        self._check_counts()
        self._check_shares()
        self._check_numbers()
        days = self.sessionless_days
        if days is not None and days[0] > days[1]:
            raise ValueError(
                f"sessionless_days is {days!r}; the first day must not be after the second"
            )

    def _check_counts(self) -> None:
        for name, (low, high) in _COUNT_RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(
                    f"{name} is {value!r}; it must be a whole number from {low} to {high:,}"
                )
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seed is {self.seed!r}; it must be a whole number, 0 or more")

    def _check_shares(self) -> None:
        for name in SHARE_FIELDS:
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value!r}; a share must lie from 0 to 1")
        if self.robot_share > 0.9:
            raise ValueError(
                f"robot_share is {self.robot_share!r}; it must leave some people: give 0.9 or less"
            )

    def _check_numbers(self) -> None:
        for name in _POSITIVE_FIELDS:
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name} is {value!r}; it must be more than 0")
        for name in _UP_TO_TEN_FIELDS:
            value = getattr(self, name)
            if not 0 <= value <= 10:
                raise ValueError(f"{name} is {value!r}; it must lie from 0 to 10")

    @property
    def end(self) -> date:
        """The day after the last one: the `as_of` of a run on the whole shop."""
        return self.start + timedelta(days=self.days)

    def compute_midnight(self, day: int) -> int:
        """Compute when a day begins, in microseconds since 1970; day 0 is the opening day."""
        opening = datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC)
        return int(opening.timestamp()) * 1_000_000 + day * MICROSECONDS_PER_DAY

    def compute_weekday(self, day: int) -> int:
        """Compute the weekday of a day; 0 is Monday."""
        return (self.start.toordinal() + day - 1) % 7

    def count_users(self, day: int) -> int:
        """Count the people who have an account on a day."""
        return _count_on_day(day, self.users, self.user_growth)

    def count_items(self, day: int) -> int:
        """Count the items on sale on a day."""
        return _count_on_day(day, self.items, self.item_growth)


def _count_on_day(day: int, opening_count: int, yearly_growth: float) -> int:
    return opening_count + int(opening_count * yearly_growth * day / 365)


CLEAN_SHOP_ARGUMENTS: dict[str, Any] = {
    **dict.fromkeys(DIRT_SHARE_FIELDS, 0.0),
    "rename_day": None,
    "sessionless_days": None,
}
"""Arguments of a shop without dirt: `ShopConfig(**CLEAN_SHOP_ARGUMENTS)`."""
