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
from dawnlist.ranking.normal_equations import (
    build_normal_matrix,
    cholesky,
    compute_gram,
    solve_cholesky,
    solve_user_vector,
)

NO_START: Final[Float64Array] = np.zeros(0)
"""The start of an equation that has none."""


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
            merged = merge_pairs(history, events, days)
            confidence = self.compute_confidence(merged.pairs)
            pull = self.alpha0 + confidence
        else:
            merged = merge_pairs(history, events, 0.0)
            confidence = self.compute_confidence(merged.pairs)
            pull = self._compute_pull_on_start(
                merged, confidence, self.compute_confidence(history), start
            )
        ridge = self.compute_ridge(float(confidence.sum()))
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

    def compute_confidence(self, pairs: UserPairs) -> Float64Array:
        """Compute c of each pair, shape (pairs,)."""
        decay = np.exp2(-pairs.age / self.half_life) if self.half_life else 1.0
        return np.asarray(self.alpha * pairs.weight * decay)

    def compute_ridge(self, confidence: float) -> float:
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


def merge_pairs(history: UserPairs, events: UserPairs, days: float) -> MergedPairs:
    """Merge events into a history whose pairs have aged by `days`.

    A pair of both has the sum of the weights and the age of its last event. The pairs of the
    history come first, in their order.
    """
    if not len(events):
        aged = UserPairs(history.index, history.weight, history.age + days)
        return MergedPairs(aged, np.zeros(len(aged), dtype=bool), np.ones(len(aged), dtype=bool))
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
