"""Every notebook runs from top to bottom, defines nothing and holds no outputs."""

import ast
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
OF_TQDM = "TqdmWarning: IProgress not found"
"""implicit imports tqdm, which would rather have ipywidgets."""

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.reads(path.read_text(), as_version=4)  # type: ignore[no-untyped-call]


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
def test_it_defines_nothing_and_stores_no_outputs(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
            assert not any(
                isinstance(node, DEFINITIONS) for node in ast.walk(ast.parse(cell.source))
            )


@every_notebook
def test_each_cell_is_introduced(path: Path) -> None:
    kinds = [cell.cell_type for cell in read(path).cells]
    assert kinds == ["markdown", "code"] * (len(kinds) // 2)


@every_notebook
def test_it_runs_without_a_warning(path: Path, kernel: str, tmp_path: Path) -> None:
    (work := tmp_path / "work").mkdir()
    notebook = read(path)
    NotebookClient(
        notebook, timeout=300, kernel_name=kernel, resources={"metadata": {"path": str(work)}}
    ).execute()
    outputs = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    told = [output.text for output in outputs if output.get("name") == "stderr"]
    assert [text for text in told if OF_TQDM not in text] == []
    html = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert html  # a table was shown
    assert not [text for text in html if "Figure(" in text]  # a picture is shown, not its repr
    assert list(work.iterdir()) == []
