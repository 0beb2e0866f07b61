from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from dawnlist.lake.manifest import write_manifest
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.ids import IdMap
from dawnlist.model.user_items import UserItems


def ids(*names: str) -> IdMap:
    return IdMap(pa.array(names, pa.string()))


def model() -> FactorModel:
    """User u1 likes items by their first coordinate, u2 by their second."""
    users = np.array([[1, 0], [0, 1]], dtype=np.float32)
    items = np.array([[3, 1], [2, 2], [1, 3]], dtype=np.float32)
    return FactorModel(
        ids("u1", "u2"), ids("a", "b", "c"), users, items, {"engine": "als"}, {"as_of": "x"}
    )


def test_a_directory_gives_back_what_was_saved(tmp_path: Path) -> None:
    model().save(tmp_path)
    loaded = FactorModel.load(tmp_path)
    np.testing.assert_array_equal(loaded.user_factors, model().user_factors)
    assert loaded.item_ids.ids.equals(model().item_ids.ids)
    assert (loaded.config, loaded.lineage) == ({"engine": "als"}, {"as_of": "x"})


@pytest.mark.parametrize("damage", ["item_factors.npy", "config.json"])
def test_a_damaged_directory_is_refused(tmp_path: Path, damage: str) -> None:
    model().save(tmp_path)
    (tmp_path / damage).write_bytes(b"{}")
    with pytest.raises(ValueError, match=f"{damage} is not the file that MANIFEST names"):
        FactorModel.load(tmp_path)


