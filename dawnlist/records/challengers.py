"""Challengers as they were before their refit. A later day's fit may start from them.

A fit must not start from factors that have seen rows it will be scored on. A challenger has seen no
rows after its cut, so it can start every fit with a later cut. A champion was refitted on all rows
up to its as_of, so it can start none.
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
from dawnlist.lake.damaged_objects import DamagedObjectError, JsonTypes
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.ids import IdMap

CHALLENGERS_FOLDER: Final = "challengers"
MAX_START_CANDIDATES: Final = 7
"""How many of the newest challengers are considered as a start."""
WARM_START_SOLVERS: Final = ("ials", "implicit")
"""The solvers that can start from given factors, including each other's."""
_POINTER_TYPES: Final[JsonTypes] = {"model": str, "before": str, "config": dict}
NEW_VECTOR_SCALE: Final = np.float32(0.01)
"""The scale of the random vectors of new users and items, which is small beside fitted ones."""


@dataclass(frozen=True)
class WarmStart:
    """A model that a fit starts from."""

    name: str
    """The model's name in the lake."""
    model: FactorModel

    @property
    def seen_until(self) -> datetime:
        """The end of the rows that the model has seen, in UTC."""
        return parse_as_of(self.model.lineage["as_of"])

    def factors(
        self, user_ids: IdMap, item_ids: IdMap, config: ALSConfig
    ) -> tuple[Float32Array, Float32Array]:
        """Return the user and item factors to start from, in the order of the given ids.

        Ids that the model lacks get small random vectors. The factors leave out the model's share
        of popularity.
        """
        random = np.random.default_rng(config.seed)
        model = self.model
        users = _align_factors(model.user_ids, user_ids, model.user_factors, config, random)
        items = _align_factors(model.item_ids, item_ids, model.item_factors, config, random)
        return users, items


def _align_factors(
    model_ids: IdMap,
    target_ids: IdMap,
    factors: Float32Array,
    config: ALSConfig,
    random: np.random.Generator,
) -> Float32Array:
    """Return the model's factors in the order of `target_ids`; shape (targets, config.factors)."""
    rows = model_ids.indices(target_ids.ids)
    aligned = NEW_VECTOR_SCALE * random.standard_normal(
        (len(target_ids), config.factors), np.float32
    )
    in_model = rows >= 0
    aligned[in_model] = factors[rows[in_model], : config.factors]
    return aligned


def can_warm_start(start_config: dict[str, Any], config: dict[str, Any]) -> bool:
    """Say whether a fit can start from factors that were fitted with `start_config`."""
    for each in (start_config, config):
        if each["engine"] != "als" or each["solver"] not in WARM_START_SOLVERS:
            return False
    return bool(start_config["factors"] == config["factors"])


def count_warm_sweeps(iterations: int) -> int:
    """Return the number of sweeps of a fit that starts from another day's factors.

    It is a third of the configured iterations, rounded up; docs/SEARCH.md has the measurement.
    """
    return -(-iterations // 3)


def record_challenger(
    lake: Lake, as_of: datetime, name: str, cut: datetime, config: dict[str, Any]
) -> None:
    """Record which model is the challenger of a day.

    Args:
        name: The model's name in the lake.
        cut: The model has seen the rows before this time.
        config: The model's configuration.
    """
    pointer = {"model": name, "before": format_iso(cut), "config": config}
    lake.write_json(pointer, CHALLENGERS_FOLDER, f"{format_stamp(as_of)}.json")


def find_warm_start(
    lake: Lake, as_of: datetime, cut: datetime, config: dict[str, Any]
) -> WarmStart | None:
    """Find the newest challenger that a fit may start from, or return None.

    It is from an earlier day: a rerun must not start from what its first run left. It has seen no
    rows after `cut`, and its configuration fits. A challenger is skipped if its record or its model
    is gone or damaged, or if the model's own lineage contradicts the record.
    """
    for pointer in _iterate_older_challengers(lake, as_of):
        if not can_warm_start(pointer["config"], config):
            continue
        if parse_as_of(pointer["before"]) > cut:
            continue
        model = _load_intact_model(lake, pointer["model"])
        if model is not None and _confirms_record(model, pointer):
            return WarmStart(pointer["model"], model)
    return None


def find_newest_challenger(lake: Lake) -> str | None:
    """Return the name of the newest challenger's model, or None."""
    for name in reversed(lake.names(CHALLENGERS_FOLDER)):
        pointer = _read_pointer(lake, name)
        if pointer is not None:
            return str(pointer["model"])
    return None


def _iterate_older_challengers(lake: Lake, as_of: datetime) -> Iterator[dict[str, Any]]:
    """Yield the newest records of earlier days, the newest first."""
    own_name = f"{format_stamp(as_of)}.json"
    older = [name for name in lake.names(CHALLENGERS_FOLDER) if name < own_name]
    for name in reversed(older[-MAX_START_CANDIDATES:]):
        pointer = _read_pointer(lake, name)
        if pointer is not None:
            yield pointer


def _read_pointer(lake: Lake, name: str) -> dict[str, Any] | None:
    """Read the record of a challenger; None if Dawnlist did not write it."""
    try:
        pointer: dict[str, Any] | None = lake.read_json(
            CHALLENGERS_FOLDER, name, types=_POINTER_TYPES
        )
    except DamagedObjectError:
        return None
    return pointer


def _load_intact_model(lake: Lake, name: str) -> FactorModel | None:
    with tempfile.TemporaryDirectory() as folder:
        lake.download_folder(Path(folder), "models", name)
        try:
            return FactorModel.load(Path(folder))
        except ValueError:
            return None


def _confirms_record(model: FactorModel, pointer: dict[str, Any]) -> bool:
    """Say whether the model's lineage agrees with the record."""
    is_challenger = model.lineage["stage"] == "train"
    return bool(model.lineage["as_of"] == pointer["before"] and is_challenger)
