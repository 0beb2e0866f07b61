"""What the gate lets through and what it stops, by simulation of many gates (docs/GATE.md).

python benchmarks/gate.py                              the best of 24 equal models; models each 0.5% worse; equal models

Users' metrics are real: NDCG@20 of each user of a simulated shop's last days under models that were fitted by the
daily run's own code. Two models are made equal by swapping their values for every user at random, so that they differ
from user to user as much as they did, and in the mean by chance alone; one is made worse by taking hits away.
"""

import argparse
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from dawnlist.als import training
from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.dataset.split_pairs import build_splits
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.components.gate.history import GATE_HISTORY_DAYS, GateRecord, build_gate_record
from dawnlist.components.gate.verdict import decide_verdict
from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.model import popularity
from dawnlist.model.config import ALSConfig
from dawnlist.model.evaluation import Difference, Evaluation, HoldoutFacts, Lift
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.hybrid import blend_fitted_popularity
from dawnlist.model.metrics import score_lists
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import UserItems
from dawnlist.records.verdict import Verdict
from dawnlist.schema import VERDICTS_SCHEMA
from dawnlist.settings import GateSettings, Settings
from dawnlist.simulate import ShopConfig, simulate_shop, write_shop

Floats = npt.NDArray[np.float64]
K = 20
LENGTH = 60
BLOCKS = 20
SIZES = (500, 5_000, 50_000)
START = datetime(2026, 1, 1, tzinfo=UTC)
PASSED_TODAY = {
    "as_of": format_iso(START - timedelta(days=1000)),
    "version": 1,
    "winner": "challenger",
}
USED = ALSConfig(factors=32, regularization=30.0, alpha=1.0, half_life=14.0, popularity_share=0.3)
OTHERS = {
    "trained again": replace(USED, seed=8),
    "another half-life": replace(USED, half_life=60.0),
}


@dataclass(frozen=True)
class Day:
    """The metric of each user of one day, shape (users,)."""

    used: Floats
    other: Floats
    """Of a model that is as good."""
    popularity: Floats

    @property
    def noise(self) -> float:
        """How far the two differ from user to user: standard deviation over mean."""
        return float((self.used - self.other).std() / self.used.mean())


def measured(users: int, judged: int) -> dict[str, list[Day]]:
    """The last days of a simulated shop, under a model that was trained again and under another configuration."""
    days: dict[str, list[Day]] = {noise: [] for noise in OTHERS}
    with tempfile.TemporaryDirectory(prefix="dawnlist-gate-") as folder:
        config, url = ShopConfig(users, days=70, seed=3), f"sqlite:///{folder}/shop.db"
        write_shop(simulate_shop(config), url)
        lake, settings, end = (
            Lake.open(f"{folder}/lake", "gate"),
            Settings(),
            parse_as_of(f"{config.end}T00:00:00Z"),
        )
        version = clean_landed_objects(
            lake, fetch_source(lake, url, settings.source, end, "r", 70), settings, end, "r"
        )["interactions_version"]
        for back in range(judged):
            as_of = end - timedelta(days=back)
            splits, _ = build_splits(lake, version, VERDICTS_SCHEMA.empty_table(), as_of, 60)
            user_items = splits.user_items("train")
            windows = [
                _ndcg(splits, popularity.fit_popularity(user_items, name))
                for name in popularity.POPULARITY_WINDOWS
            ]
            strongest = max(windows, key=lambda values: float(values.mean()))
            used = _ndcg(splits, _fitted(user_items, USED))
            for noise, changed in OTHERS.items():
                days[noise].append(
                    Day(used, _ndcg(splits, _fitted(user_items, changed)), strongest)
                )
    return days


def _fitted(user_items: UserItems, config: ALSConfig) -> Any:
    factors = training.fit_als(user_items, config)
    return blend_fitted_popularity(factors, user_items, config)


def _ndcg(splits: Splits, factors: Any) -> Floats:
    user_items, users = splits.user_items("train"), splits.judged("holdout")
    model = FactorModel.from_interactions(
        (splits.user_ids, splits.item_ids), factors, user_items.weight, {}, {}
    )
    lists, _ = model.align(splits.user_ids, splits.item_ids).top_k(
        users, user_items.weight[users], K
    )
    return score_lists(lists, splits.truth("holdout")[users]).ndcg


