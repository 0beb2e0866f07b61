"""How well single features, and all of them together, tell each kind of stealthy bot from people.

`python benchmarks/bot_features.py` prints the AUC of each feature for each kind, and the AUC of a discriminant of all
features. The features share no code with components/filter_bots: they are the simulator's own yardstick.
"""

import argparse
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata

from dawnlist.arrays import Float64Array
from dawnlist.simulate import ShopConfig, SimulatedShop, ground_truth, simulate_shop
from dawnlist.simulate.purposes import HELD_OUT_KIND

EVENTS = 20  # of a user, to be judged at all
Columns = dict[str, "pd.Series[Any]"]
SESSION_GAP = 1_800.0  # seconds
DAY = 86_400.0
ACTS = ("click", "like", "cart", "purchase")


def judged(shop: SimulatedShop) -> pd.DataFrame:
    """Events of people and stealthy bots with at least EVENTS events, by user and time, with more columns.

    day, hour, popular (log of the item's users), theme (the item's first genre), pause
    (seconds since the user's last event), session_number (unique; a new one after SESSION_GAP).
    """
    events = ground_truth.recover_events(shop)
    events["item"] = pd.to_numeric(events["item"])
    popular = log(events.groupby("item")["user"].nunique())
    items = shop.items.to_pandas()
    themes = pd.Series(
        items["genres"].str.split("|").str[0].to_numpy(), index=pd.to_numeric(items["item_id"])
    )
    events = events[events["kind"].eq("human") | events["kind"].str.startswith("stealth:")]
    events = events[events.groupby("user")["user"].transform("size") >= EVENTS]
    events = events.assign(user=pd.factorize(events["user"])[0])
    events = events.sort_values(["user", "time"], kind="stable", ignore_index=True)
    pause = events.groupby("user")["time"].diff()
    return events.assign(
        day=events["time"] // DAY,
        hour=events["time"] % DAY // 3_600,
        popular=events["item"].map(popular),
        theme=events["item"].map(themes),
        pause=pause,
        session_number=(~(pause < SESSION_GAP)).cumsum(),
    )


def log(values: "pd.Series[Any]") -> "pd.Series[float]":
    """Natural logarithms, with the same index."""
    return pd.Series(np.log(values.to_numpy(np.float64)), index=values.index)


def entropy(events: pd.DataFrame, column: str) -> "pd.Series[float]":
    """Of a column's values, for each user, in nats."""
    counts = events.groupby(["user", column]).size()
    share = counts / counts.groupby("user").transform("sum")
    return -(share * np.log(share)).groupby("user").sum()


def features(shop: SimulatedShop) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """(users, features) without gaps, and the users' kinds."""
    events = judged(shop)
    kinds = events.groupby("user")["kind"].first()
    found = {
        **volumes(events),
        **times(events),
        **choices(events),
        **acts(events),
        **origins(events),
    }
    table = pd.DataFrame(found).reindex(kinds.index)
    return table.fillna(table.median()), kinds


def volumes(events: pd.DataFrame) -> Columns:
    """How much, how often, in which portions."""
    by_user = events.groupby("user")
    total, days = by_user.size(), by_user["day"].nunique()
    by_start = events.groupby(["user", "session_number"])["time"]
    session = pd.DataFrame({"n": by_start.size(), "seconds": by_start.max() - by_start.min()})
    by_session = session.groupby("user")
    visits = (
        events[events["event"] == "view"].groupby(["user", "session_number"]).size().groupby("user")
    )
    gap = (
        events.drop_duplicates(["user", "day"])
        .groupby("user")["day"]
        .diff()
        .groupby(events["user"])
    )
    return {
        "events": total,
        "active days": days,
        "events per active day": total / days,
        "largest day": events.groupby(["user", "day"]).size().groupby("user").max(),
        "sessions per active day": by_session.size() / days,
        "session length, mean": by_session["n"].mean(),
        "session length, largest": by_session["n"].max(),
        "session length, spread": by_session["n"].std() / by_session["n"].mean(),
        "views per session, mean": visits.mean(),
        "views per session, spread": visits.std() / visits.mean(),
        "session seconds, mean": by_session["seconds"].mean(),
        "active hours per active day": events.groupby(["user", "day"])["hour"]
        .nunique()
        .groupby("user")
        .mean(),
        "days between active days, mean": gap.mean(),
        "days between active days, spread": gap.std() / gap.mean(),
        "life in days": by_user["day"].max() - by_user["day"].min(),
    }


