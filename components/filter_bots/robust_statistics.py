"""Measure how far users are from people, with statistics that a share of robots does not change."""

from typing import Final

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm

from dawnlist.arrays import BoolArray, Float64Array

BIWEIGHT_TUNING: Final = 4.685
"""Observations farther away than this many standard deviations have no weight in a fit.

Beaton and Tukey, Technometrics 1974.
"""
MAX_DEVIATION: Final = 5.0
"""A habit counts for at most this many standard deviations.

Habits have longer tails than the normal distribution.
"""
TRUSTED_SHARE: Final = 0.9
"""The distance is measured by the scatter of this share of the users: those most alike."""
BULK_SHARE: Final = 0.75
"""The null distribution is fitted to the distances of this share of the users: the nearest."""
MIN_HABIT_USERS: Final = 50
"""A habit that fewer users have a value for is left out."""
CORRELATION_SHRINKAGE: Final = 3.0
"""Correlations are shrunk as if each column added this many uncorrelated rows to the sample."""
MIN_RELATIVE_SPREAD: Final = 1e-9
"""People do not differ in a habit when their standard deviation is at most this share of the
habit's largest value.

Sums and fits in float64 leave about 1e-15 to 1e-13 of it, whichever CPU computes them. Habits that
are computed from counts differ by more than 1e-8 where they differ at all.
"""
_MAX_ITERATIONS: Final = 30
_MAD_TO_DEVIATION: Final = 1.4826
"""Standard deviations of a normal distribution in its median absolute deviation."""


