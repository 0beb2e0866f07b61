"""Plan which configurations a search tries: the user's grid, or the champion and its neighbours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

from dawnlist.components.tune.grid_values import compute_middle, find_value_beyond
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.hyper_parameters import (
    BY_NAME,
    FIT_PARAMETERS,
    HYPER_PARAMETERS,
    SCORING_PARAMETERS,
)
from dawnlist.model.metrics import METRICS
from dawnlist.model.splits import Splits

SEARCH_MODES: Final = ("full", "around_champion", "off")
PopularityBlend = tuple[float, float]
"""popularity_share and popularity_half_life of an ALSConfig."""
NO_POPULARITY_BLEND: Final[PopularityBlend] = (
    BY_NAME["popularity_share"].default,
    BY_NAME["popularity_half_life"].default,
)
ContentBlend = tuple[float, float]
"""content_share and content_pairs of an ALSConfig."""
NO_CONTENT_BLEND: Final[ContentBlend] = (
    BY_NAME["content_share"].default,
    BY_NAME["content_pairs"].default,
)


def _default_of(name: str) -> tuple[float]:
    """The one value of a hyper-parameter that is not searched."""
    return (BY_NAME[name].default,)


@dataclass(frozen=True)
class Grid:
    """The values to try of each hyper-parameter of ALSConfig, and what all trials share."""

    factors: Sequence[float] = _default_of("factors")
    regularization: Sequence[float] = _default_of("regularization")
    alpha: Sequence[float] = _default_of("alpha")
    alpha0: Sequence[float] = _default_of("alpha0")
    nu: Sequence[float] = _default_of("nu")
    half_life: Sequence[float] = _default_of("half_life")
    popularity_share: Sequence[float] = _default_of("popularity_share")
    popularity_half_life: Sequence[float] = _default_of("popularity_half_life")
    content_share: Sequence[float] = _default_of("content_share")
    content_pairs: Sequence[float] = _default_of("content_pairs")
    iterations: int = 12
    seed: int = 7
    solver: str = "ials"

    def __post_init__(self) -> None:
        """Check all values now, since a search reaches some of them late.

        Raises:
            ValueError: A hyper-parameter has no value, or one that ALSConfig does not allow.
        """
        for parameter in HYPER_PARAMETERS:
            if not len(getattr(self, parameter.name)):
                raise ValueError(f"the grid is empty: give at least one value for {parameter.name}")
        for value in self.factors:
            if float(value) != int(value):
                raise ValueError(f"factors is {value}: give a whole number")
        ALSConfig(iterations=self.iterations)
        for parameter in HYPER_PARAMETERS:
            for value in getattr(self, parameter.name):
                parameter.check(value)

    def configs(self) -> list[ALSConfig]:
        """Return every combination of the fit's values, in a fixed order and without duplicates.

        For a solver other than `ials`, which cannot scale its regularization, nu is 0.
        """
        value_lists = [getattr(self, name) for name in FIT_PARAMETERS]
        configs = []
        for values in product(*value_lists):
            configs.append(self._build_config(dict(zip(FIT_PARAMETERS, values, strict=True))))
        return _drop_duplicates(configs)

    def configs_around(self, config: ALSConfig) -> list[ALSConfig]:
        """Return the configuration and its neighbours in the grid.

        A neighbour has one hyper-parameter changed to the grid's next lower or next higher value.
        """
        center = {name: getattr(config, name) for name in FIT_PARAMETERS}
        configs = [self._build_config(center)]
        for name in FIT_PARAMETERS:
            values = sorted(getattr(self, name))
            lower = [value for value in values if value < center[name]]
            higher = [value for value in values if value > center[name]]
            for value in lower[-1:] + higher[:1]:
                configs.append(self._build_config({**center, name: value}))
        return _drop_duplicates(configs)

    def extend_around(self, config: ALSConfig) -> "Grid":
        """Return the grid, with one more value beyond each edge that the configuration is on.

        Such an edge has a better side that was never tried. The ratio of the new value to the edge
        is that of the last two values before it. A share of 0 has no value below it. Longer vectors
        are not tried, because they need memory and time that nobody has planned for.
        """
        extended: dict[str, Any] = {}
        for parameter in HYPER_PARAMETERS:
            values = sorted(set(getattr(self, parameter.name)))
            value = getattr(config, parameter.name)
            beyond = find_value_beyond(values, value, parameter)
            if beyond is not None:
                extended[parameter.name] = sorted({*values, value, beyond})
        return replace(self, **extended)

    def middle(self) -> ALSConfig:
        """Return the configuration of the grid's middle: what is fitted where nothing can be chosen.

        Of an even number of values it is the geometric mean of the two middle ones, and the higher
        one if the other is 0.
        """
        values = {}
        for parameter in HYPER_PARAMETERS:
            values[parameter.name] = compute_middle(sorted(set(getattr(self, parameter.name))))
        config = self._build_config({name: values[name] for name in FIT_PARAMETERS})
        scoring: dict[str, Any] = {name: values[name] for name in SCORING_PARAMETERS}
        return replace(config, **scoring)

    def blends(self) -> list[PopularityBlend]:
        """Return every share of popularity with every half-life. The first has no popularity."""
        pairs = _combine_shares(self.popularity_share, self.popularity_half_life)
        return [NO_POPULARITY_BLEND, *pairs]

    def contents(self) -> list[ContentBlend]:
        """Return every share of content with every content_pairs. The first has no content."""
        return [NO_CONTENT_BLEND, *_combine_shares(self.content_share, self.content_pairs)]

    def _build_config(self, values: dict[str, float]) -> ALSConfig:
        """Build a configuration. KFP's runner turns the integers in lists into floats."""
        parameters: dict[str, Any] = {name: float(value) for name, value in values.items()}
        parameters["factors"] = round(values["factors"])
        if self.solver != "ials":
            parameters["nu"] = 0.0
        return ALSConfig(
            **parameters, iterations=self.iterations, seed=self.seed, solver=self.solver
        )


