"""A search under way: contenders are judged and dropped, and what is found is kept as it is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from dawnlist.arrays import Float64Array
from dawnlist.components.tune.contenders import (
    Contender,
    choose_best_hybrid,
    expand_blends,
    expand_contents,
    mean_or_zero,
)
from dawnlist.components.tune.grid import ContentBlend, PopularityBlend
from dawnlist.components.tune.halving import Rung, race_trials
from dawnlist.components.tune.sample import Sample
from dawnlist.components.tune.trials import Trial, TrialArchive, TrialResult

MAX_HYBRID_USERS: Final = 4000
"""So many users judge hybrids, and as many newcomers."""
NEWCOMER_SUFFIX: Final = "newcomers"


@dataclass(frozen=True)
class RungShard:
    """One node's part of a search that is spread over several: every `shards`-th trial of one rung."""

    rung: int
    """0 is the first; the results of those before it must lie in the lake."""
    shard: int
    shards: int


@dataclass
class Contest:
    """A search under way: it judges contenders, tells of it, and keeps what was found."""

    sample: Sample
    archive: TrialArchive
    metric: str
    progress: Callable[[Trial], None]
    table: tuple[str, ...]
    """Where in the lake the table of all trials goes; nowhere when empty."""
    rows: list[Trial] = field(default_factory=list)

    @property
    def everyone(self) -> int:
        """How many users can be asked."""
        return len(self.sample.users)

    def halve(self, racing: list[Contender], rungs: list[Rung]) -> list[Contender]:
        """Who is left after these rungs, best first."""
        for number, (sweeps, keep) in enumerate(rungs):
            for one in racing:
                one.judged = None
            racing = self._race(racing, keep, number, sweeps)
        return racing

    def blend(
        self, finalists: list[Contender], blends: Sequence[PopularityBlend], keep: int
    ) -> list[Contender]:
        """The finalists with each share of popularity: the best, judged by everyone, then all others."""
        rung, sweeps = finalists[0].rows[-1]["rung"] + 1, finalists[0].config.iterations
        racing = expand_blends(finalists, blends)
        best = self._race(racing, keep, rung, sweeps)
        for one in best:
            self.judge(one, rung, sweeps, self.everyone)
        return best + [one for one in racing if one not in best]

    def choose_hybrids(
        self, blended: list[Contender], contents: Sequence[ContentBlend]
    ) -> list[Contender]:
        """Some blends with each share of content: the best, judged by everyone, then all others.

        It is the best without content, unless with some both the judged users and newcomers have lists that are no
        worse, and one of the two clearly better ones.
        """
        # past all of them: who has no share of popularity was not judged again, and hybrids share their blend's rows
        rung, sweeps = (
            max(one.rows[-1]["rung"] for one in blended) + 1,
            blended[0].config.iterations,
        )
        asked = min(self.everyone, MAX_HYBRID_USERS)
        racing = expand_contents(blended, contents)
        judged = {one: self.judge(one, rung, sweeps, asked) for one in racing}
        newcomers = {one: self.judge_newcomers(one, sweeps) for one in racing}
        best = choose_best_hybrid(racing, judged, newcomers)
        for one in racing:
            one.rows[-1] |= {
                "dropped": one is not best,
                "newcomers": round(mean_or_zero(newcomers[one]), 6),
            }
        self.judge(best, rung, sweeps, self.everyone)
        self._write()
        return [best, *(one for one in racing if one is not best)]

    def part(
        self,
        racing: list[Contender],
        rungs: list[Rung],
        share: RungShard,
        blends: Sequence[PopularityBlend],
    ) -> None:
        """A share of one rung, with the blends if it is the last: all by everyone, so that nobody must fit it again."""
        if share.rung >= len(rungs):
            return
        sweeps, _ = rungs[share.rung]
        mine = self.halve(racing, rungs[: share.rung])[share.shard :: share.shards]
        for one in mine:
            one.judged = None
            self.judge(one, share.rung, sweeps, self.everyone)
        if share.rung + 1 == len(rungs):
            for one in expand_blends(mine, blends):
                self.judge(one, len(rungs), sweeps, self.everyone)

    def _race(self, racing: list[Contender], keep: int, rung: int, sweeps: int) -> list[Contender]:
        ahead = race_trials(
            racing, lambda one, users: self.judge(one, rung, sweeps, users), keep, self.everyone
        )
        alive = {id(one.fitted) for one in ahead}
        for one in racing:
            one.rows[-1]["dropped"] = one not in ahead
            if id(one.fitted) not in alive and keep > 1:
                one.fitted.fit = None  # its factors go
        self._write()
        return ahead

    def judge(self, one: Contender, rung: int, sweeps: int, users: int) -> Float64Array:
        """The metric that decides, of each of the first so many users; asks those that were not asked yet."""
        known = one.judged or self.archive.read(one.config, sweeps)
        if known.users < users:
            known = self._asked(one, sweeps, known, users)
            self.archive.write(one.config, sweeps, known)
        if one.judged is None or one.rows[-1]["users"] < users:
            one.judged = known
            self._tell(one, rung, sweeps, users)
        return known.of(self.metric, users)

    def judge_newcomers(self, one: Contender, sweeps: int) -> Float64Array:
        """The same of the first of those who met little, as newcomers; no row of the table."""
        known, short = (
            self.archive.read(one.config, sweeps, NEWCOMER_SUFFIX),
            self.sample.short_history_sample,
        )
        users = min(len(short.users), MAX_HYBRID_USERS)
        if known.users < users:
            clock = perf_counter()
            fitted = one.fitted.newcomers(sweeps, short.newcomers.between(0, users))
            values = short.score_newcomers(fitted, one.config, known.users, users)
            known = known.more(
                values, round(one.fitted.seconds, 3), round(perf_counter() - clock, 3)
            )
            self.archive.write(one.config, sweeps, known, NEWCOMER_SUFFIX)
        return known.of(self.metric, users)

    def _asked(self, one: Contender, sweeps: int, known: TrialResult, users: int) -> TrialResult:
        clock = perf_counter()
        values = self.sample.values(one.fitted.factors(sweeps), one.config, known.users, users)
        return known.more(values, round(one.fitted.seconds, 3), round(perf_counter() - clock, 3))

    def _tell(self, one: Contender, rung: int, sweeps: int, users: int) -> None:
        assert one.judged is not None
        row = {
            **one.config.as_dict(),
            **one.judged.means(users, self.sample.k),
            "rung": rung,
            "sweeps": sweeps,
            "users": users,
            "dropped": None,
            "fit_seconds": one.judged.fit_seconds,
            "seconds": one.judged.seconds,
        }
        if one.rows and one.rows[-1]["rung"] == rung:
            one.rows[-1].update(row)
        else:
            one.rows.append(row)
            self.rows.append(row)
        self._write()
        self.progress(row)

    def _write(self) -> None:
        if self.table:
            self.archive.lake.write_json(self.rows, *self.table)
