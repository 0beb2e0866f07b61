"""A user's vector from what they met, item vectors as they are: equation 2 of docs/MODEL.md, solved exactly.

    (alpha0 G + lambda I + sum_i c_i y_i y_i') x = sum_i (alpha0 + c_i) y_i,    lambda = ridge_scale s^nu,
    s = sum_i c_i + alpha0 (number of items),    c_i = alpha w_i 2^(-age_i / half_life)

Where a part of the history is not known any more, its vector x0 is the start. With A x0 = b solved before, new pairs
make it (A + sum dc y y') x = b + sum (alpha0 + dc) y, and so

    x = x0 + (A + sum dc y y')^-1 sum (alpha0 + dc - dc y'x0) y

where nothing but x0 is asked of the unknown part on the right; on the left it is left out. float64 throughout.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dawnlist.arrays import Float32Array, Float64Array, Int64Array
from dawnlist.machine.numba_jit import KERNEL_OPTIONS, jit

NO_START: Final[Float64Array] = np.zeros(0)


@dataclass(frozen=True)
class UserPairs:
    """Items that one user met, each once, in any order."""

    index: Int64Array
    weight: Float64Array
    """Sums of event weights."""
    age: Float64Array
    """Days from each pair's last event to the cut."""

    def __len__(self) -> int:
        return len(self.index)


