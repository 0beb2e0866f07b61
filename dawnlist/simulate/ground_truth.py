"""Read the raw table back with perfect knowledge of its dirt, for tests and benchmarks.

No step may use this. The pipeline's own cleaning is compared with it, and they share no code.
"""

import pandas as pd

from dawnlist.schema import EVENT_WEIGHTS
from dawnlist.simulate.shop import STAFF_DOMAIN, SimulatedShop

ROBOT_AGENT_PATTERN = r"bot|crawl|spider|externalhit|python-requests|curl/|scrapy|go-http|headless"
"""A regular expression for the user agents of declared robots, whatever the case."""
_MAX_DELAY_SECONDS = 60 * 86_400


def recover_events(shop: SimulatedShop) -> pd.DataFrame:
    """Read the usable rows, each event once.

    The columns are user, item, time (epoch seconds), weight, event, agent, session, address and
    kind, which is the truth label.
    """
    raw = shop.interactions.to_pandas().drop_duplicates("event_id")
    has_ids = raw["user_id"].notna() & raw["item_id"].notna()
    raw = raw[has_ids & raw["event"].isin(EVENT_WEIGHTS)]
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
    is_plausible = abs(received - parsed["time"]) < _MAX_DELAY_SECONDS
    parsed = parsed[parsed["time"].notna() & is_plausible]
    labels = shop.truth.to_pydict()
    kinds = dict(zip(labels["user_id"], labels["kind"], strict=True))
    return parsed.assign(kind=parsed["user"].map(kinds))


def select_people(parsed: pd.DataFrame) -> pd.DataFrame:
    """Select the events of customers."""
    return parsed[parsed["kind"] == "human"]


def drop_declared_robots(parsed: pd.DataFrame, shop: SimulatedShop) -> pd.DataFrame:
    """Drop the events of robots with a robot's user agent, and of the shop's own accounts.

    The stealthy bots stay in.
    """
    users = shop.users.to_pandas()
    has_staff_role = users["role"].isin(["staff", "test"])
    has_staff_address = users["email"].str.endswith("@" + STAFF_DOMAIN)
    staff = users.loc[has_staff_role | has_staff_address, "user_id"]
    is_robot = parsed["agent"].str.contains(ROBOT_AGENT_PATTERN, case=False, na=False)
    robots = parsed.loc[is_robot, "user"].unique()
    return parsed[~parsed["user"].isin(staff) & ~parsed["user"].isin(robots)]


def _parse_epoch_seconds(texts: "pd.Series[str]") -> "pd.Series[float]":
    numbers = pd.to_numeric(texts, errors="coerce")
    # larger numbers are milliseconds
    numbers = numbers.where(numbers < 1e11, numbers / 1_000)
    time_texts = texts[numbers.isna()]
    # pandas 2.3 reads some of the times without a zone in the zone of the row before
    has_zone = time_texts.str.contains(r"(?:Z|[+-]\d\d:\d\d)$")
    time_texts = time_texts.where(has_zone, time_texts + "Z")
    times = pd.to_datetime(time_texts, errors="coerce", utc=True, format="ISO8601")
    seconds = (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return numbers.fillna(seconds)
