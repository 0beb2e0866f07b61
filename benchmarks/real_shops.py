"""What was live on real shops, night by night, against what ten lines of SQL would have served.

python benchmarks/real_shops.py --data ../shared/data        (data sets that are not there are left out)

Each night the whole pipeline runs on what has arrived until then. Then the predictor's engine is asked for the list
of everybody who comes in the next 7 days. The truth is what they met in the next 24 hours, and in the next 7 days,
repeats included. The simple rules see the same cleaned rows, from before bots are dropped. People whom the pipeline
dropped count with the list that they were served. Differences are paired by user and night, with 95% intervals
bootstrapped by users.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from clicks import markdown
from scipy.sparse import csr_matrix
from shop_nights import NAMESPACE, Night, ask_engine, run_night
from simple_rules import SIMPLE_RULES, K, PastRows

from dawnlist.arrays import BoolArray, Float64Array, Int64Array
from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.lake.lake import Lake
from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.model.metrics import ratio_interval, score_lists
from dawnlist.settings import Settings
from dawnlist.simulate import ShopConfig, simulate_shop, write_shop

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
DAY = timedelta(days=1)
WINDOW_DAYS = 365
HORIZONS = {"24 hours": 1, "7 days": 7}
"""How many days of truth follow a night."""
METRICS = ("ndcg", "recall")
GROUPS = ("all", "known", "cold")
PROGRAM_RULES = ("declared_crawlers", "previews_and_monitors", "staff")
"""The bot rules that no person is dropped by. What the others drop on a real shop is people's."""
SMALL_GRID: dict[str, Any] = {
    "factors": [32],
    "regularization": [30.0],
    "alpha": [1.0, 10.0],
    "half_life": [14.0, 60.0],
    "iterations": 5,
}
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
    kinds: dict[str, str] = field(default_factory=dict)
    """For each user of a simulated shop what it is; `human` is a person."""


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


@dataclass(frozen=True)
class UserNights:
    """The scores of one arm: one value for each user and night that is judged."""

    user: Int64Array
    known: BoolArray
    """Whether the user had a row before the night."""
    values: dict[str, Float64Array]
    """Metric -> values."""

    @classmethod
    def concatenate(cls, parts: list["UserNights"]) -> "UserNights":
        """Join nights."""
        values = {m: np.concatenate([part.values[m] for part in parts]) for m in METRICS}
        user = np.concatenate([part.user for part in parts])
        return cls(user, np.concatenate([part.known for part in parts]), values)

    def select_group(self, group: str) -> BoolArray:
        """Mark the user-nights of all, of known or of cold users."""
        marks = {"all": np.ones(len(self.known), bool), "known": self.known, "cold": ~self.known}
        return marks[group]


Scores = dict[tuple[str, str], list[UserNights]]
"""(horizon, arm) -> nights. The arm `live` is what was served."""


@dataclass
class ShopFigures:
    """What the nights of a shop came to."""

    nights: list[Night] = field(default_factory=list)
    tiers: dict[str, int] = field(default_factory=dict)
    """How many answers each rung of the predictor's ladder gave."""
    list_ages: list[float] = field(default_factory=list)
    """For each night how many days before it the served version's data ended."""
    judged: int = 0
    judged_dropped: int = 0
    """User-nights of users whom the night's bot rules had dropped."""
    people_lost: list[float] = field(default_factory=list)
    """For each night the share of people's events that the bot rules dropped."""
    scores: Scores = field(default_factory=dict)


def run_shop(plan: ShopPlan, home: Path, grid: dict[str, Any]) -> ShopFigures:
    """Run a shop's nights, and score what was live after each."""
    rows = CleanRows.load(plan, home)
    figures = ShopFigures()
    with run_embedded_valkey(home / "valkey") as redis:
        arguments = {
            "source": plan.source,
            "lake": str(home / "lake"),
            "redis": redis,
            "namespace": NAMESPACE,
            "settings": plan.settings,
            "window_days": WINDOW_DAYS,
            "k": K,
            **grid,
        }
        for number in range(plan.nights):
            as_of = plan.first_night + number * DAY
            night = run_night(arguments, as_of, home / f"night-{as_of:%Y%m%d}")
            figures.nights.append(night)
            judge_night(plan, rows, night, redis, figures)
            shutil.rmtree(home / f"night-{as_of:%Y%m%d}" / "artifacts", ignore_errors=True)
            print_night(night, figures)
    return figures


def print_night(night: Night, figures: ShopFigures) -> None:
    """Print a line for a night."""
    live = figures.scores["24 hours", "live"][-1]
    print(
        f"  {night.as_of:%Y-%m-%d} {night.seconds:5.1f} s, lists of {figures.list_ages[-1]:.0f} days ago, "
        f"{len(live.user)} users, ndcg {mean(live.values['ndcg']):.4f}, "
        f"{len(night.dropped_users)} users dropped, {night.outcome[:150]}",
        flush=True,
    )


