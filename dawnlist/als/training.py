"""Implicit-feedback ALS: its hyper-parameters, and the engines that fit it on CPU, GPU and Spark.

The objective is equation 3 of Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets"
(ICDM 2008), with the weight alpha0 on pairs that were never seen and the frequency-scaled regularization of Rendle et
al., "Revisiting the Performance of iALS on Item Recommendation Benchmarks" (RecSys 2022): docs/MODEL.md.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from dawnlist.model.factor_model import Factors
from dawnlist.model.user_items import UserItems

SOLVERS: Final = ("ials", "implicit", "spark")
First = tuple[Factors, Factors] | None
"""User and item factors to go on from, in the index space of the matrix; None: random ones."""


@dataclass(frozen=True)
class ALSConfig:
    """Hyper-parameters and seed of one fit."""

    factors: int = 64
    """Length of a vector."""
    regularization: float = 0.1
    """lambda of equation 3; with nu, the mean over all users and items."""
    alpha: float = 10.0
    """How much one unit of weight adds to the confidence alpha0 of a pair that was never seen."""
    half_life: float = 0.0
    """Days after which an interaction counts half; 0 means for ever."""
    iterations: int = 12
    """Sweeps over users and items."""
    seed: int = 7
    """Of the first random factors; the same seed gives the same model on a CPU."""
    solver: str = "ials"
    """What fits: ials, implicit or spark. A model says it of itself, and a trial's refit goes to its solver."""
    alpha0: float = 1.0
    """The confidence of a pair that was never seen."""
    nu: float = 0.0
    """How regularization grows with the confidence of a user's or item's pairs: 0 not at all, 1 in proportion."""
    popularity_share: float = 0.0
    """Served scores are the factors' plus this share of decayed popularity; the most popular item's is 1."""
    popularity_half_life: float = 1.0
    """Days after which an interaction counts half for that popularity."""
    content_share: float = 0.0
    """Served scores have this share of how alike an item's words are to those of what the user met; docs/HYBRID.md."""
    content_pairs: float = 5.0
    """Half of that share is left for a user who met so many items."""

    def __post_init__(self) -> None:
        limits = {
            "factors": (1, 4096),
            "regularization": (0, 1e6),
            "alpha": (1e-6, 1e6),
            "half_life": (0, 36_500),
            "iterations": (1, 1000),
            "alpha0": (1e-6, 1e6),
            "nu": (0, 2),
            "popularity_share": (0, 1e3),
            "popularity_half_life": (1e-3, 36_500),
            "content_share": (0, 1e3),
            "content_pairs": (1e-3, 1e6),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)}: give a number from {low} to {high}")
        if self.solver not in SOLVERS:
            raise ValueError(f"solver is {self.solver!r}: give one of {', '.join(SOLVERS)}")
        if self.nu and self.solver != "ials":
            raise ValueError(f"nu is {self.nu} and the solver {self.solver}: only ials scales its regularization")

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values, with the engine's name."""
        return {"engine": "als", **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ALSConfig":
        """What `as_dict` gave, back; other keys (a trial's metrics) are left out."""
        names = {field.name: field.type for field in dataclasses.fields(cls)}
        return cls(**{name: values[name] for name in names if name in values})


class Fit(Protocol):
    """A fit under way: it goes on from the factors that it has."""

    config: ALSConfig
    sweeps: int
    """Done so far."""
    ridge_scale: float
    """lambda of a user or item is this times s^nu, s its sum of confidences over all pairs."""

    def advance(self, sweeps: int) -> None:
        """So many sweeps more over users and items; 2 and then 3 are the same as 5."""

    @property
    def factors(self) -> tuple[Factors, Factors]:
        """User factors (users, factors) and item factors (items, factors), float32; zero for who has no interaction."""


class Training:
    """A matrix that configurations are fitted on, in turns if need be; a device gets it once.

    `device` is "cpu" or "gpu"; a GPU that is missing is a RuntimeError, never a silent fall back to the CPU. `spark` is
    the URL of Spark, for configurations whose solver it is; `dawnlist.als.mllib` says how far the engines agree.
    """

    def __init__(self, user_items: UserItems, device: str = "cpu", spark: str = "local[*]") -> None:
        if device not in ("cpu", "gpu"):
            raise ValueError(f"device {device!r} is unknown: give cpu or gpu")
        self.user_items, self.device, self.spark = user_items, device, spark
        self._ials: Any = None

    def begin(self, config: ALSConfig, start: First = None) -> Fit:
        """A fit before its first sweep. MemoryError when this machine has too little."""
        if config.solver == "ials":
            from dawnlist.als import ials

            self._ials = self._ials or ials.prepared(self.user_items, self.device)
            return ials.IALSFit(self._ials, config, start)
        if config.solver == "spark":
            from dawnlist.als.mllib import SparkFit

            if self.device != "cpu":
                raise ValueError("device is 'gpu': Spark fits on CPUs, so choose the cpu, or ials for the GPU")
            return SparkFit(self.user_items, config, self.spark)
        from dawnlist.als.implicit import ImplicitFit

        return ImplicitFit(self.user_items, config, self.device, start)


def fit(
    user_items: UserItems, config: ALSConfig, device: str = "cpu", spark: str = "local[*]", start: First = None
) -> tuple[Factors, Factors]:
    """User factors (users, factors) and item factors (items, factors) after all sweeps; see Training and Fit."""
    fitting = Training(user_items, device, spark).begin(config, start)
    fitting.advance(config.iterations)
    return fitting.factors


def fingerprint(user_items: UserItems, *about: Any) -> str:
    """A name for a piece of work: the same matrix and the same `about` (JSON-able) give the same 16 hex digits."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for array in (user_items.weight.data, user_items.weight.indices, user_items.weight.indptr, user_items.age):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
