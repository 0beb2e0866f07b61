"""Successive halving: few sweeps for all trials, more for the better ones, all for the best few.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization" (AISTATS 2016), with
trials that go on from where they stopped. Who is dropped is decided on as few users as the data allow (a race, as of
Maron and Moore, "Hoeffding Races", NIPS 1993, with the paired differences' own standard error).
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import numpy as np

from dawnlist.arrays import Float64Array

REDUCTION_FACTOR: Final = 3
"""A rung has a third of the trials of the one before, with three times the sweeps."""
MAX_RUNGS: Final = 3
MIN_SWEEPS: Final = 3
"""After two, who will be the best of 24 may still be 14th (docs/SEARCH.md)."""
MIN_SURVIVORS: Final = 3
FIRST_RACE_USERS: Final = 1000
STANDARD_ERRORS_TO_DROP: Final = 2.0
"""Standard errors by which a trial must be worse than the best to be dropped on a sample of the users."""

Rung = tuple[int, int]
"""Sweeps at its end, and how many trials are kept."""
T = TypeVar("T")
TrialScorer = Callable[[T, int], Float64Array]
"""A trial's metric for each of the first so many users, in one order for all trials."""


def schedule_sweeps(iterations: int) -> list[int]:
    """Sweeps at the end of each rung, the last `iterations`: 3, 5, 15 for 15."""
    parts = (REDUCTION_FACTOR**rung for rung in reversed(range(MAX_RUNGS)))
    return sorted({min(iterations, max(MIN_SWEEPS, -(-iterations // part))) for part in parts})


def count_survivors(trials: int) -> int:
    """How many of so many trials go on to the next rung."""
    return min(trials, max(MIN_SURVIVORS, -(-trials // REDUCTION_FACTOR)))


def plan_rungs(trials: int, iterations: int) -> list[Rung]:
    """The rungs; one that would drop nobody is left out, the last keeps all."""
    found = []
    *before, last = schedule_sweeps(iterations)
    for sweeps in before:
        if count_survivors(trials) < trials:
            trials = count_survivors(trials)
            found.append((sweeps, trials))
    return [*found, (last, trials)]


def race_trials(trials: Sequence[T], values: TrialScorer[T], keep: int, everyone: int) -> list[T]:
    """The `keep` best trials, best first, found on as few of the `everyone` users as are safe.

    Users are doubled until each trial that is dropped is worse than the best by more than 2 standard errors of their
    paired difference, or until all are asked; a trial that is that much worse already is not asked again. All are
    asked at once when nobody is to be dropped.
    """
    size, racing = (
        everyone if keep >= len(trials) else min(FIRST_RACE_USERS, everyone),
        list(trials),
    )
    while True:
        found = {place: values(trial, size) for place, trial in enumerate(racing)}
        order = sorted(found, key=lambda place: -found[place].mean())
        best = order[0]
        close = [place for place in order[keep:] if not is_clearly_worse(found[place], found[best])]
        if not close or size >= everyone:
            return [racing[place] for place in order[:keep]]
        racing = [racing[place] for place in sorted(order[:keep] + close)]
        size = min(2 * size, everyone)


def is_clearly_worse(values: Float64Array, best: Float64Array) -> bool:
    """Whether the mean paired difference of a trial to the best is below -2 of its standard errors."""
    difference = values - best
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.inf
    return bool(difference.mean() < -STANDARD_ERRORS_TO_DROP * error)
