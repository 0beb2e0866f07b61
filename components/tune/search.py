"""The search: successive halving over configurations, then shares of popularity and content in what is served."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from time import perf_counter
from typing import Final

from components.hybrid import Hybrid
from components.lake import Lake
from components.memory import require
from components.metrics import METRICS, Floats
from components.model import FactorModel, Factors
from components.solver import ALSConfig, Fit, Training, fingerprint
from components.splits import Splits
from components.tune.grid import NO_BLEND, NO_CONTENT, Blend, Content, replaced, with_content
from components.tune.halving import Rung, clearly_worse, ladder, race
from components.tune.sample import Sample
from components.tune.trials import Archive, Judged, Trial
from components.user_items import UserItems

BLENDED: Final = 3
"""So many of the best shares of popularity are tried with content."""
CONTENT_USERS: Final = 4000
"""So many users judge them."""
NEWCOMERS: Final = "newcomers"


@dataclass(frozen=True)
class Share:
    """One node's part of a search that is spread over several: every `shards`-th trial of one rung."""

    rung: int
    """0 is the first; the results of those before it must lie in the lake."""
    shard: int
    shards: int


@dataclass
class Continued:
    """A configuration's fit, begun when its factors are needed: never when all that is asked is known already."""

    training: Training
    config: ALSConfig
    fit: Fit | None = None
    seconds: float = 0.0

    ridge_scale: float = 0.0
    """Of the fit, once its factors were asked for."""

    def factors(self, sweeps: int) -> tuple[Factors, Factors]:
        """After so many sweeps, going on from those that it has."""
        clock = perf_counter()
        self.fit = self.fit or self.training.begin(self.config)
        if self.fit.sweeps < sweeps:
            self.fit.advance(sweeps - self.fit.sweeps)
        factors, self.ridge_scale = self.fit.factors, self.fit.ridge_scale
        self.seconds += perf_counter() - clock
        return factors


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


@dataclass
class Search:
    """A search under way: it judges contenders, tells of it, and keeps what was found."""

    sample: Sample
    archive: Archive
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

    def blend(self, finalists: list[Contender], blends: Sequence[Blend], keep: int) -> list[Contender]:
        """The finalists with each share of popularity: the best, judged by everyone, then all others."""
        rung, sweeps = finalists[0].rows[-1]["rung"] + 1, finalists[0].config.iterations
        racing = _blends(finalists, blends)
        best = self._race(racing, keep, rung, sweeps)
        for one in best:
            self.judge(one, rung, sweeps, self.everyone)
        return best + [one for one in racing if one not in best]

    def hybrids(self, blended: list[Contender], contents: Sequence[Content]) -> list[Contender]:
        """Some blends with each share of content: the best, judged by everyone, then all others.

        It is the best without content, unless with some both the judged users and newcomers have lists that are no
        worse, and one of the two clearly better ones.
        """
        rung, sweeps = blended[0].rows[-1]["rung"] + 1, blended[0].config.iterations
        asked = min(self.everyone, CONTENT_USERS)
        newest = min(len(self.sample.short.users), CONTENT_USERS)
        racing = [
            Contender(with_content(one.config, content), one.fitted, rows=list(one.rows))
            for one in blended
            for content in contents
        ]
        judged = {one: self.judge(one, rung, sweeps, asked) for one in racing}
        newcomers = {one: self.judge_newcomers(one, sweeps, newest) for one in racing}
        best = _hybrid(racing, judged, newcomers)
        for one in racing:
            one.rows[-1] |= {"dropped": one is not best, "newcomers": round(_mean(newcomers[one]), 6)}
        self.judge(best, rung, sweeps, self.everyone)
        self._write()
        return [best, *(one for one in racing if one is not best)]

    def part(self, racing: list[Contender], rungs: list[Rung], share: Share, blends: Sequence[Blend]) -> None:
        """A share of one rung, with the blends if it is the last: all by everyone, so that nobody must fit it again."""
        if share.rung >= len(rungs):
            return
        sweeps, _ = rungs[share.rung]
        mine = self.halve(racing, rungs[: share.rung])[share.shard :: share.shards]
        for one in mine:
            one.judged = None
            self.judge(one, share.rung, sweeps, self.everyone)
        if share.rung + 1 == len(rungs):
            for one in _blends(mine, blends):
                self.judge(one, len(rungs), sweeps, self.everyone)

    def _race(self, racing: list[Contender], keep: int, rung: int, sweeps: int) -> list[Contender]:
        ahead = race(racing, lambda one, users: self.judge(one, rung, sweeps, users), keep, self.everyone)
        alive = {id(one.fitted) for one in ahead}
        for one in racing:
            one.rows[-1]["dropped"] = one not in ahead
            if id(one.fitted) not in alive and keep > 1:
                one.fitted.fit = None  # its factors go
        self._write()
        return ahead

    def judge(self, one: Contender, rung: int, sweeps: int, users: int) -> Floats:
        """The metric that decides, of each of the first so many users; asks those that were not asked yet."""
        known = one.judged or self.archive.read(one.config, sweeps)
        if known.users < users:
            known = self._asked(one, sweeps, known, users)
            self.archive.write(one.config, sweeps, known)
        if one.judged is None or one.rows[-1]["users"] < users:
            one.judged = known
            self._tell(one, rung, sweeps, users)
        return known.of(self.metric, users)

    def judge_newcomers(self, one: Contender, sweeps: int, users: int) -> Floats:
        """The same of the first so many of those who met little, as newcomers; no row of the table."""
        known = self.archive.read(one.config, sweeps, NEWCOMERS)
        if known.users < users:
            clock, (_, items) = perf_counter(), one.fitted.factors(sweeps)
            scale, first = one.fitted.ridge_scale, known.users
            values = self.sample.short.values_of_newcomers(items, scale, one.config, first, users)
            known = known.more(values, round(one.fitted.seconds, 3), round(perf_counter() - clock, 3))
            self.archive.write(one.config, sweeps, known, NEWCOMERS)
        return known.of(self.metric, users)

    def _asked(self, one: Contender, sweeps: int, known: Judged, users: int) -> Judged:
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


