"""Real logs fetched night by night, as a shop's would be, then asked by SQL (docs/REAL-DATA.md).

Every night runs the steps fetch and clean on what has arrived until then. At the end the lake's interactions are
compared, row for row, with those of a lake that got everything at once.
"""

import argparse
import shutil
import statistics
import time
import zipfile
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.lake.lake import Lake
from dawnlist.settings import Settings

SHOPS = {
    "online-retail": ("by-day.zip", "by-day"),
    "deskdrop": ("users_interactions.csv.zip", "users_interactions.csv"),
}
EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
DAY = timedelta(days=1)


@dataclass
class Nights:
    """What the nights of one shop came to."""

    seconds: list[float]
    counts: Counter[str]
    reasons: Counter[str]


def night(
    lake: Lake, source: str, settings: Settings, as_of: datetime, days: int
) -> tuple[dict[str, Any], float]:
    """Fetch and clean of one night; clean's report, and the seconds of both."""
    clock = time.perf_counter()
    landed = fetch_source(lake, source, settings.source, as_of, f"night-{as_of:%Y%m%d}", days)
    assert not landed["late"], landed["late"]
    return clean_landed_objects(
        lake, landed, settings, as_of, f"night-{as_of:%Y%m%d}"
    ), time.perf_counter() - clock


def nights(lake: Lake, source: str, settings: Settings, first: datetime, last: datetime) -> Nights:
    """From the night after `first` to the one after `last`."""
    told = Nights([], Counter(), Counter())
    as_of = first + DAY
    while as_of <= last + DAY:
        report, seconds = night(lake, source, settings, as_of, 3)
        told.seconds.append(seconds)
        told.counts.update(
            {name: report[name] for name in ("rows_in", "inserted", "known", "duplicates")}
        )
        told.counts.update(
            {"double clicks": report["double_clicks"], "quarantined": report["quarantined"]}
        )
        told.reasons.update(report["reasons"])
        as_of += DAY
    return told


def span(lake: Lake) -> tuple[datetime, datetime]:
    """The first and last day of a lake's interactions."""
    rows = lake.rows("interactions")
    assert rows is not None
    days = rows.to_table(columns=["event_date"])["event_date"].to_pylist()
    first, last = (
        datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (min(days), max(days))
    )
    return first, last


def held(lake: Lake) -> list[tuple[Any, ...]]:
    """Every interaction, without the landing object that it came from."""
    rows = lake.rows("interactions")
    assert rows is not None
    table = rows.to_table().drop_columns(["source"])
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True), key=repr)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shop", choices=SHOPS)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder of the real data sets"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(".dawnlist/nights"), help="where the lakes are made"
    )
    arguments = parser.parse_args()
    archive, name = SHOPS[arguments.shop]
    written = EXAMPLES / f"{arguments.shop}.yaml"
    home, settings = arguments.out, Settings.load(str(written))
    shutil.rmtree(home / arguments.shop, ignore_errors=True)
    with zipfile.ZipFile(arguments.data / arguments.shop / archive) as file:
        file.extractall(home / arguments.shop)
    source = str(home / arguments.shop / name)
    once = Lake.open(str(home / arguments.shop / "once"), "default")
    whole, seconds = night(once, source, settings, datetime(2020, 1, 1, tzinfo=UTC), 3660)
    first, last = span(once)
    lake = Lake.open(str(home / arguments.shop / "lake"), "default")
    told = nights(lake, source, settings, first, last)
    fates = ("inserted", "duplicates", "double_clicks", "quarantined")
    print(f"at once: {whole['rows_in']:,} rows read = {' + '.join(f'{whole[name]:,} {name}' for name in fates)}, "
          f"{seconds:.1f} s")  # fmt: skip
    print(f"night by night: {len(told.seconds)} nights of {first.date()} to {last.date()}, "
          f"{statistics.median(told.seconds):.2f} s each (median), {sum(told.seconds):.0f} s in all")  # fmt: skip
    for what, rows in told.counts.items():
        print(f"  {what:<14}{rows:>9,}")
    for reason, rows in told.reasons.most_common():
        print(f"    {reason:<22}{rows:>9,}")
    same = held(lake) == held(once)
    print(f"the two lakes hold the same interactions, row for row: {'yes' if same else 'NO'}")
    print(f"next: dawnlist crawl --lake {home / arguments.shop / 'lake'} --settings {written}")


if __name__ == "__main__":
    main()