def times(events: pd.DataFrame) -> Columns:
    """The clock and the pauses inside sessions."""
    inside = events[events["pause"] < SESSION_GAP]
    log_pause = log(inside["pause"].clip(lower=0.01))
    pauses = log_pause.groupby(inside["user"])
    views = events[events["event"] == "view"]
    between = views.groupby(["user", "session_number"])["time"].diff()
    between_views = log(between[between > 0].clip(lower=0.01)).groupby(views["user"])
    starts = events.drop_duplicates(["user", "session_number"])
    angle = starts["hour"] * (2 * np.pi / 24)
    circle = np.hypot(
        np.cos(angle).groupby(starts["user"]).mean(), np.sin(angle).groupby(starts["user"]).mean()
    )
    night = events["hour"].between(0, 5).groupby(events["user"]).mean()
    binned = inside.assign(bin=np.floor(log_pause * 2))
    return {
        "pause, median": pauses.median(),
        "pause, mean of log": pauses.mean(),
        "pause, spread of log": pauses.std(),
        "pause, quartiles of log": pauses.quantile(0.75) - pauses.quantile(0.25),
        "pause, entropy": entropy(binned, "bin"),
        "pause, share below 2 s": (inside["pause"] < 2).groupby(inside["user"]).mean(),
        "pause, longest": pauses.max(),
        "pause, skewness of log": pauses.skew(),
        "pause between views, median": between_views.median(),
        "pause between views, spread of log": between_views.std(),
        "night share": night,
        "hours, entropy": entropy(starts, "hour"),
        "hours, distinct": starts.groupby("user")["hour"].nunique() / starts.groupby("user").size(),
        "hours, concentration": circle,
        "weekend share": ((events["day"] + 3) % 7 >= 5).groupby(events["user"]).mean(),
    }


def choices(events: pd.DataFrame) -> Columns:
    """Which items, and whether again."""
    by_user = events.groupby("user")
    views = events[events["event"] == "view"]
    by_viewer = views.groupby("user")
    step = views.groupby(["user", "session_number"])["item"].diff()
    again = views.duplicated(["user", "item"])
    later = again & ~views.duplicated(["user", "item", "session_number"])
    return {
        "distinct items per event": by_user["item"].nunique() / by_user.size(),
        "distinct items per view": by_viewer["item"].nunique() / by_viewer.size(),
        "views of items seen before": again.groupby(views["user"]).mean(),
        "views of items of another session": later.groupby(views["user"]).mean(),
        "most frequent item": events.groupby(["user", "item"]).size().groupby("user").max()
        / by_user.size(),
        "popularity, mean": by_user["popular"].mean(),
        "popularity, median": by_user["popular"].median(),
        "popularity, spread": by_user["popular"].std(),
        "popularity, least": by_user["popular"].min(),
        "long-tail share": (events["popular"] < events["popular"].quantile(0.1))
        .groupby(events["user"])
        .mean(),
        "bestseller share": (events["popular"] > events["popular"].quantile(0.8))
        .groupby(events["user"])
        .mean(),
        "genres, entropy": entropy(events, "theme"),
        "genres, largest": events.groupby(["user", "theme"]).size().groupby("user").max()
        / by_user.size(),
        "in order of ids": (step[step.notna()] > 0).groupby(views["user"]).mean(),
        "ids, correlation": rank_correlation(views),
    }


def rank_correlation(views: pd.DataFrame) -> "pd.Series[float]":
    """Of an item's id with that of the view before, inside sessions."""
    before = views.groupby(["user", "session_number"])["item"].shift()
    pairs = pd.DataFrame({"user": views["user"], "a": views["item"], "b": before}).dropna()
    ranked = pairs.groupby("user")[["a", "b"]].rank().assign(user=pairs["user"])
    centred = ranked[["a", "b"]] - ranked.groupby("user")[["a", "b"]].transform("mean")
    product = (centred["a"] * centred["b"]).groupby(ranked["user"]).sum()
    squares = (centred**2).groupby(ranked["user"]).sum()
    spread = (squares["a"] * squares["b"]) ** 0.5
    return product / spread.where(spread > 0)


def acts(events: pd.DataFrame) -> Columns:
    """What is done beyond looking."""
    share = {
        name: (events["event"] == name).groupby(events["user"]).mean() for name in ("view", *ACTS)
    }
    order = events.sort_values(["user", "session_number", "item", "time"], kind="stable")
    place = order.groupby(["user", "session_number", "item"])
    viewed = place["event"].transform("first") == "view"
    acting = order["event"] != "view"
    delay = log((order["time"] - place["time"].transform("first")).clip(lower=0.01))[
        acting & viewed
    ]
    bought = order.assign(
        buys=order["event"].eq("purchase"), carts=order["event"].eq("cart")
    ).groupby("user")
    return {
        **{f"share of {name}s": values for name, values in share.items()},
        "acts without a view": (~viewed & acting).groupby(order["user"]).mean(),
        "purchases per cart": bought["buys"].sum() / (bought["carts"].sum() + 1),
        "act after, median": delay.groupby(order["user"]).median(),
        "act after, spread of log": delay.groupby(order["user"]).std(),
    }


