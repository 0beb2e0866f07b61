"""Who races: a configuration, the fit that it shares with its blends, and how it was judged."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from dawnlist.als.training import ALSConfig, Fit, Training
from dawnlist.components.tune.grid import NO_BLEND, Blend, Content, replaced, with_content
from dawnlist.components.tune.halving import clearly_worse
from dawnlist.components.tune.newcomers import Newcomers
from dawnlist.components.tune.trials import Judged, Trial
from dawnlist.model.factor_model import Factors
from dawnlist.model.metrics import Floats


@dataclass
class Continued:
    """A configuration's fit, begun when its factors are needed: never when all that is asked is known already."""

    training: Training
    config: ALSConfig
    fit: Fit | None = None
    seconds: float = 0.0
    solved: Factors | None = None
    """Newcomers' vectors by the fit as it is."""

    def factors(self, sweeps: int) -> tuple[Factors, Factors]:
        """After so many sweeps, going on from those that it has."""
        clock = perf_counter()
        self.fit = self.fit or self.training.begin(self.config)
        if self.fit.sweeps < sweeps:
            self.fit.advance(sweeps - self.fit.sweeps)
            self.solved = None
        factors = self.fit.factors
        self.seconds += perf_counter() - clock
        return factors

    def newcomers(self, sweeps: int, newcomers: Newcomers) -> tuple[Factors, Factors]:
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
    fitted: Continued
    """Shared by all blends of a configuration."""
    judged: Judged | None = None
    """In this rung."""
    rows: list[Trial] = field(default_factory=list)
    """Of the table, one a rung."""


def blends_of(finalists: list[Contender], blends: Sequence[Blend]) -> list[Contender]:
    """Each with each share of popularity."""
    return [
        one if blend == NO_BLEND else Contender(replaced(one.config, blend), one.fitted, rows=list(one.rows))
        for one in finalists
        for blend in blends
    ]


def hybrids_of(blended: list[Contender], contents: Sequence[Content]) -> list[Contender]:
    """Each with each share of content."""
    return [
        Contender(with_content(one.config, content), one.fitted, rows=list(one.rows))
        for one in blended
        for content in contents
    ]


def best_hybrid(
    racing: list[Contender], judged: dict[Contender, Floats], newcomers: dict[Contender, Floats]
) -> Contender:
    """See Contest.hybrids."""
    plain = max(racing, key=lambda one: (not one.config.content_share, mean(judged[one])))
    both = (judged, newcomers)
    able = [one for one in racing if all(mean(found[one]) >= mean(found[plain]) for found in both)]
    best = max(able, key=lambda one: sum(mean(found[one]) for found in both))
    clear = any(len(found[best]) and clearly_worse(found[plain], found[best]) for found in both)
    return best if clear else plain


def mean(values: Floats) -> float:
    """0 of nobody."""
    return float(values.mean()) if len(values) else 0.0
