import numpy as np
import pytest
from scipy.sparse import csr_matrix

from dawnlist.model.metric_names import METRICS
from dawnlist.model.metrics import (
    RankingScores,
    bootstrap_interval,
    bootstrap_means,
    percentile_interval,
    ratio_interval,
    score_lists,
)


def truth(rows: list[list[int]], items: int) -> csr_matrix:
    dense = np.zeros((len(rows), items))
    for row, found in enumerate(rows):
        dense[row, found] = 1
    return csr_matrix(dense)


def test_hand_computed_rows() -> None:
    lists = np.array([[0, 1, 2], [3, -1, -1], [4, 0, 1]])
    scores = score_lists(lists, truth([[0, 2], [0], [0, 1, 2, 3]], 6))
    dcg = [1 + 1 / 2, 0, 1 / np.log2(3) + 1 / 2]
    ideal = [1 + 1 / np.log2(3), 1, 1 + 1 / np.log2(3) + 1 / 2]
    np.testing.assert_allclose(scores.recall, [1, 0, 2 / 4])
    np.testing.assert_allclose(scores.ndcg, np.divide(dcg, ideal))
    np.testing.assert_allclose(scores.map, [(1 + 2 / 3) / 2, 0, (1 / 2 + 2 / 3) / 3])
    np.testing.assert_allclose(scores.mrr, [1, 0, 1 / 2])
    np.testing.assert_allclose(scores.hit_rate, [1, 0, 1])
    assert scores.coverage == 5 / 6  # 0 1 2 3 4
    assert scores.means(3)["ndcg@3"] == pytest.approx(np.divide(dcg, ideal).mean())


def test_novelty_is_the_mean_self_information_of_a_list() -> None:
    lists = np.array([[0, 1], [2, -1], [-1, -1]])
    popularity = np.array([1 / 2, 1 / 8, 1 / 4])
    scores = score_lists(lists, truth([[0], [0], [0]], 3), popularity)
    assert scores.novelty.tolist() == [2, 2]  # (1 + 3) / 2, 2; nothing of an empty list
    assert scores.means(2)["novelty@2"] == 2


@pytest.mark.parametrize(
    ("lists", "gini"),
    [
        ([[0, 1], [2, 3]], 0),
        ([[0, -1], [0, -1]], 3 / 4),
        ([[0, 1], [0, 1]], 1 / 2),
        ([[-1, -1], [-1, -1]], 0),
    ],
    ids=["all alike", "one item", "half the catalogue", "nothing"],
)
def test_gini_of_the_exposure(lists: list[list[int]], gini: float) -> None:
    assert score_lists(np.array(lists), truth([[0], [0]], 4)).gini == gini


def test_blocks_of_users_add_up() -> None:
    rng = np.random.default_rng(1)
    lists, wanted, popularity = (
        rng.integers(-1, 30, (20, 5)),
        rng.random((20, 30)) < 0.2,
        rng.random(30),
    )
    wanted[:, 0] = True
    whole = score_lists(lists, csr_matrix(wanted), popularity)
    parts = [
        score_lists(lists[part], csr_matrix(wanted[part]), popularity)
        for part in (slice(7), slice(7, 20))
    ]
    assert RankingScores.concatenate(parts).means(5) == whole.means(5)
    assert set(whole.means(5)) == {
        f"{name}@5" for name in (*METRICS, "coverage", "novelty", "gini")
    }


def test_a_perfect_list_scores_one_and_padding_is_never_a_hit() -> None:
    scores = score_lists(np.array([[5, 2, -1]]), truth([[2, 5]], 6))
    assert (scores.recall[0], scores.ndcg[0], scores.map[0]) == (1, 1, 1)


def test_no_user_is_no_metric() -> None:
    assert score_lists(np.empty((0, 3), dtype=np.int64), truth([], 4)).means(3) == {}


