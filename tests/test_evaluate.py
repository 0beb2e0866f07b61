import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dawnlist.als.training import fit_als
from dawnlist.components.evaluate import arms
from dawnlist.components.evaluate.comparison import compute_kept_share
from dawnlist.components.evaluate.evaluation import (
    drop_user_values,
    evaluate_models,
    flatten_evaluation,
)
from dawnlist.components.evaluate.segments import divide_truth
from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.content import ItemFeatures
from dawnlist.model.evaluation import Evaluation
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.ids import IdMap
from dawnlist.model.splits import Splits
from tests.support.literal import AS_OF, CUTS, two_tastes


def fitted(splits: Splits, factors: int = 2) -> FactorModel:
    user_items = splits.user_items("train")
    found = fit_als(user_items, ALSConfig(factors, 0.1, 5.0, iterations=10))
    return FactorModel.from_interactions(
        (splits.user_ids, splits.item_ids), found, user_items.weight, {}, {}
    )


def cut(*rows: tuple[str, str, float]) -> Splits:
    """Splits of (user, item, hours before AS_OF), one event a pair."""
    users, items = (IdMap(pa.array(sorted({row[place] for row in rows}))) for place in (0, 1))
    ordered = sorted(rows)
    last = np.zeros((3, len(rows)), dtype=np.int64)
    for number, (_, _, hours) in enumerate(ordered):
        part = 2 if hours <= 24 else 1 if hours <= 48 else 0
        last[part, number] = int((AS_OF - timedelta(hours=hours)).timestamp() * 1e6)
    user, item = (
        ids.indices(pa.array([row[place] for row in ordered])).astype(np.int32)
        for place, ids in ((0, users), (1, items))
    )
    return Splits(
        users, items, user, item, (last > 0).astype(np.float32), last, CUTS, {"incumbent": None}
    )


def ranking(splits: Splits, users: str, items: str) -> FactorModel:
    """A model that knows `users` and puts `items` in this order for each of them."""
    scores = np.arange(len(items), 0, -1, dtype=np.float32)[:, None]
    user_ids, item_ids = (IdMap(pa.array(list(names), pa.string())) for names in (users, items))
    return FactorModel(user_ids, item_ids, np.ones((len(users), 1), dtype=np.float32), scores)


def evaluated(*arguments: Any, **options: Any) -> dict[str, Any]:
    """The evaluation as it is written, which reads back as it was."""
    result = evaluate_models(*arguments, **options)
    assert Evaluation.from_dict(json.loads(json.dumps(result.as_dict()))) == result
    return result.as_dict()


def in_segment(result: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in result["segments"] if row["segment"] == name)


def test_a_model_that_knows_the_tastes_beats_popularity() -> None:
    splits = two_tastes()
    result = evaluated(splits, fitted(splits), None, "ndcg", k=2)
    assert result["arms"]["challenger"]["recall@2"] == 1
    assert result["arms"]["popularity"]["recall@2"] < 0.8
    assert list(result["arms"]) == ["challenger", "item_knn", "popularity"]
    assert (
        0
        < result["differences"]["popularity"]["low"]
        <= result["differences"]["popularity"]["mean"]
    )
    assert 1 < result["lift"]["low"] <= result["lift"]["value"] <= result["lift"]["high"]
    assert (result["evaluated_users"], result["repeat_share"]) == (40, 0)
    assert flatten_evaluation(Evaluation.from_dict(result))["challenger recall@2"] == 1
    assert not {"churn", "per_user"} & set(result)


def test_popularity_is_the_strongest_of_its_windows() -> None:
    result = evaluated(two_tastes(), fitted(two_tastes()), None, "ndcg", k=5)
    windows = {window: means["ndcg@5"] for window, means in result["popularity_windows"].items()}
    assert set(windows) == {"whole", "7d", "24h"}
    assert (
        windows[result["popularity_window"]]
        == max(windows.values())
        == result["arms"]["popularity"]["ndcg@5"]
    )


def test_a_user_unknown_to_the_incumbent_gets_the_popular_list() -> None:
    splits = two_tastes()
    whole = fitted(splits)
    half = FactorModel(
        IdMap(whole.user_ids.ids[:20]),
        whole.item_ids,
        whole.user_factors[:20],
        whole.item_factors,
        {},
        {},
    )
    result = evaluated(splits, whole, half, "recall", k=2)
    nobody = FactorModel(
        IdMap(whole.user_ids.ids[:0]), whole.item_ids, whole.user_factors[:0], whole.item_factors
    )
    popular = evaluated(splits, nobody, None, "recall", k=2)["arms"]
    assert popular["challenger"] == popular["popularity"]
    assert popular["popularity"]["recall@2"] < result["arms"]["incumbent"]["recall@2"] < 1


