"""The whole shop: every day's people and intruders, and the four raw tables that come of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dawnlist.arrays import Int64Array
from dawnlist.cuts import MICROSECONDS_PER_DAY
from dawnlist.simulate import catalogue as stock
from dawnlist.simulate.catalogue import People, SimulatedCatalogue, assign_public_ids
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.delivery import build_raw_table, deliver_events, format_iso_utc, merge_days
from dawnlist.simulate.intruders import Intruders
from dawnlist.simulate.traffic import Customers, concatenate_events

STAFF_DOMAIN = "dawnmart.example"
"""Staff have an e-mail address here."""
PUBLIC_MAILBOXES = ("mail.example", "post.example", "inbox.example", "webmail.example")
CountProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class SimulatedShop:
    """The raw tables of a simulated shop, all columns text."""

    config: ShopConfig
    interactions: pa.Table
    """event_id, user_id, item_id, event, ts, session_id, user_agent, ua, ip_address, received_at; by received_at."""
    items: pa.Table
    """item_id, title, genres ('A|B'), added_at."""
    users: pa.Table
    """user_id, email, role, created_at; crawlers have no account."""
    truth: pa.Table
    """user_id, kind: human, crawler, stealth:<kind>, staff or test. No step of the pipeline reads it."""

    def tables(self) -> dict[str, pa.Table]:
        """Name to table, in the order they are written."""
        return {
            "items": self.items,
            "users": self.users,
            "truth": self.truth,
            "interactions": self.interactions,
        }


def _ignore_progress(done: int, total: int) -> None:
    """No progress bar."""


def simulate_shop(config: ShopConfig, progress: CountProgress = _ignore_progress) -> SimulatedShop:
    """The shop of a config; `progress(days done, days in all)` is called after each day.

    A shop with more days and the same other fields has the same rows, and then more.
    """
    who, shop = stock.draw_people(config), stock.draw_catalogue(config)
    customers, intruders = Customers(config, who, shop), Intruders(config, shop)
    days = []
    for day in range(config.days):
        events = customers.day(day)
        seen = events.item if len(events.item) else np.zeros(1, np.int64)
        others = intruders.day(day, len(events.actor), seen, config.items_on(day))
        days.append(
            deliver_events(
                config, events if others is None else concatenate_events([events, others]), day
            )
        )
        progress(day + 1, config.days)
    interactions = build_raw_table(config, merge_days(config, days))
    return SimulatedShop(
        config,
        interactions,
        _build_items_table(config, shop),
        _build_users_table(config, who, intruders),
        _build_truth_table(who, intruders),
    )


def _format_public_ids(indices: Int64Array) -> pa.Array:
    return pa.array(assign_public_ids(indices)).cast(pa.string())


def _compute_arrival_times(
    config: ShopConfig, arrived: Int64Array, indices: Int64Array
) -> Int64Array:
    """Microseconds: on the day of arrival, or in the two years before the opening."""
    moment = assign_public_ids(indices) * 7_919_000 % MICROSECONDS_PER_DAY
    before = 1 + assign_public_ids(indices) % 700
    return np.asarray(
        config.start_us + np.where(arrived == 0, -before, arrived) * MICROSECONDS_PER_DAY + moment
    )


def _build_items_table(config: ShopConfig, shop: SimulatedCatalogue) -> pa.Table:
    indices = np.arange(len(shop.title))
    added = format_iso_utc(_compute_arrival_times(config, shop.arrived, indices))
    return pa.table(
        {
            "item_id": _format_public_ids(indices),
            "title": shop.title,
            "genres": shop.genres,
            "added_at": added,
        }
    )


def _build_users_table(config: ShopConfig, who: People, intruders: Intruders) -> pa.Table:
    """Accounts: intruders' first, then customers by arrival, so that a longer shop only adds rows."""
    indices, emails, roles = [], [], []
    for label, group in intruders.labels():
        if label == "crawler":
            continue
        for number, (index, public) in enumerate(zip(group, assign_public_ids(group), strict=True)):
            email, role = _create_account(label, number, int(public))
            indices.append(int(index))
            emails.append(email)
            roles.append(role)
    people = np.arange(len(who.arrived))
    accounts = [
        _create_account("human", 0, public) for public in assign_public_ids(people).tolist()
    ]
    all_indices = np.concatenate([np.array(indices, np.int64), people])
    arrived = np.concatenate([np.zeros(len(indices), np.int64), who.arrived])
    return pa.table(
        {
            "user_id": _format_public_ids(all_indices),
            "email": [*emails, *(email for email, _ in accounts)],
            "role": [*roles, *(role for _, role in accounts)],
            "created_at": format_iso_utc(_compute_arrival_times(config, arrived, all_indices)),
        }
    )


def _create_account(label: str, number: int, public_id: int) -> tuple[str, str]:
    """(e-mail, role): of staff every fourth forgot the role, of tests every third uses a public mailbox."""
    if label == "staff":
        return f"staff{number + 1}@{STAFF_DOMAIN}", "customer" if number % 4 == 3 else "staff"
    if label == "test":
        return f"qa+{number + 1}@{PUBLIC_MAILBOXES[0] if number % 3 == 2 else STAFF_DOMAIN}", "test"
    return f"u{public_id}@{PUBLIC_MAILBOXES[public_id % len(PUBLIC_MAILBOXES)]}", "customer"


def _build_truth_table(who: People, intruders: Intruders) -> pa.Table:
    groups = [*intruders.labels(), ("human", np.arange(len(who.arrived)))]
    kinds = np.repeat([label for label, _ in groups], [len(group) for _, group in groups])
    return pa.table(
        {
            "user_id": _format_public_ids(np.concatenate([group for _, group in groups])),
            "kind": kinds.tolist(),
        }
    )
