"""Every notebook runs from top to bottom, defines nothing, and holds the outputs of today's code."""

import ast
import importlib
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager

execution = importlib.import_module("benchmarks.notebooks")
NOTEBOOKS: list[Path] = execution.NOTEBOOKS
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
NUMBER = re.compile(r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)")
MAX_BYTES = 250_000

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return execution.read_notebook(path)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kernel that ipykernel brings along beside this interpreter, whatever this account has installed."""
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    assert Path(KernelSpecManager().get_kernel_spec("python3").resource_dir).is_relative_to(
        sys.prefix
    )
    return "python3"


def test_there_is_one() -> None:
    assert NOTEBOOKS


@every_notebook
def test_it_defines_nothing_and_names_no_machine(path: Path) -> None:
    assert path.stat().st_size < MAX_BYTES
    for cell in read(path).cells:
        if cell.cell_type == "code":
            assert not any(
                isinstance(node, DEFINITIONS) for node in ast.walk(ast.parse(cell.source))
            )
            for output in cell.outputs:
                assert not re.search(r"/(tmp|home|root|work|var|usr)/|C:\\", str(output))


@every_notebook
def test_each_cell_is_introduced(path: Path) -> None:
    kinds = [cell.cell_type for cell in read(path).cells]
    assert kinds == ["markdown", "code"] * (len(kinds) // 2)


@every_notebook
def test_it_runs_without_a_warning_and_its_outputs_are_of_this_code(
    path: Path, kernel: str, tmp_path: Path
) -> None:
    (work := tmp_path / "work").mkdir()
    stored = read(path)
    executed = execution.execute_notebook(path, work, kernel)
    assert list(work.iterdir()) == []
    has_table = False
    for number, (old, new) in enumerate(zip(stored.cells, executed.cells, strict=True)):
        if new.cell_type == "markdown":
            continue
        place = f"cell {number} of {path.name}: run `make notebooks`"
        assert [output.get("name") for output in new.outputs].count("stderr") == 0, place
        assert old.execution_count == new.execution_count, place
        old_texts = [text for output in old.outputs for text in output_texts(output)]
        new_texts = [text for output in new.outputs for text in output_texts(output)]
        assert len(old_texts) == len(new_texts), place
        for old_text, new_text in zip(old_texts, new_texts, strict=True):
            assert is_same(old_text, new_text), place
            assert "Figure(" not in new_text  # a picture is shown, not its repr
        has_table |= any("text/html" in output.get("data", {}) for output in new.outputs)
    assert has_table


def output_texts(output: Any) -> list[str]:
    """The texts of an output, each with its kind."""
    data = output.get("data", {})
    texts = [f"{kind} {data[kind]}" for kind in sorted(data)]
    return [*texts, str(output.get("text", ""))]


def is_same(old: str, new: str) -> bool:
    """Compare texts; numbers may differ by a hundredth, as another processor rounds otherwise."""
    old_parts, new_parts = NUMBER.split(old), NUMBER.split(new)
    if [part.split() for part in old_parts[::2]] != [part.split() for part in new_parts[::2]]:
        return False
    pairs = zip(old_parts[1::2], new_parts[1::2], strict=True)
    return all(math.isclose(float(a), float(b), rel_tol=0.01, abs_tol=0.001) for a, b in pairs)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("a 1.0 b", "a  1.005 b", True),
        ("a 1.0 b", "a 1.1 b", False),
        ("a 1.0 b", "a 1.0 c", False),
        ("1 2", "1", False),
    ],
)
def test_outputs_are_compared_by_their_words_and_their_numbers(
    old: str, new: str, same: bool
) -> None:
    assert is_same(old, new) is same
