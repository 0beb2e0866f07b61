"""What a fit is: an object that improves factors sweep by sweep."""

from typing import Protocol

from dawnlist.arrays import Float32Array
from dawnlist.model.config import ALSConfig

InitialFactors = tuple[Float32Array, Float32Array] | None
"""User and item factors to go on from, in the index space of the matrix; None: random ones."""


class Fit(Protocol):
    """A fit under way: it goes on from the factors that it has."""

    config: ALSConfig
    sweeps: int
    """Done so far."""
    ridge_scale: float
    """lambda of a user or item is this times s^nu, s its sum of confidences over all pairs."""

    def advance(self, sweeps: int) -> None:
        """So many sweeps more over users and items; 2 and then 3 are the same as 5."""

    @property
    def factors(self) -> tuple[Float32Array, Float32Array]:
        """User factors (users, factors) and item factors (items, factors), float32; zero for who has no interaction."""
