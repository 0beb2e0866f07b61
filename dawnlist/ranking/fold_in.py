"""Solve a user's vector from the items that they met, with constant item vectors, exactly.

This is equation 2 of docs/MODEL.md:

    (alpha0 G + lambda I + sum_i c_i y_i y_i') x = sum_i (alpha0 + c_i) y_i,
    lambda = ridge_scale s^nu,    s = sum_i c_i + alpha0 (number of items),
    c_i = alpha w_i 2^(-age_i / half_life)

If a part of the history is no longer known, the user's stored vector x0 is the start. With
A x0 = b solved before, new pairs change the equation to (A + sum dc y y') x = b + sum (alpha0 + dc)
y, and so

    x = x0 + (A + sum dc y y')^-1 sum (alpha0 + dc - dc y'x0) y

The right side needs nothing of the unknown part except x0. On the left side that part is left out.
All arithmetic is in float64.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dawnlist.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from dawnlist.machine.numba_jit import KERNEL_OPTIONS, jit

NO_START: Final[Float64Array] = np.zeros(0)
"""The start of an equation that has none."""
GRAM_ROWS: Final = 4096
"""Rows that are converted to float64 at a time."""
PIVOT_TOLERANCE: Final = 1e-13
"""A pivot below this share of its diagonal entry counts as 0."""


@dataclass(frozen=True)
class UserPairs:
    """The items that one user met, each once, in any order."""

    index: Int64Array
    """Item indices."""
    weight: Float64Array
    """The sum of each pair's event weights."""
    age: Float64Array
    """Days from each pair's last event to the cut."""

    def __len__(self) -> int:
        return len(self.index)