def origins(events: pd.DataFrame) -> Columns:
    """Addresses and agents."""
    by_user = events.groupby("user")
    named = events[["address", "agent"]].where(
        ~events[["address", "agent"]].isin(["null", "NaN", ""])
    )
    found = named.groupby(events["user"]).nunique()
    return {
        "addresses": found["address"],
        "addresses per event": found["address"] / by_user.size(),
        "addresses per session": found["address"] / by_user["session_number"].nunique(),
        "agents": found["agent"],
    }


def auc(bots: Float64Array, people: Float64Array) -> float:
    """The chance that a bot's value is the higher one, ties halved."""
    ranks = rankdata(np.concatenate([bots, people]))[: len(bots)]
    return float((ranks.mean() - (len(bots) + 1) / 2) / len(people))


def single(table: pd.DataFrame, kinds: "pd.Series[str]") -> pd.DataFrame:
    """(features, stealthy kinds): max(AUC, 1 - AUC)."""
    people = table[kinds == "human"]
    columns = {}
    for kind in stealthy(kinds):
        bots = table[kinds == kind]
        values = [auc(bots[name].to_numpy(float), people[name].to_numpy(float)) for name in table]
        columns[kind] = [max(value, 1 - value) for value in values]
    return pd.DataFrame(columns, index=table.columns)


def together(table: pd.DataFrame, kinds: "pd.Series[str]", folds: int = 5) -> "pd.Series[float]":
    """Each stealthy kind's AUC of all features at once, each user scored by a discriminant of the other users.

    The discriminant is linear in the features' normal scores and their squares: a square tells who is too even.
    """
    normal = ndtri((table.rank().to_numpy() - 0.5) / len(table))
    scores = np.hstack([normal, normal**2])
    bots = (kinds != "human").to_numpy()
    fold = np.random.default_rng(0).integers(0, folds, len(table))
    value = np.empty(len(table))
    for held in range(folds):
        known = fold != held
        value[~known] = scores[~known] @ discriminant(scores[known & bots], scores[known & ~bots])
    found = {kind: auc(value[kinds == kind], value[~bots]) for kind in stealthy(kinds)}
    return pd.Series(found)


def stealthy(kinds: "pd.Series[str]") -> list[str]:
    """The kinds of bots, the held-out one last."""
    return sorted(set(kinds) - {"human"}, key=lambda kind: (kind == HELD_OUT_KIND, kind))


def discriminant(bots: Float64Array, people: Float64Array) -> Float64Array:
    """Fisher's direction, with a tenth of the variances added to the diagonal."""
    within = np.cov(bots.T) + np.cov(people.T)
    within += 0.1 * np.diag(np.diag(within))
    return np.asarray(np.linalg.solve(within, bots.mean(axis=0) - people.mean(axis=0)))


def measured(configs: list[ShopConfig]) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Features and kinds of the users of several shops, pooled."""
    tables, kinds = zip(*(features(simulate_shop(config)) for config in configs), strict=True)
    return pd.concat(tables, ignore_index=True), pd.concat(kinds, ignore_index=True)


def markdown(table: pd.DataFrame, kinds: "pd.Series[str]") -> str:
    """A row a kind: how many, the feature that tells it best, and all features together."""
    alone, all_of_them = single(table, kinds), together(table, kinds)
    lines = [
        "| kind | members | best single feature | its AUC | all features |",
        "|---|---|---|---|---|",
    ]
    for kind in stealthy(kinds):
        mark = " (held out)" if kind == HELD_OUT_KIND else ""
        best = f"{alone[kind].idxmax()} | {alone[kind].max():.3f}"
        lines.append(
            f"| {kind}{mark} | {(kinds == kind).sum()} | {best} | {all_of_them[kind]:.4f} |"
        )
    return "\n".join([*lines, f"| human | {(kinds == 'human').sum()} | | | |"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=8_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="pooled")
    parser.add_argument("--each", action="store_true", help="print every feature's AUC too")
    arguments = parser.parse_args()
    for night in (True, False):
        shops = [
            ShopConfig(arguments.users, days=arguments.days, seed=seed, night=night)
            for seed in arguments.seeds
        ]
        table, kinds = measured(shops)
        print(
            f"{'With' if night else 'Without'} the night-time pattern:\n\n{markdown(table, kinds)}\n"
        )
        if arguments.each:
            print(single(table, kinds).round(2).to_string(), "\n")


if __name__ == "__main__":
    main()
