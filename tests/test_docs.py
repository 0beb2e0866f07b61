"""The documentation: the site builds without a warning, and pages that are made from the code are up to date."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_LINE = 120
"""Letters of a line of prose in docs/ and README.md; tables and code may be wider."""


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """docs/reference.py, which lies outside the packages."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    variables = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    build = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert build.returncode == 0, build.stderr
    return folder


def test_the_site_has_every_page_of_the_docs(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    assert len(pages) > 25
    assert [str(page) for page in pages if not (site / page.with_suffix(".html")).exists()] == []


def test_the_site_shows_the_docstrings(site: Path) -> None:
    assert "Hyper-parameters" in (site / "api" / "model.html").read_text()
    assert "dawnlist.components.gate.verdict" in (site / "api" / "components.html").read_text()


@pytest.mark.parametrize("page", ["SETTINGS", "COMMANDS", "COMPONENTS"])
def test_a_page_that_is_made_from_the_code_is_up_to_date(reference: ModuleType, page: str) -> None:
    made = getattr(reference, f"render_{page.lower()}")()
    assert made == (ROOT / "docs" / f"{page}.md").read_text(), "run: python docs/reference.py"


def test_every_setting_is_explained(reference: ModuleType) -> None:
    rows = [line for line in reference.render_settings().splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert [row for row in rows if row.split("|")[3].strip() == ""] == []


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.name
)
def test_lines_of_prose_are_short(page: Path) -> None:
    if page.name in ("SETTINGS.md", "COMMANDS.md", "COMPONENTS.md"):
        return
    is_code, long_lines = False, []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        is_code ^= line.startswith("```")
        if not is_code and not line.lstrip().startswith("|") and len(line) > LONGEST_LINE:
            long_lines.append(number)
    assert long_lines == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
