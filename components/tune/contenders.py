"""Who races: a configuration, the fit that it shares with its blends, and how it was judged."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from dawnlist.als.fit import Fit
from dawnlist.als.training import ALSTrainer
from dawnlist.arrays import Float32Array, Float64Array
from dawnlist.components.tune.grid import (
    NO_POPULARITY_BLEND,
    ContentBlend,
    PopularityBlend,
    with_content_blend,
    with_popularity_blend,
)
from dawnlist.components.tune.halving import is_clearly_worse
from dawnlist.components.tune.newcomers import Newcomers
from dawnlist.components.tune.trials import Trial, TrialResult
from dawnlist.model.config import ALSConfig


@dataclass
class ResumableFit:
    """A configuration's fit, begun when its factors are needed: never when all that is asked is known already."""

    training: ALSTrainer
    config: ALSConfig
    fit: Fit | None = None
    seconds: float = 0.0
    solved: Float32Array | None = None
    """Newcomers' vectors by the fit as it is."""

    def factors(self, sweeps: int) -> tuple[Float32Array, Float32Array]:
        """After so many sweeps, going on from those that it has."""
        clock = perf_counter()
        self.fit = self.fit or self.training.start_fit(self.config)
        if self.fit.sweeps < sweeps:
            self.fit.advance(sweeps - self.fit.sweeps)
            self.solved = None
        factors = self.fit.factors
        self.seconds += perf_counter() - clock
        return factors

    def newcomers(self, sweeps: int, newcomers: Newcomers) -> tuple[Float32Array, Float32Array]:
        """The vectors of the newcomers, always the same ones, and of the items: solved once for all hybrids."""
        _, items = self.factors(sweeps)
        if self.solved is None:
            assert self.fit is not None
            self.solved = newcomers.vectors(items, self.fit.ridge_scale, self.config)
        return self.solved, items


@dataclass(eq=False)
class Contender:
    """A configuration in the race."""

    config: ALSConfig
    fitted: ResumableFit
    """Shared by all blends of a configuration."""
    judged: TrialResult | None = None
    """In this rung."""
    rows: list[Trial] = field(default_factory=list)
    """Of the table, one a rung."""


def expand_blends(finalists: list[Contender], blends: Sequence[PopularityBlend]) -> list[Contender]:
    """Each with each share of popularity."""
    return [
        one
        if blend == NO_POPULARITY_BLEND
        else Contender(with_popularity_blend(one.config, blend), one.fitted, rows=list(one.rows))
        for one in finalists
        for blend in blends
    ]


def expand_contents(blended: list[Contender], contents: Sequence[ContentBlend]) -> list[Contender]:
    """Each with each share of content."""
    return [
        Contender(with_content_blend(one.config, content), one.fitted, rows=list(one.rows))
        for one in blended
        for content in contents
    ]


def choose_best_hybrid(
    racing: list[Contender],
    judged: dict[Contender, Float64Array],
    newcomers: dict[Contender, Float64Array],
) -> Contender:
    """See Contest.hybrids."""
    plain = max(racing, key=lambda one: (not one.config.content_share, mean_or_zero(judged[one])))
    both = (judged, newcomers)
    able = [
        one
        for one in racing
        if all(mean_or_zero(found[one]) >= mean_or_zero(found[plain]) for found in both)
    ]
    best = max(able, key=lambda one: sum(mean_or_zero(found[one]) for found in both))
    clear = any(len(found[best]) and is_clearly_worse(found[plain], found[best]) for found in both)
    return best if clear else plain


def mean_or_zero(values: Float64Array) -> float:
    """0 of nobody."""
    return float(values.mean()) if len(values) else 0.0
