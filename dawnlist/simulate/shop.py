"""The whole shop: the events of every day, and the four raw tables that they make."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dawnlist.arrays import Int64Array
from dawnlist.cuts import MICROSECONDS_PER_DAY
from dawnlist.simulate.catalogue import (
    People,
    SimulatedCatalogue,
    assign_public_ids,
    draw_catalogue,
    draw_people,
)
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.delivery import build_raw_table, deliver_events, format_iso_utc, merge_days
from dawnlist.simulate.intruders import Intruders
from dawnlist.simulate.traffic import Customers, SimulatedEvents, concatenate_events
from dawnlist.simulate.unusual_people import UnusualPeople, find_top_actor

STAFF_DOMAIN = "dawnmart.example"
"""The domain of the staff's e-mail addresses."""
PUBLIC_MAILBOXES = ("mail.example", "post.example", "inbox.example", "webmail.example")
CountProgress = Callable[[int, int], None]
"""Called with how many of how many are done."""


@dataclass(frozen=True)
class SimulatedShop:
    """The raw tables of a simulated shop, all columns text."""

    config: ShopConfig
    """The configuration that the shop was made from."""
    interactions: pa.Table
    """The events, sorted by received_at.

    event_id, user_id, item_id, event, ts, session_id, user_agent, ua, ip_address, received_at.
    """
    items: pa.Table
    """item_id, title, genres ('A|B'), added_at."""
    users: pa.Table
    """user_id, email, role, created_at; crawlers have no account."""
    truth: pa.Table
    """user_id, kind (human, crawler, stealth:<kind>, staff or test), habit. No step reads it.

    The habit of unusual people is a key of UNUSUAL_HABITS; it is NULL for everybody else.
    """

    def tables(self) -> dict[str, pa.Table]:
        """Name the tables, in the order in which they are written."""
        return {
            "items": self.items,
            "users": self.users,
            "truth": self.truth,
            "interactions": self.interactions,
        }


def ignore_progress(done: int, total: int) -> None:
    """Show no progress."""


def simulate_shop(config: ShopConfig, progress: CountProgress = ignore_progress) -> SimulatedShop:
    """Simulate the shop of a configuration.

    `progress(days done, days in all)` is called after each day. A shop with more days and the same
    other fields has the same rows first, and then more.
    """
    people = draw_people(config)
    catalogue = draw_catalogue(config)
    customers = Customers(config, people, catalogue)
    intruders = Intruders(config, catalogue)
    unusual_people = UnusualPeople(config, catalogue, find_top_actor(intruders.list_members()))
    days = []
    for day in range(config.days):
        events = _draw_day(config, customers, intruders, unusual_people, day)
        days.append(deliver_events(config, events, day))
        progress(day + 1, config.days)
    return SimulatedShop(
        config=config,
        interactions=build_raw_table(config, merge_days(config, days)),
        items=_build_items_table(config, catalogue),
        users=_build_users_table(config, people, intruders, unusual_people),
        truth=_build_truth_table(people, intruders, unusual_people),
    )


def _draw_day(
    config: ShopConfig,
    customers: Customers,
    intruders: Intruders,
    unusual_people: UnusualPeople,
    day: int,
) -> SimulatedEvents:
    events = customers.day(day)
    popular = events.item if len(events.item) else np.zeros(1, np.int64)
    items = config.count_items(day)
    blocks = [
        events,
        intruders.draw_day(day, len(events.actor), popular, items),
        unusual_people.draw_day(day, popular, items),
    ]
    return concatenate_events([block for block in blocks if block is not None])


def _format_public_ids(indices: Int64Array) -> pa.Array:
    return pa.array(assign_public_ids(indices)).cast(pa.string())


def _compute_arrival_times(
    config: ShopConfig, arrived: Int64Array, indices: Int64Array
) -> Int64Array:
    """Compute when users or items were added, in microseconds since 1970.

    That is on the day of arrival, or in the two years before the opening day.
    """
    public_ids = assign_public_ids(indices)
    time_of_day = public_ids * 7_919_000 % MICROSECONDS_PER_DAY
    days_before = 1 + public_ids % 700
    day = np.where(arrived == 0, -days_before, arrived)
    return np.asarray(config.compute_midnight(0) + day * MICROSECONDS_PER_DAY + time_of_day)


def _build_items_table(config: ShopConfig, catalogue: SimulatedCatalogue) -> pa.Table:
    indices = np.arange(len(catalogue.title))
    added = _compute_arrival_times(config, catalogue.arrived, indices)
    return pa.table(
        {
            "item_id": _format_public_ids(indices),
            "title": catalogue.title,
            "genres": catalogue.genres,
            "added_at": format_iso_utc(added),
        }
    )


def _build_users_table(
    config: ShopConfig, people: People, intruders: Intruders, unusual_people: UnusualPeople
) -> pa.Table:
    """Build the accounts: intruders' and unusual people's first, then customers by arrival.

    So a longer shop has the same rows first.
    """
    indices: list[int] = []
    accounts: list[tuple[str, str]] = []
    for label, actors in intruders.list_members():
        if label == "crawler":
            continue
        indices += actors.tolist()
        accounts += _create_accounts(label, actors)
    for habit, actors in unusual_people.list_members():
        indices += actors.tolist()
        accounts += _create_accounts(habit, actors)
    customers = np.arange(len(people.arrived))
    accounts += _create_accounts("human", customers)
    all_indices = np.concatenate([np.array(indices, np.int64), customers])
    arrived = np.concatenate([np.zeros(len(indices), np.int64), people.arrived])
    return pa.table(
        {
            "user_id": _format_public_ids(all_indices),
            "email": [email for email, _ in accounts],
            "role": [role for _, role in accounts],
            "created_at": format_iso_utc(_compute_arrival_times(config, arrived, all_indices)),
        }
    )


def _create_accounts(label: str, actors: Int64Array) -> list[tuple[str, str]]:
    """Create e-mail and role of each account of a kind."""
    accounts = []
    for number, public_id in enumerate(assign_public_ids(actors).tolist()):
        accounts.append(_create_account(label, number, public_id))
    return accounts


def _create_account(label: str, number: int, public_id: int) -> tuple[str, str]:
    """Create e-mail and role of an account.

    Every fourth member of staff lacks the role, and every third test uses a public mailbox.
    """
    if label == "staff":
        role = "customer" if number % 4 == 3 else "staff"
        return f"staff{number + 1}@{STAFF_DOMAIN}", role
    if label == "test":
        domain = PUBLIC_MAILBOXES[0] if number % 3 == 2 else STAFF_DOMAIN
        return f"qa+{number + 1}@{domain}", "test"
    domain = PUBLIC_MAILBOXES[public_id % len(PUBLIC_MAILBOXES)]
    return f"u{public_id}@{domain}", "customer"


def _build_truth_table(
    people: People, intruders: Intruders, unusual_people: UnusualPeople
) -> pa.Table:
    groups: list[tuple[str, str | None, Int64Array]] = []
    for kind, actors in intruders.list_members():
        groups.append((kind, None, actors))
    for unusual_habit, actors in unusual_people.list_members():
        groups.append(("human", unusual_habit, actors))
    groups.append(("human", None, np.arange(len(people.arrived))))
    kinds: list[str] = []
    habits: list[str | None] = []
    for kind, habit, actors in groups:
        kinds += [kind] * len(actors)
        habits += [habit] * len(actors)
    indices = np.concatenate([actors for _, _, actors in groups])
    return pa.table(
        {
            "user_id": _format_public_ids(indices),
            "kind": kinds,
            "habit": pa.array(habits, pa.string()),
        }
    )