NO_PAIRS: Final = UserPairs(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
"""The pairs of a user who met nothing."""


@dataclass(frozen=True)
class UserEquation:
    """The pairs of one user, as equation 2 needs them."""

    index: Int64Array
    """Item indices, shape (pairs,)."""
    confidence: Float64Array
    """c of each pair."""
    pull: Float64Array
    """The factor of each pair's item vector on the right side of the equation."""
    ridge: float
    """lambda."""
    start: Float64Array
    """x0, shape (f,); empty without a start."""


@dataclass(frozen=True)
class MergedPairs:
    """The pairs of a history, followed by those that only the events have."""

    pairs: UserPairs
    has_event: BoolArray
    """Whether the events have the pair, shape (pairs,)."""
    in_history: BoolArray
    """Whether the history has the pair, shape (pairs,)."""


@dataclass(frozen=True, eq=False)
class FoldIn:
    """What the equations of all users of one model have in common."""

    factors: Float32Array
    """Y, shape (items, f), C order."""
    gram: Float64Array
    """G = Y'Y, shape (f, f)."""
    alpha: float
    """How much one unit of weight adds to the confidence of a pair."""
    alpha0: float
    """The confidence of a pair that was never seen."""
    nu: float
    """The exponent of lambda, see dawnlist.model.config.ALSConfig."""
    half_life: float
    """Days after which an interaction counts half; 0 means no decay."""
    ridge_scale: float
    """See dawnlist.als.fit.Fit."""
    items: int
    """How many items the model was fitted on, which come first.

    The vector of a new item is predicted, and it is in no sum over all items.
    """

    @classmethod
    def of(cls, factors: Float32Array, config: dict[str, Any]) -> "FoldIn":
        """Prepare the item factors and the config of a model."""
        items = int(config.get("fitted_items", len(factors)))
        return cls(
            factors,
            compute_gram(factors[:items]),
            alpha=float(config["alpha"]),
            alpha0=float(config["alpha0"]),
            nu=float(config["nu"]),
            half_life=float(config["half_life"]),
            ridge_scale=float(config["ridge_scale"]),
            items=items,
        )

    def build_equation(
        self, history: UserPairs, events: UserPairs, days: float, start: Float64Array = NO_START
    ) -> UserEquation:
        """Build the equation of a user from a stored history and later events.

        Args:
            history: The stored pairs, with ages at the time of storing.
            events: Pairs that came later, with ages at the present cut.
            days: The time from storing to the present cut.
            start: x0. Without it the history is complete, and its pairs age by `days`. With it the
                stored pairs keep the ages that they had when x0 was computed.
        """
        if not len(start):
            merged = _merge_pairs(history, events, days)
            confidence = self.confidence(merged.pairs)
            pull = self.alpha0 + confidence
        else:
            merged = _merge_pairs(history, events, 0.0)
            confidence = self.confidence(merged.pairs)
            pull = self._compute_pull_on_start(merged, confidence, self.confidence(history), start)
        ridge = self.ridge(float(confidence.sum()))
        return UserEquation(merged.pairs.index, confidence, pull, ridge, start)

    def _compute_pull_on_start(
        self,
        merged: MergedPairs,
        confidence: Float64Array,
        history_confidence: Float64Array,
        start: Float64Array,
    ) -> Float64Array:
        """Compute alpha0 + dc - dc y'x0 of each pair that has an event, and 0 for the others.

        alpha0 is part of it only for pairs that are new to the history.
        """
        gain = confidence.copy()
        gain[: len(history_confidence)] -= history_confidence
        base = np.where(merged.in_history, 0.0, self.alpha0)
        pull = np.where(merged.has_event, gain + base, 0.0)
        event = merged.has_event
        if event.any():
            pull[event] -= gain[event] * (self.factors[merged.pairs.index[event]] @ start)
        return pull

    def confidence(self, pairs: UserPairs) -> Float64Array:
        """Compute c of each pair, shape (pairs,)."""
        decay = np.exp2(-pairs.age / self.half_life) if self.half_life else 1.0
        return np.asarray(self.alpha * pairs.weight * decay)

    def ridge(self, confidence: float) -> float:
        """Compute lambda of a user whose confidences have this sum."""
        return float(self.ridge_scale * (confidence + self.alpha0 * self.items) ** self.nu)

    def vector(self, equation: UserEquation) -> Float64Array:
        """Solve the equation; return x, shape (f,)."""
        solution = solve_user_vector(
            self.gram,
            self.factors,
            equation.index,
            equation.confidence,
            equation.pull,
            self.alpha0,
            equation.ridge,
        )
        if len(equation.start):
            return equation.start + solution
        return solution

    def explain_scores(self, equation: UserEquation, items: Int64Array) -> Float64Array:
        """Compute what each pair adds to the scores of `items`, shape (items, pairs).

        The method is that of Hu et al. (2008), section 5. Without a start, a row's sum is the
        score."""
        normal = build_normal_matrix(
            self.gram,
            self.factors,
            equation.index,
            equation.confidence,
            self.alpha0,
            equation.ridge,
        )
        cholesky(normal)
        solutions = [
            solve_cholesky(normal, self.factors[item].astype(np.float64)) for item in items
        ]
        similarities = np.array(solutions) @ self.factors[equation.index].T
        return np.asarray(similarities * equation.pull)


def compute_gram(factors: Float32Array) -> Float64Array:
    """Compute Y'Y in float64, a block at a time, which needs no copy of all factors."""
    gram = np.zeros((factors.shape[1], factors.shape[1]))
    for first in range(0, len(factors), GRAM_ROWS):
        block = factors[first : first + GRAM_ROWS].astype(np.float64)
        gram += block.T @ block
    return gram


def _merge_pairs(history: UserPairs, events: UserPairs, days: float) -> MergedPairs:
    """Merge events into a history whose pairs have aged by `days`.

    A pair of both has the sum of the weights and the age of its last event.
    """
    row_of_item = {item: row for row, item in enumerate(history.index.tolist())}
    event_items = events.index.tolist()
    is_repeat = np.array([item in row_of_item for item in event_items], dtype=bool)
    repeats = events.index[is_repeat].tolist()
    rows = np.array([row_of_item[item] for item in repeats], dtype=np.int64)
    weight = history.weight.copy()
    weight[rows] += events.weight[is_repeat]
    age = history.age + days
    age[rows] = np.minimum(age[rows], events.age[is_repeat])
    pairs = UserPairs(
        np.concatenate([history.index, events.index[~is_repeat]]),
        np.concatenate([weight, events.weight[~is_repeat]]),
        np.concatenate([age, events.age[~is_repeat]]),
    )
    in_history = np.arange(len(pairs)) < len(history)
    has_event = ~in_history
    has_event[rows] = True
    return MergedPairs(pairs, has_event, in_history)


@jit(**KERNEL_OPTIONS)
def solve_user_vector(
    gram: Float64Array,
    vectors: Any,
    index: Any,
    confidence: Any,
    pull: Any,
    alpha0: float,
    ridge: float,
) -> Float64Array:
    """Solve (alpha0 G + ridge I + sum c y y') x = sum pull y. Without pairs x is zero."""
    right = np.zeros(len(gram))
    for pair in range(len(index)):
        row = index[pair]
        factor = np.float64(pull[pair])
        for t in range(len(right)):
            right[t] += factor * vectors[row, t]
    if not len(index):
        return right
    normal = build_normal_matrix(gram, vectors, index, confidence, alpha0, ridge)
    cholesky(normal)
    return solve_cholesky(normal, right)


@jit(**KERNEL_OPTIONS)
def build_normal_matrix(
    gram: Float64Array, vectors: Any, index: Any, confidence: Any, alpha0: float, ridge: float
) -> Float64Array:
    """Compute alpha0 G + ridge I + sum c y y'. Only the lower triangle is written.

    Pairs are added four at a time, so that each entry is loaded and stored only once for them.
    """
    factors = len(gram)
    pairs = len(index)
    normal = np.empty((factors, factors))
    # Three more pairs of weight 0 fill the last four up.
    rows = np.zeros((pairs + 3, factors))
    weight = np.zeros(pairs + 3)
    for pair in range(pairs):
        weight[pair] = confidence[pair]
        for t in range(factors):
            rows[pair, t] = vectors[index[pair], t]
    for s in range(factors):
        for t in range(s + 1):
            normal[s, t] = alpha0 * gram[s, t]
        normal[s, s] += ridge
        for p in range(0, pairs, 4):
            a = weight[p] * rows[p, s]
            b = weight[p + 1] * rows[p + 1, s]
            c = weight[p + 2] * rows[p + 2, s]
            d = weight[p + 3] * rows[p + 3, s]
            for t in range(s + 1):
                normal[s, t] += (
                    a * rows[p, t] + b * rows[p + 1, t] + c * rows[p + 2, t] + d * rows[p + 3, t]
                )
    return normal


@jit(**KERNEL_OPTIONS)
def cholesky(matrix: Float64Array) -> None:
    """Factorize a matrix into L L' in place. Only its lower triangle is read and written.

    Rows are contiguous, so each entry is one dot product. A pivot that is not above 0 (there is no
    ridge, and items are alike) becomes infinite, so that solutions are 0 in its direction.
    """
    for s in range(len(matrix)):
        for t in range(s + 1):
            total = matrix[s, t]
            for r in range(t):
                total -= matrix[s, r] * matrix[t, r]
            if s != t:
                matrix[s, t] = total / matrix[t, t]
            elif total > PIVOT_TOLERANCE * matrix[s, s]:
                matrix[s, s] = np.sqrt(total)
            else:
                matrix[s, s] = np.inf


@jit(**KERNEL_OPTIONS)
def solve_cholesky(lower: Float64Array, right: Float64Array) -> Float64Array:
    """Solve L L' x = right."""
    x = right.copy()
    for s in range(len(x)):
        total = x[s]
        for t in range(s):
            total -= lower[s, t] * x[t]
        x[s] = total / lower[s, s]
    for s in range(len(x) - 1, -1, -1):
        x[s] /= lower[s, s]
        for t in range(s):
            x[t] -= lower[s, t] * x[s]
    return x
