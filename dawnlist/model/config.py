"""Hyper-parameters of a fit."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

ALS_SOLVERS: Final = ("ials", "implicit", "spark")
"""What can fit a configuration: our own solver, the library implicit, or Spark's MLlib."""
PARAMETER_LIMITS: Final[dict[str, tuple[float, float]]] = {
    "factors": (1, 4096),
    "regularization": (0, 1e6),
    "alpha": (1e-6, 1e6),
    "half_life": (0, 36_500),
    "iterations": (1, 1000),
    "alpha0": (1e-6, 1e6),
    "nu": (0, 2),
    "popularity_share": (0, 1e3),
    "popularity_half_life": (1e-3, 36_500),
    "content_share": (0, 1e3),
    "content_pairs": (1e-3, 1e6),
}
"""The lowest and the highest value of each hyper-parameter."""


@dataclass(frozen=True)
class ALSConfig:
    """Hyper-parameters and seed of one fit."""

    factors: int = 64
    """Length of a vector."""
    regularization: float = 0.1
    """lambda of equation 3; with nu, the mean of lambda over all users and items."""
    alpha: float = 10.0
    """How much one unit of weight adds to alpha0, the confidence of a pair that was never seen."""
    half_life: float = 0.0
    """Days after which an interaction counts half; 0 means no decay."""
    iterations: int = 12
    """Sweeps over users and items."""
    seed: int = 7
    """Seed of the random factors at the start. On a CPU the same seed gives the same model."""
    solver: str = "ials"
    """One of ALS_SOLVERS. It is stored with a model, and a refit uses the same solver."""
    alpha0: float = 1.0
    """The confidence of a pair that was never seen."""
    nu: float = 0.0
    """How lambda grows with the summed confidence s of a user or item: as s^nu."""
    popularity_share: float = 0.0
    """The weight of decayed popularity in a served score; the most popular item counts 1."""
    popularity_half_life: float = 1.0
    """Days after which an interaction counts half for that popularity."""
    content_share: float = 0.0
    """The weight of content similarity in the score of a user without history; docs/HYBRID.md."""
    content_pairs: float = 5.0
    """The number of items in a user's history at which that weight has fallen to half."""

    def __post_init__(self) -> None:
        for name, (lowest, highest) in PARAMETER_LIMITS.items():
            value = getattr(self, name)
            if not lowest <= value <= highest:
                raise ValueError(f"{name} is {value}: give a number from {lowest} to {highest}")
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