def test_lists_and_truth_must_match() -> None:
    with pytest.raises(ValueError, match="2 lists for 1 users"):
        score_lists(np.zeros((2, 3), dtype=np.int64), truth([[1]], 4))


def test_agrees_with_implicit_where_definitions_agree() -> None:
    from implicit.evaluation import ranking_metrics_at_k

    rng = np.random.default_rng(3)
    wanted = csr_matrix((rng.random((50, 80)) < 0.05).astype(np.float32))
    wanted = wanted[np.flatnonzero(np.diff(wanted.indptr))]
    wanted.indices, wanted.indptr = wanted.indices.astype(np.int32), wanted.indptr.astype(np.int32)
    lists = np.argsort(rng.random((wanted.shape[0], 80)), axis=1)[:, :10].astype(np.int32)

    class Fixed:
        def recommend(
            self, users: np.ndarray, *_: object, **__: object
        ) -> tuple[np.ndarray, np.ndarray]:
            return lists[users], np.zeros((len(users), 10))

    theirs = ranking_metrics_at_k(Fixed(), wanted, wanted, K=10, show_progress=False)
    ours = score_lists(lists.astype(np.int64), wanted)
    assert ours.ndcg.mean() == pytest.approx(theirs["ndcg"], abs=1e-6)
    assert ours.map.mean() == pytest.approx(theirs["map"], abs=1e-6)
    # its precision: hits of all users over the most that there could be
    most = np.minimum(10, np.diff(wanted.indptr))
    hits = ours.recall * np.diff(wanted.indptr)
    assert hits.sum() / most.sum() == pytest.approx(theirs["precision"], abs=1e-6)


def test_the_interval_holds_the_mean_and_is_reproducible() -> None:
    values = np.random.default_rng(1).normal(0.1, 1, 2000)
    low, high = bootstrap_interval(values, seed=5)
    assert low < values.mean() < high
    assert (low, high) == bootstrap_interval(values, seed=5)
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(2000), rel=0.15)
    assert bootstrap_interval(np.array([]), seed=5) == (0, 0)


def test_samples_are_those_of_drawing_users_one_by_one() -> None:
    """Zeros are never drawn, and yet the means spread as if they were."""
    rng = np.random.default_rng(2)
    values = rng.random((400, 2)) * (rng.random((400, 1)) < 0.2)
    found = bootstrap_means(values, seed=1, samples=4000)
    plain = np.array([values[rng.integers(0, 400, 400)].mean(axis=0) for _ in range(4000)])
    np.testing.assert_allclose(found.mean(axis=0), plain.mean(axis=0), rtol=0.01)
    np.testing.assert_allclose(np.cov(found.T), np.cov(plain.T), rtol=0.1)


def test_blocks_of_samples_change_nothing_but_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dawnlist.model.metrics.BOOTSTRAP_COUNTS", 150)
    means = bootstrap_means(np.ones((50, 1)), seed=1, samples=10)
    np.testing.assert_allclose(means, np.ones((10, 1)))


def test_a_ratio_is_of_the_same_users() -> None:
    values = np.random.default_rng(3).random(300)
    assert ratio_interval(2 * values, values, seed=1) == pytest.approx((2, 2))
    low, high = ratio_interval(values[::-1], values, seed=1)
    assert low < 1 < high
    assert ratio_interval(values, np.zeros(300), seed=1) == (0, 0)


def test_an_interval_has_its_two_ends_at_equal_shares() -> None:
    samples = np.arange(1_001.0)
    assert percentile_interval(samples) == pytest.approx((25, 975))
    assert percentile_interval(samples[::-1], 0.9) == pytest.approx((50, 950))
    assert percentile_interval(np.array([3.0])) == (3.0, 3.0)
    beside = np.concatenate([samples, [np.inf, -np.inf, np.nan]])
    assert percentile_interval(beside) == pytest.approx((25, 975))
    assert percentile_interval(np.array([np.nan, np.inf])) == (0.0, 0.0)
