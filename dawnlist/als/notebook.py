"""Our ALS with the interface of the library implicit, for notebooks."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from dawnlist.als.ials import IALSFit, prepare_pairs
from dawnlist.arrays import Float32Array
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems
from dawnlist.ranking.fold_in import NO_START, UserEquation
from dawnlist.ranking.normal_equations import build_normal_matrix, cholesky, solve_user_vector


class IALS(AlternatingLeastSquares):  # type: ignore[misc]  # implicit ships no types
    """A model with implicit's methods, such as recommend, similar_items and explain.

    Its conventions are those of implicit: user_items is a CSR matrix (users, items) of weights.

    `alpha0` and `nu` are what implicit's model lacks: see ALSConfig. Its half-life cannot be used
    here, since the pairs of a matrix have no ages."""

    def __init__(self, config: ALSConfig | None = None, device: str = "cpu") -> None:
        self.config = config or ALSConfig()
        if self.config.half_life:
            raise ValueError(
                f"half_life is {self.config.half_life}: a matrix has no ages, "
                "so fold them into its weights"
            )
        # implicit would warn about the threads of BLAS, which this model does not use.
        with threadpool_limits(1, "blas"):
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
        """Fit the model. There is no progress bar.

        As in implicit, `callback(sweep, seconds, None)` is called after each sweep.
        """
        weights = csr_matrix(user_items, dtype=np.float32)
        ages = np.zeros(weights.nnz, np.float32)
        pairs = prepare_pairs(UserItems(weights, ages), self.device)
        fit = IALSFit(pairs, self.config, None)
        for sweep in range(self.config.iterations):
            began = time.perf_counter()
            fit.advance(1)
            if callback is not None:
                callback(sweep, time.perf_counter() - began, None)
        self.user_factors, self.item_factors = fit.factors
        self.ridge_scale = fit.ridge_scale
        # These are caches of implicit's, which belong to the former factors.
        self._user_norms = self._item_norms = self._YtY = self._XtX = None

    def recalculate_user(self, userid: Any, user_items: csr_matrix) -> Float32Array:
        """Compute the vectors of users from their items. The model itself does not change."""
        return self._fold_in(userid, user_items, self.item_factors, self.YtY)

    def recalculate_item(self, itemid: Any, item_users: csr_matrix) -> Float32Array:
        """Compute the vectors of items from their users. The model itself does not change."""
        return self._fold_in(itemid, item_users, self.user_factors, self.XtX)

    def explain(
        self,
        userid: int,
        user_items: csr_matrix,
        itemid: int,
        user_weights: Any = None,
        N: int = 10,  # noqa: N803
    ) -> tuple[float, list[tuple[int, float]], Any]:
        """Compute what each item of a user adds to the score of `itemid`.

        The method is that of Hu et al. (2008), section 5.
        """
        confidence = self._compute_confidence(user_items)
        if user_weights is None:
            user_weights = self._factorize_user(confidence[userid])
        total, best, weights = super().explain(userid, confidence, itemid, user_weights, N)
        return float(total), best, weights

    def _factorize_user(self, confidence: csr_matrix) -> tuple[Any, bool]:
        """Factorize a user's normal matrix, as scipy's cho_factor does with lower=True."""
        equation = self._build_equation(confidence, len(self.item_factors))
        normal = build_normal_matrix(
            self.YtY.astype(np.float64),
            self.item_factors,
            equation.index,
            equation.confidence,
            self.config.alpha0,
            equation.ridge,
        )
        cholesky(normal)
        # Nothing was written above the diagonal, where the memory's former contents remain.
        return np.tril(normal), True

    def _compute_confidence(self, weights: csr_matrix) -> csr_matrix:
        """Compute alpha0 + alpha weight of the seen pairs."""
        confidence = csr_matrix(weights, dtype=np.float32) * np.float32(self.config.alpha)
        confidence.data += np.float32(self.config.alpha0)
        return confidence

    def _fold_in(
        self, ids: Any, weights: csr_matrix, vectors: Float32Array, gram: Float32Array
    ) -> Float32Array:
        """Solve the vector of each id, shape (ids, factors), or (factors,) for a single id."""
        rows = 1 if np.isscalar(ids) else len(ids)
        if weights.shape[0] != rows:
            raise ValueError(
                f"{weights.shape[0]} rows for {rows} ids: give one row of interactions for each id"
            )
        confidence = self._compute_confidence(weights)
        gram64 = gram.astype(np.float64)
        solved = np.zeros((rows, self.config.factors), np.float32)
        for row in range(rows):
            equation = self._build_equation(confidence[row], len(vectors))
            solved[row] = solve_user_vector(
                gram64,
                vectors,
                equation.index,
                equation.confidence,
                equation.pull,
                self.config.alpha0,
                equation.ridge,
            )
        return solved[0] if np.isscalar(ids) else solved

    def _build_equation(self, confidence: csr_matrix, columns: int) -> UserEquation:
        """Build equation 2 of docs/MODEL.md from one row of confidences."""
        alpha0 = self.config.alpha0
        pull = confidence.data.astype(np.float64)
        total = pull.sum() + alpha0 * (columns - confidence.nnz)
        ridge = float(self.ridge_scale * total**self.config.nu)
        return UserEquation(confidence.indices, pull - alpha0, pull, ridge, NO_START)