def judge_night(
    plan: ShopPlan, rows: CleanRows, night: Night, redis: str, figures: ShopFigures
) -> None:
    """Score what is live and what each rule would serve, for all who come in the next 7 days."""
    past = rows.select_past(night.as_of)
    truths = {name: rows.build_truth(night.as_of, days) for name, days in HORIZONS.items()}
    users = np.flatnonzero(np.diff(truths["7 days"].indptr))
    users = users[select_people(plan, rows, users)]
    known = np.bincount(past.user, minlength=rows.shape[0])[users] > 0
    count_lost_events(plan, rows, past, night, figures)
    lists = {"live": read_live_lists(rows, users, redis, night, figures)}
    for name, rule in SIMPLE_RULES.items():
        lists[name] = rule(past, users)
    dropped = np.array([rows.user_ids[user] in night.dropped_users for user in users], bool)
    figures.judged += len(users)
    figures.judged_dropped += int(dropped.sum())
    for horizon, truth in truths.items():
        comes = np.diff(truth.indptr)[users] > 0
        for arm, arm_lists in lists.items():
            scores = score_lists(arm_lists[comes], truth[users[comes]])
            values = {metric: getattr(scores, metric) for metric in METRICS}
            part = UserNights(users[comes], known[comes], values)
            figures.scores.setdefault((horizon, arm), []).append(part)


def select_people(plan: ShopPlan, rows: CleanRows, users: Int64Array) -> BoolArray:
    """Mark the users who are people: all of a real shop, the humans of a simulated one."""
    if not plan.kinds:
        return np.ones(len(users), bool)
    return np.array([plan.kinds.get(rows.user_ids[user]) == "human" for user in users], bool)


def count_lost_events(
    plan: ShopPlan, rows: CleanRows, past: PastRows, night: Night, figures: ShopFigures
) -> None:
    """Add which share of people's events the bot rules dropped.

    On a real shop nobody knows who is a person. There, what the rules drop that do not go by a
    program's own name, or by the staff's accounts, counts as people's.
    """
    if not plan.kinds:
        shares = night.dropped_events.items()
        figures.people_lost.append(sum(value for rule, value in shares if rule not in PROGRAM_RULES))
        return
    events = np.bincount(past.user, minlength=rows.shape[0])
    people = np.flatnonzero(select_people(plan, rows, np.arange(rows.shape[0])))
    lost = [user for user in people if rows.user_ids[user] in night.dropped_users]
    figures.people_lost.append(float(events[lost].sum() / max(1, events[people].sum())))


def read_live_lists(
    rows: CleanRows, users: Int64Array, redis: str, night: Night, figures: ShopFigures
) -> Int64Array:
    """Read what the predictor's engine answers to each user, shape (users, K)."""
    positions = {item_id: position for position, item_id in enumerate(rows.item_ids)}
    lists = np.full((len(users), K), -1, np.int64)
    answers = ask_engine(redis, [rows.user_ids[user] for user in users], K)
    for row, answer in enumerate(answers):
        figures.tiers[answer.tier] = figures.tiers.get(answer.tier, 0) + 1
        # An item that nobody has met yet takes its place, and can't be a hit.
        items = [positions.get(item_id, -1) for item_id in answer.item_ids[:K]]
        lists[row, : len(items)] = items
    live_as_of = answers[0].as_of if answers else None
    age = (night.as_of - live_as_of) / DAY if live_as_of else np.inf
    figures.list_ages.append(age)
    return lists


def mean(values: Float64Array) -> float:
    """Average, or NaN without values."""
    return float(values.mean()) if len(values) else float("nan")


def compare_with_live(live: UserNights, rule: UserNights, metric: str) -> dict[str, float]:
    """Compare what was live with a rule: the mean difference, and its interval by users."""
    difference = live.values[metric] - rule.values[metric]
    users, position = np.unique(live.user, return_inverse=True)
    sums = np.bincount(position, weights=difference, minlength=len(users))
    low, high = ratio_interval(sums, np.bincount(position).astype(np.float64), seed=7)
    return {"difference": mean(difference), "low": low, "high": high}


def compute_rows(figures: ShopFigures, horizon: str) -> list[dict[str, Any]]:
    """Compute the table of a horizon: a row for what was live, and one for each rule."""
    arms = {arm: UserNights.concatenate(parts) for (name, arm), parts in figures.scores.items()
            if name == horizon}  # fmt: skip
    rows = []
    for arm, scores in arms.items():
        row: dict[str, Any] = {"arm": arm}
        for metric in METRICS:
            for group in GROUPS:
                row[f"{metric} {group}"] = mean(scores.values[metric][scores.select_group(group)])
            row[metric] = compare_with_live(arms["live"], scores, metric)
        rows.append(row)
    return rows


