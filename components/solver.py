"""Implicit-feedback ALS on CPU and GPU, by the library `implicit`, or on Spark, by its MLlib.

The objective is equation 3 of Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets"
(ICDM 2008): preference 1 where there is an interaction, confidence c = 1 + alpha * weight * 2^(-age / half-life).
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from components.model import Factors
from components.user_items import UserItems

SOLVERS: Final = ("implicit", "spark")
GPU_FACTORS_LIMIT = 992  # above it implicit's GPU kernels crash or train wrongly


@dataclass(frozen=True)
class ALSConfig:
    """Hyper-parameters and seed of one fit."""

    factors: int = 64
    """Length of a vector."""
    regularization: float = 0.1
    """lambda of equation 3."""
    alpha: float = 10.0
    """How much one unit of weight adds to the confidence 1 of a pair that was never seen."""
    half_life: float = 0.0
    """Days after which an interaction counts half; 0 means for ever."""
    iterations: int = 12
    """Sweeps over users and items."""
    seed: int = 7
    """Of the first random factors; the same seed gives the same model on a CPU."""
    solver: str = "implicit"
    """What fits: implicit or spark. A model says it of itself, and a trial's refit goes to the solver of the trial."""

    def __post_init__(self) -> None:
        limits = {
            "factors": (1, 4096),
            "regularization": (0, 1e6),
            "alpha": (1e-6, 1e6),
            "half_life": (0, 36_500),
            "iterations": (1, 1000),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)}: give a number from {low} to {high}")
        if self.solver not in SOLVERS:
            raise ValueError(f"solver is {self.solver!r}: give one of {', '.join(SOLVERS)}")

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values, with the engine's name."""
        return {"engine": "als", **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ALSConfig":
        """What `as_dict` gave, back; other keys (a trial's metrics) are left out."""
        names = {field.name: field.type for field in dataclasses.fields(cls)}
        return cls(**{name: values[name] for name in names if name in values})


def fit(
    user_items: UserItems, config: ALSConfig, device: str = "cpu", spark: str = "local[*]"
) -> tuple[Factors, Factors]:
    """User factors (users, factors) and item factors (items, factors), float32.

    `device` is "cpu" or "gpu"; a GPU that is missing is a RuntimeError, never a silent fall back to the CPU. `spark` is
    the URL of Spark, for configurations whose solver it is; `components.spark_als` says how far the two agree.
    """
    if config.solver == "spark":
        from components import spark_als

        if device != "cpu":
            raise ValueError(f"device is {device!r}: Spark fits on CPUs, so choose the cpu, or implicit for the GPU")
        return spark_als.fit(user_items, config, spark)
    confidence = user_items.decayed(config.half_life) * np.float32(config.alpha)
    confidence.data += 1  # implicit takes c itself, not c - 1; alpha stays 1, since its GPU fit ignores it
    if device == "gpu":
        return _fit_gpu(confidence.astype(np.float32), config)
    if device != "cpu":
        raise ValueError(f"device {device!r} is unknown: give cpu or gpu")
    with threadpool_limits(1, "blas"):  # implicit runs a thread a core; BLAS threads on top only get in the way
        model = AlternatingLeastSquares(**_arguments(config))
        model.fit(confidence.astype(np.float32), show_progress=False)
    return model.user_factors, model.item_factors


def _fit_gpu(confidence: csr_matrix, config: ALSConfig) -> tuple[Factors, Factors]:
    from components.gpu import implicit_als

    if config.factors > GPU_FACTORS_LIMIT:
        raise ValueError(f"factors is {config.factors}: the GPU trains at most {GPU_FACTORS_LIMIT}, use the CPU")
    model = implicit_als()(**_arguments(config))
    model.fit(confidence, show_progress=False)
    return model.user_factors.to_numpy(), model.item_factors.to_numpy()


def _arguments(config: ALSConfig) -> dict[str, Any]:
    return {
        "factors": config.factors,
        "regularization": config.regularization,
        "alpha": 1.0,
        "iterations": config.iterations,
        "random_state": config.seed,
    }


def fingerprint(user_items: UserItems, *about: Any) -> str:
    """A name for a piece of work: the same matrix and the same `about` (JSON-able) give the same 16 hex digits."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for array in (user_items.weight.data, user_items.weight.indices, user_items.weight.indptr, user_items.age):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
