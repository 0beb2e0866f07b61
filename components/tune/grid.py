"""The configurations that a search begins with: of the user's grid, or of the champion and its neighbours in it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.metrics import METRICS
from dawnlist.model.splits import Splits

SEARCH_MODES: Final = ("full", "around_champion", "off")
FIT_PARAMETERS: Final = ("factors", "regularization", "alpha", "alpha0", "nu", "half_life")
"""What a fit depends on; what is added to its scores is chosen afterwards."""
SCORING_PARAMETERS: Final = (
    "popularity_share",
    "popularity_half_life",
    "content_share",
    "content_pairs",
)
PopularityBlend = tuple[float, float]
"""popularity_share and popularity_half_life of an ALSConfig."""
NO_POPULARITY_BLEND: Final[PopularityBlend] = (0.0, 1.0)
ContentBlend = tuple[float, float]
"""content_share and content_pairs of an ALSConfig."""
NO_CONTENT_BLEND: Final[ContentBlend] = (0.0, 5.0)


@dataclass(frozen=True)
class Grid:
    """Values to try of each hyper-parameter, as of ALSConfig, and what is the same in all trials."""

    factors: Sequence[float] = (64,)
    regularization: Sequence[float] = (0.1,)
    alpha: Sequence[float] = (10.0,)
    alpha0: Sequence[float] = (1.0,)
    nu: Sequence[float] = (0.0,)
    half_life: Sequence[float] = (0.0,)
    popularity_share: Sequence[float] = (0.0,)
    popularity_half_life: Sequence[float] = (1.0,)
    content_share: Sequence[float] = (0.0,)
    content_pairs: Sequence[float] = (5.0,)
    iterations: int = 12
    seed: int = 7
    solver: str = "ials"

    def __post_init__(self) -> None:
        for name in (*FIT_PARAMETERS, *SCORING_PARAMETERS):
            if not len(getattr(self, name)):
                raise ValueError(f"the grid is empty: give at least one value for {name}")
        for value in self.factors:
            if float(value) != int(value):
                raise ValueError(f"factors is {value}: give a whole number")
        ALSConfig(iterations=self.iterations)
        for name in (*FIT_PARAMETERS, *SCORING_PARAMETERS):
            for value in getattr(self, name):
                ALSConfig(**{name: value})  # its limits, now: a search reaches some values late

    def configs(self) -> list[ALSConfig]:
        """Every combination, in a fixed order; of nu only 0 for solvers that can't scale their regularization."""
        found = [
            self._config(dict(zip(FIT_PARAMETERS, values, strict=True)))
            for values in self._product()
        ]
        return list(dict.fromkeys(found))

    def configs_around(self, config: ALSConfig) -> list[ALSConfig]:
        """The configuration, and it with one hyper-parameter changed to the grid's next lower or next higher value."""
        center = {name: getattr(config, name) for name in FIT_PARAMETERS}
        found = [center]
        for name in FIT_PARAMETERS:
            values = sorted(getattr(self, name))
            lower = [value for value in values if value < center[name]][-1:]
            higher = [value for value in values if value > center[name]][:1]
            found += [{**center, name: value} for value in lower + higher]
        return list(dict.fromkeys(map(self._config, found)))

    def blends(self) -> list[PopularityBlend]:
        """Every share of popularity with every half-life, and none of it first."""
        shares = [float(share) for share in self.popularity_share if share]
        return [
            NO_POPULARITY_BLEND,
            *dict.fromkeys(product(shares, map(float, self.popularity_half_life))),
        ]

    def contents(self) -> list[ContentBlend]:
        """Every share of content with every content_pairs, and none of it first."""
        shares = [float(share) for share in self.content_share if share]
        return [NO_CONTENT_BLEND, *dict.fromkeys(product(shares, map(float, self.content_pairs)))]

    def _product(self) -> Any:
        return product(*(getattr(self, name) for name in FIT_PARAMETERS))

    def _config(self, values: dict[str, float]) -> ALSConfig:
        """kfp's runner turns ints in lists into floats: factors are cast back."""
        given: dict[str, Any] = {name: float(value) for name, value in values.items()}
        given |= {
            "factors": int(values["factors"]),
            "nu": float(values["nu"]) if self.solver == "ials" else 0.0,
        }
        return ALSConfig(**given, iterations=self.iterations, seed=self.seed, solver=self.solver)


@dataclass(frozen=True)
class SearchPlan:
    """What a search is to try."""

    configs: list[ALSConfig]
    blends: list[PopularityBlend]
    contents: list[ContentBlend]
    description: str
    """Which configurations these are, for the report."""


def validate_search_mode(search: str) -> str:
    """The same; ValueError for a word that is none of SEARCHES."""
    if search not in SEARCH_MODES:
        raise ValueError(f"search is {search!r}: give one of {', '.join(SEARCH_MODES)}")
    return search


def validate_metric(metric: str) -> str:
    """The same; ValueError for one that can't decide."""
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} is unknown: give one of {', '.join(METRICS)}")
    return metric


def plan_search(search: str, grid: Grid, champion: ALSConfig | None) -> SearchPlan:
    """What `search`, one of SEARCHES, asks for; without a champion that is an ALS, `around_champion` is full."""
    if validate_search_mode(search) == "off":
        first = champion or grid.configs()[0]
        blend, content = (
            (first.popularity_share, first.popularity_half_life),
            (first.content_share, first.content_pairs),
        )
        [config] = grid.configs_around(first)[:1]
        said = (
            "the champion's configuration"
            if champion
            else "the grid's first configuration: no ALS is champion yet"
        )
        served = ([blend], [content]) if champion else (grid.blends()[:1], grid.contents()[:1])
        return SearchPlan([config], *served, f"search is off: {said}")
    if search == "around_champion" and champion is not None:
        return SearchPlan(
            grid.configs_around(champion), grid.blends(), grid.contents(), "around the champion"
        )
    missing = ": no ALS is champion yet" if search == "around_champion" else ""
    return SearchPlan(grid.configs(), grid.blends(), grid.contents(), f"the full grid{missing}")


def read_champion_config(lake: Lake, splits: Splits) -> ALSConfig | None:
    """The configuration of the incumbent that the splits were cut for, if it is an ALS.

    Not of whatever is live by now: a rerun of a day searches where the day's first run did.
    """
    incumbent = splits.about.get("incumbent")
    config = lake.read_json("models", incumbent["model"], "config.json") if incumbent else None
    return ALSConfig.from_dict(config) if config and config.get("engine") == "als" else None


def with_popularity_blend(config: ALSConfig, blend: PopularityBlend) -> ALSConfig:
    """The configuration with another share of popularity."""
    return replace(config, popularity_share=blend[0], popularity_half_life=blend[1])


def with_content_blend(config: ALSConfig, content: ContentBlend) -> ALSConfig:
    """The configuration with another share of content."""
    return replace(config, content_share=content[0], content_pairs=content[1])
