"""What was live on real shops, night by night, against what ten lines of SQL would have served.

python benchmarks/real_shops.py --data ../shared/data        (data sets that are not there are left out)

Each night the whole pipeline runs on what has arrived until then. Then the predictor's engine is asked for the list
of everybody who comes in the next 7 days. The truth is what they met in the next 24 hours, and in the next 7 days,
repeats included. The simple rules see the same cleaned rows, from before bots are dropped. People whom the pipeline
dropped count with the list that they were served. Differences are paired by user and night, with 95% intervals
bootstrapped by users.

For a source of your own, with 7 days of rows after the last night:
python benchmarks/real_shops.py --source ./ml --first-night 2003-02-01T00:00:00Z --nights 6
"""

import argparse
import json
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from clicks import markdown
from shop_nights import NAMESPACE, Night, ask_engine, run_night
from shop_plans import (
    DAY,
    SHOPS,
    SIMULATED_SHOPS,
    WINDOW_DAYS,
    CleanRows,
    ShopPlan,
    plan_real_shop,
    plan_simulated_shop,
)
from shop_scores import (
    HORIZONS,
    METRICS,
    ShopFigures,
    UserNights,
    compute_rows,
    format_row,
    mean,
    summarize,
)
from simple_rules import SIMPLE_RULES, K, PastRows

from dawnlist.arrays import Int64Array
from dawnlist.cuts import parse_as_of
from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.model.metrics import score_lists

OWN_SHOP = "own"
"""The name of the shop of --source."""
PROGRAM_RULES = ("declared_crawlers", "previews_and_monitors", "staff")
"""The bot rules that no person is dropped by. What the others drop on a real shop is people's."""
SMALL_SEARCH: dict[str, Any] = {
    "factors": [32],
    "regularization": [30.0],
    "alpha": [1.0, 10.0],
    "half_life": [14.0, 60.0],
    "iterations": 5,
}


def run_shop(plan: ShopPlan, home: Path, search: dict[str, Any]) -> ShopFigures:
    """Run a shop's nights, and score what was live after each."""
    rows = CleanRows.load(plan, home)
    figures = ShopFigures()
    with run_embedded_valkey(home / "valkey") as redis:
        arguments = {
            "shop_source": plan.source,
            "shop_lake": str(home / "lake"),
            "shop_store": redis,
            "shop": NAMESPACE,
            "shop_settings": plan.settings,
            "history_days": WINDOW_DAYS,
            "list_length": K,
            "search": search,
        }
        for as_of in plan.list_nights():
            folder = home / f"night-{as_of:%Y%m%d}"
            night = run_night(arguments, as_of, folder)
            figures.nights.append(night)
            clock = time.perf_counter()
            judge_night(plan, rows, night, redis, figures)
            print_night(night, figures, time.perf_counter() - clock)
            shutil.rmtree(folder / "artifacts", ignore_errors=True)
    return figures


def print_night(night: Night, figures: ShopFigures, judging_seconds: float) -> None:
    """Print a line for a night."""
    live = figures.scores["24 hours", "live"][-1]
    print(
        f"  {night.as_of:%Y-%m-%d} {night.seconds:5.1f} s (and {judging_seconds:.1f} s to judge), "
        f"lists of {figures.list_ages[-1]:.0f} days ago, {len(live.user)} users, "
        f"ndcg {mean(live.values['ndcg']):.4f}, {len(night.dropped_users)} users dropped, "
        f"{night.outcome[:150]}",
        flush=True,
    )


def judge_night(
    plan: ShopPlan, rows: CleanRows, night: Night, redis: str, figures: ShopFigures
) -> None:
    """Score what is live and what each rule would serve, for all who come in the next 7 days."""
    past = rows.select_past(night.as_of)
    truths = {name: rows.build_truth(night.as_of, days) for name, days in HORIZONS.items()}
    users = np.flatnonzero(np.diff(truths["7 days"].indptr))
    users = users[plan.mark_people(rows, users)]
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


def count_lost_events(
    plan: ShopPlan, rows: CleanRows, past: PastRows, night: Night, figures: ShopFigures
) -> None:
    """Add which share of people's events the bot rules dropped.

    On a real shop nobody knows who is a person. There, what the rules drop that do not go by a
    program's own name, or by the staff's accounts, counts as people's.
    """
    if not plan.kinds:
        shares = night.dropped_events.items()
        figures.people_lost.append(
            sum(value for rule, value in shares if rule not in PROGRAM_RULES)
        )
        return
    events = np.bincount(past.user, minlength=rows.shape[0])
    people = np.flatnonzero(plan.mark_people(rows, np.arange(rows.shape[0])))
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


def print_shop(plan: ShopPlan, figures: ShopFigures) -> dict[str, Any]:
    """Print a shop's tables, and return them as data."""
    seconds = [night.seconds for night in figures.nights]
    print(f"\n## {plan.name}, {len(seconds)} nights from {plan.first_night:%Y-%m-%d}\n")
    print(f"seconds a night: {np.median(seconds):.1f} (median), {max(seconds):.1f} (longest)")
    print(
        f"people's events lost to bot rules: {np.mean(figures.people_lost):.2%} (mean of the nights), "
        f"{max(figures.people_lost):.2%} (worst night)"
    )
    print(
        f"user-nights judged: {figures.judged:,}, of users whom the bot rules dropped: "
        f"{figures.judged_dropped:,}"
    )
    print(f"nights on which a step failed: {sum(night.failed for night in figures.nights)}")
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
            words = "; ".join(
                f"{name}: {'yes' if holds else 'no'}" for name, holds in verdict.items()
            )
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
    parser.add_argument(
        "--every", type=int, default=1, help="run a night after every so many days, e.g. 7"
    )
    parser.add_argument("--source", default="", help="run a source of your own instead")
    parser.add_argument("--settings", default="", help="the YAML file of that source")
    parser.add_argument(
        "--first-night", default="", help="its first as_of, e.g. 2013-09-01T00:00:00Z"
    )
    parser.add_argument("--grid", choices=("default", "small"), default="default")
    parser.add_argument(
        "--out", type=Path, default=Path(".dawnlist/real-shops"), help="emptied for each shop"
    )
    return parser.parse_args()


def plan_shop(name: str, given: argparse.Namespace, home: Path) -> ShopPlan | None:
    """Prepare a shop's source; None where its data set is not there."""
    if name == OWN_SHOP:
        first_night = parse_as_of(given.first_night)
        plan = ShopPlan(name, given.source, given.settings, first_night, given.nights or 7)
    elif name in SIMULATED_SHOPS:
        plan = plan_simulated_shop(name, home)
    elif (given.data / name).is_dir():
        plan = plan_real_shop(name, given.data.resolve(), home)
    else:
        return None
    return replace(plan, every=given.every, nights=given.nights or plan.nights)


def main() -> None:
    given = parse_arguments()
    search = SMALL_SEARCH if given.grid == "small" else {}
    summaries: list[dict[str, str]] = []
    for name in [OWN_SHOP] if given.source else given.shops:
        home = (given.out / name).resolve()
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        plan = plan_shop(name, given, home)
        if plan is None:
            print(f"{name}: not there")
            continue
        print(f"{name}: running {len(plan.list_nights())} nights", flush=True)
        told = print_shop(plan, run_shop(plan, home, search))
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
                "failed nights": str(sum(night["failed"] for night in told["nights"])),
            }
        )
    return lines


if __name__ == "__main__":
    main()