@dataclass
class Line:
    """Days of one shop, one gate each."""

    days: list[Day]
    users: int
    random: np.random.Generator
    settings: GateSettings

    def __post_init__(self) -> None:
        self.gates: list[GateRecord] = []

    def gate(self, number: int, live: float, challenger: float) -> Verdict:
        """Judge a challenger of a quality against what is live: shares of the days' own metric that are left."""
        day = self.days[self.random.integers(len(self.days))]
        drawn = self.random.integers(len(day.used), size=self.users)
        swapped = self.random.random(self.users) < 0.5
        used, other = day.used[drawn], day.other[drawn]
        kept = self.random.random(
            self.users
        )  # what the worse model loses, it loses of what the better one has
        arms = {
            "challenger": np.where(swapped, used, other) * (kept < challenger),
            "incumbent": np.where(swapped, other, used) * (kept < live),
            "popularity": day.popularity[drawn],
        }
        as_of = START + timedelta(days=number)
        found = evaluation(arms, as_of)
        verdict = decide_verdict(
            found,
            self.settings,
            as_of,
            PASSED_TODAY,
            self.gates[:GATE_HISTORY_DAYS],
        )
        self.gates.insert(0, build_gate_record(found, verdict, as_of, f"run-{number}"))
        return verdict


def evaluation(arms: dict[str, Floats], as_of: datetime) -> Evaluation:
    """What evaluate would report of these users; intervals by the delta method, which is quick."""
    users, means = (
        len(arms["challenger"]),
        {arm: float(values.mean()) for arm, values in arms.items()},
    )
    ahead = arms["challenger"] - arms["popularity"]
    ratio = means["challenger"] / means["popularity"]
    error = ratio * np.std(
        arms["challenger"] / means["challenger"] - arms["popularity"] / means["popularity"]
    )
    lift = _interval(ratio, float(error), users)
    return Evaluation(
        k=K,
        metric="ndcg",
        evaluated_users=users,
        items=1000,
        holdout=HoldoutFacts(format_iso(as_of - timedelta(days=1)), format_iso(as_of)),
        popularity_window="whole",
        arms={arm: {"ndcg@20": mean, "coverage@20": 0.5} for arm, mean in means.items()},
        differences={"popularity": _interval(float(ahead.mean()), float(ahead.std()), users)},
        lift=Lift(lift.mean, lift.low, lift.high),
        per_user={arm: arms[arm].tolist() for arm in ("challenger", "incumbent")},
    )


def _interval(mean: float, deviation: float, users: int) -> Difference:
    half = 1.96 * deviation / sqrt(users)
    return Difference(mean, mean - half, mean + half)


def best_of(
    days: list[Day], users: int, models: int, rounds: int, seed: int
) -> dict[str, list[bool]]:
    """Whether the best of so many equal models passes a strict gate each time, by how it was chosen and judged."""
    random = np.random.default_rng(seed)
    passed, gates = defaultdict[str, list[bool]](list), list[GateRecord]()
    for number in range(rounds):
        validation, holdout = (equal_models(days, users, models, random) for _ in range(2))
        same, best = (
            int(values[:models].mean(axis=1).argmax()) for values in (holdout, validation)
        )
        gained = holdout[same] - holdout[models]
        passed["judged by those who chose, 95%"].append(
            bool(gained.mean() > 1.96 * gained.std() / sqrt(users))
        )
        passed["judged by those who chose"].append(
            _strict(holdout[same], holdout[models], number, [])[0]
        )
        passed["judged by others"].append(_strict(holdout[best], holdout[models], number, [])[0])
        answer, gate = _strict(holdout[best], holdout[models], number, gates[:GATE_HISTORY_DAYS])
        passed["by others, with four weeks of gates"].append(answer)
        gates.insert(0, gate)
    return dict(passed)


def equal_models(days: list[Day], users: int, models: int, random: np.random.Generator) -> Floats:
    """The metric of fresh users under so many models and an incumbent, all equal; shape (models + 1, users)."""
    day = days[random.integers(len(days))]
    drawn = random.integers(len(day.used), size=users)
    swapped = random.random((models + 1, users)) < 0.5
    return np.where(swapped, day.used[drawn], day.other[drawn])


def _strict(
    challenger: Floats, incumbent: Floats, number: int, gates: list[GateRecord]
) -> tuple[bool, GateRecord]:
    """Whether the rule against the incumbent passes at margin 0, and the gate."""
    arms = {"challenger": challenger, "incumbent": incumbent, "popularity": incumbent / 2}
    as_of = START + timedelta(days=number)
    found = evaluation(arms, as_of)
    verdict = decide_verdict(found, GateSettings(margin=0), as_of, PASSED_TODAY, gates)
    passed = any(rule.rule == "incumbent" and rule.passed for rule in verdict.rules)
    return passed, build_gate_record(found, verdict, as_of, f"run-{number}")


@dataclass(frozen=True)
class Course:
    """What became of one shop."""

    stops: list[int]
    """The days, from 1 on, on which what was live stayed."""
    passed: int
    loss: float
    refused: Counter[str]


