import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dawnlist.machine.numba_jit import jit

SOURCE = """
def total(values):
    found = 0
    for value in values:
        found += value
    return found
"""


@pytest.fixture
def total(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function in a module of its own, so that nothing of it is cached."""
    (tmp_path / "totals.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "totals", raising=False)
    return importlib.import_module("totals").total


def test_what_is_compiled_is_kept(total: Any) -> None:
    for hits in (0, 1):
        compiled: Any = jit()(total)
        assert compiled(np.arange(4)) == 6
        assert sum(compiled.stats.cache_hits.values()) == hits


def test_two_processes_that_compile_at_once_leave_no_wrong_code(
    total: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both read an index without entries, the first writes its index last and its code first."""
    first, second = jit()(total), jit()(total)
    files, others = (compiled._cache._cache_file for compiled in (first, second))  # type: ignore[attr-defined]
    save_index, save_others = files._save_index, others._save_index

    def first_within_second(index: object) -> None:
        def after_the_other(own: object) -> None:
            save_others(index)
            save_index(own)

        monkeypatch.setattr(files, "_save_index", after_the_other)
        assert first(np.arange(4)) == 6

    monkeypatch.setattr(others, "_save_index", first_within_second)
    assert second(np.arange(4.0)) == 6
    third: Any = jit()(total)
    assert (third(np.arange(4)), third(np.arange(4.0))) == (6, 6)
    assert (
        sum(third.stats.cache_hits.values()) == 1
    )  # the entry that was overwritten is compiled again
