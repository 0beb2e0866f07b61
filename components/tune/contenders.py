"""Define contenders: a configuration, the fit that it shares with its blends, and its scores."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from dawnlist.als.fit import Fit
from dawnlist.als.training import ALSTrainer
from dawnlist.arrays import Float32Array, Float64Array
from dawnlist.components.tune.grid import (
    ContentBlend,
    PopularityBlend,
    RepeatBlend,
    with_content_blend,
    with_popularity_blend,
    with_repeat_blend,
)
from dawnlist.components.tune.halving import is_clearly_worse
from dawnlist.components.tune.newcomers import Newcomers
from dawnlist.components.tune.trials import Trial, TrialResult
from dawnlist.model.config import ALSConfig
from dawnlist.model.metrics import mean_or_zero


@dataclass
class ResumableFit:
    """The fit of a configuration, which starts when its factors are needed for the first time.

    It never starts when the archive has all results that the search asks for.
    """

    trainer: ALSTrainer
    config: ALSConfig
    started_fit: Fit | None = None
    seconds: float = 0.0
    """Time of all sweeps so far."""
    newcomer_vectors: Float32Array | None = None
    """The newcomers' vectors after the sweeps so far, once they are solved."""

    def compute_factors(self, sweeps: int) -> tuple[Float32Array, Float32Array]:
        """Continue to the given number of sweeps, and return the factors of users and items."""
        clock = perf_counter()
        if self.started_fit is None:
            self.started_fit = self.trainer.start_fit(self.config)
        if self.started_fit.sweeps < sweeps:
            self.started_fit.advance(sweeps - self.started_fit.sweeps)
            self.newcomer_vectors = None
        factors = self.started_fit.factors
        self.seconds += perf_counter() - clock
        return factors

    def solve_newcomers(
        self, sweeps: int, newcomers: Newcomers
    ) -> tuple[Float32Array, Float32Array]:
        """Return the vectors of newcomers, and of the items, after a number of sweeps.

        The newcomers must be the same in all calls: all hybrids of a fit share their vectors.
        """
        _, items = self.compute_factors(sweeps)
        if self.newcomer_vectors is None:
            assert self.started_fit is not None
            ridge_scale = self.started_fit.ridge_scale
            self.newcomer_vectors = newcomers.vectors(items, ridge_scale, self.config)
        return self.newcomer_vectors, items

    def release_factors(self) -> None:
        """Free the memory of the fit, which starts again if its factors are needed once more."""
        self.started_fit = None


@dataclass(eq=False)
class Contender:
    """A configuration in the race."""

    config: ALSConfig
    fit: ResumableFit
    """All blends of a configuration share it."""
    result: TrialResult | None = None
    """The scores in the current rung."""
    rows: list[Trial] = field(default_factory=list)
    """The rows of the table of trials, one for each rung."""


ScoresByContender = dict[Contender, Float64Array]
"""For each contender its metric of each user, the users in one order for all."""


def expand_blends(finalists: list[Contender], blends: Sequence[PopularityBlend]) -> list[Contender]:
    """Return each finalist with each share of popularity; with its own share it stays itself."""
    contenders = []
    for finalist in finalists:
        for blend in blends:
            contenders.append(_vary(finalist, with_popularity_blend(finalist.config, blend)))
    return list(dict.fromkeys(contenders))


def expand_repeats(blended: list[Contender], repeats: Sequence[RepeatBlend]) -> list[Contender]:
    """Return each contender with each share of repeats; with its own share it stays itself."""
    contenders = []
    for contender in blended:
        for blend in repeats:
            contenders.append(_vary(contender, with_repeat_blend(contender.config, blend)))
    return list(dict.fromkeys(contenders))


def _vary(contender: Contender, config: ALSConfig) -> Contender:
    """Return the contender with another configuration of the same fit, or itself."""
    if config == contender.config:
        return contender
    return Contender(config, contender.fit, rows=list(contender.rows))


def expand_contents(blended: list[Contender], contents: Sequence[ContentBlend]) -> list[Contender]:
    """Return each contender with each share of content, always as a new contender."""
    contenders = []
    for contender in blended:
        for content in contents:
            config = with_content_blend(contender.config, content)
            contenders.append(Contender(config, contender.fit, rows=list(contender.rows)))
    return contenders


def choose_best_hybrid(
    contenders: list[Contender],
    user_scores: ScoresByContender,
    newcomer_scores: ScoresByContender,
) -> Contender:
    """Choose the first contender without content, unless one with content is clearly better.

    That one must be no worse for users and for newcomers, and clearly better for one of the two.
    The contenders come best first, as `Contest.blend` and `Contest.add_repeats` order them.
    """

    def add_means(contender: Contender) -> float:
        return mean_or_zero(user_scores[contender]) + mean_or_zero(newcomer_scores[contender])

    without_content = [contender for contender in contenders if not contender.config.content_share]
    plain = (without_content or contenders)[0]
    candidates = []
    for contender in contenders:
        is_no_worse = _is_no_worse(user_scores, contender, plain)
        if is_no_worse and _is_no_worse(newcomer_scores, contender, plain):
            candidates.append(contender)
    best = max(candidates, key=add_means)
    is_better_for_users = _is_clearly_better(user_scores, best, plain)
    if is_better_for_users or _is_clearly_better(newcomer_scores, best, plain):
        return best
    return plain


def _is_no_worse(scores: ScoresByContender, contender: Contender, plain: Contender) -> bool:
    return mean_or_zero(scores[contender]) >= mean_or_zero(scores[plain])


def _is_clearly_better(scores: ScoresByContender, contender: Contender, plain: Contender) -> bool:
    if not len(scores[contender]):
        return False
    return is_clearly_worse(scores[plain], scores[contender])
