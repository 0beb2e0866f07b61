"""The interface that all solvers implement: an object that improves factors sweep by sweep."""

from typing import Protocol

from dawnlist.arrays import FactorPair
from dawnlist.model.config import ALSConfig

InitialFactors = FactorPair | None
"""User and item factors to start from, in the index space of the matrix; None for random ones."""


class Fit(Protocol):
    """A fit in progress. It continues from the factors that it has reached."""

    config: ALSConfig
    """The hyper-parameters of the fit."""
    sweeps: int
    """How many sweeps have been made so far."""
    ridge_scale: float
    """lambda = ridge_scale s^nu, where s is the sum of a row's confidences over all its pairs."""

    def advance(self, sweeps: int) -> None:
        """Make more sweeps over users and items. 2 sweeps and then 3 give the same as 5 at once."""

    @property
    def factors(self) -> FactorPair:
        """User factors (users, factors) and item factors (items, factors), float32.

        A user or item without interactions has a zero vector.
        """
