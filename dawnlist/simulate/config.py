"""What a simulated shop is asked for: its size, its people, its robots and its dirt."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

SHARE_FIELDS = (
    "repeat_share", "mainstream_share", "focus_share", "robot_share", "double_click_share", "replay_share",
    "late_share", "odd_time_share", "odd_id_share", "null_text_share", "corrupt_share",
)  # fmt: skip


@dataclass(frozen=True)
class ShopConfig:
    """Size, seed and habits of one shop; the same config gives the same rows, and more days only add rows.

    A share is a number from 0 to 1. Days count from 0, the opening day.
    """

    users: int = 8_000
    """People who have an account on the opening day."""
    items: int = 2_200
    """Items on sale on the opening day."""
    days: int = 365
    """How many days to simulate; events were received in [start, start + days)."""
    seed: int = 1
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
    buzz: float = 0.8
    """Mean log of the extra popularity of an item that becomes the talk of the week."""
    sessions_a_day: float = 0.07
    """Median over users of the sessions a day while they are active."""
    activity_spread: float = 0.9
    """Standard deviation of the log of a user's sessions a day: the tail of the history lengths."""
    stay_days: float = 500.0
    """Mean days from a user's first to the last; the rest of the year they stay away."""
    night: bool = True
    """Customers sleep at night (False: the shop has customers in all time zones, every hour is like the other)."""

    robot_share: float = 0.15
    """Share of all events that don't come from customers: crawlers, stealthy bots, staff and tests."""

    double_click_share: float = 0.02
    """Share of events sent twice within a second, under two event ids."""
    replay_share: float = 0.01
    """Share of events delivered twice, minutes to hours apart, under one event id."""
    late_share: float = 0.01
    """Share of events that arrive hours to days after they happened."""
    odd_time_share: float = 0.25
    """Share of times that are not ISO-8601 with Z: offsets, no zone (UTC is meant), epoch seconds or milliseconds."""
    odd_id_share: float = 0.08
    """Share of ids written as a float ("17850.0") or between blanks."""
    null_text_share: float = 0.01
    """Share of session ids, user agents and addresses that say "null", "NaN" or ""."""
    corrupt_share: float = 0.0005
    """Share of rows nobody can use: no user, no item, an unknown event, a date in 1970 or 2099, no date at all."""
    rename_day: int | None = 240
    """From this day on, the column `user_agent` is called `ua` (None: never)."""
    sessionless_days: tuple[int, int] | None = (180, 184)
    """From the first to before the second of these days, session_id is missing."""

    def __post_init__(self) -> None:
        """Check every field; raises ValueError."""
        for name, low, high in (
            ("users", 1, 4_000_000),
            ("items", 1, 2_000_000),
            ("days", 1, 3_660),
            ("themes", 1, 200),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(
                    f"{name} is {value!r}; it must be a whole number from {low} to {high:,}"
                )
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seed is {self.seed!r}; it must be a whole number, 0 or more")
        for name in SHARE_FIELDS:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}; a share must lie from 0 to 1")
        if self.robot_share > 0.9:
            raise ValueError(
                f"robot_share is {self.robot_share!r}; it must leave some people: give 0.9 or less"
            )
        for name in (
            "taste_concentration",
            "interest_days",
            "novelty_days",
            "sessions_a_day",
            "stay_days",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be more than 0")
        for name in (
            "user_growth",
            "item_growth",
            "popularity_spread",
            "novelty",
            "buzz",
            "activity_spread",
        ):
            if not 0 <= getattr(self, name) <= 10:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must lie from 0 to 10")
        if (
            self.sessionless_days is not None
            and self.sessionless_days[0] > self.sessionless_days[1]
        ):
            raise ValueError(
                f"sessionless_days is {self.sessionless_days!r}; the first day must not be after the second"
            )

    @property
    def end(self) -> date:
        """The day after the last one: the `as_of` of a run on the whole shop."""
        return self.start + timedelta(days=self.days)

    @property
    def start_us(self) -> int:
        """Midnight of the opening day in microseconds since 1970."""
        return (
            int(datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC).timestamp())
            * 1_000_000
        )

    def count_on(self, day: int, opening: int, growth: float) -> int:
        """How many of something exist on a day, given how many there were on the opening day."""
        return opening + int(opening * growth * day / 365)

    def users_on(self, day: int) -> int:
        return self.count_on(day, self.users, self.user_growth)

    def items_on(self, day: int) -> int:
        return self.count_on(day, self.items, self.item_growth)


CLEAN_SHOP_ARGUMENTS: dict[str, Any] = {
    **{
        name: 0.0
        for name in SHARE_FIELDS
        if name not in ("repeat_share", "mainstream_share", "focus_share", "robot_share")
    },
    "rename_day": None,
    "sessionless_days": None,
}
"""Arguments of a shop without dirt: `ShopConfig(**CLEAN)`."""
