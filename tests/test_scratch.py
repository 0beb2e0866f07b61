import tempfile
from pathlib import Path

import pytest

from dawnlist.machine import scratch_duckdb


def test_what_does_not_fit_goes_to_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, spilled = tmp_path / "work", tmp_path / "spilled"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(tempfile, "tempdir", str(spilled))
    with scratch_duckdb.open_scratch_database() as connection:
        connection.execute("SET memory_limit = '40MB'; SET threads = 1")
        [[count]] = connection.sql(
            "SELECT count(DISTINCT hash(i)) FROM range(3000000) t(i)"
        ).fetchall()
        assert count == 3_000_000
        assert list(spilled.iterdir())
    assert list(work.iterdir()) == []
