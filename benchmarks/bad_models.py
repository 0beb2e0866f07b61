"""Bad models and the rule of the gate that catches each (docs/GATE.md).

python benchmarks/bad_models.py                        a simulated shop of 6,000 users: three days, and what goes wrong

A shop goes through the daily run's own steps: dataset, train, evaluate, gate, refit. On the third day the model, or the
data, is spoilt; `python benchmarks/bad_models.py --churn` prints how many items of a list other models change.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import write_deltalake

from dawnlist.als.engine import FitEngine
from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.dataset.split_pairs import build_splits
from dawnlist.components.evaluate.evaluation import evaluate_models
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.components.gate.judgement import Judgement, judge_challenger
from dawnlist.components.gate.page import format_verdict_title
from dawnlist.components.train.fitting import fit_stage
from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.ids import IdMap
from dawnlist.model.splits import Splits
from dawnlist.records import registry
from dawnlist.schema import VERDICTS_SCHEMA
from dawnlist.settings import GateSettings, Settings
from dawnlist.simulate import ShopConfig, simulate_shop, write_shop
from dawnlist.store.version_reports import VersionReport

DAYS = 50
CONFIG = ALSConfig(factors=32, regularization=30.0, alpha=1.0, half_life=14.0, popularity_share=0.3)
GOOD = ("no incumbent", "the same configuration a day later (live from here on, passed or not)")
STRICT = GateSettings(margin=0)
Rows = Callable[[pa.Table, datetime], pa.Table]


@dataclass(frozen=True)
class Shop:
    """A lake at a version of its interactions, in a folder of its own."""

    folder: Path
    version: int

    @property
    def lake(self) -> Lake:
        return Lake.open(str(self.folder), "shop")

    def splits(self, as_of: datetime) -> Splits:
        """As the dataset step cuts them."""
        return build_splits(self.lake, self.version, VERDICTS_SCHEMA.empty_table(), as_of, DAYS)[0]

    def model(
        self, splits: Splits, stage: Any, config: ALSConfig, name: str
    ) -> tuple[str, FactorModel]:
        """As the train and refit steps fit it: its name in the lake, and itself."""
        out = self.folder / "out" / name
        shutil.rmtree(out, ignore_errors=True)
        report = fit_stage(self.lake, splits, stage, config.as_dict(), FitEngine(), out)
        return str(report["model"]), FactorModel.load(out)

    def judged(
        self, splits: Splits, challenger: FactorModel, settings: GateSettings | None = None
    ) -> Judgement:
        """As evaluate and gate judge it."""
        live = splits.about["incumbent"] and registry.load_model(
            self.lake, splits.about["incumbent"]
        )
        incumbent = live and self.model(splits, "train", CONFIG, "incumbent")[1]
        found = evaluate_models(splits, challenger, incumbent, "ndcg", 20, live=live)
        return judge_challenger(
            self.lake, found, settings or GateSettings(), splits.cuts.as_of, "run"
        )

    def published(self, splits: Splits, config: ALSConfig, version: int) -> None:
        """As refit and publish leave it, without a store."""
        name, _ = self.model(splits, "refit", config, "refit")
        report = VersionReport(
            version=version,
            run="run",
            token=f"{version}-a",
            as_of=format_iso(splits.cuts.as_of),
        )
        registry.record_publication(
            self.lake, report, {"model": name, "winner": "challenger", "metrics": {}}
        )
        registry.set_champion(self.lake, report)

    def spoilt(self, change: Rows, as_of: datetime) -> "Shop":
        """The same lake with other interactions."""
        folder = self.folder.with_name(f"spoilt-{change.__name__}")
        shutil.copytree(self.folder, folder)
        other = Shop(folder, 0)
        rows = self.lake.rows("interactions", self.version)
        assert rows is not None
        shutil.rmtree(folder / "shop" / "tables" / "interactions")
        write_deltalake(
            other.lake.table_uri("interactions"),
            change(rows.to_table(), as_of),
            partition_by=["event_date"],
        )
        return other


def opened(folder: Path, users: int) -> tuple[Shop, datetime]:
    """A simulated shop in a lake, and the end of its last day."""
    config, url = ShopConfig(users, days=DAYS, seed=3), f"sqlite:///{folder}/shop.db"
    write_shop(simulate_shop(config), url)
    lake, settings, end = (
        Lake.open(str(folder / "lake"), "shop"),
        Settings(),
        parse_as_of(f"{config.end}T00:00:00Z"),
    )
    landed = fetch_source(lake, url, settings.source, end, "run", DAYS)
    return Shop(
        folder / "lake",
        clean_landed_objects(lake, landed, settings, end, "run")["interactions_version"],
    ), end


def half_the_traffic(rows: pa.Table, as_of: datetime) -> pa.Table:
    """Half the events of the last 24 hours are gone."""
    half = pa.array(np.random.default_rng(1).random(rows.num_rows) < 0.5)
    return rows.filter(pc.invert(pc.and_(last_day(rows, as_of), half)))


def all_ids_new(rows: pa.Table, as_of: datetime) -> pa.Table:
    """The whole history was imported again, from a catalogue with new ids."""
    return _renamed(rows, pa.scalar(True))


def ids_new_since_yesterday(rows: pa.Table, as_of: datetime) -> pa.Table:
    """The catalogue got new ids a day ago; what came before has the old ones."""
    return _renamed(rows, last_day(rows, as_of))


def _renamed(rows: pa.Table, which: Any) -> pa.Table:
    place = rows.schema.get_field_index("item_id")
    new = pc.binary_join_element_wise("new", rows["item_id"], "-")
    return rows.set_column(place, rows.schema.field(place), pc.if_else(which, new, rows["item_id"]))


def last_day(rows: pa.Table, as_of: datetime) -> Any:
    """Which rows are of the 24 hours before as_of."""
    start = pa.scalar(as_of - timedelta(days=1), rows.schema.field("event_time").type)
    return pc.greater_equal(rows["event_time"], start)


def shuffled(splits: Splits) -> Splits:
    """The same with the labels of the items permuted."""
    order = np.random.default_rng(1).permutation(len(splits.item_ids))
    return replace(splits, item_ids=IdMap(splits.item_ids.ids.take(pa.array(order))))


def told(name: str, judged: Judgement) -> None:
    """A line of the table."""
    verdict = judged.verdict
    failed = [f"{rule.name} ({rule.value:.3g}, {rule.bound} {rule.limit:.3g})"
              for rule in verdict.rules if rule.passed is False]  # fmt: skip
    unproven = [rule.name for rule in verdict.rules if rule.passed is None]
    said = "; ".join(failed + ([f"not enough evidence: {', '.join(unproven)}"] if unproven else []))
    print(
        f"| {name} | {format_verdict_title(verdict)} | {said or 'every rule passed'} |",
        flush=True,
    )


def bad_models(folder: Path, users: int) -> None:
    """Two good days, and what may happen on the third."""
    shop, end = opened(folder, users)
    days = [end - timedelta(days=back) for back in (2, 1, 0)]
    print("| challenger | verdict | rules |\n|---|---|---|")
    for number, as_of in enumerate(days[:2], 1):
        splits = shop.splits(as_of)
        judged = shop.judged(splits, shop.model(splits, "train", CONFIG, "model")[1])
        told(f"day {number}, {GOOD[number - 1]}", judged)
        shop.published(splits, CONFIG, number)
    splits, end = shop.splits(days[2]), days[2]
    _, wrong = shop.model(shuffled(splits), "train", CONFIG, "model")
    told("trained on shuffled labels", shop.judged(splits, wrong))
    for change in (half_the_traffic, all_ids_new, ids_new_since_yesterday):
        other = shop.spoilt(change, end)
        cut = other.splits(end)
        told(
            (change.__doc__ or "").rstrip("."),
            other.judged(cut, other.model(cut, "train", CONFIG, "model")[1]),
        )
    _, equal = shop.model(splits, "train", CONFIG, "model")
    told(
        "an equal model: the live configuration, fitted on the same rows",
        shop.judged(splits, equal),
    )
    told("an equal model, strict gate (margin 0)", shop.judged(splits, equal, STRICT))


def churn(folder: Path, users: int) -> None:
    """How many of the incumbent's items the lists of other models don't have."""
    shop, end = opened(folder, users)
    shop.published(shop.splits(end - timedelta(days=2)), CONFIG, 1)
    splits = shop.splits(end)
    changes: dict[str, dict[str, Any]] = {
        "trained a day later": {}, "another seed": {"seed": 8}, "64 factors": {"factors": 64},
        "half-life 60": {"half_life": 60.0}, "alpha 10": {"alpha": 10.0},
        "alpha 10, half-life 60, 64 factors": {"alpha": 10.0, "half_life": 60.0, "factors": 64},
        "no popularity": {"popularity_share": 0.0},
    }  # fmt: skip
    print("| challenger | churn of the top 20 |\n|---|---:|")
    for name, changed in changes.items():
        _, model = shop.model(splits, "train", replace(CONFIG, **changed), "model")
        live = registry.load_model(shop.lake, splits.about["incumbent"])
        print(
            f"| {name} | {evaluate_models(splits, model, None, 'ndcg', 20, live=live).churn:.0%} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--users", type=int, default=6000)
    parser.add_argument(
        "--churn", action="store_true", help="print what other models change in the lists instead"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dawnlist-gate-") as folder:
        (churn if asked.churn else bad_models)(Path(folder), asked.users)


if __name__ == "__main__":
    main()