def test_an_equal_incumbent_is_no_different() -> None:
    splits = two_tastes()
    same = fitted(splits)
    result = evaluated(splits, same, same, "ndcg", k=5, live=same)
    assert result["differences"]["incumbent"] == {"mean": 0, "low": 0, "high": 0}
    assert result["churn"] == 0
    assert result["per_user"]["challenger"] == result["per_user"]["incumbent"]
    assert len(result["per_user"]["challenger"]) == result["evaluated_users"]
    assert "per_user" not in drop_user_values(Evaluation.from_dict(result)).as_dict()
    json.dumps(result, allow_nan=False)


# a and b met x and y long ago, b and c met z in the last week; d comes on the day, which also brings the new item n
ROWS = (
    ("a", "x", 300.0), ("a", "y", 300.0), ("b", "x", 300.0), ("b", "z", 50.0), ("c", "z", 50.0),
    ("a", "z", 5.0), ("b", "y", 5.0), ("b", "n", 5.0), ("d", "z", 5.0), ("d", "x", 5.0),
)  # fmt: skip


def test_segments() -> None:
    splits = cut(*ROWS)
    result = evaluated(
        splits, ranking(splits, "abc", "xyz"), ranking(splits, "a", "zyx"), "hit_rate", k=1
    )
    assert result["evaluated_users"] == 2  # a and b; c did nothing new, d had no history
    assert [(row["segment"], row["users"]) for row in result["segments"]] == [
        ("history 1-4", 2), ("active in the last week", 1), ("cold users", 1), ("new items", 1),
    ]  # fmt: skip
    assert in_segment(result, "history 1-4")["arms"] == dict.fromkeys(
        result["arms"], 1
    )  # only z, only y was left
    assert in_segment(result, "new items")["arms"] == dict.fromkeys(
        result["arms"], 0
    )  # nobody can list n


def with_repeats(splits: Splits) -> Splits:
    """a meets x again in the holdout, and c z; repeats count."""
    for user, item in (("a", "x"), ("c", "z")):
        [place] = [
            number
            for number, pair in enumerate(zip(splits.user_index, splits.item_index, strict=True))
            if (splits.user_ids.ids[pair[0]].as_py(), splits.item_ids.ids[pair[1]].as_py())
            == (user, item)
        ]
        splits.last[2, place], splits.weight[2, place] = splits.last[2].max(), 1
    return replace(splits, about={**splits.about, "repeats": "auto"})


REPEATING = {"repeat_share": 1.0, "repeat_half_life": 90.0, "repeat_gap": 1.0}


def test_repeats_are_hits_of_lists_that_hold_them() -> None:
    splits = with_repeats(cut(*ROWS))
    challenger = replace(ranking(splits, "abc", "xyz"), config=REPEATING)
    result = evaluated(splits, challenger, ranking(splits, "abc", "zyx"), "hit_rate", k=1)
    # Own items come first for the challenger: x for a, x for b, z for c. The incumbent: z, y, y.
    assert result["per_user"] == {"challenger": [1, 0, 1], "incumbent": [1, 1, 0]}
    assert result["repeat_share"] == round(2 / 7, 4)
    assert list(result["arms"]) == [
        "challenger", "incumbent", "item_knn", "own_items", "popularity",
    ]  # fmt: skip
    # a: x, b: z, c: z. Nobody met x in the last week, and it is a's own all the same.
    assert result["arms"]["own_items"]["hit_rate@1"] == pytest.approx(2 / 3, abs=1e-6)
    again, new = (in_segment(result, name) for name in ("items met again", "items new to the user"))
    assert (again["users"], new["users"]) == (2, 2)
    assert [again["arms"][arm] for arm in ("challenger", "incumbent", "own_items")] == [1, 0, 1]
    assert [new["arms"][arm] for arm in ("challenger", "incumbent", "own_items")] == [0, 1, 0]
    assert again["difference"] == {"mean": 1, "low": 1, "high": 1}
    assert new["difference"] == {"mean": -1, "low": -1, "high": -1}
    alone = evaluated(splits, challenger, None, "hit_rate", k=1)
    assert "difference" not in in_segment(alone, "items met again")


def test_without_repeats_there_are_no_parts_and_no_arm_of_own_items() -> None:
    splits = with_repeats(cut(*ROWS))
    splits = replace(splits, about={**splits.about, "repeats": "off"})
    result = evaluated(splits, ranking(splits, "abc", "xyz"), None, "hit_rate", k=1)
    assert (result["evaluated_users"], list(result["arms"])) == (
        2,
        ["challenger", "item_knn", "popularity"],
    )
    assert not {"items met again", "items new to the user"} & {
        row["segment"] for row in result["segments"]
    }