def test_a_directory_without_manifest_is_unfinished(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no MANIFEST"):
        FactorModel.load(tmp_path)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    model().save(tmp_path)
    np.save(tmp_path / "user_factors.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    write_manifest(tmp_path)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        FactorModel.load(tmp_path)


def test_top_k_leaves_out_what_was_seen_and_what_the_model_does_not_know() -> None:
    aligned = model().align(ids("new", "u2", "u1"), ids("d", "c", "b", "a"))
    seen = csr_matrix(np.array([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]))
    items, scores = aligned.top_k(np.array([0, 1, 2]), seen, 3)
    assert items.tolist() == [[-1, -1, -1], [2, 3, -1], [3, 2, 1]]
    assert scores.tolist() == [[0, 0, 0], [2, 1, 0], [3, 2, 1]]


def test_lists_longer_than_the_catalogue_are_padded() -> None:
    aligned = model().align(ids("u1"), ids("a", "b", "c"))
    items, _ = aligned.top_k(np.array([0]), csr_matrix((1, 3)), 5)
    assert items.tolist() == [[0, 1, 2, -1, -1]]


def test_only_who_interacted_is_in_the_model() -> None:
    history = csr_matrix(np.array([[0, 0], [0, 2]], dtype=np.float32))
    factors = (np.ones((2, 1), dtype=np.float32), np.ones((2, 1), dtype=np.float32))
    known = FactorModel.from_interactions((ids("u", "v"), ids("a", "b")), factors, history, {}, {})
    assert (known.user_ids.ids.to_pylist(), known.item_ids.ids.to_pylist()) == (["v"], ["b"])


def test_ids_and_vectors_must_match() -> None:
    with pytest.raises(ValueError, match="2 user and 1 item vectors for 1 user and 1 item ids"):
        FactorModel(
            ids("u"), ids("a"), np.ones((2, 1), dtype=np.float32), np.ones((1, 1), dtype=np.float32)
        )


def scaled_model(**config: float) -> FactorModel:
    """Two factors, the users' scales, and popularity .5 of item c. User u3 has a scale of 4."""
    users = np.array([[1, 0, 1], [0, 1, 2], [4, 4, 4]], np.float32)
    items = np.array([[3, 1, 0], [2, 2, 0], [1, 3, 0.5]], np.float32)
    own = {"factors": 2, "score_scale": 55.0, "repeat_half_life": 10.0, "repeat_gap": 1.0}
    return FactorModel(ids("u1", "u2", "u3"), ids("a", "b", "c"), users, items, {**own, **config})


def met(rows: list[list[float]], age: float = 0.0) -> UserItems:
    weight = csr_matrix(np.array(rows, np.float32))
    return UserItems(weight, np.full(weight.nnz, age, np.float32))


def test_scores_are_divided_by_the_users_scales() -> None:
    aligned = scaled_model().align(ids("u1", "u2", "u3"), ids("a", "b", "c"))
    items, scores = aligned.rank(np.array([2, 1]), met([[0, 0, 0]] * 2), 3)
    # u3 scores a 16, b 16, c 16 + 4 x .5, all divided by 4; u2 1, 2, 3 + 2 x .5, divided by 2.
    assert items.tolist() == [[2, 0, 1], [2, 1, 0]]
    assert scores.tolist() == [[4.5, 4, 4], [2, 1, 0.5]]


def test_without_a_scale_scores_are_the_products() -> None:
    """As in versions of an older release."""
    aligned = model().align(ids("u1", "u2"), ids("a", "b", "c"))
    history = met([[0, 1, 0]])
    items, scores = aligned.rank(np.array([1]), history, 3)
    expected = aligned.top_k(np.array([1]), history.weight, 3)
    assert items.tolist() == expected[0].tolist() == [[2, 0, -1]]
    assert scores.tolist() == expected[1].tolist() == [[3, 1, 0]]


def test_own_items_are_left_out_without_a_share_of_repeats() -> None:
    aligned = scaled_model(repeat_share=0.0).align(ids("u1"), ids("a", "b", "c"))
    items, scores = aligned.rank(np.array([0]), met([[1, 0, 0]]), 3)
    assert (items.tolist(), scores.tolist()) == ([[1, 2, -1]], [[2, 1.5, 0]])


def test_own_items_get_their_own_scores_beside_the_products() -> None:
    aligned = scaled_model(repeat_share=0.1).align(ids("u1", "u2"), ids("a", "b", "c"))
    history = met([[0, 1, 0], [4, 1, 0]])
    items, scores = aligned.rank(np.array([0, 1]), history, 3)
    # u1: a 3, b 2 + .1 x 20, c 1.5. u2: a 1 / 2 + 2 x 20 / 3 x .1, b 2 / 2 + 20 / 3 x .1, c 4 / 2.
    assert items.tolist() == [[1, 0, 2], [2, 0, 1]]
    expected = np.array([[4, 3, 1.5], [2, 0.5 + 4 / 3, 1 + 2 / 3]])
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    short, _ = aligned.rank(np.array([0, 1]), history, 1)
    assert short.tolist() == [[1], [2]]


def test_own_items_of_unknown_users_and_unknown_own_items_are_left_out() -> None:
    aligned = scaled_model(repeat_share=1.0).align(ids("new", "u1"), ids("a", "gone", "b", "c"))
    history = met([[1, 1, 0, 0], [0, 1, 0, 1]])
    items, scores = aligned.rank(np.array([0, 1]), history, 4)
    assert items.tolist() == [[-1] * 4, [3, 0, 2, -1]]
    expected = np.array([[0] * 4, [1.5 + 10, 3, 2, 0]])
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


@pytest.mark.parametrize("pairs", [1, 2, 100])
def test_blocks_of_own_items_change_nothing(monkeypatch: pytest.MonkeyPatch, pairs: int) -> None:
    aligned = scaled_model(repeat_share=0.3).align(ids("u1", "u2", "u3"), ids("a", "b", "c"))
    history = met([[1, 0, 2], [0, 3, 0], [1, 1, 1]])
    users = np.arange(3)
    whole = aligned.rank(users, history, 3)
    monkeypatch.setattr("dawnlist.model.factor_model.PAIRS_PER_BLOCK", pairs)
    blocks = aligned.rank(users, history, 3)
    np.testing.assert_array_equal(blocks[0], whole[0])
    np.testing.assert_array_equal(blocks[1], whole[1])


def test_more_than_200_own_items_leave_the_oldest_out() -> None:
    names = [f"i{number:03}" for number in range(202)]
    users, items = np.ones((1, 2), np.float32), np.zeros((202, 2), np.float32)
    config = {"factors": 1, "score_scale": 55.0, "repeat_share": 1.0, "repeat_half_life": 1e6}
    aligned = FactorModel(ids("u"), ids(*names), users, items, config).align(ids("u"), ids(*names))
    ages = np.arange(202, dtype=np.float32)
    for length, listed in ((200, 200), (201, 200)):
        weight = csr_matrix(np.ones((1, 202), np.float32))
        weight.data[length:] = 0
        weight.eliminate_zeros()
        lists, _ = aligned.rank(np.array([0]), UserItems(weight, ages[:length]), 202)
        # Those that were not met are candidates too; own items beyond the newest 200 are in no list.
        assert sorted(lists[0][: listed + 202 - length].tolist()) == sorted(
            [*range(200), *range(length, 202)]
        )
        assert (lists[0] < 0).sum() == length - listed
