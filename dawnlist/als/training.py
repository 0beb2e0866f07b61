"""Implicit-feedback ALS: its hyper-parameters, and the engines that fit it on CPU, GPU and Spark.

The objective is equation 3 of Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets"
(ICDM 2008), with the weight alpha0 on pairs that were never seen and the frequency-scaled regularization of Rendle et
al., "Revisiting the Performance of iALS on Item Recommendation Benchmarks" (RecSys 2022): docs/MODEL.md.
"""

import hashlib
import json
from typing import Any

import numpy as np

from dawnlist.als.fit import Fit, InitialFactors
from dawnlist.arrays import Float32Array
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems


class ALSTrainer:
    """A matrix that configurations are fitted on, in turns if need be; a device gets it once.

    `device` is "cpu" or "gpu"; a GPU that is missing is a RuntimeError, never a silent fall back to the CPU. `spark` is
    the URL of Spark, for configurations whose solver it is; `dawnlist.als.mllib` says how far the engines agree.
    """

    def __init__(self, user_items: UserItems, device: str = "cpu", spark: str = "local[*]") -> None:
        if device not in ("cpu", "gpu"):
            raise ValueError(f"device {device!r} is unknown: give cpu or gpu")
        self.user_items, self.device, self.spark = user_items, device, spark
        self._ials: Any = None

    def start_fit(self, config: ALSConfig, start: InitialFactors = None) -> Fit:
        """A fit before its first sweep. MemoryError when this machine has too little."""
        if config.solver == "ials":
            from dawnlist.als import ials

            self._ials = self._ials or ials.prepare_pairs(self.user_items, self.device)
            return ials.IALSFit(self._ials, config, start)
        if config.solver == "spark":
            from dawnlist.als.mllib import SparkFit

            if self.device != "cpu":
                raise ValueError(
                    "device is 'gpu': Spark fits on CPUs, so choose the cpu, or ials for the GPU"
                )
            return SparkFit(self.user_items, config, self.spark)
        from dawnlist.als.implicit import ImplicitFit

        return ImplicitFit(self.user_items, config, self.device, start)


def fit_als(
    user_items: UserItems,
    config: ALSConfig,
    device: str = "cpu",
    spark: str = "local[*]",
    start: InitialFactors = None,
) -> tuple[Float32Array, Float32Array]:
    """User factors (users, factors) and item factors (items, factors) after all sweeps; see Training and Fit."""
    fitting = ALSTrainer(user_items, device, spark).start_fit(config, start)
    fitting.advance(config.iterations)
    return fitting.factors


def fingerprint_inputs(user_items: UserItems, *about: Any) -> str:
    """A name for a piece of work: the same matrix and the same `about` (JSON-able) give the same 16 hex digits."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for array in (
        user_items.weight.data,
        user_items.weight.indices,
        user_items.weight.indptr,
        user_items.age,
    ):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
