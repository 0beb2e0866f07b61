"""The hyper-parameters of a fit and of what is added to its scores: one table for all who name them.

ALSConfig takes limits and defaults from it, the daily search its grid (dawnlist.records.run_parameters), reports their
labels, commands their help.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class HyperParameter:
    """One hyper-parameter, as people and programs name it."""

    name: str
    """The name in ALSConfig, in the pipeline's parameters and in trials."""
    lowest: float
    highest: float
    """The limits of a value; both are allowed."""
    default: float
    """The value of a fit that is not searched, such as `dawnlist train`."""
    grid: tuple[float, ...]
    """The values that the daily search tries."""
    label: str
    """The name in reports."""
    help: str
    """One sentence for the help of commands and for the pipeline's parameters."""
    belongs_to_fit: bool = True
    """False for what is added to the scores of a finished fit."""
    is_whole: bool = False
    """True where a value must be a whole number."""

    @property
    def option(self) -> str:
        """The option of commands that gives its values."""
        return f"--{self.name.replace('_', '-')}"

    def check(self, value: float) -> None:
        """Raise ValueError where a value is outside the limits, or must be whole and is not."""
        if not self.lowest <= value <= self.highest:
            raise ValueError(
                f"{self.name} is {value}: give a number from {self.lowest} to {self.highest}"
            )
        if self.is_whole and value != int(value):
            raise ValueError(f"{self.name} is {value}: give a whole number")


HYPER_PARAMETERS: Final = (
    HyperParameter(
        name="factors",
        lowest=1,
        highest=4096,
        default=64,
        grid=(32, 64),
        label="factors",
        help="Lengths of the vectors to try, e.g. 64,128.",
        is_whole=True,
    ),
    HyperParameter(
        name="regularization",
        lowest=0,
        highest=1e6,
        default=0.1,
        grid=(30.0, 100.0),
        label="regularization",
        help="Regularizations to try; a higher one makes scores smoother.",
    ),
    HyperParameter(
        name="alpha",
        lowest=1e-6,
        highest=1e6,
        default=10.0,
        grid=(1.0, 10.0),
        label="alpha",
        help="Confidence weights to try: what one interaction adds to the confidence of a pair.",
    ),
    HyperParameter(
        name="alpha0",
        lowest=1e-6,
        highest=1e6,
        default=1.0,
        grid=(1.0,),
        label="alpha0",
        help="Confidences to try for pairs that were never seen.",
    ),
    HyperParameter(
        name="nu",
        lowest=0,
        highest=2,
        default=0.0,
        grid=(0.5,),
        label="nu",
        help="Exponents to try of how regularization grows with a user's or item's history; 0: not at all.",
    ),
    HyperParameter(
        name="half_life",
        lowest=0,
        highest=36_500,
        default=0.0,
        grid=(14.0, 60.0),
        label="half-life",
        help="Days to try after which an interaction counts half; 0: it never fades.",
    ),
    HyperParameter(
        name="popularity_share",
        lowest=0,
        highest=1e3,
        default=0.0,
        grid=(0.0, 0.5, 1.5, 5.0),
        label="popularity",
        help="Shares of decayed popularity to try in the scores of the best trials.",
        belongs_to_fit=False,
    ),
    HyperParameter(
        name="popularity_half_life",
        lowest=1e-3,
        highest=36_500,
        default=1.0,
        grid=(0.5, 1.0, 5.0),
        label="popularity's half-life",
        help="Days to try after which an interaction counts half for that popularity.",
        belongs_to_fit=False,
    ),
    HyperParameter(
        name="repeat_share",
        lowest=0,
        highest=1e3,
        default=0.0,
        grid=(0.0, 0.3, 1.0, 3.0),
        label="repeats",
        help="Shares to try of how often a user met an item before; 0: lists without such items.",
        belongs_to_fit=False,
    ),
    HyperParameter(
        name="repeat_half_life",
        lowest=1e-3,
        highest=36_500,
        default=90.0,
        grid=(20.0, 60.0, 180.0),
        label="repeats' half-life",
        help="Days to try after which what a user met counts half for repeats.",
        belongs_to_fit=False,
    ),
    HyperParameter(
        name="content_share",
        lowest=0,
        highest=1e3,
        default=0.0,
        grid=(0.0, 0.03, 0.1, 0.3),
        label="content",
        help="Shares to try of how alike an item's words are to those of the user's items.",
        belongs_to_fit=False,
    ),
    HyperParameter(
        name="content_pairs",
        lowest=1e-3,
        highest=1e6,
        default=5.0,
        grid=(10.0, 100.0),
        label="content's pairs",
        help="Numbers of items to try after which half of that share is left.",
        belongs_to_fit=False,
    ),
)
BY_NAME: Final = {parameter.name: parameter for parameter in HYPER_PARAMETERS}
FIT_PARAMETERS: Final = tuple(p.name for p in HYPER_PARAMETERS if p.belongs_to_fit)
SCORING_PARAMETERS: Final = tuple(p.name for p in HYPER_PARAMETERS if not p.belongs_to_fit)
