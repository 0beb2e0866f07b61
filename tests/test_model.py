from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from dawnlist.lake.manifest import write_manifest
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.ids import IdMap


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
