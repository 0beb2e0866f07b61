"""The shops of `benchmarks/real_shops.py`: their sources, their nights, and all their cleaned rows."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import csr_matrix
from shop_nights import NAMESPACE
from simple_rules import PastRows

from dawnlist.arrays import BoolArray, Float64Array, Int64Array
from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.lake.lake import Lake
from dawnlist.settings import Settings
from dawnlist.simulate import ShopConfig, simulate_shop, write_shop

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
DAY = timedelta(days=1)
WINDOW_DAYS = 365
SIMULATED_SHOPS: dict[str, dict[str, Any]] = {
    "simulated": {"users": 3_000, "items": 1_200, "days": 127, "seed": 11},
    "simulated-repeats": {
        "users": 2_000,
        "items": 800,
        "days": 127,
        "seed": 12,
        "repeat_share": 0.45,
    },
    "simulated-tiny": {"users": 300, "items": 120, "days": 48, "seed": 13},
}


@dataclass(frozen=True)
class ShopPlan:
    """A shop, and the nights on which the pipeline runs."""

    name: str
    source: str
    settings: str
    first_night: datetime
    nights: int
    """The days from the first run to the last, both counted."""
    kinds: dict[str, str] = field(default_factory=dict)
    """For each user of a simulated shop what it is; `human` is a person."""
    every: int = 1
    """The days from one run to the next."""

    def list_nights(self) -> list[datetime]:
        """List the moments at which the pipeline runs."""
        last_night = self.first_night + (self.nights - 1) * DAY
        nights = []
        as_of = self.first_night
        while as_of <= last_night:
            nights.append(as_of)
            as_of += self.every * DAY
        return nights

    def mark_people(self, rows: "CleanRows", users: Int64Array) -> BoolArray:
        """Mark the users who are people: all of a real shop, the humans of a simulated one."""
        if not self.kinds:
            return np.ones(len(users), bool)
        kinds = [self.kinds.get(rows.user_ids[user]) for user in users]
        return np.array([kind == "human" for kind in kinds], bool)


def plan_real_shop(name: str, data: Path, home: Path) -> ShopPlan:
    """Unpack a real data set, and name its nights."""
    settings = EXAMPLES / f"{name}.yaml"
    if name == "movietweetings":
        source = str(data / name)
        written = str(settings) if settings.exists() else ""
        return ShopPlan(name, source, written, datetime(2013, 9, 1, tzinfo=UTC), 10)
    archives = {
        "online-retail": ("by-day.zip", "by-day", datetime(2011, 10, 31, tzinfo=UTC), 22),
        "deskdrop": (
            "users_interactions.csv.zip",
            "users_interactions.csv",
            datetime(2017, 1, 31, tzinfo=UTC),
            21,
        ),
    }
    archive, file_name, first_night, nights = archives[name]
    with ZipFile(data / name / archive) as packed:
        packed.extractall(home)
    return ShopPlan(name, str(home / file_name), str(settings), first_night, nights)


def plan_simulated_shop(name: str, home: Path) -> ShopPlan:
    """Simulate a shop whose last 7 nights are run, so that each has 7 days of truth."""
    config = ShopConfig(**SIMULATED_SHOPS[name])
    source = f"sqlite:///{home}/shop.db"
    shop = simulate_shop(config)
    write_shop(shop, source)
    labels = shop.truth.to_pydict()
    kinds = dict(zip(labels["user_id"], labels["kind"], strict=True))
    end = as_midnight(config.end)
    return ShopPlan(name, source, "", end - 13 * DAY, 7, kinds)


def as_midnight(day: date) -> datetime:
    """Return when a day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


SHOPS = ("movietweetings", "online-retail", "deskdrop", *SIMULATED_SHOPS)


@dataclass(frozen=True)
class CleanRows:
    """All cleaned rows of a shop, those after the nights too, as aligned arrays."""

    user: Int64Array
    item: Int64Array
    day: Float64Array
    """Days since 1970."""
    user_ids: list[str]
    item_ids: list[str]

    @classmethod
    def load(cls, plan: ShopPlan, home: Path) -> "CleanRows":
        """Fetch and clean the whole source at once, in a lake of its own."""
        lake, settings = Lake.open(str(home / "truth"), NAMESPACE), Settings.load(plan.settings)
        settings = settings.model_copy(
            update={"limits": settings.limits.model_copy(update={"max_rejected": 1.0})}
        )
        last = plan.first_night + (plan.nights + 7) * DAY
        landed = fetch_source(lake, plan.source, settings.source, last, "truth", 2 * WINDOW_DAYS)
        clean_landed_objects(lake, landed, settings, last, "truth")
        rows = lake.rows("interactions")
        assert rows is not None
        table = rows.to_table(columns=["user_id", "item_id", "event_time", "weight"])
        return cls.from_table(table.filter(pc.greater(table["weight"], 0)))

    @classmethod
    def from_table(cls, table: pa.Table) -> "CleanRows":
        """Number the users and items of the lake's rows."""
        users = table["user_id"].combine_chunks().dictionary_encode()
        items = table["item_id"].combine_chunks().dictionary_encode()
        microseconds = table["event_time"].cast(pa.int64()).to_numpy()
        return cls(
            user=users.indices.to_numpy().astype(np.int64),
            item=items.indices.to_numpy().astype(np.int64),
            day=microseconds / 86_400e6,
            user_ids=users.dictionary.to_pylist(),
            item_ids=items.dictionary.to_pylist(),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Users and items in all."""
        return len(self.user_ids), len(self.item_ids)

    def select_past(self, as_of: datetime) -> PastRows:
        """Select the rows of the window before a night."""
        age = as_of.timestamp() / 86_400 - self.day
        chosen = (age > 0) & (age <= WINDOW_DAYS)
        basket = np.floor(self.day[chosen]).astype(np.int64)
        return PastRows(self.user[chosen], self.item[chosen], age[chosen], basket, self.shape)

    def build_truth(self, as_of: datetime, days: int) -> csr_matrix:
        """Mark what each user meets in the days after a night, shape (users, items)."""
        ahead = self.day - as_of.timestamp() / 86_400
        chosen = (ahead >= 0) & (ahead < days)
        ones = np.ones(int(chosen.sum()))
        truth = csr_matrix((ones, (self.user[chosen], self.item[chosen])), shape=self.shape)
        truth.data[:] = 1
        truth.sort_indices()
        return truth