def test_the_parts_of_the_truth_sum_up_to_it() -> None:
    users = arms.EvaluatedUsers.from_splits(with_repeats(cut(*ROWS)), 1)
    parts = divide_truth(users)
    assert list(parts) == ["new items", "items new to the user", "items met again"]
    dense = {}
    for name, (has_truth, truth) in parts.items():
        assert truth.shape[0] == has_truth.sum()
        dense[name] = np.zeros(users.truth.shape)
        dense[name][has_truth] = truth.toarray()
    whole = dense["items new to the user"] + dense["items met again"]
    np.testing.assert_array_equal(whole, users.truth.toarray())
    # n, x, y, z: b's n is new to everybody; a met x again, c z.
    assert dense["new items"].tolist() == [[0] * 4, [1, 0, 0, 0], [0] * 4]
    assert dense["items met again"].tolist() == [[0, 1, 0, 0], [0] * 4, [0, 0, 0, 1]]


def test_own_items_come_before_popular_ones_by_frequency_and_age() -> None:
    splits = cut(*ROWS, ("a", "n", 40.0))
    history = splits.user_items("train")
    arm = arms.build_own_items_arm(history, 1.0)
    users = arms.EvaluatedUsers.from_splits(splits, 4)
    # n was met last, x and y are equally old; then what others met in the last week: z.
    assert arm(users)[0].tolist() == [0, 1, 2, 3]
    history.weight.data[(history.weight.indices == 2)] = 9
    assert arms.build_own_items_arm(history, 1.0)(replace(users, history=history))[0].tolist() == [
        2, 0, 1, 3,
    ]  # fmt: skip


def test_cold_users_get_the_popular_list_of_every_arm_that_does_not_know_them() -> None:
    splits = cut(*ROWS, ("e", "y", 5.0))
    result = evaluated(
        splits, ranking(splits, "abc", "yxz"), ranking(splits, "abcde", "yzx"), "hit_rate", k=1
    )
    assert (
        result["popularity_window"] == "whole"
    )  # x, then z; d met both, e y, which the incumbent alone shows
    assert in_segment(result, "cold users")["arms"] == {
        "challenger": 0.5, "incumbent": 0.5, "item_knn": 0.5, "popularity": 0.5,
    }  # fmt: skip
    alone = evaluated(
        splits, ranking(splits, "abc", "yxz"), ranking(splits, "e", "yzx"), "hit_rate", k=1
    )
    assert in_segment(alone, "cold users")["arms"]["incumbent"] == 1


def test_churn_is_the_share_of_old_lists_that_is_gone() -> None:
    splits = cut(*ROWS, ("e", "u", 300.0), ("e", "v", 300.0))
    challenger, live = ranking(splits, "abc", "zuv"), ranking(splits, "abc", "zyu")
    result = evaluated(splits, challenger, challenger, "ndcg", k=2, live=live)
    # a: z u for z u; b, who met z: u v for y u
    assert (result["churn"], result["kept_items"]) == (1 / 4, 1)
    alone = evaluated(splits, challenger, live, "ndcg", k=2)
    assert not {"churn", "kept_items"} & set(alone)  # nothing is live


@pytest.mark.parametrize(
    ("seen_until", "is_scored"),
    [
        (CUTS.train_end, True),
        (CUTS.train_end + timedelta(microseconds=1), False),
        (CUTS.as_of, False),
    ],
)
def test_a_live_model_is_scored_only_on_what_it_has_not_seen(
    seen_until: datetime, is_scored: bool
) -> None:
    splits = two_tastes()
    model = fitted(splits)
    live = replace(fitted(splits, 1), lineage={"as_of": format_iso(seen_until)})
    result = evaluated(splits, model, model, "ndcg", k=5, live=live)
    assert ("live" in result["arms"], "live" in result["per_user"]) == (is_scored, is_scored)
    assert ("live" in result["differences"]) == is_scored
    assert ("live" in result["segments"][0]["arms"]) == is_scored
    assert result["churn"] > 0 and result["kept_items"] == 1


def test_only_items_that_somebody_met_are_kept() -> None:
    """An items table may have the old ids still, and a model may know items that nobody met."""
    splits = two_tastes()
    live = fitted(splits)
    assert compute_kept_share(splits, live) == 1
    unmet = ItemFeatures(np.zeros((20, 0), np.float32), np.ones(20, np.int64), 1, unmet=5)
    assert compute_kept_share(replace(splits, stock=unmet), live) == 15 / 20
    # The last 5 items of the live model were met by nobody: they do not count.
    known = replace(live, config={**live.config, "fitted_items": 15})
    assert compute_kept_share(replace(splits, stock=unmet), known) == 1
    assert compute_kept_share(splits, replace(live, config={"fitted_items": 0})) == 1


