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

from dawnlist.als.training import fit_als
from dawnlist.arrays import Float64Array
from dawnlist.components.dataset.split_pairs import build_splits
from dawnlist.components.evaluate.arms import EvaluatedUsers
from dawnlist.components.filter_bots.rules import DENY_RULE
from dawnlist.components.filter_bots.verdicts import judge_interactions
from dawnlist.components.tune.search import build_factor_model, search_configs
from dawnlist.cuts import compute_window, format_iso, parse_as_of
from dawnlist.lake.interactions import scan_interactions
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.ids import IdMap
from dawnlist.model.metrics import score_lists
from dawnlist.model.popularity import blend_popularity
from dawnlist.model.splits import Splits
from dawnlist.pipelines.ablation.report import (
    ALL_RULES,
    BASELINE,
    AblationReport,
    average_by_user,
    build_ablation_figures,
    format_hyper_parameters,
    name_single_rule_arm,
    summarize_ablation,
)
from dawnlist.schema import VERDICTS_SCHEMA
from dawnlist.settings import Settings

HUMANS_ONLY, OTHER_SEED = "only the truth's humans", "another seed"


@dataclass(frozen=True)
class InteractionsVersion:
    """A lake's interactions."""

    lake: Lake
    version: int
    filtered: bool = True
    """Whether the bot rules are applied to them."""


@dataclass(frozen=True)
class AblationStudy:
    """What all days of an ablation share."""

    table: InteractionsVersion
    settings: Settings
    window_days: int
    k: int
    humans: pa.StringArray | None
    """Of the truth; None: there is no truth, and the users whom every rule keeps are judged."""
    other_tables: dict[str, InteractionsVersion] = field(default_factory=dict)
    """More interactions to fit on, by name: what the same source gives when it is cleaned in another way."""

    @property
    def judged_on(self) -> str:
        """Whose holdout it is, for the report."""
        return "users whom every rule keeps" if self.humans is None else "the truth's humans"

    def splits(
        self, verdicts: pa.Table, as_of: str, table: InteractionsVersion | None = None
    ) -> Splits:
        """What the DAG would cut of what the verdicts let through."""
        rows = table or self.table
        return build_splits(rows.lake, rows.version, verdicts, as_of, self.window_days)[0]


@dataclass(frozen=True)
class AblationArm:
    """One fit: what is left out of the rows, and with which hyper-parameters."""

    name: str
    verdicts: pa.Table
    config: ALSConfig
    table: InteractionsVersion | None = None
    """Interactions other than the study's."""

    @property
    def rows(self) -> tuple[Any, ...]:
        """The same for arms that fit on the same rows."""
        drop = self.verdicts.filter(
            pc.and_not(pc.equal(self.verdicts["action"], "drop"), self.verdicts["shadow"])
        )
        ids = (frozenset(drop[name].drop_null().to_pylist()) for name in ("user_id", "event_id"))
        return (*ids, self.table and self.table.lake.uri)


@dataclass
class AblationDay:
    """One day's people, and what was made of its rows."""

    study: AblationStudy
    as_of: str
    verdicts: pa.Table
    rules: list[AblationReport]
    """What each rule finds, as `judge` reports it."""
    judged: EvaluatedUsers
    cut: dict[tuple[Any, ...], Splits] = field(default_factory=dict)
    """Splits by the rows that they are made of."""
    scored: dict[tuple[Any, ...], Float64Array] = field(default_factory=dict)

    @classmethod
    def of(cls, study: AblationStudy, as_of: str) -> "AblationDay":
        """Judge the day's window by the rules, and find the people to judge the arms by."""
        days = compute_window(parse_as_of(as_of), study.window_days)
        verdicts, report = judge_interactions(
            study.table.lake, study.table.version, days, study.settings
        )
        whole = EvaluatedUsers.of(study.splits(verdicts.slice(0, 0), as_of), study.k)
        people = IdMap(whole.splits.user_ids.ids.take(pa.array(whole.users)))
        if study.humans is not None:
            chosen = people.indices(study.humans)
        else:
            suspects = _read_suspects(study, as_of, verdicts)
            chosen = np.setdiff1d(np.arange(len(people)), people.indices(suspects))
        chosen = np.unique(chosen[chosen >= 0])
        judged = replace(
            whole, users=whole.users[chosen], seen=whole.seen[chosen], truth=whole.truth[chosen]
        )
        return cls(study, as_of, verdicts, report["rules"], judged)

    @property
    def users(self) -> pa.Array:
        """The ids of the judged."""
        return self.judged.splits.user_ids.ids.take(pa.array(self.judged.users))

    def splits(self, arm: AblationArm) -> Splits:
        """The splits of the arm's rows."""
        if arm.rows not in self.cut:
            self.cut[arm.rows] = self.study.splits(arm.verdicts, self.as_of, arm.table)
        return self.cut[arm.rows]

    def ndcg(self, arm: AblationArm) -> Float64Array:
        """The arm's NDCG for each of the judged, fitted on what lies before the holdout."""
        key = (arm.rows, arm.config)
        if key not in self.scored:
            splits = self.splits(arm)
            user_items = splits.user_items("train")
            factors = fit_als(user_items, arm.config, spark=self.study.settings.engines.spark)
            share = (arm.config.popularity_share, arm.config.popularity_half_life)
            factors = blend_popularity(factors, user_items, *share)
            lists = self.judged.recommend_with(
                build_factor_model(splits, factors, user_items, arm.config)
            )
            self.scored[key] = score_lists(lists, self.judged.truth).ndcg
        return self.scored[key]

    def arms(self, config: ALSConfig, grid: list[ALSConfig]) -> list[AblationArm]:
        """The baseline, each rule left out and alone, all of them left out; then other changes, for comparison."""
        verdicts, rule_of = self.verdicts, self.verdicts["rule"]
        found = [AblationArm(BASELINE, verdicts, config)]
        for rule in self.left_out():
            found.append(AblationArm(rule, verdicts.filter(pc.not_equal(rule_of, rule)), config))
            found.append(
                AblationArm(
                    name_single_rule_arm(rule), verdicts.filter(pc.equal(rule_of, rule)), config
                )
            )
        found.append(AblationArm(ALL_RULES, verdicts.slice(0, 0), config))
        found += [AblationArm(format_hyper_parameters(other), verdicts, other) for other in grid]
        found.append(AblationArm(OTHER_SEED, verdicts, replace(config, seed=config.seed + 1)))
        for name, table in self.study.other_tables.items():
            found.append(
                AblationArm(
                    name, verdicts if table.filtered else verdicts.slice(0, 0), config, table
                )
            )
        if self.study.humans is not None:
            everyone = self.judged.splits.user_ids.ids
            robots = everyone.filter(pc.invert(pc.is_in(everyone, value_set=self.study.humans)))
            found.append(AblationArm(HUMANS_ONLY, _build_drop_verdicts(robots), config))
        return found

    def left_out(self) -> list[str]:
        """The rules that drop anybody: those that are on, and the deny list when there is one."""
        denied = bool(self.study.settings.bots.deny)
        return [
            rule["rule"]
            for rule in self.rules
            if rule["mode"] == "on" and (rule["rule"] != DENY_RULE or denied)
        ]