def search(
    lake: Lake,
    splits: Splits,
    configs: Sequence[ALSConfig],
    metric: str,
    k: int,
    device: str = "cpu",
    progress: Callable[[Trial], None] = lambda trial: None,
    spark: str = "local[*]",
    blends: Sequence[Blend] = (NO_BLEND,),
    contents: Sequence[Content] = (NO_CONTENT,),
    share: Share | None = None,
    table: tuple[str, ...] = (),
) -> list[Trial]:
    """Search configurations (of one number of iterations) by their fits before the validation cut, scored on it.

    Returns a trial for each configuration, best first: its hyper-parameters with the best of `blends` and `contents`,
    its metrics of the last rung it was in, e.g. `ndcg@20`, `rung`, `sweeps`, `users` (judged), `dropped`, `fit_seconds`
    (of all its sweeps), `seconds` (with judging) and `curve`, the same of each of its rungs. With content also
    `newcomers`, the deciding metric of users left with one to three items. What is found is kept in the lake as it is
    made, and the table of all trials so far in `table`. With a share only that part of one rung is done, without
    content, and nothing returned. ValueError for an unknown metric or without configurations, MemoryError when the
    factors of all don't fit.
    """
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} is unknown: give one of {', '.join(METRICS)}")
    if not configs:
        raise ValueError("the grid is empty: give at least one value for each hyper-parameter")
    hybrid = Hybrid.of(splits, "tune")
    sample = Sample.of(splits, hybrid, k, device)
    archive = Archive(lake, _work(splits, hybrid.fitted, k), device)
    training = Training(hybrid.fitted, device, spark)
    racing = [Contender(config, Continued(training, config)) for config in configs]
    if not len(sample.users):  # nobody to judge by: the first configuration, the user's own, stands
        return [one.config.as_dict() for one in racing]
    if device == "cpu":
        _require(hybrid.fitted, configs[share.shard :: share.shards] if share else configs)
    running, rungs = Search(sample, archive, metric, progress, table), ladder(len(racing), configs[0].iterations)
    if share:
        running.part(racing, rungs, share, blends)
        return []
    if not splits.content.shape[1] or list(contents) == [NO_CONTENT]:
        return _trials(running.blend(running.halve(racing, rungs), blends, 1), racing, f"{metric}@{k}")
    blended = running.blend(running.halve(racing, rungs), blends, BLENDED)
    ranked = running.hybrids(blended[:BLENDED], contents)
    return _trials([*ranked, *blended], racing, f"{metric}@{k}")


def _hybrid(racing: list[Contender], judged: dict[Contender, Floats], newcomers: dict[Contender, Floats]) -> Contender:
    """See Search.hybrids."""
    plain = max(racing, key=lambda one: (not one.config.content_share, _mean(judged[one])))
    both = (judged, newcomers)
    able = [one for one in racing if all(_mean(found[one]) >= _mean(found[plain]) for found in both)]
    best = max(able, key=lambda one: sum(_mean(found[one]) for found in both))
    clear = any(len(found[best]) and clearly_worse(found[plain], found[best]) for found in both)
    return best if clear else plain


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0


def _blends(finalists: list[Contender], blends: Sequence[Blend]) -> list[Contender]:
    return [
        one if blend == NO_BLEND else Contender(replaced(one.config, blend), one.fitted, rows=list(one.rows))
        for one in finalists
        for blend in blends
    ]


def _work(splits: Splits, user_items: UserItems, k: int) -> str:
    truth = splits.truth("validation")
    judged = hashlib.sha256(truth.indptr.tobytes() + truth.indices.tobytes()).hexdigest()
    words = [splits.stock.digest] if splits.stock else []
    return fingerprint(user_items, "tune", k, version("dawnlist"), judged, *words)


def _require(user_items: UserItems, configs: Sequence[ALSConfig]) -> None:
    """All trials of the first rung are held at once: factors, and the confidence of each pair from both sides."""
    vectors, pairs = sum(user_items.weight.shape), user_items.weight.nnz
    needed = sum(4 * vectors * config.factors + 8 * pairs for config in configs)
    require(needed, f"the factors of {len(configs)} trials at once")


def _trials(ranked: list[Contender], others: list[Contender], metric: str) -> list[Trial]:
    """One trial a configuration: those that were ranked, then by how far they came and how good they were there."""
    found: dict[int, Contender] = {}
    for one in ranked:
        found.setdefault(id(one.fitted), one)
    rest = [one for one in others if id(one.fitted) not in found]
    rest.sort(key=lambda one: (-one.rows[-1]["rung"], -one.rows[-1][metric]))
    return [_trial(one.rows, metric) for one in [*found.values(), *rest]]


def _trial(rows: list[Trial], metric: str) -> Trial:
    curve = [{name: row[name] for name in ("rung", "sweeps", "users", "fit_seconds", metric)} for row in rows]
    return {**rows[-1], "seconds": round(sum(row["seconds"] for row in rows), 3), "curve": curve}


def as_model(splits: Splits, factors: tuple[Factors, Factors], user_items: UserItems, config: ALSConfig) -> FactorModel:
    """The factors as a model of the users and items that were seen in the fit."""
    return FactorModel.of_known((splits.user_ids, splits.item_ids), factors, user_items.weight, config.as_dict(), {})
