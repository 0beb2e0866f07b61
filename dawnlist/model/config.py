"""Hyper-parameters of a fit, with the limits and defaults of dawnlist.model.hyper_parameters."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

from dawnlist.model.hyper_parameters import BY_NAME, HYPER_PARAMETERS

ALS_SOLVERS: Final = ("ials", "implicit", "spark")
"""What can fit a configuration: our own solver, the library implicit, or Spark's MLlib."""
ITERATION_LIMITS: Final = (1, 1000)
"""The lowest and the highest number of sweeps."""


@dataclass(frozen=True)
class ALSConfig:
    """Hyper-parameters and seed of one fit."""

    factors: int = int(BY_NAME["factors"].default)
    """Length of a vector."""
    regularization: float = BY_NAME["regularization"].default
    """lambda of equation 3; with nu, the mean of lambda over all users and items."""
    alpha: float = BY_NAME["alpha"].default
    """How much one unit of weight adds to alpha0, the confidence of a pair that was never seen."""
    half_life: float = BY_NAME["half_life"].default
    """Days after which an interaction counts half; 0 means no decay."""
    iterations: int = 12
    """Sweeps over users and items."""
    seed: int = 7
    """Seed of the random factors at the start. On a CPU the same seed gives the same model."""
    solver: str = "ials"
    """One of ALS_SOLVERS. It is stored with a model, and a refit uses the same solver."""
    alpha0: float = BY_NAME["alpha0"].default
    """The confidence of a pair that was never seen."""
    nu: float = BY_NAME["nu"].default
    """How lambda grows with the summed confidence s of a user or item: as s^nu."""
    popularity_share: float = BY_NAME["popularity_share"].default
    """The weight of decayed popularity in a served score; the most popular items count about 1."""
    popularity_half_life: float = BY_NAME["popularity_half_life"].default
    """Days after which an interaction counts half for that popularity."""
    repeat_share: float = BY_NAME["repeat_share"].default
    """The weight of a user's own items, see dawnlist.model.repeats; 0: lists hold none of them."""
    repeat_half_life: float = BY_NAME["repeat_half_life"].default
    """Days after which what a user met counts half for repeats."""
    content_share: float = BY_NAME["content_share"].default
    """The weight of content similarity in the score of a user without history; docs/HYBRID.md."""
    content_pairs: float = BY_NAME["content_pairs"].default
    """The number of items in a user's history at which that weight has fallen to half."""

    def __post_init__(self) -> None:
        for parameter in HYPER_PARAMETERS:
            parameter.check(getattr(self, parameter.name))
        lowest, highest = ITERATION_LIMITS
        if not lowest <= self.iterations <= highest:
            raise ValueError(
                f"iterations is {self.iterations}: give a number from {lowest} to {highest}"
            )
        if self.solver not in ALS_SOLVERS:
            raise ValueError(f"solver is {self.solver!r}: give one of {', '.join(ALS_SOLVERS)}")
        if self.nu and self.solver != "ials":
            raise ValueError(
                f"nu is {self.nu} and the solver {self.solver}: only ials scales its regularization"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, with the name of the engine."""
        return {"engine": "als", **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ALSConfig":
        """Restore what `as_dict` returned. Other keys, such as a trial's metrics, are ignored."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: values[name] for name in names if name in values})
