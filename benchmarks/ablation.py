"""What cleaning is worth on a simulated shop, in NDCG on its humans (docs/ABLATION.md).

Each bot rule left out as `dawnlist ablate` does, what a change of the hyper-parameters brings, and what the values of
the source would cost if they were taken as they come: ids as text (17850.0 is not 17850 then), and of the times
only those that are written as dates, not as numbers.
"""

import argparse
import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import write_deltalake

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.pipelines.ablation.command import build_daily_grid
from dawnlist.pipelines.ablation.report import AblationReport, format_ablation_tables
from dawnlist.pipelines.ablation.simulated_truth import read_human_ids
from dawnlist.pipelines.ablation.study import (
    AblationStudy,
    InteractionsVersion,
    list_last_days,
    run_ablation,
)
from dawnlist.settings import Settings
from dawnlist.simulate import ShopConfig, SimulatedShop, simulate_shop, write_shop
from dawnlist.simulate.agents import SIMULATED_CRAWLERS

K = 20
IDS = "coalesce(raw.{0}, clean.{0}) AS {0}"
WRITTEN = r"regexp_matches(raw.ts, '^\s*\d{4}-\d\d-\d\d')"


def cleaned(folder: Path, source: str, as_of: datetime, days: int) -> InteractionsVersion:
    """The shop in a lake, as the daily run would clean it."""
    lake, settings = Lake.open(str(folder / "lake"), "default"), Settings()
    landed = fetch_source(lake, source, settings.source, as_of, "benchmark", days)
    return InteractionsVersion(
        lake,
        clean_landed_objects(lake, landed, settings, as_of, "benchmark")["interactions_version"],
    )


def as_they_come(
    folder: Path,
    table: InteractionsVersion,
    shop: SimulatedShop,
    ids: bool,
    times: bool,
    filtered: bool,
) -> InteractionsVersion:
    """The same interactions with the source's own ids, and without those whose time is a number."""
    lake = Lake.open(str(folder / f"{ids}-{times}-{filtered}"), "default")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("clean", table.lake.rows("interactions", table.version))
        connection.register("interactions", shop.interactions)
        columns = (
            f"clean.* REPLACE ({', '.join(IDS.format(name) for name in ('user_id', 'item_id'))})"
        )
        rows = connection.sql(
            f"SELECT {columns if ids else 'clean.*'} FROM clean "
            "JOIN (SELECT DISTINCT ON (event_id) * FROM interactions) raw USING (event_id) "
            f"WHERE {WRITTEN if times else 'true'}"
        ).to_arrow_table()
    write_deltalake(lake.table_uri("interactions"), rows, partition_by=["event_date"])
    return InteractionsVersion(lake, 0, filtered)


def without_cookies(shop: SimulatedShop) -> SimulatedShop:
    """The same shop, where whoever names a crawler as agent is somebody new on each visit: robots keep no cookies."""
    rows = shop.interactions
    names = pa.array([crawler.agent for crawler in SIMULATED_CRAWLERS])
    is_robot = pc.is_in(pc.coalesce(rows["user_agent"], rows["ua"]), value_set=names)
    visitor = pc.binary_join_element_wise(rows["user_id"], rows["session_id"], "-")
    users = pc.if_else(is_robot, pc.coalesce(visitor, rows["user_id"]), rows["user_id"])
    return replace(
        shop, interactions=rows.set_column(rows.schema.get_field_index("user_id"), "user_id", users)
    )


def measured(config: ShopConfig, judged_days: int, cookies: bool, folder: Path) -> AblationReport:
    """The ablation of one shop."""
    source, as_of = f"sqlite:///{folder / 'shop.db'}", parse_as_of(f"{config.end}T00:00:00Z")
    shop = simulate_shop(config) if cookies else without_cookies(simulate_shop(config))
    write_shop(shop, source)
    table = cleaned(folder, source, as_of, config.days)
    also = {
        "ids as they come": as_they_come(folder, table, shop, True, False, True),
        "times that are numbers not read": as_they_come(folder, table, shop, False, True, True),
        "both, and without any rule": as_they_come(folder, table, shop, True, True, False),
    }
    study = AblationStudy(table, Settings(), config.days, K, read_human_ids(source), also)
    return run_ablation(study, list_last_days(as_of, judged_days), build_daily_grid(), None)


def markdown(report: AblationReport) -> str:
    """The tables and sentences of a report."""
    lines = []
    for head, rows in format_ablation_tables(report):
        lines += [f"| {' | '.join(head)} |", f"|---{'|---:' * (len(head) - 1)}|"]
        lines += [f"| {' | '.join(row)} |" for row in rows] + [""]
    return "\n".join([*lines, *report["said"]])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[1, 2], help="of the simulated shops"
    )
    parser.add_argument("--users", type=int, default=5_000, help="on the opening day")
    parser.add_argument("--days", type=int, default=100, help="of traffic")
    parser.add_argument("--judged", type=int, default=5, help="days that are judged and pooled")
    parser.add_argument(
        "--robots", type=float, default=0.15, help="share of events that are not by customers"
    )
    parser.add_argument(
        "--no-cookies", action="store_true", help="a crawler is another visitor on each visit"
    )
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            config = ShopConfig(
                arguments.users, days=arguments.days, seed=seed, robot_share=arguments.robots
            )
            report = measured(config, arguments.judged, not arguments.no_cookies, Path(folder))
        print(
            f"Seed {seed}: {report['users']:,} users, {report['judged_on']}, {report['user_days']:,} lists an arm.\n\n"
            f"{markdown(report)}\n"
        )


if __name__ == "__main__":
    main()
