"""ALS by the library implicit, on CPU or GPU. It is also the reference for our own solver."""

from typing import Any, Final

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from dawnlist.als.fit import InitialFactors
from dawnlist.arrays import FactorPair, Float32Array
from dawnlist.machine.gpu_libraries import import_implicit_als
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems

GPU_FACTORS_LIMIT: Final = 992
"""With more factors implicit's GPU kernels crash or compute wrong results."""


class ImplicitFit:
    """A fit by the library implicit. It implements dawnlist.als.fit.Fit."""

    def __init__(
        self, user_items: UserItems, config: ALSConfig, device: str, start: InitialFactors
    ) -> None:
        self.config = config
        self.sweeps = 0
        self.ridge_scale = config.regularization
        self._confidence = build_confidence_matrix(user_items, config)
        # implicit starts a thread for each core. Threads of BLAS on top of these only slow it down.
        with threadpool_limits(1, "blas"):
            self._model = _create_model(config, device)
        if start is not None:
            users, items = start
            self._model.user_factors = self._copy_factors(users)
            self._model.item_factors = self._copy_factors(items)

    def advance(self, sweeps: int) -> None:
        """Make more sweeps. implicit draws random factors only where it has none yet."""
        self._model.iterations = sweeps
        with threadpool_limits(1, "blas"):
            self._model.fit(self._confidence, show_progress=False)
        self.sweeps += sweeps

    @property
    def factors(self) -> FactorPair:
        """Copies of the user and item factors, as NumPy arrays on any device."""
        return _copy_to_numpy(self._model.user_factors), _copy_to_numpy(self._model.item_factors)

    def _copy_factors(self, factors: Float32Array) -> Any:
        """Copy factors into an array of implicit, which writes into it."""
        if isinstance(self._model, AlternatingLeastSquares):
            return factors.astype(np.float32, copy=True)
        import implicit.gpu

        return implicit.gpu.Matrix(factors.astype(np.float32))


def build_confidence_matrix(user_items: UserItems, config: ALSConfig) -> csr_matrix:
    """Build the matrix of c / alpha0, where c is the confidence of each seen pair.

    Unseen pairs have confidence 1 in implicit, so everything is divided by alpha0. alpha is part of
    the matrix, since implicit's GPU fit ignores its own parameter alpha."""
    scale = np.float32(config.alpha / config.alpha0)
    confidence = user_items.decay_weights(config.half_life) * scale
    # implicit takes the whole confidence, not how much it exceeds that of an unseen pair.
    confidence.data += 1
    return confidence.astype(np.float32)


def _copy_to_numpy(factors: Any) -> Float32Array:
    """Copy factors of implicit, which keeps working on its own."""
    if isinstance(factors, np.ndarray):
        return factors.copy()
    host: Float32Array = factors.to_numpy()
    return host


def _create_model(config: ALSConfig, device: str) -> Any:
    arguments = {
        "factors": config.factors,
        "regularization": config.regularization / config.alpha0,
        "alpha": 1.0,
        "iterations": config.iterations,
        "random_state": config.seed,
    }
    if device != "gpu":
        return AlternatingLeastSquares(**arguments)
    if config.factors > GPU_FACTORS_LIMIT:
        raise ValueError(
            f"factors is {config.factors}, but implicit trains at most {GPU_FACTORS_LIMIT} "
            "on a GPU: use ials"
        )
    return import_implicit_als()(**arguments)