def run_ablation(
    study: AblationStudy,
    days: list[str],
    grid: list[ALSConfig],
    champion: ALSConfig | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> AblationReport:
    """Fit and score every arm on each of `days` (as_of texts, oldest first), and pool them by user.

    The arms share the champion's hyper-parameters; None: the best of `grid` by the first day's validation, which has
    no part in any holdout here. Returns what dawnlist.records.ablations keeps, with
    `days`, `user_days`, `config`, `chosen` (by what), `found` (what each rule finds on the last day), `changes` (rows
    of `change`, `ndcg`, `difference` to the baseline, `low`, `high`), `grid` (`settings`, `best_over_used`,
    `best_over_median`, `best_over_worst`) and `said`, sentences. ValueError when there is nobody to judge by.
    """
    config = champion
    users: list[pa.Array] = []
    values: dict[str, list[Float64Array]] = {}
    for number, as_of in enumerate(days):
        day = AblationDay.of(study, as_of)
        if not len(day.users):
            continue
        config = config or _search_best_config(study, day, grid)
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
    report: AblationReport = {
        "as_of": format_iso(parse_as_of(days[-1])),
        "days": len(days),
        "judged_on": study.judged_on,
        "metric": f"ndcg@{study.k}",
        "user_days": sum(map(len, users)),
        "config": config.as_dict(),
        "chosen": _describe_config_choice(champion, grid),
        "found": {
            rule["rule"]: {"users": rule["users"], "events": rule["events"]} for rule in day.rules
        },
        **build_ablation_figures(
            {name: average_by_user(users, found) for name, found in values.items()},
            day.left_out(),
            grid,
        ),
    }
    report["users"] = report["rows"][0]["users"]
    return report | {"said": summarize_ablation(report)}


def list_last_days(as_of: str, days: int) -> list[str]:
    """The as_of texts of so many days, the oldest first, the last one `as_of`."""
    last = parse_as_of(as_of)
    return [format_iso(last - timedelta(days=back)) for back in reversed(range(days))]


def _describe_config_choice(champion: ALSConfig | None, grid: list[ALSConfig]) -> str:
    best = "given" if len(grid) == 1 else f"best of {len(grid)} by the first day's validation"
    return best if champion is None else "the champion's"


def _search_best_config(study: AblationStudy, day: AblationDay, grid: list[ALSConfig]) -> ALSConfig:
    if len(grid) == 1:
        return grid[0]
    splits, engines = (
        day.splits(AblationArm(BASELINE, day.verdicts, grid[0])),
        study.settings.engines,
    )
    return ALSConfig.from_dict(
        search_configs(study.table.lake, splits, grid, "ndcg", study.k, spark=engines.spark)[0]
    )


def _read_suspects(study: AblationStudy, as_of: str, verdicts: pa.Table) -> pa.Array:
    """The users of whom any rule, also one in shadow, drops something."""
    against = verdicts.filter(pc.equal(verdicts["action"], "drop"))
    events = against["event_id"].drop_null()
    users = against["user_id"].drop_null()
    if len(events):
        rows = scan_interactions(
            study.table.lake, study.table.version, parse_as_of(as_of), study.window_days
        )
        owners = rows.to_table(columns=["user_id"], filter=pc.field("event_id").isin(events))[
            "user_id"
        ]
        users = pa.chunked_array([*users.chunks, *owners.chunks], pa.string())
    return users.unique()


def _build_drop_verdicts(users: pa.Array) -> pa.Table:
    """Verdicts that drop these users."""
    texts = {"rule": HUMANS_ONLY, "evidence": "", "action": "drop"}
    columns = {"user_id": users, "event_id": [None] * len(users), "shadow": [False] * len(users)}
    return pa.table(
        columns | {name: [text] * len(users) for name, text in texts.items()},
        schema=VERDICTS_SCHEMA,
    )
