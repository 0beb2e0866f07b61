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

from dawnlist.arrays import Float32Array
from dawnlist.cuts import format_iso, format_stamp, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.ids import IdMap

CHALLENGERS_FOLDER: Final = "challengers"
MAX_START_CANDIDATES: Final = 7
"""How many of the newest are looked at."""
WARM_START_SOLVERS: Final = ("ials", "implicit")
"""Those that can go on from given factors, also from each other's."""
NEW_VECTOR_SCALE: Final = np.float32(0.01)
"""Of the random vectors of users and items that the start does not know, small beside fitted ones."""


@dataclass(frozen=True)
class WarmStart:
    """A model that a fit goes on from."""

    name: str
    """In the lake."""
    model: FactorModel

    @property
    def seen_until(self) -> datetime:
        """The end of the rows that it has seen."""
        return parse_as_of(self.model.lineage["as_of"])

    def factors(
        self, user_ids: IdMap, item_ids: IdMap, config: ALSConfig
    ) -> tuple[Float32Array, Float32Array]:
        """Its vectors in the order of these ids, without a share of popularity; small random ones for new ids."""
        random = np.random.default_rng(config.seed)
        sides = ((self.model.user_ids, user_ids, self.model.user_factors),
                 (self.model.item_ids, item_ids, self.model.item_factors))  # fmt: skip
        found = []
        for known, wanted, vectors in sides:
            places = known.indices(wanted.ids)
            mapped = NEW_VECTOR_SCALE * random.standard_normal(
                (len(wanted), config.factors), np.float32
            )
            mapped[places >= 0] = vectors[places[places >= 0], : config.factors]
            found.append(mapped)
        return found[0], found[1]


def can_warm_start(held: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether factors of one configuration can be gone on from with another."""
    able = all(
        config["engine"] == "als" and config["solver"] in WARM_START_SOLVERS
        for config in (held, wanted)
    )
    return able and bool(held["factors"] == wanted["factors"])


def count_warm_sweeps(iterations: int) -> int:
    """How many a fit makes that goes on from another day's: a third, docs/SEARCH.md has the measurement."""
    return -(-iterations // 3)


def record_challenger(
    lake: Lake, as_of: datetime, name: str, cut: datetime, config: dict[str, Any]
) -> None:
    """Write down which model of the lake is the challenger of a day; it has seen the rows before `cut`."""
    pointer = {"model": name, "before": format_iso(cut), "config": config}
    lake.write_json(pointer, CHALLENGERS_FOLDER, f"{format_stamp(as_of)}.json")


def find_warm_start(
    lake: Lake, as_of: datetime, cut: datetime, config: dict[str, Any]
) -> WarmStart | None:
    """The newest challenger of an earlier day that has seen nothing from `cut` on and fits the configuration.

    Only of earlier days: a rerun must not start from what its first run left. One that is gone, was damaged, or whose
    own lineage does not say what the pointer says, is passed over.
    """
    for pointer in _iterate_older_challengers(lake, as_of):
        if can_warm_start(pointer["config"], config) and parse_as_of(pointer["before"]) <= cut:
            model = _load_intact_model(lake, pointer["model"])
            if model and (model.lineage["as_of"], model.lineage["stage"]) == (
                pointer["before"],
                "train",
            ):
                return WarmStart(pointer["model"], model)
    return None


def find_newest_challenger(lake: Lake) -> str | None:
    """The name of the newest challenger's model, or None."""
    names = lake.names(CHALLENGERS_FOLDER)
    return lake.read_json(CHALLENGERS_FOLDER, names[-1])["model"] if names else None


def _iterate_older_challengers(lake: Lake, as_of: datetime) -> Iterator[dict[str, Any]]:
    older = [
        name for name in lake.names(CHALLENGERS_FOLDER) if name < f"{format_stamp(as_of)}.json"
    ]
    for name in reversed(older[-MAX_START_CANDIDATES:]):
        yield lake.read_json(CHALLENGERS_FOLDER, name)


def _load_intact_model(lake: Lake, name: str) -> FactorModel | None:
    with tempfile.TemporaryDirectory() as folder:
        lake.download_folder(Path(folder), "models", name)
        try:
            return FactorModel.load(Path(folder))
        except ValueError:
            return None
