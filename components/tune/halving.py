"""Successive halving: few sweeps for all trials, more for the better ones, all for the best few.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization"
(AISTATS 2016). Here a trial continues from the sweeps that it has had. Which trials are dropped is
decided on as few users as the data allow: a race, as in Maron and Moore, "Hoeffding Races" (NIPS
1993), that uses the standard error of the paired differences.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import numpy as np

from dawnlist.arrays import Float64Array

REDUCTION_FACTOR: Final = 3
"""A rung has a third of the trials of the one before it, and three times the sweeps."""
MAX_RUNGS: Final = 3
MIN_SWEEPS: Final = 3
"""After two sweeps the later best of 24 trials may still be 14th (docs/SEARCH.md)."""
MIN_SURVIVORS: Final = 3
FIRST_RACE_USERS: Final = 1000
STANDARD_ERRORS_TO_DROP: Final = 2.0
"""A trial is dropped on a sample of users when it is this many standard errors below the best."""
STANDARD_ERRORS_TO_REPLACE: Final = 3.0
"""A search replaces its favourite only by what is better by so many standard errors.

Days differ by more than the users of one day tell: what a day's users prefer by two standard errors
is often worse on the next day.
"""

Rung = tuple[int, int]
"""The sweeps at the rung's end, and the number of trials that it keeps."""
T = TypeVar("T")
TrialScorer = Callable[[T, int], Float64Array]
"""Returns a trial's metric of each of the first so many users, in one order for all trials."""


def schedule_sweeps(iterations: int) -> list[int]:
    """Return the sweeps at the end of each rung, e.g. 3, 5, 15 for 15 iterations."""
    sweeps = set()
    for rung in range(MAX_RUNGS):
        share = _divide_rounding_up(iterations, REDUCTION_FACTOR**rung)
        sweeps.add(min(iterations, max(MIN_SWEEPS, share)))
    return sorted(sweeps)


def count_survivors(trials: int) -> int:
    """Return how many of a number of trials go on to the next rung."""
    share = _divide_rounding_up(trials, REDUCTION_FACTOR)
    return min(trials, max(MIN_SURVIVORS, share))


def _divide_rounding_up(number: int, divisor: int) -> int:
    return -(-number // divisor)


def plan_rungs(trials: int, iterations: int) -> list[Rung]:
    """Plan the rungs. One that would drop no trial is left out; the last one keeps all."""
    rungs = []
    *earlier_sweeps, last_sweeps = schedule_sweeps(iterations)
    for sweeps in earlier_sweeps:
        survivors = count_survivors(trials)
        if survivors < trials:
            trials = survivors
            rungs.append((sweeps, trials))
    return [*rungs, (last_sweeps, trials)]


def race_trials(trials: Sequence[T], score: TrialScorer[T], keep: int, user_count: int) -> list[T]:
    """Return the `keep` best trials, best first, scored on as few users as is safe.

    The number of users is doubled until each trial to drop is clearly worse than the best (see
    is_clearly_worse), or until it is `user_count`. A trial that is clearly worse is not scored on
    more users. When no trial is to be dropped, all are scored on all users at once.
    """
    users = min(FIRST_RACE_USERS, user_count)
    if keep >= len(trials):
        users = user_count
    racing = list(trials)
    while True:
        scores = [score(trial, users) for trial in racing]
        order = sorted(range(len(racing)), key=lambda number: -scores[number].mean())
        best_scores = scores[order[0]]
        undecided = []
        for number in order[keep:]:
            if not is_clearly_worse(scores[number], best_scores):
                undecided.append(number)
        if not undecided or users >= user_count:
            return [racing[number] for number in order[:keep]]
        racing = [racing[number] for number in sorted(order[:keep] + undecided)]
        users = min(2 * users, user_count)


def is_clearly_worse(
    values: Float64Array, best: Float64Array, errors: float = STANDARD_ERRORS_TO_DROP
) -> bool:
    """Return whether a trial is worse than the best by more than `errors` standard errors.

    The standard error is that of the mean of the paired differences. One user is too few to say.
    """
    difference = values - best
    if len(difference) < 2:
        return False
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    return bool(difference.mean() < -errors * error)
