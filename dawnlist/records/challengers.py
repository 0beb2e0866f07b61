"""Challengers as they were before their refit: what a later day's challenger may go on from.

A fit must not start from factors that have seen rows it will be scored on. A challenger has seen nothing from its cut
on, so it serves every later cut; a champion, which was refitted up to its as_of, serves none.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from dawnlist.als.training import ALSConfig
from dawnlist.cuts import iso, parse_as_of, stamp
from dawnlist.lake.lake import Lake
from dawnlist.model.factor_model import FactorModel, Factors
from dawnlist.model.ids import IdMap

FOLDER: Final = "challengers"
DAYS: Final = 7
"""How many of the newest are looked at."""
SOLVERS: Final = ("ials", "implicit")
"""Those that can go on from given factors, also from each other's."""
SPREAD: Final = np.float32(0.01)
"""Of the random vectors of users and items that the start does not know, small beside fitted ones."""


@dataclass(frozen=True)
class Start:
    """A model that a fit goes on from."""

    name: str
    """In the lake."""
    model: FactorModel

    @property
    def seen(self) -> datetime:
        """The end of the rows that it has seen."""
        return parse_as_of(self.model.lineage["as_of"])

    def factors(self, user_ids: IdMap, item_ids: IdMap, config: ALSConfig) -> tuple[Factors, Factors]:
        """Its vectors in the order of these ids, without a share of popularity; small random ones for new ids."""
        random = np.random.default_rng(config.seed)
        sides = ((self.model.user_ids, user_ids, self.model.user_factors),
                 (self.model.item_ids, item_ids, self.model.item_factors))  # fmt: skip
        found = []
        for known, wanted, vectors in sides:
            places = known.indices(wanted.ids)
            mapped = SPREAD * random.standard_normal((len(wanted), config.factors), np.float32)
            mapped[places >= 0] = vectors[places[places >= 0], : config.factors]
            found.append(mapped)
        return found[0], found[1]


def serves(held: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether factors of one configuration can be gone on from with another."""
    able = all(config["engine"] == "als" and config["solver"] in SOLVERS for config in (held, wanted))
    return able and bool(held["factors"] == wanted["factors"])


def sweeps(iterations: int) -> int:
    """How many a fit makes that goes on from another day's: a third, docs/SEARCH.md has the measurement."""
    return -(-iterations // 3)


def record(lake: Lake, as_of: datetime, name: str, cut: datetime, config: dict[str, Any]) -> None:
    """Write down which model of the lake is the challenger of a day; it has seen the rows before `cut`."""
    pointer = {"model": name, "before": iso(cut), "config": config}
    lake.write_json(pointer, FOLDER, f"{stamp(as_of)}.json")


def start(lake: Lake, as_of: datetime, cut: datetime, config: dict[str, Any]) -> Start | None:
    """The newest challenger of an earlier day that has seen nothing from `cut` on and fits the configuration.

    Only of earlier days: a rerun must not start from what its first run left. One that is gone, was damaged, or whose
    own lineage does not say what the pointer says, is passed over.
    """
    for pointer in _before(lake, as_of):
        if serves(pointer["config"], config) and parse_as_of(pointer["before"]) <= cut:
            model = _loaded(lake, pointer["model"])
            if model and (model.lineage["as_of"], model.lineage["stage"]) == (pointer["before"], "train"):
                return Start(pointer["model"], model)
    return None


def newest(lake: Lake) -> str | None:
    """The name of the newest challenger's model, or None."""
    names = lake.names(FOLDER)
    return lake.read_json(FOLDER, names[-1])["model"] if names else None


def _before(lake: Lake, as_of: datetime) -> Iterator[dict[str, Any]]:
    older = [name for name in lake.names(FOLDER) if name < f"{stamp(as_of)}.json"]
    for name in reversed(older[-DAYS:]):
        yield lake.read_json(FOLDER, name)


def _loaded(lake: Lake, name: str) -> FactorModel | None:
    with tempfile.TemporaryDirectory() as folder:
        lake.download_folder(Path(folder), "models", name)
        try:
            return FactorModel.load(Path(folder))
        except ValueError:
            return None
