"""ALS by the library implicit, on CPU or GPU: Training's engine `implicit`, and what ours is compared with."""

from typing import Any, Final

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from dawnlist.als.fit import InitialFactors
from dawnlist.arrays import Float32Array
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems

GPU_FACTORS_LIMIT: Final = 992  # above it implicit's GPU kernels crash or train wrongly


class ImplicitFit:
    """See dawnlist.als.training.Fit."""

    def __init__(
        self, user_items: UserItems, config: ALSConfig, device: str, start: InitialFactors
    ) -> None:
        self.config, self.sweeps, self.ridge_scale = config, 0, config.regularization
        self._confidence = build_confidence_matrix(user_items, config)
        with threadpool_limits(
            1, "blas"
        ):  # it runs a thread a core; BLAS threads on top only get in the way
            self._model = (
                _create_gpu_model(config)
                if device == "gpu"
                else AlternatingLeastSquares(**_build_arguments(config))
            )
        if start is not None:
            self._model.user_factors, self._model.item_factors = (
                self._own(factors) for factors in start
            )

    def advance(self, sweeps: int) -> None:
        """Go on: implicit starts from random factors only where it has none."""
        self._model.iterations = sweeps
        with threadpool_limits(1, "blas"):
            self._model.fit(self._confidence, show_progress=False)
        self.sweeps += sweeps

    @property
    def factors(self) -> tuple[Float32Array, Float32Array]:
        """Copies, as NumPy arrays wherever they are."""
        found = (self._model.user_factors, self._model.item_factors)
        users, items = (
            f.copy() if isinstance(f, np.ndarray) else f.to_numpy() for f in found
        )  # it goes on in its own
        return users, items

    def _own(self, factors: Float32Array) -> Any:
        if isinstance(self._model, AlternatingLeastSquares):
            return factors.astype(np.float32, copy=True)  # it writes into them
        import implicit.gpu

        return implicit.gpu.Matrix(factors.astype(np.float32))


def build_confidence_matrix(user_items: UserItems, config: ALSConfig) -> csr_matrix:
    """c / alpha0 of each seen pair: implicit's unseen pairs have confidence 1, so everything is divided by alpha0.

    alpha is in the matrix, since implicit's GPU fit ignores its own.
    """
    found = user_items.decay_weights(config.half_life) * np.float32(config.alpha / config.alpha0)
    found.data += 1  # implicit takes c itself, not what is above that of unseen pairs
    return found.astype(np.float32)


def _create_gpu_model(config: ALSConfig) -> Any:
    from dawnlist.machine.gpu_libraries import import_implicit_als

    if config.factors > GPU_FACTORS_LIMIT:
        raise ValueError(
            f"factors is {config.factors}: implicit trains at most {GPU_FACTORS_LIMIT} on a GPU, use ials"
        )
    return import_implicit_als()(**_build_arguments(config))


def _build_arguments(config: ALSConfig) -> dict[str, Any]:
    return {
        "factors": config.factors,
        "regularization": config.regularization / config.alpha0,
        "alpha": 1.0,
        "iterations": config.iterations,
        "random_state": config.seed,
    }
