import numpy as np
import pytest
from scipy.sparse import csr_matrix

from components.metrics import bootstrap_interval, score


def truth(rows: list[list[int]], items: int) -> csr_matrix:
    dense = np.zeros((len(rows), items))
    for row, found in enumerate(rows):
        dense[row, found] = 1
    return csr_matrix(dense)


def test_hand_computed_rows() -> None:
    lists = np.array([[0, 1, 2], [3, -1, -1], [4, 0, 1]])
    scores = score(lists, truth([[0, 2], [0], [0, 1, 2, 3]], 6))
    dcg = [1 + 1 / 2, 0, 1 / np.log2(3) + 1 / 2]
    ideal = [1 + 1 / np.log2(3), 1, 1 + 1 / np.log2(3) + 1 / 2]
    np.testing.assert_allclose(scores.recall, [1, 0, 2 / 4])
    np.testing.assert_allclose(scores.ndcg, np.divide(dcg, ideal))
    np.testing.assert_allclose(scores.map, [(1 + 2 / 3) / 2, 0, (1 / 2 + 2 / 3) / 3])
    assert scores.coverage == 5 / 6  # 0 1 2 3 4
    assert scores.means(3)["ndcg@3"] == pytest.approx(np.divide(dcg, ideal).mean())


def test_a_perfect_list_scores_one_and_padding_is_never_a_hit() -> None:
    scores = score(np.array([[5, 2, -1]]), truth([[2, 5]], 6))
    assert (scores.recall[0], scores.ndcg[0], scores.map[0]) == (1, 1, 1)


def test_no_user_is_no_metric() -> None:
    assert score(np.empty((0, 3), dtype=np.int64), truth([], 4)).means(3) == {}


def test_lists_and_truth_must_match() -> None:
    with pytest.raises(ValueError, match="2 lists for 1 users"):
        score(np.zeros((2, 3), dtype=np.int64), truth([[1]], 4))


def test_agrees_with_implicit_where_definitions_agree() -> None:
    from implicit.evaluation import ranking_metrics_at_k

    rng = np.random.default_rng(3)
    wanted = csr_matrix((rng.random((50, 80)) < 0.05).astype(np.float32))
    wanted = wanted[np.flatnonzero(np.diff(wanted.indptr))]
    wanted.indices, wanted.indptr = wanted.indices.astype(np.int32), wanted.indptr.astype(np.int32)
    lists = np.argsort(rng.random((wanted.shape[0], 80)), axis=1)[:, :10].astype(np.int32)

    class Fixed:
        def recommend(self, users: np.ndarray, *_: object, **__: object) -> tuple[np.ndarray, np.ndarray]:
            return lists[users], np.zeros((len(users), 10))

    theirs = ranking_metrics_at_k(Fixed(), wanted, wanted, K=10, show_progress=False)
    ours = score(lists.astype(np.int64), wanted)
    assert ours.ndcg.mean() == pytest.approx(theirs["ndcg"], abs=1e-6)
    assert ours.map.mean() == pytest.approx(theirs["map"], abs=1e-6)


def test_the_interval_holds_the_mean_and_is_reproducible() -> None:
    values = np.random.default_rng(1).normal(0.1, 1, 2000)
    low, high = bootstrap_interval(values, seed=5)
    assert low < values.mean() < high
    assert (low, high) == bootstrap_interval(values, seed=5)
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(2000), rel=0.15)
    assert bootstrap_interval(np.array([]), seed=5) == (0, 0)
