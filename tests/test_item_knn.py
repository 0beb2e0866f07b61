import numpy as np
import pytest
from scipy.sparse import csr_matrix

from dawnlist.components.evaluate import item_knn
from dawnlist.components.evaluate.item_knn import ItemKNN


def test_scores_are_sums_of_cosines() -> None:
    """Items 0 and 1 are met together twice, 1 and 2 once, 3 alone."""
    met = csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]], dtype=np.float32))
    knn = ItemKNN.from_interactions(met)
    np.testing.assert_allclose(knn.similar.toarray()[1], [1, 1, 1 / np.sqrt(2), 0], rtol=1e-6)
    asked = csr_matrix(
        np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 1, 0, 0]], dtype=np.float32)
    )
    # equal ones in the order of items; item 3 is like no other; who met 0 and 1 is left 2
    assert knn.top_k(asked, 3).tolist() == [[1, 2, -1], [0, 1, -1], [-1, -1, -1], [2, -1, -1]]


@pytest.mark.filterwarnings("ignore:Method expects CSR input")  # it makes a COO matrix itself
def test_the_lists_are_implicits(monkeypatch: pytest.MonkeyPatch) -> None:
    from implicit.nearest_neighbours import CosineRecommender

    rng = np.random.default_rng(1)
    met = csr_matrix((rng.random((300, 80)) < 0.1 * rng.random(80)).astype(np.float64))
    users = np.flatnonzero(np.diff(met.indptr))
    theirs = CosineRecommender(item_knn.KNN_NEIGHBOURS)
    theirs.fit(met, show_progress=False)
    expected, _ = theirs.recommend(users, met[users], N=5)
    monkeypatch.setattr(item_knn, "KNN_BLOCK_USERS", 64)
    ours = ItemKNN.from_interactions(met).top_k(met[users], 5)
    scores = (met[users] @ theirs.similarity).toarray()  # of equal ones they take another
    found, wanted = (np.take_along_axis(scores, lists, axis=1) for lists in (ours, expected))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_a_stored_zero_was_met_too() -> None:
    met = csr_matrix((np.zeros(4), np.array([0, 1, 0, 1]), np.array([0, 2, 4])), shape=(2, 2))
    assert ItemKNN.from_interactions(met).top_k(met, 1).tolist() == [[-1], [-1]]


def test_who_met_too_much_has_no_say_in_what_is_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_knn, "MAX_ITEMS_PER_USER", 2)
    met = csr_matrix(np.array([[1, 1, 0], [1, 1, 1]], dtype=np.float32))
    assert ItemKNN.from_interactions(met).top_k(csr_matrix(np.array([[1, 0, 0]])), 2).tolist() == [
        [1, -1]
    ]
