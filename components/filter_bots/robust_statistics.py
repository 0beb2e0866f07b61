"""What people are like, learned robustly from users of whom some are none, and how unlike them a user is."""

from typing import Final

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm

from dawnlist.arrays import BoolArray, Float64Array

BIWEIGHT_TUNING: Final = 4.685
"""Beyond so many standard deviations an observation does not count (Beaton and Tukey, Technometrics 1974)."""
MAX_DEVIATION: Final = 5.0
"""No single habit says more than so many standard deviations do: habits have longer tails than normal ones."""
TRUSTED_SHARE: Final = 0.9
"""Share of the users, those most alike, whose scatter the distance is measured by."""
BULK_SHARE: Final = 0.75
"""Share of the users, those nearest, of whose distances the null distribution is made."""
MIN_HABIT_USERS: Final = 50
"""A habit that fewer users show says nothing."""
CORRELATION_SHRINKAGE: Final = 3.0
"""Correlations count as if there were so many uncorrelated rows to a column beside the sample's."""
MIN_RELATIVE_SPREAD: Final = 1e-9
"""People do not differ in a habit when their standard deviation is at most this share of the habit's largest value.

Sums and fits in float64 leave about 1e-15 to 1e-13 of it, whichever CPU computes them. Habits that are computed from
counts differ by more than 1e-8 where they differ at all.
"""
_MAX_ITERATIONS: Final = 30
_MAD_TO_DEVIATION: Final = 1.4826


def measure_deviations(
    values: Float64Array, counts: Float64Array, given: Float64Array, learned: BoolArray
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """How far a habit's values are from those of people with as many observations: in standard deviations.

    Also the usual value and the standard deviation, for each user. 0 where a value is NaN, and for everybody where
    people do not differ (see MIN_RELATIVE_SPREAD) or fewer than MIN_HABIT_USERS of them are known.
    """
    nothing = np.zeros(len(values))
    known = np.isfinite(values) & learned
    if known.sum() < MIN_HABIT_USERS:
        return nothing, values, nothing
    largest = np.max(np.abs(values[known]))
    if largest == 0:
        return nothing, nothing, nothing
    # The small constants below are shares of the largest value, so the unit of the values does not matter.
    values = values / largest
    design = _build_design_matrix(counts, given, known)
    usual = design @ _fit_biweight(design[known], values[known])
    residuals = np.nan_to_num(values - usual)
    size = np.log(np.abs(residuals) + 1e-3 * np.std(residuals[known]) + 1e-9)
    spread = np.exp(design[:, :2] @ _fit_biweight(design[known][:, :2], size[known]))
    scaled = residuals / spread
    middle = np.median(scaled[known])
    unit = _robust_deviation(scaled[known] - middle)
    usual = (usual + middle * spread) * largest
    if unit * np.median(spread[known]) <= MIN_RELATIVE_SPREAD:
        return nothing, usual, nothing
    away = np.where(np.isfinite(values), scaled - middle, 0) / unit
    return away, usual, unit * spread * largest


def _robust_deviation(residuals: Float64Array) -> float:
    """The standard deviation, from the median, or from the tail where that is longer: one like in ten is no outlier."""
    sizes = np.abs(residuals)
    return float(max(_MAD_TO_DEVIATION * np.median(sizes), np.quantile(sizes, 0.9) / 1.645))


def _build_design_matrix(counts: Float64Array, given: Float64Array, fit: BoolArray) -> Float64Array:
    columns = [np.ones(len(counts))]
    for column in (np.log(np.maximum(counts, 1)), given):
        middle = np.median(column[fit])
        unit = _MAD_TO_DEVIATION * np.median(np.abs(column[fit] - middle)) + 1e-9
        column = np.clip((column - middle) / unit, -4, 4)
        columns += [column, column**2]
    return np.stack(columns, 1)


def _fit_biweight(design: Float64Array, target: Float64Array) -> Float64Array:
    """Least squares reweighted by Tukey's biweight."""
    weights = np.ones(len(target))
    for _ in range(_MAX_ITERATIONS):
        weighted = design * weights[:, None]
        solution = np.linalg.lstsq(weighted.T @ design, weighted.T @ target, rcond=None)[0]
        residuals = target - design @ solution
        unit = _MAD_TO_DEVIATION * np.median(np.abs(residuals)) + 1e-12
        weights = np.clip(1 - (residuals / unit / BIWEIGHT_TUNING) ** 2, 0, None) ** 2
    return np.asarray(solution)


def mahalanobis_distances(scores: Float64Array, learned: BoolArray) -> Float64Array:
    """Squared Mahalanobis distances by the mean and covariance of the TRUSTED share that is nearest by them.

    The concentration steps of the minimum covariance determinant (Rousseeuw and Van Driessen, Technometrics 1999).
    """
    found = np.sum(scores**2, 1)
    for _ in range(_MAX_ITERATIONS):
        near = learned & (found <= np.quantile(found[learned], TRUSTED_SHARE))
        middle = scores[near].mean(0)
        inverse = np.linalg.inv(_covariance(scores[near]))
        before, found = found, np.einsum("ij,jk,ik->i", scores - middle, inverse, scores - middle)
        if np.allclose(before, found):
            break
    return np.asarray(found)


def _covariance(scores: Float64Array) -> Float64Array:
    """The sample's, its correlations shrunk the more the fewer rows there are to a column."""
    rows, columns = scores.shape
    weight = rows / (rows + CORRELATION_SHRINKAGE * columns)
    sample = np.cov(scores.T)
    return np.asarray(
        weight * sample + (1 - weight) * np.diag(np.diag(sample)) + 1e-6 * np.eye(columns)
    )


def tail_probabilities(found: Float64Array, learned: BoolArray) -> Float64Array:
    """The chance that one of the people is at such a distance or farther.

    The logarithm of the distance is taken for normal among people, with the mean and variance that fit the BULK best:
    an empirical null (Efron, JASA 2004), which robots are no part of.
    """
    logs = np.log(found + 1e-9)
    end = np.quantile(logs[learned], BULK_SHARE)
    bulk = logs[learned & (logs <= end)]

    def loss(parameters: Float64Array) -> float:
        mean, spread = parameters[0], np.exp(parameters[1])
        return float(-np.sum(norm.logpdf(bulk, mean, spread) - norm.logcdf(end, mean, spread)))

    mean, spread = minimize(loss, [np.median(bulk), np.log(np.std(bulk))], method="Nelder-Mead").x
    return np.asarray(norm.sf(logs, mean, np.exp(spread)))


def select_discoveries(chances: Float64Array, rate: float) -> BoolArray:
    """Whose chance is so small that a share of at most `rate` of all of them is false (Benjamini, Hochberg 1995)."""
    order = np.argsort(chances)
    below = np.flatnonzero(chances[order] <= rate * np.arange(1, len(order) + 1) / len(order))
    chosen = np.zeros(len(order), bool)
    chosen[order[: below[-1] + 1 if len(below) else 0]] = True
    return chosen
