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
from dawnlist.model.repeats import RepeatMode
from dawnlist.model.splits import Splits
from dawnlist.records.run_parameters import SearchOptions, validate_search_mode

PopularityBlend = tuple[float, float]
"""popularity_share and popularity_half_life of an ALSConfig."""
NO_POPULARITY_BLEND: Final[PopularityBlend] = (
    BY_NAME["popularity_share"].default,
    BY_NAME["popularity_half_life"].default,
)
RepeatBlend = tuple[float, float]
"""repeat_share and repeat_half_life of an ALSConfig."""
NO_REPEAT_BLEND: Final[RepeatBlend] = (
    BY_NAME["repeat_share"].default,
    BY_NAME["repeat_half_life"].default,
)
REFERENCE_POPULARITY: Final[PopularityBlend] = (1.5, 1.0)
REFERENCE_REPEATS: Final[RepeatBlend] = (0.8, 60.0)
REPEATS_PER_ODDS: Final = 2.0
"""The best share of repeats is about this times the odds that a pair was met before."""
MIN_NEW_SHARE: Final = 0.1
"""The odds are those of at least so many new pairs."""
REFERENCE_FIT: Final = {"factors": 64, "regularization": 30.0, "alpha": 10.0, "half_life": 14.0}
"""What a search begins with: near the best on all real shops (docs/REPEATS.md)."""
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
    repeat_share: Sequence[float] = _default_of("repeat_share")
    repeat_half_life: Sequence[float] = _default_of("repeat_half_life")
    content_share: Sequence[float] = _default_of("content_share")
    content_pairs: Sequence[float] = _default_of("content_pairs")
    iterations: int = 12
    seed: int = 7
    solver: str = "ials"
    reference_repeats: RepeatBlend = REFERENCE_REPEATS
    """The share of repeats, and its half-life, that a search without a champion begins with."""

    @classmethod
    def from_options(cls, options: SearchOptions, solver: str) -> "Grid":
        """Build the grid of a run's search; `solver` is one of ALS_SOLVERS."""
        values: dict[str, Any] = dict(options.grid)
        return cls(**values, iterations=options.iterations, seed=options.seed, solver=solver)

    def __post_init__(self) -> None:
        """Check all values now, since a search reaches some of them late.

        Raises:
            ValueError: A hyper-parameter has no value, or one that ALSConfig does not allow.
        """
        for parameter in HYPER_PARAMETERS:
            if not len(getattr(self, parameter.name)):
                raise ValueError(f"the grid is empty: give at least one value for {parameter.name}")
        ALSConfig(iterations=self.iterations)
        for parameter in HYPER_PARAMETERS:
            for value in getattr(self, parameter.name):
                parameter.check(value)

    def configs(self) -> list[ALSConfig]:
        """Return every combination of the fit's values, in a fixed order and without duplicates.

        They have no shares of popularity, repeats or content.

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

    def repeats(self, mode: RepeatMode) -> list[RepeatBlend]:
        """Return every share of repeats with every half-life.

        The first has none, unless the mode is `on`; with `off` it is the only one.

        Raises:
            ValueError: The mode is `on`, and the grid has no share above 0.
        """
        if mode == "off":
            return [NO_REPEAT_BLEND]
        pairs = _combine_shares(self.repeat_share, self.repeat_half_life)
        if mode == "auto":
            return [NO_REPEAT_BLEND, *pairs]
        if not pairs:
            raise ValueError(
                "lists.repeats is on and the grid of repeat_share has only 0: give a share above 0"
            )
        return pairs

    def reference_blends(self, mode: RepeatMode) -> tuple[PopularityBlend, RepeatBlend]:
        """Return the shares that a search without a champion begins with.

        They are the reference shares where the grid has them, else the first ones of the grid.
        """
        blend, repeat = self.blends()[0], self.repeats(mode)[0]
        if REFERENCE_POPULARITY in self.blends():
            blend = REFERENCE_POPULARITY
        if self.reference_repeats in self.repeats(mode):
            repeat = self.reference_repeats
        return blend, repeat

    def with_reference_repeats(self, repeat_share: float) -> "Grid":
        """Return the grid with the reference share of repeats that suits a shop.

        The share is REPEATS_PER_ODDS times the odds that a pair was met before. A grid without a
        share of repeats above 0 stays as it is.

        Args:
            repeat_share: The share of a day's pairs that their users had met before, below 1.
        """
        if not any(self.repeat_share):
            return self
        odds = repeat_share / max(1 - repeat_share, MIN_NEW_SHARE)
        share = round(REPEATS_PER_ODDS * odds, 2)
        half_life = REFERENCE_REPEATS[1]
        return replace(
            self,
            repeat_share=(*self.repeat_share, share),
            repeat_half_life=tuple(dict.fromkeys([*self.repeat_half_life, half_life])),
            reference_repeats=(share, half_life),
        )

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
    repeats: list[RepeatBlend]
    contents: list[ContentBlend]
    description: str
    """Says in the report which configurations these are."""
    has_favourite: bool = False
    """Whether the first configuration wins unless another one is clearly better."""


def plan_search(
    search: str, grid: Grid, champion: ALSConfig | None, repeats: RepeatMode = "off"
) -> SearchPlan:
    """Plan a search in a mode, one of SEARCH_MODES.

    Without a champion that is an ALS model, `around_champion` searches the full grid. All
    configurations have the champion's shares of popularity and repeats, or the reference shares
    without a champion. So the fits are compared as they will be served.
    """
    validate_search_mode(search)
    blend, repeat = grid.reference_blends(repeats)
    if champion is not None:
        blend = (champion.popularity_share, champion.popularity_half_life)
        repeat = _keep_allowed_repeats(champion, repeats, repeat)
    if search == "off":
        return _plan_single_config(grid, champion, blend, repeat)
    configs, description = grid.configs(), "the full grid"
    if search == "around_champion" and champion is not None:
        grid = grid.extend_around(champion)
        configs, description = grid.configs_around(champion), "around the champion"
    elif search == "around_champion":
        description += ": no ALS is champion yet"
    blends = list(dict.fromkeys([*grid.blends(), blend]))
    all_repeats = list(dict.fromkeys([*grid.repeats(repeats), repeat]))
    configs, has_favourite = _put_favourite_first(_with_blends(configs, blend, repeat), champion)
    return SearchPlan(configs, blends, all_repeats, grid.contents(), description, has_favourite)


def _put_favourite_first(
    configs: list[ALSConfig], champion: ALSConfig | None
) -> tuple[list[ALSConfig], bool]:
    """Put the champion's fit first, or the reference fit; say whether the grid has it."""
    favourite = REFERENCE_FIT
    if champion is not None:
        favourite = {name: getattr(champion, name) for name in FIT_PARAMETERS}
    for config in configs:
        if all(getattr(config, name) == value for name, value in favourite.items()):
            return [config, *[other for other in configs if other != config]], True
    return configs, False


