"""Hyper-parameters of a fit."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

ALS_SOLVERS: Final = ("ials", "implicit", "spark")


@dataclass(frozen=True)
class ALSConfig:
    """Hyper-parameters and seed of one fit."""

    factors: int = 64
    """Length of a vector."""
    regularization: float = 0.1
    """lambda of equation 3; with nu, the mean over all users and items."""
    alpha: float = 10.0
    """How much one unit of weight adds to the confidence alpha0 of a pair that was never seen."""
    half_life: float = 0.0
    """Days after which an interaction counts half; 0 means for ever."""
    iterations: int = 12
    """Sweeps over users and items."""
    seed: int = 7
    """Of the first random factors; the same seed gives the same model on a CPU."""
    solver: str = "ials"
    """What fits: ials, implicit or spark. A model says it of itself, and a trial's refit goes to its solver."""
    alpha0: float = 1.0
    """The confidence of a pair that was never seen."""
    nu: float = 0.0
    """How regularization grows with the confidence of a user's or item's pairs: 0 not at all, 1 in proportion."""
    popularity_share: float = 0.0
    """Served scores are the factors' plus this share of decayed popularity; the most popular item's is 1."""
    popularity_half_life: float = 1.0
    """Days after which an interaction counts half for that popularity."""
    content_share: float = 0.0
    """Served scores have this share of how alike an item's words are to those of what the user met; docs/HYBRID.md."""
    content_pairs: float = 5.0
    """Half of that share is left for a user who met so many items."""

    def __post_init__(self) -> None:
        limits = {
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
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"{name} is {getattr(self, name)}: give a number from {low} to {high}"
                )
        if self.solver not in ALS_SOLVERS:
            raise ValueError(f"solver is {self.solver!r}: give one of {', '.join(ALS_SOLVERS)}")
        if self.nu and self.solver != "ials":
            raise ValueError(
                f"nu is {self.nu} and the solver {self.solver}: only ials scales its regularization"
            )

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values, with the engine's name."""
        return {"engine": "als", **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ALSConfig":
        """What `as_dict` gave, back; other keys (a trial's metrics) are left out."""
        names = {field.name: field.type for field in dataclasses.fields(cls)}
        return cls(**{name: values[name] for name in names if name in values})
