from pathlib import Path

import pyarrow as pa

from dawnlist.model.ids import IdMap


def test_the_same_ids_in_any_order_get_the_same_indices(tmp_path: Path) -> None:
    ids = IdMap.of(pa.array(["b", "10", None, "a", "b"]))
    assert ids.ids.to_pylist() == ["10", "a", "b"]
    assert ids.indices(pa.array(["b", "x", "10", None])).tolist() == [2, -1, 0, -1]
    ids.save(tmp_path / "ids.parquet", "user_id")
    assert IdMap.load(tmp_path / "ids.parquet").ids.equals(ids.ids)
