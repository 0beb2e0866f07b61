"""Our ALS as a model of the library implicit: its recommend, similar_items, explain and fold-in, for notebooks."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from dawnlist.als.ials import IALSFit, prepare_pairs
from dawnlist.arrays import Float32Array, Float64Array
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems
from dawnlist.ranking.fold_in import build_normal_matrix, cholesky, solve_user_vector


class IALS(AlternatingLeastSquares):  # type: ignore[misc]  # implicit ships no types
    """implicit's conventions throughout: user_items is a CSR matrix (users, items) of weights, ids are dense.

    `alpha0` and `nu` are what implicit's model lacks: see ALSConfig, whose half-life is not for here, where no pair
    has an age.
    """

    def __init__(self, config: ALSConfig | None = None, device: str = "cpu") -> None:
        self.config = config or ALSConfig()
        if self.config.half_life:
            raise ValueError(
                f"half_life is {self.config.half_life}: a matrix has no ages, so fold them into its weights"
            )
        with threadpool_limits(
            1, "blas"
        ):  # else it warns of BLAS threads, which it does not use here
            super().__init__(
                factors=self.config.factors,
                regularization=self.config.regularization,
                iterations=self.config.iterations,
                random_state=self.config.seed,
            )
        self.device = device

    def fit(
        self,
        user_items: csr_matrix,
        show_progress: bool = True,
        callback: Callable[..., Any] | None = None,
    ) -> None:
        """Fit; `callback(sweep, seconds, None)` after each sweep, as implicit does it. There is no progress bar."""
        weights = csr_matrix(user_items, dtype=np.float32)
        pairs = prepare_pairs(UserItems(weights, np.zeros(weights.nnz, np.float32)), self.device)
        fitting = IALSFit(pairs, self.config, None)
        for sweep in range(self.config.iterations):
            began = time.perf_counter()
            fitting.advance(1)
            if callback is not None:
                callback(sweep, time.perf_counter() - began, None)
        self.user_factors, self.item_factors = fitting.factors
        self.ridge_scale = fitting.ridge_scale
        self._user_norms = self._item_norms = self._YtY = self._XtX = None

    def recalculate_user(self, userid: Any, user_items: csr_matrix) -> Float32Array:
        """The vectors of users from what they did, item vectors as they are; the model stays as it is."""
        return self._folded(userid, user_items, self.item_factors, self.YtY)

    def recalculate_item(self, itemid: Any, item_users: csr_matrix) -> Float32Array:
        """The vectors of items from who met them, user vectors as they are."""
        return self._folded(itemid, item_users, self.user_factors, self.XtX)

    def explain(
        self,
        userid: int,
        user_items: csr_matrix,
        itemid: int,
        user_weights: Any = None,
        N: int = 10,  # noqa: N803
    ) -> tuple[float, list[tuple[int, float]], Any]:
        """What each item that the user met adds to the score of `itemid`: section 5 of Hu et al. (2008)."""
        confidence = self._confidence(user_items)
        if user_weights is None:
            index, added, _, *rest = self._equation(confidence[userid], len(self.item_factors))
            left = build_normal_matrix(
                self.YtY.astype(np.float64), self.item_factors, index, added, *rest
            )
            cholesky(left)
            user_weights = (
                np.tril(left),
                True,
            )  # lower, as of cho_factor; above it nothing was written
        total, best, weights = super().explain(userid, confidence, itemid, user_weights, N)
        return float(total), best, weights

    def _confidence(self, weights: csr_matrix) -> csr_matrix:
        """alpha0 + alpha weight of the pairs that were met."""
        found = csr_matrix(weights, dtype=np.float32) * np.float32(self.config.alpha)
        found.data += np.float32(self.config.alpha0)
        return found

    def _folded(
        self, which: Any, weights: csr_matrix, vectors: Float32Array, gram: Float32Array
    ) -> Float32Array:
        rows = 1 if np.isscalar(which) else len(which)
        if weights.shape[0] != rows:
            raise ValueError(
                f"{weights.shape[0]} rows for {rows} ids: give one row of interactions for each id"
            )
        confidence = self._confidence(weights)
        found, wide = np.zeros((rows, self.config.factors), np.float32), gram.astype(np.float64)
        for row in range(rows):
            found[row] = solve_user_vector(
                wide, vectors, *self._equation(confidence[row], len(vectors))
            )
        return found[0] if np.isscalar(which) else found

    def _equation(
        self, confidence: csr_matrix, others: int
    ) -> tuple[Any, Float64Array, Float64Array, float, float]:
        """One row of docs/MODEL.md, equation 2, as fold_in.solved takes it."""
        alpha0, pull = self.config.alpha0, confidence.data.astype(np.float64)
        total = pull.sum() + alpha0 * (others - confidence.nnz)
        return (
            confidence.indices,
            pull - alpha0,
            pull,
            alpha0,
            float(self.ridge_scale * total**self.config.nu),
        )