NO_PAIRS: Final = UserPairs(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


@dataclass(frozen=True)
class UserEquation:
    """The pairs of one user as they enter equation 2."""

    index: Int64Array
    confidence: Float64Array
    """c."""
    pull: Float64Array
    """What a pair's vector is multiplied with on the right."""
    ridge: float
    """lambda."""
    start: Float64Array
    """x0; empty for none."""


@dataclass(frozen=True, eq=False)
class FoldIn:
    """What all users of one model have in common."""

    factors: Float32Array
    """Y, shape (items, f), C order."""
    gram: Float64Array
    """G = Y'Y, shape (f, f)."""
    alpha: float
    alpha0: float
    nu: float
    half_life: float
    ridge_scale: float
    items: int
    """How many the model was fitted on, the first ones: a new item, whose vector is predicted, is in no sum."""

    @classmethod
    def of(cls, factors: Float32Array, config: dict[str, Any]) -> "FoldIn":
        """Of a model's item factors and its config."""
        items = int(config.get("fitted_items", len(factors)))
        numbers = {
            name: float(config[name])
            for name in ("alpha", "alpha0", "nu", "half_life", "ridge_scale")
        }
        return cls(factors, compute_gram(factors[:items]), **numbers, items=items)

    def build_equation(
        self, history: UserPairs, events: UserPairs, days: float, start: Float64Array = NO_START
    ) -> UserEquation:
        """Of a user's stored history and what came `days` after it was stored.

        Without `start` the history is whole, and pairs age on to the later cut. With `start`, x0, what is left of the
        history stays as old as it was when x0 was computed.
        """
        merged, added, known = _merge_pairs(history, events, 0.0 if len(start) else days)
        confidence = self.confidence(merged)
        before = np.zeros(len(merged))
        before[: len(history)] = self.confidence(history)
        gain = confidence - before
        pull = np.where(added, gain + np.where(known, 0.0, self.alpha0), 0.0)
        if not len(start):
            pull = self.alpha0 + confidence
        elif added.any():
            pull[added] -= gain[added] * (self.factors[merged.index[added]] @ start)
        return UserEquation(
            merged.index, confidence, pull, self.ridge(float(confidence.sum())), start
        )

    def confidence(self, pairs: UserPairs) -> Float64Array:
        """c of each pair."""
        decay = np.exp2(-pairs.age / self.half_life) if self.half_life else 1.0
        return np.asarray(self.alpha * pairs.weight * decay)

    def ridge(self, confidence: float) -> float:
        """lambda of a user whose confidences sum to this."""
        return float(self.ridge_scale * (confidence + self.alpha0 * self.items) ** self.nu)

    def vector(self, equation: UserEquation) -> Float64Array:
        """x, shape (f,)."""
        moved = solve_user_vector(
            self.gram,
            self.factors,
            equation.index,
            equation.confidence,
            equation.pull,
            self.alpha0,
            equation.ridge,
        )
        return equation.start + moved if len(equation.start) else moved

    def explain_scores(self, equation: UserEquation, items: Int64Array) -> Float64Array:
        """What each pair adds to the scores of `items`, shape (items, pairs): Hu et al. (2008), section 5.

        Without a start a row's sum is the score.
        """
        left = build_normal_matrix(
            self.gram,
            self.factors,
            equation.index,
            equation.confidence,
            self.alpha0,
            equation.ridge,
        )
        cholesky(left)
        towards = np.array(
            [solve_cholesky(left, self.factors[item].astype(np.float64)) for item in items]
        )
        return np.asarray(towards @ self.factors[equation.index].T * equation.pull)


def compute_gram(factors: Float32Array) -> Float64Array:
    """Y'Y in float64, a block at a time, which costs no copy of all factors."""
    found = np.zeros((factors.shape[1], factors.shape[1]))
    for first in range(0, len(factors), 4096):
        block = factors[first : first + 4096].astype(np.float64)
        found += block.T @ block
    return found


def _merge_pairs(history: UserPairs, events: UserPairs, days: float) -> tuple[UserPairs, Any, Any]:
    """The history's pairs, `days` older, then those that only the events have; which were added to, and known before.

    An item of both has the sum of the weights and the age of its last event.
    """
    place = {item: at for at, item in enumerate(history.index.tolist())}
    twice = np.array([item in place for item in events.index.tolist()], dtype=bool)
    at = np.array([place[item] for item in events.index[twice].tolist()], dtype=np.int64)
    weight, age = history.weight.copy(), history.age + days
    weight[at] += events.weight[twice]
    age[at] = np.minimum(age[at], events.age[twice])
    index = np.concatenate([history.index, events.index[~twice]])
    added, known = np.zeros(len(index), bool), np.zeros(len(index), bool)
    added[at], added[len(history) :] = True, True
    known[: len(history)] = True
    weight, age = (
        np.concatenate([weight, events.weight[~twice]]),
        np.concatenate([age, events.age[~twice]]),
    )
    return UserPairs(index, weight, age), added, known


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
    """x of (alpha0 G + ridge I + sum c y y') x = sum pull y; 0 without pairs."""
    right = np.zeros(len(gram))
    for pair in range(len(index)):
        row, by = index[pair], np.float64(pull[pair])
        for t in range(len(right)):
            right[t] += by * vectors[row, t]
    if not len(index):
        return right
    left = build_normal_matrix(gram, vectors, index, confidence, alpha0, ridge)
    cholesky(left)
    return solve_cholesky(left, right)


@jit(**KERNEL_OPTIONS)
def build_normal_matrix(
    gram: Float64Array, vectors: Any, index: Any, confidence: Any, alpha0: float, ridge: float
) -> Float64Array:
    """alpha0 G + ridge I + sum c y y', lower triangle; four pairs at a time, each sum is loaded and stored once."""
    factors, pairs = len(gram), len(index)
    left = np.empty((factors, factors))
    met, by = np.zeros((pairs + 3, factors)), np.zeros(pairs + 3)
    for pair in range(pairs):
        by[pair] = confidence[pair]
        for t in range(factors):
            met[pair, t] = vectors[index[pair], t]
    for s in range(factors):
        for t in range(s + 1):
            left[s, t] = alpha0 * gram[s, t]
        left[s, s] += ridge
        for p in range(0, pairs, 4):
            a, b, c, d = (
                by[p] * met[p, s],
                by[p + 1] * met[p + 1, s],
                by[p + 2] * met[p + 2, s],
                by[p + 3] * met[p + 3, s],
            )
            for t in range(s + 1):
                left[s, t] += (
                    a * met[p, t] + b * met[p + 1, t] + c * met[p + 2, t] + d * met[p + 3, t]
                )
    return left


@jit(**KERNEL_OPTIONS)
def cholesky(left: Float64Array) -> None:
    """L of L L' in the lower triangle, in place: rows are contiguous, so each entry is one dot product.

    A pivot that is not above 0 (no ridge, and items that are alike) becomes infinite: that direction is left at 0.
    """
    for s in range(len(left)):
        for t in range(s + 1):
            total = left[s, t]
            for r in range(t):
                total -= left[s, r] * left[t, r]
            if s != t:
                left[s, t] = total / left[t, t]
            else:
                left[s, s] = np.sqrt(total) if total > PIVOT_TOLERANCE * left[s, s] else np.inf


PIVOT_TOLERANCE: Final = 1e-13


@jit(**KERNEL_OPTIONS)
def solve_cholesky(lower: Float64Array, right: Float64Array) -> Float64Array:
    """x of L L' x = right."""
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
