"""What cleaning is worth: the same fit with and without each bot rule, judged on the same people.

The people are the humans of a simulated shop's truth, or on real data the users against whom no rule, on or in shadow,
has anything. Either way each is judged by everything that they did, whatever an arm left of it, so that all arms answer
the same questions. A user or an item that an arm does not know scores 0 there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.als.training import ALSConfig, fit
from dawnlist.components.dataset.pairs import build
from dawnlist.components.evaluate.arms import Judged
from dawnlist.components.filter_bots.rules import DENY
from dawnlist.components.filter_bots.verdicts import judge
from dawnlist.components.tune.search import as_model, search
from dawnlist.cuts import iso, parse_as_of, window
from dawnlist.lake.interactions import window_rows
from dawnlist.lake.lake import Lake
from dawnlist.model.ids import IdMap
from dawnlist.model.metrics import Floats, score
from dawnlist.model.popularity import blended
from dawnlist.model.splits import Splits
from dawnlist.pipelines.ablation.report import ALL_RULES, BASELINE, by_user, only, sentences, tables, words
from dawnlist.schema import VERDICTS
from dawnlist.settings import Settings

Report = dict[str, Any]
TRUTH, RESEEDED = "only the truth's humans", "another seed"


@dataclass(frozen=True)
class Table:
    """A lake's interactions."""

    lake: Lake
    version: int
    filtered: bool = True
    """Whether the bot rules are applied to them."""


@dataclass(frozen=True)
class Study:
    """What all days of an ablation share."""

    table: Table
    settings: Settings
    window_days: int
    k: int
    humans: pa.StringArray | None
    """Of the truth; None: there is no truth, and the users whom every rule keeps are judged."""
    also: dict[str, Table] = field(default_factory=dict)
    """More interactions to fit on, by name: what the same source gives when it is cleaned in another way."""

    @property
    def judged_on(self) -> str:
        """Whose holdout it is, for the report."""
        return "users whom every rule keeps" if self.humans is None else "the truth's humans"

    def splits(self, verdicts: pa.Table, as_of: str, table: Table | None = None) -> Splits:
        """What the DAG would cut of what the verdicts let through."""
        rows = table or self.table
        return build(rows.lake, rows.version, verdicts, as_of, self.window_days)[0]


@dataclass(frozen=True)
class Arm:
    """One fit: what is left out of the rows, and with which hyper-parameters."""

    name: str
    verdicts: pa.Table
    config: ALSConfig
    table: Table | None = None
    """Interactions other than the study's."""

    @property
    def rows(self) -> tuple[Any, ...]:
        """The same for arms that fit on the same rows."""
        drop = self.verdicts.filter(pc.and_not(pc.equal(self.verdicts["action"], "drop"), self.verdicts["shadow"]))
        ids = (frozenset(drop[name].drop_null().to_pylist()) for name in ("user_id", "event_id"))
        return (*ids, self.table and self.table.lake.uri)


@dataclass
class Day:
    """One day's people, and what was made of its rows."""

    study: Study
    as_of: str
    verdicts: pa.Table
    rules: list[Report]
    """What each rule finds, as `judge` reports it."""
    judged: Judged
    cut: dict[tuple[Any, ...], Splits] = field(default_factory=dict)
    """Splits by the rows that they are made of."""
    scored: dict[tuple[Any, ...], Floats] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study, as_of: str) -> "Day":
        """Judge the day's window by the rules, and find the people to judge the arms by."""
        days = window(parse_as_of(as_of), study.window_days)
        verdicts, report = judge(study.table.lake, study.table.version, days, study.settings)
        whole = Judged.of(study.splits(verdicts.slice(0, 0), as_of), study.k)
        people = IdMap(whole.splits.user_ids.ids.take(pa.array(whole.users)))
        if study.humans is not None:
            chosen = people.indices(study.humans)
        else:
            suspects = _suspects(study, as_of, verdicts)
            chosen = np.setdiff1d(np.arange(len(people)), people.indices(suspects))
        chosen = np.unique(chosen[chosen >= 0])
        judged = replace(whole, users=whole.users[chosen], seen=whole.seen[chosen], truth=whole.truth[chosen])
        return cls(study, as_of, verdicts, report["rules"], judged)

    @property
    def users(self) -> pa.Array:
        """The ids of the judged."""
        return self.judged.splits.user_ids.ids.take(pa.array(self.judged.users))

    def splits(self, arm: Arm) -> Splits:
        """The splits of the arm's rows."""
        if arm.rows not in self.cut:
            self.cut[arm.rows] = self.study.splits(arm.verdicts, self.as_of, arm.table)
        return self.cut[arm.rows]

    def ndcg(self, arm: Arm) -> Floats:
        """The arm's NDCG for each of the judged, fitted on what lies before the holdout."""
        key = (arm.rows, arm.config)
        if key not in self.scored:
            splits = self.splits(arm)
            user_items = splits.user_items("train")
            factors = fit(user_items, arm.config, spark=self.study.settings.engines.spark)
            share = (arm.config.popularity_share, arm.config.popularity_half_life)
            factors = blended(factors, user_items, *share)
            lists = self.judged.lists(as_model(splits, factors, user_items, arm.config))
            self.scored[key] = score(lists, self.judged.truth).ndcg
        return self.scored[key]

    def arms(self, config: ALSConfig, grid: list[ALSConfig]) -> list[Arm]:
        """The baseline, each rule left out and alone, all of them left out; then other changes, for comparison."""
        verdicts, rule_of = self.verdicts, self.verdicts["rule"]
        found = [Arm(BASELINE, verdicts, config)]
        for rule in self.left_out():
            found.append(Arm(rule, verdicts.filter(pc.not_equal(rule_of, rule)), config))
            found.append(Arm(only(rule), verdicts.filter(pc.equal(rule_of, rule)), config))
        found.append(Arm(ALL_RULES, verdicts.slice(0, 0), config))
        found += [Arm(words(other), verdicts, other) for other in grid]
        found.append(Arm(RESEEDED, verdicts, replace(config, seed=config.seed + 1)))
        for name, table in self.study.also.items():
            found.append(Arm(name, verdicts if table.filtered else verdicts.slice(0, 0), config, table))
        if self.study.humans is not None:
            everyone = self.judged.splits.user_ids.ids
            robots = everyone.filter(pc.invert(pc.is_in(everyone, value_set=self.study.humans)))
            found.append(Arm(TRUTH, _dropping(robots), config))
        return found

    def left_out(self) -> list[str]:
        """The rules that drop anybody: those that are on, and the deny list when there is one."""
        denied = bool(self.study.settings.bots.deny)
        return [rule["rule"] for rule in self.rules if rule["mode"] == "on" and (rule["rule"] != DENY or denied)]