def course(
    line: Line, worse: float, length: int, chained: bool = False, alone: bool = False
) -> Course:
    """So many days of challengers that are each `worse` than what is live or, chained, than the challenger before.

    `alone`: only the rule against the incumbent counts.
    """
    live = before = 1.0
    stops, refused = [], Counter[str]()
    for number in range(length):
        challenger = (before if chained else live) * (1 - worse)
        verdict = line.gate(number, live, challenger)
        failed = [rule.rule for rule in verdict.rules if rule.passed is not True]
        refused.update(failed)
        before = challenger
        if "incumbent" in failed if alone else failed:
            stops.append(number + 1)
        else:
            live = challenger
    return Course(stops, length - len(stops), 1 - live, refused)


def courses(days: list[Day], users: int, repeats: int, **how: Any) -> list[Course]:
    """The same for so many shops."""
    random = np.random.default_rng(2)
    return [
        course(Line(days, users, random, GateSettings()), length=LENGTH, **how)
        for _ in range(repeats)
    ]


def show_best(days: list[Day], rounds: int) -> None:
    """Proof that choosing does not help a model past the gate."""
    print(
        f"\nThe best of 24 equal models and a strict gate (margin 0), {rounds} gates: share that passes"
    )
    for users in (500, 2000):
        for how, passed in best_of(days, users, 24, rounds, seed=1).items():
            means = [
                np.mean(block) for block in np.array_split(passed, BLOCKS)
            ]  # gates that share a history hang together
            print(
                f"| {users:,} users | {how} | {np.mean(passed):.1%} ± {np.std(means) / sqrt(BLOCKS):.1%} |",
                flush=True,
            )


def show_worse(noise: str, days: list[Day], repeats: int) -> None:
    """Proof that small losses do not add up."""
    print(
        f"\n{LENGTH} days of models each 0.5% worse, {noise}: medians of {repeats} shops (worst twentieth of losses)"
    )
    print(
        "| users a day | worse than | rules | first stop, day | passed | lost |\n|---:|---|---|---:|---:|---:|"
    )
    for users in SIZES:
        for chained in (True, False):
            for alone in (False, True):
                found = courses(days, users, repeats, worse=0.005, chained=chained, alone=alone)
                stop = np.median([min(one.stops, default=LENGTH + 1) for one in found])
                losses = [one.loss for one in found]
                kind = "the one before" if chained else "what is live"
                rules = "the incumbent's alone" if alone else "all"
                said = f"{np.median(losses):.1%} ({np.quantile(losses, 0.95):.1%})"
                passed = np.median([one.passed for one in found])
                print(
                    f"| {users:,} | {kind} | {rules} | {stop:.0f} | {passed:.0f} | {said} |",
                    flush=True,
                )


def show_equal(noise: str, days: list[Day], repeats: int) -> None:
    """How often a healthy shop is held up."""
    rules = ("incumbent", "four_weeks", "lift", "popularity")
    print(
        f"\n{LENGTH} days of equally good models, {noise}, {repeats} shops: share of days not passed, and by rule"
    )
    print(
        f"| users a day | not passed | of the second half | {' | '.join(rules)} |\n|"
        + "---:|" * (3 + len(rules))
    )
    for users in SIZES:
        found = courses(days, users, repeats, worse=0.0)
        gates = LENGTH * repeats
        late = sum(stop > LENGTH / 2 for one in found for stop in one.stops) / (gates / 2)
        shares = [1 - sum(one.passed for one in found) / gates, late]
        shares += [sum(one.refused[rule] for one in found) / gates for rule in rules]
        print(f"| {users:,} | {' | '.join(f'{share:.1%}' for share in shares)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--users", type=int, default=8000, help="of the simulated shop that the metrics come from"
    )
    parser.add_argument("--judged", type=int, default=7, help="days of it")
    parser.add_argument("--repeats", type=int, default=40, help="shops a figure")
    parser.add_argument("--rounds", type=int, default=4000, help="gates of the best of 24")
    asked = parser.parse_args()
    found = measured(asked.users, asked.judged)
    for noise, days in found.items():
        lifts = ", ".join(f"{day.used.mean() / day.popularity.mean():.2f}" for day in days)
        print(f"{noise}: {sum(len(day.used) for day in days)} users, noise {np.mean([day.noise for day in days]):.2f} "
              f"of the mean, lifts {lifts}")  # fmt: skip
    show_best(found["trained again"], asked.rounds)
    for noise, days in found.items():
        show_worse(noise, days, asked.repeats)
        show_equal(noise, days, asked.repeats)


if __name__ == "__main__":
    main()
