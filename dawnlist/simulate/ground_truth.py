"""The raw table read back with perfect knowledge of its dirt: for tests and benchmarks, never for a step.

A yardstick that doesn't share code with the pipeline's own cleaning.
"""

import pandas as pd

from dawnlist.schema import EVENT_WEIGHTS
from dawnlist.simulate.shop import STAFF_DOMAIN, SimulatedShop

ROBOT_AGENT_PATTERN = r"bot|crawl|spider|externalhit|python-requests|curl/|scrapy|go-http|headless"


def recover_events(shop: SimulatedShop) -> pd.DataFrame:
    """Usable rows, each event once: user, item, time (epoch seconds), weight, event, agent, session, address and kind.

    The kind is the truth label.
    """
    raw = shop.interactions.to_pandas()
    raw = raw.drop_duplicates("event_id")
    raw = raw[raw["user_id"].notna() & raw["item_id"].notna() & raw["event"].isin(EVENT_WEIGHTS)]
    parsed = pd.DataFrame(
        {
            "user": raw["user_id"].str.strip().str.removesuffix(".0"),
            "item": raw["item_id"].str.strip().str.removesuffix(".0"),
            "time": _parse_epoch_seconds(raw["ts"]),
            "weight": raw["event"].map(EVENT_WEIGHTS),
            "event": raw["event"],
            "agent": raw["user_agent"].fillna(raw["ua"]),
            "session": raw["session_id"],
            "address": raw["ip_address"],
        }
    )
    received = _parse_epoch_seconds(raw["received_at"])
    parsed = parsed[parsed["time"].notna() & (abs(received - parsed["time"]) < 60 * 86_400)]
    kinds = dict(
        zip(shop.truth["user_id"].to_pylist(), shop.truth["kind"].to_pylist(), strict=True)
    )
    return parsed.assign(kind=parsed["user"].map(kinds))


def select_people(parsed: pd.DataFrame) -> pd.DataFrame:
    """What customers did."""
    return parsed[parsed["kind"] == "human"]


def drop_declared_robots(parsed: pd.DataFrame, shop: SimulatedShop) -> pd.DataFrame:
    """What a pipeline sees that knows robots' agents and the shop's own accounts: the stealthy ones stay in."""
    users = shop.users.to_pandas()
    own = users.loc[
        users["role"].isin(["staff", "test"]) | users["email"].str.endswith("@" + STAFF_DOMAIN),
        "user_id",
    ]
    robots = parsed.loc[
        parsed["agent"].str.contains(ROBOT_AGENT_PATTERN, case=False, na=False), "user"
    ].unique()
    return parsed[~parsed["user"].isin(own) & ~parsed["user"].isin(robots)]


def _parse_epoch_seconds(texts: "pd.Series[str]") -> "pd.Series[float]":
    numbers = pd.to_numeric(texts, errors="coerce")
    numbers = numbers.where(numbers < 1e11, numbers / 1_000)
    written = texts[numbers.isna()]
    # pandas 2.3 reads some of the times without a zone in the zone of the row before
    written = written.where(written.str.contains(r"(?:Z|[+-]\d\d:\d\d)$"), written + "Z")
    times = pd.to_datetime(written, errors="coerce", utc=True, format="ISO8601")
    seconds = (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return numbers.fillna(seconds)