def ablate(
    study: Study,
    days: list[str],
    grid: list[ALSConfig],
    champion: ALSConfig | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Fit and score every arm on each of `days` (as_of texts, oldest first), and pool them by user.

    The arms share the champion's hyper-parameters; None: the best of `grid` by the first day's validation, which has
    no part in any holdout here. Returns what dawnlist.records.ablations keeps, with
    `days`, `user_days`, `config`, `chosen` (by what), `found` (what each rule finds on the last day), `changes` (rows
    of `change`, `ndcg`, `difference` to the baseline, `low`, `high`), `grid` (`settings`, `best_over_used`,
    `best_over_median`, `best_over_worst`) and `said`, sentences. ValueError when there is nobody to judge by.
    """
    config = champion
    users: list[pa.Array] = []
    values: dict[str, list[Floats]] = {}
    for number, as_of in enumerate(days):
        day = Day.of(study, as_of)
        if not len(day.users):
            continue
        config = config or _best(study, day, grid)
        arms = day.arms(config, grid)
        for place, arm in enumerate(arms, 1):
            values.setdefault(arm.name, []).append(day.ndcg(arm))
            progress(number * len(arms) + place, len(days) * len(arms))
        users.append(day.users)
    if config is None or not users:
        raise ValueError(
            f"of {study.judged_on} nobody did anything new in the 24 hours before {' or '.join(days)}: "
            "give another --as-of, or more --days"
        )
    report: Report = {
        "as_of": iso(parse_as_of(days[-1])),
        "days": len(days),
        "judged_on": study.judged_on,
        "metric": f"ndcg@{study.k}",
        "user_days": sum(map(len, users)),
        "config": config.as_dict(),
        "chosen": _chosen(champion, grid),
        "found": {rule["rule"]: {"users": rule["users"], "events": rule["events"]} for rule in day.rules},
        **tables({name: by_user(users, found) for name, found in values.items()}, day.left_out(), grid),
    }
    report["users"] = report["rows"][0]["users"]
    return report | {"said": sentences(report)}


def ending(as_of: str, days: int) -> list[str]:
    """The as_of texts of so many days, the oldest first, the last one `as_of`."""
    last = parse_as_of(as_of)
    return [iso(last - timedelta(days=back)) for back in reversed(range(days))]


def _chosen(champion: ALSConfig | None, grid: list[ALSConfig]) -> str:
    best = "given" if len(grid) == 1 else f"best of {len(grid)} by the first day's validation"
    return best if champion is None else "the champion's"


def _best(study: Study, day: Day, grid: list[ALSConfig]) -> ALSConfig:
    if len(grid) == 1:
        return grid[0]
    splits, engines = day.splits(Arm(BASELINE, day.verdicts, grid[0])), study.settings.engines
    return ALSConfig.from_dict(search(study.table.lake, splits, grid, "ndcg", study.k, spark=engines.spark)[0])


def _suspects(study: Study, as_of: str, verdicts: pa.Table) -> pa.Array:
    """The users of whom any rule, also one in shadow, drops something."""
    against = verdicts.filter(pc.equal(verdicts["action"], "drop"))
    events = against["event_id"].drop_null()
    users = against["user_id"].drop_null()
    if len(events):
        rows = window_rows(study.table.lake, study.table.version, parse_as_of(as_of), study.window_days)
        owners = rows.to_table(columns=["user_id"], filter=pc.field("event_id").isin(events))["user_id"]
        users = pa.chunked_array([*users.chunks, *owners.chunks], pa.string())
    return users.unique()


def _dropping(users: pa.Array) -> pa.Table:
    """Verdicts that drop these users."""
    texts = {"rule": TRUTH, "evidence": "", "action": "drop"}
    columns = {"user_id": users, "event_id": [None] * len(users), "shadow": [False] * len(users)}
    return pa.table(columns | {name: [text] * len(users) for name, text in texts.items()}, schema=VERDICTS)
