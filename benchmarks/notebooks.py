"""Execute the notebooks and store their outputs in them: make notebooks.

Outputs hold no times, no addresses of objects and no warnings of libraries, so that an execution of
the same code gives the same outputs; tests/test_notebooks.py compares them.
"""

import re
import tempfile
from pathlib import Path
from typing import Any, Final

import nbformat
from nbclient import NotebookClient

NOTEBOOKS: Final = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
TQDM_WARNING: Final = "TqdmWarning: IProgress not found"
"""implicit imports tqdm, which would rather have ipywidgets."""
_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")


def read_notebook(path: Path) -> Any:
    """Read a notebook."""
    return nbformat.reads(path.read_text(), as_version=4)  # type: ignore[no-untyped-call]


def execute_notebook(path: Path, folder: Path, kernel: str = "python3") -> Any:
    """Execute a notebook in a folder, and return it with outputs that may be stored."""
    notebook = read_notebook(path)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=300, kernel_name=kernel, resources=resources)
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = _clean_outputs(cell.outputs)
    notebook.metadata.pop("language_info", None)
    return notebook


def _clean_outputs(outputs: list[Any]) -> list[Any]:
    """Join the texts of a stream, and leave out what differs from one execution to the next."""
    clean_outputs: list[Any] = []
    for output in outputs:
        if TQDM_WARNING in output.get("text", ""):
            continue
        if "text/plain" in output.get("data", {}):
            output.data["text/plain"] = _ADDRESS.sub("", output.data["text/plain"])
        previous: Any = clean_outputs[-1] if clean_outputs else {}
        if "name" in output and output.name == previous.get("name"):
            previous.text += output.text
        else:
            clean_outputs.append(output)
    return clean_outputs


def main() -> None:
    """Execute each notebook and write it back."""
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            notebook = execute_notebook(path, Path(folder))
        path.write_text(nbformat.writes(notebook) + "\n")  # type: ignore[no-untyped-call]
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