def measure_deviations(
    values: Float64Array,
    counts: Float64Array,
    covariate: Float64Array,
    is_reference: BoolArray,
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Compare a habit's values with those of people who have as many observations.

    Returns:
        For each user the deviation in standard deviations, the usual value, and the standard
        deviation in the habit's unit. The deviation is 0 where a value is NaN, and for everybody
        where people do not differ (see MIN_RELATIVE_SPREAD) or fewer than MIN_HABIT_USERS
        reference users have a value.
    """
    zeros = np.zeros(len(values))
    is_used = np.isfinite(values) & is_reference
    if is_used.sum() < MIN_HABIT_USERS:
        return zeros, values, zeros
    largest = np.max(np.abs(values[is_used]))
    if largest == 0:
        return zeros, zeros, zeros
    # The small constants below are shares of the largest value, so the unit does not matter.
    values = values / largest
    design = _build_design_matrix(counts, covariate, is_used)
    usual = design @ _fit_biweight(design[is_used], values[is_used])
    residuals = np.nan_to_num(values - usual)
    log_sizes = np.log(np.abs(residuals) + 1e-3 * np.std(residuals[is_used]) + 1e-9)
    spread = np.exp(design[:, :2] @ _fit_biweight(design[is_used][:, :2], log_sizes[is_used]))
    scaled = residuals / spread
    median = np.median(scaled[is_used])
    unit = _robust_deviation(scaled[is_used] - median)
    usual = (usual + median * spread) * largest
    if unit * np.median(spread[is_used]) <= MIN_RELATIVE_SPREAD:
        return zeros, usual, zeros
    deviations = np.where(np.isfinite(values), scaled - median, 0) / unit
    return deviations, usual, unit * spread * largest


def _robust_deviation(residuals: Float64Array) -> float:
    """Estimate the standard deviation from the median or, if that is larger, from the tail.

    One value in ten is no outlier.
    """
    sizes = np.abs(residuals)
    from_median = _MAD_TO_DEVIATION * np.median(sizes)
    from_tail = np.quantile(sizes, 0.9) / 1.645
    return float(max(from_median, from_tail))


def _build_design_matrix(
    counts: Float64Array, covariate: Float64Array, is_used: BoolArray
) -> Float64Array:
    """Return the columns of the fit: 1, and log counts and covariate with their squares.

    Both are centered, scaled to standard deviations and clipped.
    """
    columns = [np.ones(len(counts))]
    for column in (np.log(np.maximum(counts, 1)), covariate):
        median = np.median(column[is_used])
        unit = _MAD_TO_DEVIATION * np.median(np.abs(column[is_used] - median)) + 1e-9
        scaled = np.clip((column - median) / unit, -4, 4)
        columns += [scaled, scaled**2]
    return np.stack(columns, 1)


def _fit_biweight(design: Float64Array, target: Float64Array) -> Float64Array:
    """Return the solution of least squares that are reweighted by Tukey's biweight."""
    weights = np.ones(len(target))
    for _ in range(_MAX_ITERATIONS):
        weighted = design * weights[:, None]
        solution = np.linalg.lstsq(weighted.T @ design, weighted.T @ target, rcond=None)[0]
        residuals = target - design @ solution
        unit = _MAD_TO_DEVIATION * np.median(np.abs(residuals)) + 1e-12
        weights = np.clip(1 - (residuals / unit / BIWEIGHT_TUNING) ** 2, 0, None) ** 2
    return np.asarray(solution)


def mahalanobis_distances(scores: Float64Array, is_reference: BoolArray) -> Float64Array:
    """Return each user's squared Mahalanobis distance from the mean of people.

    Mean and covariance are those of the TRUSTED_SHARE of the reference users that is nearest by
    this very distance. They are found by the concentration steps of the minimum covariance
    determinant (Rousseeuw and Van Driessen, Technometrics 1999).

    Args:
        scores: Shape (users, habits).
        is_reference: Shape (users,).
    """
    distances = np.sum(scores**2, 1)
    for _ in range(_MAX_ITERATIONS):
        limit = np.quantile(distances[is_reference], TRUSTED_SHARE)
        is_near = is_reference & (distances <= limit)
        centered = scores - scores[is_near].mean(0)
        inverse = np.linalg.inv(_shrink_covariance(scores[is_near]))
        previous = distances
        distances = np.einsum("ij,jk,ik->i", centered, inverse, centered)
        if np.allclose(previous, distances):
            break
    return np.asarray(distances)


def _shrink_covariance(scores: Float64Array) -> Float64Array:
    """Return the sample's covariance with shrunk correlations, see CORRELATION_SHRINKAGE."""
    rows, columns = scores.shape
    weight = rows / (rows + CORRELATION_SHRINKAGE * columns)
    sample = np.cov(scores.T)
    diagonal = np.diag(np.diag(sample))
    return np.asarray(weight * sample + (1 - weight) * diagonal + 1e-6 * np.eye(columns))


def tail_probabilities(distances: Float64Array, is_reference: BoolArray) -> Float64Array:
    """Return for each user the probability that one of the people is as far away, or farther.

    The logarithm of the distance is taken to be normal among people. Its mean and variance are
    fitted to the BULK_SHARE of nearest users: an empirical null (Efron, JASA 2004), to which robots
    do not belong.
    """
    logs = np.log(distances + 1e-9)
    end = np.quantile(logs[is_reference], BULK_SHARE)
    bulk = logs[is_reference & (logs <= end)]

    def loss(parameters: Float64Array) -> float:
        mean, spread = parameters[0], np.exp(parameters[1])
        return float(-np.sum(norm.logpdf(bulk, mean, spread) - norm.logcdf(end, mean, spread)))

    start = [np.median(bulk), np.log(np.std(bulk))]
    mean, log_spread = minimize(loss, start, method="Nelder-Mead").x
    return np.asarray(norm.sf(logs, mean, np.exp(log_spread)))


def select_discoveries(probabilities: Float64Array, rate: float) -> BoolArray:
    """Select the users with small probabilities, at most a share of `rate` of them falsely.

    Benjamini and Hochberg, Journal of the Royal Statistical Society 1995.
    """
    user_count = len(probabilities)
    order = np.argsort(probabilities)
    limits = rate * np.arange(1, user_count + 1) / user_count
    below = np.flatnonzero(probabilities[order] <= limits)
    is_selected = np.zeros(user_count, bool)
    if len(below):
        is_selected[order[: below[-1] + 1]] = True
    return is_selected