def _drop_duplicates(configs: Iterable[ALSConfig]) -> list[ALSConfig]:
    return list(dict.fromkeys(configs))


def _combine_shares(shares: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    """Return every share other than 0 with every value, without duplicates."""
    pairs = []
    for share, value in product(shares, values):
        if share:
            pairs.append((float(share), float(value)))
    return list(dict.fromkeys(pairs))


@dataclass(frozen=True)
class SearchPlan:
    """What a search tries."""

    configs: list[ALSConfig]
    blends: list[PopularityBlend]
    contents: list[ContentBlend]
    description: str
    """Says in the report which configurations these are."""


def validate_search_mode(search: str) -> str:
    """Return the mode.

    Raises:
        ValueError: It is not one of SEARCH_MODES.
    """
    if search not in SEARCH_MODES:
        raise ValueError(f"search is {search!r}: give one of {', '.join(SEARCH_MODES)}")
    return search


def validate_metric(metric: str) -> str:
    """Return the name of the metric.

    Raises:
        ValueError: It is not one of METRICS.
    """
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} is unknown: give one of {', '.join(METRICS)}")
    return metric


def plan_search(search: str, grid: Grid, champion: ALSConfig | None) -> SearchPlan:
    """Plan a search in a mode, one of SEARCH_MODES.

    Without a champion that is an ALS model, `around_champion` searches the full grid.
    """
    validate_search_mode(search)
    if search == "off":
        return _plan_single_config(grid, champion)
    if search == "around_champion" and champion is not None:
        grid = grid.extend_around(champion)
        configs = grid.configs_around(champion)
        return SearchPlan(configs, grid.blends(), grid.contents(), "around the champion")
    description = "the full grid"
    if search == "around_champion":
        description += ": no ALS is champion yet"
    return SearchPlan(grid.configs(), grid.blends(), grid.contents(), description)


def _plan_single_config(grid: Grid, champion: ALSConfig | None) -> SearchPlan:
    """Plan only the champion's configuration or, without a champion, the grid's middle."""
    config, description = choose_without_search(grid, champion)
    blend = (config.popularity_share, config.popularity_half_life)
    content = (config.content_share, config.content_pairs)
    config = grid.configs_around(config)[0]
    return SearchPlan([config], [blend], [content], f"search is off: {description}")


def choose_without_search(grid: Grid, champion: ALSConfig | None) -> tuple[ALSConfig, str]:
    """Return the champion's configuration or, without a champion, the grid's middle, in words too.

    The champion's own iterations, seed and solver are kept, so that it is the live configuration.
    """
    if champion is None:
        return grid.middle(), "the grid's middle, since no ALS is champion yet"
    return champion, "the champion's configuration"


def read_champion_config(lake: Lake, splits: Splits) -> ALSConfig | None:
    """Return the configuration of the incumbent that the splits were cut for, if it is an ALS.

    A model that went live since then does not count: a rerun of a day searches like its first run.
    """
    incumbent = splits.about.get("incumbent")
    if not incumbent:
        return None
    config = lake.read_json("models", incumbent["model"], "config.json")
    if not config or config.get("engine") != "als":
        return None
    return ALSConfig.from_dict(config)


def with_popularity_blend(config: ALSConfig, blend: PopularityBlend) -> ALSConfig:
    """Return the configuration with another share of popularity."""
    return replace(config, popularity_share=blend[0], popularity_half_life=blend[1])


def with_content_blend(config: ALSConfig, content: ContentBlend) -> ALSConfig:
    """Return the configuration with another share of content."""
    return replace(config, content_share=content[0], content_pairs=content[1])
