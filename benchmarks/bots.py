"""How many of the simulator's robots the bot rules find, and how many people they take for robots (docs/BOTS.md).

Every shop is simulated, cleaned into a lake by the real step and judged; only then is the truth read. The kind that no
rule was tuned on is reported apart. Seeds 11 to 14 were tuned on: give others.
"""

import argparse
import itertools
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.filter_bots.behaviour import MIN_BEHAVIOUR_EVENTS
from dawnlist.components.filter_bots.verdicts import judge_interactions
from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.settings import BotSettings, Settings
from dawnlist.simulate import ShopConfig, simulate_shop
from dawnlist.simulate.purposes import HELD_OUT_KIND
from dawnlist.simulate.shop import STAFF_DOMAIN

SETTINGS = Settings(bots=BotSettings(staff_domains=[STAFF_DOMAIN], max_behaviour_share=1))
DAYS = 60


@dataclass(frozen=True)
class Figures:
    """What became of each kind: kind -> users, events, judgeable users, found users, found events, found judgeable."""

    kinds: dict[str, tuple[int, ...]]
    habits: dict[str, tuple[int, ...]]
    """Habit of unusual people -> users, events, judgeable users, found users, found events."""
    declared: float
    """Share of the crawlers whom a user agent gave away."""
    lost: float
    """Share of people's events that any rule drops."""
    seconds: float

    def total(self, column: int, *kinds: str) -> int:
        """Sum of a column over kinds; all stealthy ones but the one held out by default."""
        wanted = kinds or tuple(
            kind for kind in self.kinds if kind.startswith("stealth") and kind != HELD_OUT_KIND
        )
        return sum(self.kinds[kind][column] for kind in wanted if kind in self.kinds)

    def recall(self, found: int, all_: int, *kinds: str) -> float:
        """Of the stealthy, or of these kinds."""
        return self.total(found, *kinds) / max(1, self.total(all_, *kinds))

    def precision(self, found: int) -> float:
        """Of the convicted, without those of the kind held out."""
        right = self.total(found)
        return right / max(1, right + self.total(found, "human"))


def cleaned(
    config: ShopConfig, folder: str
) -> tuple[Lake, int, tuple[datetime, datetime], pa.Table]:
    """A shop's lake, cleaned by the step; the version of its interactions, the window, and the truth."""
    shop, lake = simulate_shop(config), Lake.open(folder, "shop")
    start = datetime.combine(config.start, datetime.min.time(), UTC)
    window = start, start + timedelta(days=config.days)
    place = Path(lake.path("landing"))
    place.mkdir(parents=True)
    for name, table in (("interactions", shop.interactions), ("users", shop.users)):
        pq.write_table(table, place / f"{name}.parquet")
    landed: dict[str, Any] = {
        "interactions": ["landing/interactions.parquet"],
        "items": None,
        "users": "landing/users.parquet",
        "windows": [[format_iso(moment) for moment in window]],
        "arrivals": {},
    }
    report = clean_landed_objects(lake, landed, SETTINGS, window[1], "r1")
    return lake, report["interactions_version"], window, shop.truth


def figures(config: ShopConfig) -> Figures:
    """Simulate, clean, judge, and compare with the truth."""
    with tempfile.TemporaryDirectory(prefix="bots-") as folder, duckdb.connect() as connection:
        lake, version, window, truth = cleaned(config, folder)
        clock = time.perf_counter()
        verdicts, _ = judge_interactions(lake, version, window, SETTINGS)
        seconds = time.perf_counter() - clock
        connection.register("truth", truth)
        connection.register("verdicts", verdicts)
        connection.register("interactions", lake.rows("interactions"))
        connection.execute(_JUDGED)
        kinds = {kind: tuple(counts) for kind, *counts in connection.execute(_KINDS).fetchall()}
        habits = {habit: tuple(counts) for habit, *counts in connection.execute(_HABITS).fetchall()}
        declared, lost = connection.execute(_REST).fetchall()[0]
    return Figures(kinds, habits, declared, lost, seconds)


