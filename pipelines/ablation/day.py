"""Fit and score the arms of an ablation on one day's holdout."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.als.training import fit_als
from dawnlist.arrays import Float64Array
from dawnlist.components.evaluate.arms import EvaluatedUsers
from dawnlist.components.filter_bots.rules import DENY_RULE
from dawnlist.components.filter_bots.verdicts import judge_interactions
from dawnlist.components.tune.search import build_factor_model
from dawnlist.cuts import compute_window
from dawnlist.lake.interactions import scan_interactions
from dawnlist.model.config import ALSConfig
from dawnlist.model.hybrid import blend_fitted_popularity
from dawnlist.model.ids import IdMap
from dawnlist.model.metrics import score_lists
from dawnlist.model.splits import Splits
from dawnlist.pipelines.ablation.inputs import AblationStudy, InteractionsVersion
from dawnlist.pipelines.ablation.report import (
    ALL_RULES,
    BASELINE,
    AblationReport,
    format_hyper_parameters,
    name_single_rule_arm,
)
from dawnlist.schema import VERDICTS_SCHEMA

HUMANS_ONLY, OTHER_SEED = "only the truth's humans", "another seed"
RowsKey = tuple[Any, ...]
"""A key that is the same for arms that fit on the same rows."""


@dataclass(frozen=True)
class AblationArm:
    """One fit: the verdicts that leave rows out, and the hyper-parameters."""

    name: str
    verdicts: pa.Table
    config: ALSConfig
    table: InteractionsVersion | None = None
    """Interactions to fit on instead of the study's."""

    @property
    def rows_key(self) -> RowsKey:
        """The same for arms that fit on the same rows."""
        drops = pc.equal(self.verdicts["action"], "drop")
        dropped = self.verdicts.filter(pc.and_not(drops, self.verdicts["shadow"]))
        users = frozenset(dropped["user_id"].drop_null().to_pylist())
        events = frozenset(dropped["event_id"].drop_null().to_pylist())
        return users, events, self.table and self.table.lake.uri


