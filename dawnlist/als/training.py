"""Implicit-feedback ALS: choose a solver by its name, and fit it on CPU, GPU or Spark.

The objective is equation 3 of Hu, Koren and Volinsky, "Collaborative Filtering for Implicit
Feedback Datasets" (ICDM 2008), with the weight alpha0 on pairs that were never seen and the
frequency-scaled regularization of Rendle et al., "Revisiting the Performance of iALS on Item
Recommendation Benchmarks" (RecSys 2022). See docs/MODEL.md."""

import hashlib
import json
from typing import Any, Final

import numpy as np

from dawnlist.als.engine import FitEngine
from dawnlist.als.fit import Fit, InitialFactors
from dawnlist.als.mllib import SparkFit
from dawnlist.als.pairs import PreparedPairs
from dawnlist.arrays import FactorPair
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems

ON_CPU: Final = FitEngine()


class ALSTrainer:
    """Fits configurations on one matrix, which is copied to the device only once.

    `dawnlist.als.mllib` says how closely the solvers agree."""

    def __init__(self, user_items: UserItems, engine: FitEngine = ON_CPU) -> None:
        self.user_items = user_items
        self.engine = engine
        self._pairs: PreparedPairs | None = None

    def start_fit(self, config: ALSConfig, start: InitialFactors = None) -> Fit:
        """Create a fit that has made no sweep yet.

        Raises:
            MemoryError: This machine or its GPU has too little memory.
            RuntimeError: The GPU or Spark is missing.
            ValueError: The configuration does not go with the device.
        """
        if config.solver == "ials":
            return self._start_ials(config, start)
        if config.solver == "spark":
            if self.engine.device != "cpu":
                raise ValueError(
                    "device is 'gpu': Spark fits on CPUs, so choose the cpu, or ials for the GPU"
                )
            return SparkFit(self.user_items, config, self.engine.spark_url)
        from dawnlist.als.implicit import ImplicitFit

        return ImplicitFit(self.user_items, config, self.engine.device, start)

    def _start_ials(self, config: ALSConfig, start: InitialFactors) -> Fit:
        # This import brings numba, which takes a second.
        from dawnlist.als import ials

        if self._pairs is None:
            self._pairs = ials.prepare_pairs(self.user_items, self.engine.device)
        return ials.IALSFit(self._pairs, config, start)


def fit_als(
    user_items: UserItems,
    config: ALSConfig,
    engine: FitEngine = ON_CPU,
    start: InitialFactors = None,
) -> FactorPair:
    """Make all sweeps of a configuration, and return the user and item factors. See ALSTrainer."""
    fit = ALSTrainer(user_items, engine).start_fit(config, start)
    fit.advance(config.iterations)
    return fit.factors


def fingerprint_inputs(user_items: UserItems, *details: Any) -> str:
    """Compute a name for a piece of work, 16 hex digits, from its matrix and other details.

    The details must be serializable as JSON. The same matrix and details give the same name.
    """
    digest = hashlib.sha256(json.dumps(details, sort_keys=True).encode())
    weight = user_items.weight
    for array in (weight.data, weight.indices, weight.indptr, user_items.age):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