def test_blocks_of_users_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = two_tastes()
    whole = evaluated(splits, fitted(splits), fitted(splits, 1), "ndcg", k=5)
    monkeypatch.setattr(arms, "EVALUATION_BLOCK_USERS", 7)
    assert evaluated(splits, fitted(splits), fitted(splits, 1), "ndcg", k=5) == whole


def test_without_judged_users_there_are_no_metrics_and_no_error() -> None:
    splits = cut(("a", "x", 300.0), ("b", "y", 300.0))
    result = evaluated(
        splits, ranking(splits, "ab", "xy"), ranking(splits, "ab", "yx"), "ndcg", k=3
    )
    assert result["arms"] == {"challenger": {}, "incumbent": {}, "item_knn": {}, "popularity": {}}
    assert (result["lift"], result["segments"], result["evaluated_users"]) == ({}, [], 0)
    assert result["differences"]["incumbent"] == {"mean": 0, "low": 0, "high": 0}
    assert result["per_user"] == {"challenger": [], "incumbent": []}


def test_an_incumbent_that_knows_none_of_the_items_is_served_the_popular_list() -> None:
    splits = two_tastes()
    result = evaluated(splits, fitted(splits), ranking(splits, "", "pq"), "ndcg", k=5)
    assert result["arms"]["incumbent"] == result["arms"]["popularity"]
    assert "churn" not in result


def test_popularity_that_hits_nobody_has_no_lift() -> None:
    splits = cut(
        ("a", "x", 300.0), ("b", "x", 300.0), ("b", "y", 300.0), ("c", "z", 300.0), ("a", "z", 5.0)
    )
    result = evaluated(splits, ranking(splits, "a", "zy"), None, "ndcg", k=1)
    assert (result["arms"]["challenger"]["ndcg@1"], result["arms"]["popularity"]["ndcg@1"]) == (
        1,
        0,
    )
    assert result["lift"] == {}


def test_the_traffic_goes_through() -> None:
    splits = two_tastes()
    told = replace(splits, about={**splits.about, "traffic": {"events": 3}})
    assert evaluated(told, fitted(splits), None, "ndcg", k=5)["traffic"] == {"events": 3}


def test_splits_that_were_changed_after_the_cut_are_refused() -> None:
    splits = two_tastes()
    other = replace(splits, about={**splits.about, "holdout": "0123456789abcdef"})
    with pytest.raises(
        ValueError,
        match=f"fingerprint is {splits.holdout_fingerprint}, and the splits were cut with 0123",
    ):
        evaluated(other, fitted(splits), None, "ndcg", k=5)


def test_a_second_holdout_of_the_same_day_says_so(tmp_path: Path) -> None:
    lake, one, other = Lake.open(str(tmp_path), "shop"), cut(*ROWS), cut(*ROWS, ("c", "x", 4.0))
    told = [
        evaluated(splits, ranking(splits, "a", "x"), None, "ndcg", 1, lake)["holdout"]
        for splits in (one, other)
    ]
    assert told[0] == {
        "from": "2026-01-30T00:00:00Z",
        "to": "2026-01-31T00:00:00Z",
        "fingerprint": one.holdout_fingerprint,
        "pairs": 5,
    }
    assert told[1] == {
        **told[0],
        "fingerprint": other.holdout_fingerprint,
        "pairs": 6,
        "first_seen": one.holdout_fingerprint,
    }


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(
        ValueError, match="metric 'auc' is unknown: give one of ndcg, recall, map, mrr, hit_rate"
    ):
        evaluated(two_tastes(), fitted(two_tastes()), None, "auc", k=5)


def test_items_that_nobody_met_may_be_listed_and_change_no_coverage() -> None:
    splits = two_tastes()
    ids = IdMap(pa.concat_arrays([splits.item_ids.ids, pa.array(["new", "other"])]))
    stock = ItemFeatures(np.ones((22, 1), np.float32), np.ones(22, np.int64), 1, 2)
    wide = replace(splits, item_ids=ids, stock=stock)
    model = fitted(splits)
    scores = np.concatenate([np.ones(21), [-1]]).astype(np.float32)[:, None]
    one = FactorModel(model.user_ids, ids, np.ones((40, 1), np.float32), scores)
    bare, same, listed = (
        evaluated(*each, None, "ndcg", k=2)
        for each in ((splits, model), (wide, model), (wide, one))
    )
    assert same == bare
    assert listed["items"] == 20
    assert listed["arms"]["challenger"]["coverage@2"] <= 1
    everything = evaluated(wide, one, None, "ndcg", k=22)["arms"]["challenger"]
    assert (everything["coverage@22"], everything["recall@22"]) == (1, 1)