@dataclass
class AblationDay:
    """One day of an ablation: its verdicts, the users to judge, and the scores so far."""

    study: AblationStudy
    as_of: datetime
    verdicts: pa.Table
    rules: list[AblationReport]
    """What each rule found, as `judge_interactions` reports it."""
    evaluated: EvaluatedUsers
    splits_by_rows: dict[RowsKey, Splits] = field(default_factory=dict)
    scores_by_arm: dict[tuple[RowsKey, ALSConfig], Float64Array] = field(default_factory=dict)
    """The NDCG of each user, by the rows and the hyper-parameters of an arm."""

    @classmethod
    def from_study(cls, study: AblationStudy, as_of: datetime) -> "AblationDay":
        """Judge the day's window by the bot rules, and choose the users to judge the arms by."""
        days = compute_window(as_of, study.window_days)
        verdicts, report = judge_interactions(
            study.table.lake, study.table.version, days, study.settings
        )
        no_verdicts = verdicts.slice(0, 0)
        everyone = EvaluatedUsers.from_splits(study.splits(no_verdicts, as_of), study.k)
        evaluated = _keep_humans(everyone, study, as_of, verdicts)
        return cls(study, as_of, verdicts, report["rules"], evaluated)

    @property
    def users(self) -> pa.Array:
        """The ids of the users whom the arms are judged by."""
        return self.evaluated.splits.user_ids.ids.take(pa.array(self.evaluated.users))

    def splits(self, arm: AblationArm) -> Splits:
        """Split the arm's rows, once for all arms that fit on the same rows."""
        key = arm.rows_key
        if key not in self.splits_by_rows:
            self.splits_by_rows[key] = self.study.splits(arm.verdicts, self.as_of, arm.table)
        return self.splits_by_rows[key]

    def ndcg(self, arm: AblationArm) -> Float64Array:
        """Fit the arm on the rows before the holdout, and compute the NDCG of each judged user."""
        key = (arm.rows_key, arm.config)
        if key not in self.scores_by_arm:
            self.scores_by_arm[key] = self._score(arm)
        return self.scores_by_arm[key]

    def _score(self, arm: AblationArm) -> Float64Array:
        splits, config = self.splits(arm), arm.config
        user_items = splits.user_items("train")
        factors = fit_als(user_items, config, self.study.engine)
        factors = blend_fitted_popularity(factors, user_items, config)
        model = build_factor_model(splits, factors, user_items, config)
        lists = self.evaluated.recommend_with(model)
        return score_lists(lists, self.evaluated.truth).ndcg

    def arms(self, config: ALSConfig, grid: list[ALSConfig]) -> list[AblationArm]:
        """List the arms of the day.

        These are the baseline, an arm without and an arm with only each rule, an arm without any
        rule, and then other changes for comparison.
        """
        verdicts, rules = self.verdicts, self.verdicts["rule"]
        arms = [AblationArm(BASELINE, verdicts, config)]
        for rule in self.list_dropping_rules():
            without_rule = verdicts.filter(pc.not_equal(rules, rule))
            only_rule = verdicts.filter(pc.equal(rules, rule))
            arms.append(AblationArm(rule, without_rule, config))
            arms.append(AblationArm(name_single_rule_arm(rule), only_rule, config))
        arms.append(AblationArm(ALL_RULES, verdicts.slice(0, 0), config))
        for other_config in grid:
            name = format_hyper_parameters(other_config)
            arms.append(AblationArm(name, verdicts, other_config))
        arms.append(AblationArm(OTHER_SEED, verdicts, replace(config, seed=config.seed + 1)))
        for name, table in self.study.other_tables.items():
            table_verdicts = verdicts if table.apply_bot_rules else verdicts.slice(0, 0)
            arms.append(AblationArm(name, table_verdicts, config, table))
        if self.study.humans is not None:
            robots = self._list_robots(self.study.humans)
            arms.append(AblationArm(HUMANS_ONLY, _build_drop_verdicts(robots), config))
        return arms

    def _list_robots(self, humans: pa.StringArray) -> pa.Array:
        everyone = self.evaluated.splits.user_ids.ids
        return everyone.filter(pc.invert(pc.is_in(everyone, value_set=humans)))

    def list_dropping_rules(self) -> list[str]:
        """List the rules that drop rows: those that are on, and the deny list if it has entries."""
        has_deny_list = bool(self.study.settings.bots.deny)
        names = []
        for rule in self.rules:
            is_used = rule["rule"] != DENY_RULE or has_deny_list
            if rule["mode"] == "on" and is_used:
                names.append(rule["rule"])
        return names


def _keep_humans(
    everyone: EvaluatedUsers, study: AblationStudy, as_of: datetime, verdicts: pa.Table
) -> EvaluatedUsers:
    """Keep the humans of the truth or, without a truth, the users whom every rule keeps."""
    user_ids = IdMap(everyone.splits.user_ids.ids.take(pa.array(everyone.users)))
    if study.humans is not None:
        chosen = user_ids.indices(study.humans)
    else:
        suspects = _read_suspects(study, as_of, verdicts)
        chosen = np.setdiff1d(np.arange(len(user_ids)), user_ids.indices(suspects))
    # The index of an unknown id is negative.
    chosen = np.unique(chosen[chosen >= 0])
    return replace(
        everyone,
        users=everyone.users[chosen],
        seen=everyone.seen[chosen],
        truth=everyone.truth[chosen],
    )


def _read_suspects(study: AblationStudy, as_of: datetime, verdicts: pa.Table) -> pa.Array:
    """Read the users of whom any rule, also one in shadow, drops something."""
    drops = verdicts.filter(pc.equal(verdicts["action"], "drop"))
    events = drops["event_id"].drop_null()
    users = drops["user_id"].drop_null()
    if len(events):
        rows = scan_interactions(study.table.lake, study.table.version, as_of, study.window_days)
        is_dropped = pc.field("event_id").isin(events)
        owners = rows.to_table(columns=["user_id"], filter=is_dropped)["user_id"]
        users = pa.chunked_array([*users.chunks, *owners.chunks], pa.string())
    return users.unique()


def _build_drop_verdicts(users: pa.Array) -> pa.Table:
    """Build verdicts that drop these users."""
    count = len(users)
    columns = {
        "user_id": users,
        "event_id": [None] * count,
        "shadow": [False] * count,
        "rule": [HUMANS_ONLY] * count,
        "evidence": [""] * count,
        "action": ["drop"] * count,
    }
    return pa.table(columns, schema=VERDICTS_SCHEMA)
