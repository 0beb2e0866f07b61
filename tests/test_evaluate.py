from components.evaluate.evaluation import evaluate, flat
from components.ids import IdMap
from components.model import FactorModel
from components.solver import ALSConfig, fit
from components.splits import Splits
from tests.literal import two_tastes


def fitted(splits: Splits, factors: int = 2) -> FactorModel:
    user_items = splits.user_items("train")
    found = fit(user_items, ALSConfig(factors, 0.1, 5.0, iterations=10))
    return FactorModel.of_known((splits.user_ids, splits.item_ids), found, user_items.weight, {}, {})


def test_a_model_that_knows_the_tastes_beats_popularity() -> None:
    splits = two_tastes()
    result = evaluate(splits, fitted(splits), None, "ndcg", k=2)
    assert result["arms"]["challenger"]["recall@2"] == 1
    assert result["arms"]["popularity"]["recall@2"] < 0.8
    assert list(result["arms"]) == ["challenger", "item_knn", "popularity"]
    assert 0 < result["differences"]["popularity"]["low"] <= result["differences"]["popularity"]["mean"]
    assert (result["evaluated_users"], result["repeat_share"]) == (40, 0)
    assert flat(result)["challenger recall@2"] == 1


def test_popularity_is_the_strongest_of_its_windows() -> None:
    result = evaluate(two_tastes(), fitted(two_tastes()), None, "ndcg", k=5)
    windows = {window: means["ndcg@5"] for window, means in result["popularity_windows"].items()}
    assert set(windows) == {"whole", "7d", "24h"}
    assert windows[result["popularity_window"]] == max(windows.values()) == result["arms"]["popularity"]["ndcg@5"]


def test_a_user_unknown_to_the_incumbent_gets_the_popular_list() -> None:
    splits = two_tastes()
    whole = fitted(splits)
    half = FactorModel(
        IdMap(whole.user_ids.ids[:20]), whole.item_ids, whole.user_factors[:20], whole.item_factors, {}, {}
    )
    result = evaluate(splits, whole, half, "recall", k=2)
    nobody = FactorModel(IdMap(whole.user_ids.ids[:0]), whole.item_ids, whole.user_factors[:0], whole.item_factors)
    popular = evaluate(splits, nobody, None, "recall", k=2)["arms"]
    assert popular["challenger"] == popular["popularity"]
    assert popular["popularity"]["recall@2"] < result["arms"]["incumbent"]["recall@2"] < 1


def test_an_equal_incumbent_is_no_different() -> None:
    splits = two_tastes()
    result = evaluate(splits, fitted(splits), fitted(splits), "ndcg", k=5)
    assert result["differences"]["incumbent"] == {"mean": 0, "low": 0, "high": 0}