_JUDGED = """
CREATE TABLE judged AS
WITH volumes AS (SELECT user_id, count(*) AS n, count(*) FILTER (event_id IN (SELECT event_id FROM verdicts)) AS hits
    FROM interactions GROUP BY 1),
by_rule AS (SELECT user_id, bool_or(rule = 'behaviour') AS behaved, bool_or(rule <> 'behaviour') AS named
    FROM verdicts WHERE user_id IS NOT NULL GROUP BY 1)
SELECT kind, n, CASE WHEN behaved IS NULL THEN hits ELSE n END AS lost, coalesce(behaved, FALSE) AS behaved,
    coalesce(named, FALSE) AS named, habit FROM volumes JOIN truth USING (user_id) LEFT JOIN by_rule USING (user_id)
"""
_KINDS = f"""
SELECT kind, count(*), sum(n)::BIGINT, count(*) FILTER (n >= {MIN_BEHAVIOUR_EVENTS}), count(*) FILTER (behaved),
    coalesce(sum(n) FILTER (behaved), 0)::BIGINT, count(*) FILTER (behaved AND n >= {MIN_BEHAVIOUR_EVENTS})
FROM judged GROUP BY 1
"""
_HABITS = f"""
SELECT habit, count(*), sum(n)::BIGINT, count(*) FILTER (n >= {MIN_BEHAVIOUR_EVENTS}), count(*) FILTER (behaved),
    coalesce(sum(n) FILTER (behaved), 0)::BIGINT
FROM judged WHERE habit IS NOT NULL GROUP BY 1
"""
_REST = """
SELECT avg(named::INT) FILTER (kind = 'crawler'),
    sum(lost) FILTER (kind = 'human') / sum(n) FILTER (kind = 'human') FROM judged
"""
_, ALL_EVENTS, JUDGEABLE, FOUND, FOUND_EVENTS, FOUND_JUDGEABLE = range(6)
_HEADER = ("users, seed, night", "stealthy, judgeable", "declared found", "precision by user", "recall by user",
           "precision by event", "recall by event", "people's events lost", "held out: recall", "judge, s")  # fmt: skip


def merged(shops: list[Figures]) -> Figures:
    """Several shops as one."""
    kinds = add_counts([shop.kinds for shop in shops])
    habits = add_counts([shop.habits for shop in shops])
    worst = min(shop.declared for shop in shops), max(shop.lost for shop in shops)
    return Figures(kinds, habits, *worst, sum(shop.seconds for shop in shops))


def add_counts(tables: list[dict[str, tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    """Add up the counts of each name over several shops."""
    total: dict[str, tuple[int, ...]] = {}
    for table in tables:
        for name, counts in table.items():
            before = total.get(name, (0,) * len(counts))
            total[name] = tuple(a + b for a, b in zip(before, counts, strict=True))
    return total


def row(name: str, shop: Figures) -> str:
    """One line of the table."""
    shares = (
        shop.declared,
        shop.precision(FOUND),
        shop.recall(FOUND_JUDGEABLE, JUDGEABLE),
        shop.precision(FOUND_EVENTS),
        shop.recall(FOUND_EVENTS, ALL_EVENTS),
        shop.lost,
        shop.recall(FOUND_JUDGEABLE, JUDGEABLE, HELD_OUT_KIND),
    )
    cells = [
        f"{share:.2%}" if number == 5 else f"{share:.3f}" for number, share in enumerate(shares)
    ]
    return f"| {name} | {shop.total(JUDGEABLE)} | {' | '.join(cells)} | {shop.seconds:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=[1_500, 6_000, 24_000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    print(f"| {' | '.join(_HEADER)} |\n|---|{'---:|' * (len(_HEADER) - 1)}")
    shops: dict[int, list[Figures]] = {}
    for users, seed, night in itertools.product(options.users, options.seeds, (True, False)):
        shop = figures(ShopConfig(users=users, days=DAYS, seed=seed, night=night))
        shops.setdefault(users, []).append(shop)
        print(row(f"{users:,}, {seed}, {'yes' if night else 'no'}", shop), flush=True)
    for users, some in shops.items():
        print(row(f"all of {users:,} users", merged(some)))
    everything = merged(list(itertools.chain(*shops.values())))
    print(row("all", everything), "\n")
    for kind in sorted(kind for kind in everything.kinds if kind.startswith("stealth")):
        recall = everything.recall(FOUND_JUDGEABLE, JUDGEABLE, kind)
        print(f"- {kind}: {everything.total(JUDGEABLE, kind)} judgeable, recall {recall:.3f}")
    print(
        "\n| people | accounts | judgeable | dropped | events | lost |\n|---|---:|---:|---:|---:|---:|"
    )
    for habit, counts in sorted(everything.habits.items()):
        users, events, judgeable, found, found_events = counts
        print(
            f"| {habit} | {users} | {judgeable} | {found} | {events} | {found_events / events:.2%} |"
        )


if __name__ == "__main__":
    main()