def format_row(row: dict[str, Any]) -> dict[str, str]:
    """Format a row for people."""
    cells = {"": row["arm"]}
    for metric in METRICS:
        for group in GROUPS:
            cells[f"{metric}@{K} {group}"] = f"{row[f'{metric} {group}']:.4f}"
    for metric in METRICS:
        compared = row[metric]
        cells[f"live less it, {metric} (95%)"] = (
            f"{compared['difference']:+.4f} ({compared['low']:+.4f} to {compared['high']:+.4f})"
        )
    if row["arm"] == "live":
        for metric in METRICS:
            cells[f"live less it, {metric} (95%)"] = ""
    return cells


def summarize(rows: list[dict[str, Any]], metric: str) -> dict[str, bool]:
    """Say whether what was live is below no rule, and above all."""
    compared = [row[metric] for row in rows if row["arm"] != "live"]
    return {
        "below none": all(one["difference"] >= 0 for one in compared),
        "below none with an interval": all(one["high"] >= 0 for one in compared),
        "above all with an interval": all(one["low"] > 0 for one in compared),
    }


def print_shop(plan: ShopPlan, figures: ShopFigures) -> dict[str, Any]:
    """Print a shop's tables, and return them as data."""
    seconds = [night.seconds for night in figures.nights]
    print(f"\n## {plan.name}, {plan.nights} nights from {plan.first_night:%Y-%m-%d}\n")
    print(f"seconds a night: {np.median(seconds):.1f} (median), {max(seconds):.1f} (longest)")
    print(
        f"people's events lost to bot rules: {np.mean(figures.people_lost):.2%} (mean of the nights), "
        f"{max(figures.people_lost):.2%} (worst night)"
    )
    print(f"user-nights judged: {figures.judged:,}, of users whom the bot rules dropped: {figures.judged_dropped:,}")  # fmt: skip
    print(f"answers by rung: {figures.tiers}; the lists' age in days: {figures.list_ages}")
    told: dict[str, Any] = {"tables": {}, "verdicts": {}}
    for horizon in HORIZONS:
        rows = compute_rows(figures, horizon)
        live = UserNights.concatenate(figures.scores[horizon, "live"])
        print(f"\n{plan.name}: the next {horizon}, {len(live.user):,} user-nights of {len(np.unique(live.user)):,} "
              f"users, {(~live.known).sum():,} of them cold\n")  # fmt: skip
        markdown([format_row(row) for row in rows])
        told["tables"][horizon] = rows
        for metric in METRICS:
            verdict = summarize(rows, metric)
            told["verdicts"][f"{horizon} {metric}"] = verdict
            words = "; ".join(f"{name}: {'yes' if holds else 'no'}" for name, holds in verdict.items())
            print(f"{plan.name}, {horizon}, {metric}@{K}: {words}", flush=True)
    return told | {
        "people_lost": figures.people_lost,
        "tiers": figures.tiers,
        "list_ages": figures.list_ages,
        "nights": [asdict(night) | {"dropped_users": len(night.dropped_users)} for night in figures.nights],
    }  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder of the real data sets"
    )
    parser.add_argument("--shops", nargs="+", choices=SHOPS, default=SHOPS[:-1])
    parser.add_argument("--nights", type=int, default=0, help="run only the first so many nights")
    parser.add_argument("--grid", choices=("default", "small"), default="default")
    parser.add_argument(
        "--out", type=Path, default=Path(".dawnlist/real-shops"), help="emptied for each shop"
    )
    return parser.parse_args()


def main() -> None:
    given = parse_arguments()
    grid = SMALL_GRID if given.grid == "small" else {}
    summaries: list[dict[str, str]] = []
    for name in given.shops:
        home = (given.out / name).resolve()
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        if name in SIMULATED_SHOPS:
            plan = plan_simulated_shop(name, home)
        elif (given.data / name).is_dir():
            plan = plan_real_shop(name, given.data.resolve(), home)
        else:
            print(f"{name}: not there")
            continue
        if given.nights:
            plan = ShopPlan(**{**vars(plan), "nights": min(given.nights, plan.nights)})
        print(f"{name}: running {plan.nights} nights", flush=True)
        told = print_shop(plan, run_shop(plan, home, grid))
        (given.out / f"{name}.json").write_text(json.dumps(told, indent=1, default=str))
        summaries += summarize_shop(name, told)
    print()
    if summaries:
        markdown(summaries)


def summarize_shop(name: str, told: dict[str, Any]) -> list[dict[str, str]]:
    """Build a line for each horizon: what was live, the strongest rule, and the verdicts on NDCG."""
    lines = []
    for horizon, rows in told["tables"].items():
        rules = [row for row in rows if row["arm"] != "live"]
        best = max(rules, key=lambda row: float(row["ndcg all"]))
        verdict = told["verdicts"][f"{horizon} ndcg"]
        lines.append(
            {
                "shop": name,
                "truth": f"next {horizon}",
                f"live, ndcg@{K}": f"{rows[0]['ndcg all']:.4f}",
                "strongest rule": f"{best['arm']} {best['ndcg all']:.4f}",
                **{words: "yes" if holds else "no" for words, holds in verdict.items()},
                "people's events lost": f"{max(told['people_lost']):.2%}",
            }
        )
    return lines


if __name__ == "__main__":
    main()