def _plan_single_config(
    grid: Grid, champion: ALSConfig | None, blend: PopularityBlend, repeat: RepeatBlend
) -> SearchPlan:
    """Plan only the champion's configuration or, without a champion, the grid's middle."""
    config, description = choose_without_search(grid, champion)
    content = (config.content_share, config.content_pairs)
    configs = _with_blends(grid.configs_around(config)[:1], blend, repeat)
    return SearchPlan(configs, [blend], [repeat], [content], f"search is off: {description}")


def _with_blends(
    configs: list[ALSConfig], blend: PopularityBlend, repeat: RepeatBlend
) -> list[ALSConfig]:
    return [with_repeat_blend(with_popularity_blend(config, blend), repeat) for config in configs]


def _keep_allowed_repeats(
    champion: ALSConfig, repeats: RepeatMode, reference: RepeatBlend
) -> RepeatBlend:
    """Return the champion's share of repeats if the settings allow it, else the reference."""
    is_allowed = {"auto": True, "on": champion.repeat_share > 0, "off": not champion.repeat_share}
    if is_allowed[repeats]:
        return champion.repeat_share, champion.repeat_half_life
    return reference


def choose_without_search(
    grid: Grid, champion: ALSConfig | None, repeats: RepeatMode = "off"
) -> tuple[ALSConfig, str]:
    """Return the champion's configuration or, without a champion, the grid's middle, in words too.

    The champion's own iterations, seed and solver are kept, so that it is the live configuration,
    except for a share of repeats that the mode does not allow. The middle has the reference shares
    of popularity and repeats.
    """
    if champion is None:
        [config] = _with_blends([grid.middle()], *grid.reference_blends(repeats))
        return config, "the grid's middle, since no ALS is champion yet"
    repeat = _keep_allowed_repeats(champion, repeats, grid.reference_blends(repeats)[1])
    return with_repeat_blend(champion, repeat), "the champion's configuration"


def read_champion_config(lake: Lake, splits: Splits) -> ALSConfig | None:
    """Return the configuration of the incumbent that the splits were cut for, if it is an ALS.

    A model that went live since then does not count: a rerun of a day searches like its first run.
    A share of popularity of an older release was added to scores that were not divided by the
    user's scale, so it means something else; the reference share takes its place.
    """
    incumbent = splits.about.get("incumbent")
    if not incumbent:
        return None
    config = lake.read_json("models", incumbent["model"], "config.json")
    if not config or config.get("engine") != "als":
        return None
    champion = ALSConfig.from_dict(config)
    if "score_scale" not in config and champion.popularity_share:
        champion = with_popularity_blend(champion, REFERENCE_POPULARITY)
    return champion


def with_popularity_blend(config: ALSConfig, blend: PopularityBlend) -> ALSConfig:
    """Return the configuration with another share of popularity."""
    return replace(config, popularity_share=blend[0], popularity_half_life=blend[1])


def with_repeat_blend(config: ALSConfig, blend: RepeatBlend) -> ALSConfig:
    """Return the configuration with another share of repeats."""
    return replace(config, repeat_share=blend[0], repeat_half_life=blend[1])


def with_content_blend(config: ALSConfig, content: ContentBlend) -> ALSConfig:
    """Return the configuration with another share of content."""
    return replace(config, content_share=content[0], content_pairs=content[1])
