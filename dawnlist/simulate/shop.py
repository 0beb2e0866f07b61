"""The whole shop: every day's people and intruders, and the four raw tables that come of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dawnlist.simulate import catalogue as stock
from dawnlist.simulate.catalogue import Catalogue, Integers, People, public_ids
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.dirt import delivered, iso_utc, raw_table, together
from dawnlist.simulate.intruders import Intruders
from dawnlist.simulate.traffic import DAY_US, Customers, joined

DOMAIN = "dawnmart.example"
"""Staff have an e-mail address here."""
MAILBOXES = ("mail.example", "post.example", "inbox.example", "webmail.example")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Shop:
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
        return {"items": self.items, "users": self.users, "truth": self.truth, "interactions": self.interactions}


def _silent(done: int, total: int) -> None:
    """No progress bar."""


def simulate(config: ShopConfig, progress: Progress = _silent) -> Shop:
    """The shop of a config; `progress(days done, days in all)` is called after each day.

    A shop with more days and the same other fields has the same rows, and then more.
    """
    who, shop = stock.people(config), stock.catalogue(config)
    customers, intruders = Customers(config, who, shop), Intruders(config, shop)
    days = []
    for day in range(config.days):
        events = customers.day(day)
        seen = events.item if len(events.item) else np.zeros(1, np.int64)
        others = intruders.day(day, len(events.actor), seen, config.items_on(day))
        days.append(delivered(config, events if others is None else joined([events, others]), day))
        progress(day + 1, config.days)
    interactions = raw_table(config, together(config, days))
    return Shop(config, interactions, _items(config, shop), _users(config, who, intruders), _truth(who, intruders))


def _text_ids(indices: Integers) -> pa.Array:
    return pa.array(public_ids(indices)).cast(pa.string())


def _arrival_times(config: ShopConfig, arrived: Integers, indices: Integers) -> Integers:
    """Microseconds: on the day of arrival, or in the two years before the opening."""
    moment = public_ids(indices) * 7_919_000 % DAY_US
    before = 1 + public_ids(indices) % 700
    return np.asarray(config.start_us + np.where(arrived == 0, -before, arrived) * DAY_US + moment)


def _items(config: ShopConfig, shop: Catalogue) -> pa.Table:
    indices = np.arange(len(shop.title))
    added = iso_utc(_arrival_times(config, shop.arrived, indices))
    return pa.table({"item_id": _text_ids(indices), "title": shop.title, "genres": shop.genres, "added_at": added})


def _users(config: ShopConfig, who: People, intruders: Intruders) -> pa.Table:
    """Accounts: intruders' first, then customers by arrival, so that a longer shop only adds rows."""
    indices, emails, roles = [], [], []
    for label, group in intruders.labels():
        if label == "crawler":
            continue
        for number, (index, public) in enumerate(zip(group, public_ids(group), strict=True)):
            email, role = _account(label, number, int(public))
            indices.append(int(index))
            emails.append(email)
            roles.append(role)
    people = np.arange(len(who.arrived))
    accounts = [_account("human", 0, public) for public in public_ids(people).tolist()]
    all_indices = np.concatenate([np.array(indices, np.int64), people])
    arrived = np.concatenate([np.zeros(len(indices), np.int64), who.arrived])
    return pa.table(
        {
            "user_id": _text_ids(all_indices),
            "email": [*emails, *(email for email, _ in accounts)],
            "role": [*roles, *(role for _, role in accounts)],
            "created_at": iso_utc(_arrival_times(config, arrived, all_indices)),
        }
    )


def _account(label: str, number: int, public_id: int) -> tuple[str, str]:
    """(e-mail, role): of staff every fourth forgot the role, of tests every third uses a public mailbox."""
    if label == "staff":
        return f"staff{number + 1}@{DOMAIN}", "customer" if number % 4 == 3 else "staff"
    if label == "test":
        return f"qa+{number + 1}@{MAILBOXES[0] if number % 3 == 2 else DOMAIN}", "test"
    return f"u{public_id}@{MAILBOXES[public_id % len(MAILBOXES)]}", "customer"


def _truth(who: People, intruders: Intruders) -> pa.Table:
    groups = [*intruders.labels(), ("human", np.arange(len(who.arrived)))]
    kinds = np.repeat([label for label, _ in groups], [len(group) for _, group in groups])
    return pa.table({"user_id": _text_ids(np.concatenate([group for _, group in groups])), "kind": kinds.tolist()})
