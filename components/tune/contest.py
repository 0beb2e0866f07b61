"""Run a search: score contenders, drop the worse ones, and store each result when it is there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from dawnlist.arrays import Float32Array, Float64Array
from dawnlist.components.tune.contenders import (
    Contender,
    choose_best_hybrid,
    expand_blends,
    expand_contents,
    expand_repeats,
)
from dawnlist.components.tune.grid import ContentBlend, PopularityBlend, RepeatBlend
from dawnlist.components.tune.halving import (
    STANDARD_ERRORS_TO_REPLACE,
    Rung,
    is_clearly_worse,
    race_trials,
)
from dawnlist.components.tune.sample import Sample
from dawnlist.components.tune.trials import Trial, TrialArchive, TrialResult
from dawnlist.model.metrics import mean_or_zero
from dawnlist.progress import ProgressLog

MAX_HYBRID_USERS: Final = 4000
"""Hybrids are scored on at most this many users, and on as many newcomers."""
NEWCOMER_SUFFIX: Final = "newcomers"


@dataclass(frozen=True)
class RungShard:
    """One node's share of a search on several nodes: every `shards`-th trial of one rung."""

    rung: int
    """The first rung is 0. The lake must have the results of the rungs before it."""
    shard: int
    shards: int


@dataclass
class Contest:
    """A search in progress, with its table of trials."""

    sample: Sample
    archive: TrialArchive
    metric: str
    """The metric that decides, one of METRICS."""
    progress: Callable[[Trial], None]
    """Is called with each new row of the table."""
    table: tuple[str, ...]
    """Path in the lake of the table of all trials. An empty path writes none."""
    has_favourite: bool = False
    """Whether the first contender wins unless another is clearly better: the live configuration, or
    the one that a search without it begins with. These were good on many days, and a single day's
    users may favour any other by chance."""
    rows: list[Trial] = field(default_factory=list)

    @property
    def user_count(self) -> int:
        """The number of users to score on."""
        return len(self.sample.users)

    def halve(self, contenders: list[Contender], rungs: list[Rung]) -> list[Contender]:
        """Race the contenders through the rungs. Return those that remain, best first.

        A favourite is never dropped.
        """
        if not rungs:
            # The first rung of a search on several nodes has none before it.
            return contenders
        favourite = contenders[0]
        for number, (sweeps, keep) in enumerate(rungs):
            for contender in contenders:
                contender.result = None
            contenders = self._race(contenders, keep, number, sweeps, favourite)
        return self._prefer_favourite(favourite, contenders)

    def _prefer_favourite(self, favourite: Contender, ranked: list[Contender]) -> list[Contender]:
        """Put the favourite first unless the best of the ranked contenders is clearly better.

        All of them have been scored on the same users in their last rung.
        """
        if not self.has_favourite or favourite not in ranked:
            return ranked
        results = (favourite.result, ranked[0].result)
        assert results[0] is not None and results[1] is not None
        users = min(results[0].users, results[1].users)
        favourite_scores = results[0].select_metric(self.metric, users)
        best_scores = results[1].select_metric(self.metric, users)
        if is_clearly_worse(favourite_scores, best_scores, STANDARD_ERRORS_TO_REPLACE):
            return ranked
        return _put_first([favourite], ranked)

    def blend(
        self, finalists: list[Contender], blends: Sequence[PopularityBlend], keep: int
    ) -> list[Contender]:
        """Race the finalists with each share of popularity.

        Returns:
            The `keep` best ones, scored on all users, then all others.
        """
        return self._race_variants(finalists, expand_blends(finalists, blends), keep)

    def add_repeats(
        self, blended: list[Contender], repeats: Sequence[RepeatBlend], keep: int
    ) -> list[Contender]:
        """Race contenders with each share of repeats; the result is as that of `blend`."""
        return self._race_variants(blended, expand_repeats(blended, repeats), keep)

    def _race_variants(
        self, originals: list[Contender], contenders: list[Contender], keep: int
    ) -> list[Contender]:
        """Race variants of finished fits, and score the best ones on all users.

        Args:
            originals: The contenders so far, best first; the first one is the favourite.
            contenders: All variants, the originals among them.
            keep: How many contenders go on.
        """
        rung = max(contender.rows[-1]["rung"] for contender in contenders) + 1
        sweeps = contenders[0].config.iterations
        for contender in contenders:
            contender.result = None
        best = self._race(contenders, keep, rung, sweeps, originals[0])
        scores = {}
        for contender in best:
            scores[contender] = self.score_contender(contender, rung, sweeps, self.user_count)
        best.sort(key=lambda contender: -mean_or_zero(scores[contender]))
        best = self._prefer_favourite(originals[0], best)
        for contender in contenders:
            contender.rows[-1]["dropped"] = contender not in best[:keep]
        self._write_table()
        return _put_first(best[:keep], contenders)

    def choose_hybrids(
        self, blended: list[Contender], contents: Sequence[ContentBlend]
    ) -> list[Contender]:
        """Score contenders with each share of content, and choose one of them.

        The best one without content is chosen, unless one with content is no worse for users and
        for newcomers, and clearly better for one of the two.

        Returns:
            The chosen one, scored on all users, then all others.
        """
        # The rung comes after those of all contenders. One without a share of popularity was not
        # scored again, and hybrids start with the rows of their blend.
        rung = max(contender.rows[-1]["rung"] for contender in blended) + 1
        sweeps = blended[0].config.iterations
        user_count = min(self.user_count, MAX_HYBRID_USERS)
        contenders = expand_contents(blended, contents)
        scores, newcomer_scores = {}, {}
        for contender in contenders:
            scores[contender] = self.score_contender(contender, rung, sweeps, user_count)
        for contender in contenders:
            newcomer_scores[contender] = self.score_as_newcomers(contender, sweeps)
        best = choose_best_hybrid(contenders, scores, newcomer_scores)
        for contender in contenders:
            row = contender.rows[-1]
            row["dropped"] = contender is not best
            row["newcomers"] = round(mean_or_zero(newcomer_scores[contender]), 6)
        self.score_contender(best, rung, sweeps, self.user_count)
        self._write_table()
        return _put_first([best], contenders)

    def search_shard(
        self,
        contenders: list[Contender],
        rungs: list[Rung],
        shard: RungShard,
        blends: Sequence[PopularityBlend],
    ) -> None:
        """Score a share of one rung's contenders and, if it is the last rung, their blends.

        They are scored on all users, so that no other node has to fit them again.
        """
        if shard.rung >= len(rungs):
            return
        sweeps, _ = rungs[shard.rung]
        survivors = self.halve(contenders, rungs[: shard.rung])
        shard_contenders = survivors[shard.shard :: shard.shards]
        for contender in shard_contenders:
            contender.result = None
            self.score_contender(contender, shard.rung, sweeps, self.user_count)
        if shard.rung + 1 == len(rungs):
            for contender in expand_blends(shard_contenders, blends):
                self.score_contender(contender, len(rungs), sweeps, self.user_count)

    def _race(
        self,
        contenders: list[Contender],
        keep: int,
        rung: int,
        sweeps: int,
        favourite: Contender,
    ) -> list[Contender]:
        """Return the best contenders and the favourite, and release the fits that none needs."""

        progress = ProgressLog(f"search, rung {rung + 1}", "trials", len(contenders))
        scored_contenders: set[int] = set()

        def score(contender: Contender, users: int) -> Float64Array:
            values = self.score_contender(contender, rung, sweeps, users)
            scored_contenders.add(id(contender))
            progress.report(len(scored_contenders), f"{users:,} users each")
            return values

        best = race_trials(contenders, score, keep, self.user_count)
        if self.has_favourite and favourite not in best:
            best = [*best, favourite]
        needed_fits = {id(contender.fit) for contender in best}
        for contender in contenders:
            contender.rows[-1]["dropped"] = contender not in best
            if id(contender.fit) not in needed_fits and keep > 1:
                contender.fit.release_factors()
        self._write_table()
        return best

    def score_contender(
        self, contender: Contender, rung: int, sweeps: int, users: int
    ) -> Float64Array:
        """Return the metric that decides, of each of the first `users` users.

        Only users that neither the contender nor the archive has a score of are scored now.
        """
        result = contender.result
        if result is None:
            result = self.archive.read(contender.config, sweeps)
        if result.users < users:
            result = self._score_more_users(contender, sweeps, result, users)
            self.archive.write(contender.config, sweeps, result)
        if contender.result is None or contender.rows[-1]["users"] < users:
            contender.result = result
            self._record_trial(contender, result, rung, sweeps, users)
        return result.select_metric(self.metric, users)

    def score_as_newcomers(self, contender: Contender, sweeps: int) -> Float64Array:
        """Return the metric that decides, of users with a short history as if they were newcomers.

        These scores are in the archive and have no row in the table.
        """
        result = self.archive.read(contender.config, sweeps, NEWCOMER_SUFFIX)
        sample = self.sample.short_history_sample
        users = min(len(sample.users), MAX_HYBRID_USERS)
        if result.users < users:
            clock = perf_counter()
            factors = contender.fit.solve_newcomers(sweeps, sample.newcomers.slice(0, users))
            values = sample.score_newcomers(factors, contender.config, result.users, users)
            result = _append_users(result, values, contender, clock)
            self.archive.write(contender.config, sweeps, result, NEWCOMER_SUFFIX)
        return result.select_metric(self.metric, users)

    def _score_more_users(
        self, contender: Contender, sweeps: int, result: TrialResult, users: int
    ) -> TrialResult:
        clock = perf_counter()
        factors = contender.fit.compute_factors(sweeps)
        values = self.sample.values(factors, contender.config, result.users, users)
        return _append_users(result, values, contender, clock)

    def _record_trial(
        self, contender: Contender, result: TrialResult, rung: int, sweeps: int, users: int
    ) -> None:
        """Add a row to the table of trials, or update the contender's row of this rung."""
        row = {
            **contender.config.as_dict(),
            **result.average_metrics(users, self.sample.k),
            "rung": rung,
            "sweeps": sweeps,
            "users": users,
            "dropped": None,
            "fit_seconds": result.fit_seconds,
            "seconds": result.seconds,
        }
        if contender.rows and contender.rows[-1]["rung"] == rung:
            contender.rows[-1].update(row)
        else:
            contender.rows.append(row)
            self.rows.append(row)
        self._write_table()
        self.progress(row)

    def _write_table(self) -> None:
        if self.table:
            self.archive.lake.write_json(self.rows, *self.table)


def _put_first(best: list[Contender], contenders: list[Contender]) -> list[Contender]:
    """Return the best contenders, then the others in their order."""
    return best + [contender for contender in contenders if contender not in best]


def _append_users(
    result: TrialResult, values: Float32Array, contender: Contender, clock: float
) -> TrialResult:
    fit_seconds = round(contender.fit.seconds, 3)
    return result.append_users(values, fit_seconds, round(perf_counter() - clock, 3))
