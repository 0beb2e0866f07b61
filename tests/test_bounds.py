"""docs/BOUNDS.md has the values of the code, and tests that exist."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"\| `([\w.]+):([\w.]+)` \| (.+?) \| .+? \| `(\w+\.py)::(\w+)` \|")
LINES = [line for line in (ROOT / "docs" / "BOUNDS.md").read_text().splitlines() if ":" in line]
ROWS = [line for line in LINES if line.startswith("| `")]


def read_value(module: str, path: str) -> Any:
    """Read a constant of a module, or the default of a setting."""
    value: Any = importlib.import_module(module)
    for name in path.split("."):
        fields = getattr(value, "model_fields", {})
        value = fields[name].default if name in fields else getattr(value, name)
    return value


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("`")[1].rpartition(".")[2])
def test_a_bound_has_the_value_and_the_test_that_the_page_says(row: str) -> None:
    match = ROW.fullmatch(row)
    assert match is not None, row
    module, path, value, file, test = match.groups()
    assert str(read_value(module, path)) == value
    assert re.search(rf"^def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)


def test_the_page_has_each_bound_once() -> None:
    names = [row.split("`")[1] for row in ROWS]
    assert len(names) == len(set(names)) >= 45
