"""Who may import whom: pipelines -> component.py -> step modules -> nouns <- serving; kfp at the edge only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STEPS = {path.parent.name for path in ROOT.glob("components/*/component.py")}
MODULES = sorted(path.relative_to(ROOT) for folder in ("components", "pipelines", "serving")
                 for path in (ROOT / folder).rglob("*.py"))  # fmt: skip


def imports(path: Path) -> set[str]:
    """All modules a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def step_of(module: str) -> str | None:
    """The step a module belongs to; None for a noun."""
    parts = module.split(".")
    return parts[1] if parts[0] == "components" and len(parts) > 1 and parts[1] in STEPS else None


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_the_layers_hold(path: Path) -> None:
    used, folder = imports(path), path.parts[0]
    wrapper = path.name in ("component.py", "image.py")
    if folder != "pipelines":
        assert not any(name.startswith("pipelines") for name in used)
        assert wrapper or not any(name.split(".")[0] == "kfp" for name in used)
    if folder == "serving":
        assert not any(step_of(name) for name in used)
    if folder == "components":
        assert not any(name.startswith("serving") for name in used)
        own = path.parts[1] if path.parts[1] in STEPS else None
        others = {step_of(name) for name in used} - {None, own}
        if own is None:
            assert not others, f"the noun {path} imports the steps {others}"
        else:
            allowed = {"refit": {"train"}}.get(own, set())  # refit is train's fit on more rows
            assert others <= allowed, f"{path} imports other steps: {others}"


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint('\\n'.join(sys.modules))"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    return set(done.stdout.split())


def test_serving_never_loads_kfp() -> None:
    assert "kfp" not in loaded_by("import serving.predictor.server, serving.predictor.client")


def test_the_command_starts_light() -> None:
    loaded = loaded_by("import pipelines.cli")
    assert not loaded & {"kfp", "numpy", "pandas", "pyarrow", "kserve", "implicit", "rich.progress"}


@pytest.mark.parametrize("path", sorted(path.relative_to(ROOT) for path in ROOT.glob("components/*/component.py")),
                         ids=str)  # fmt: skip
def test_a_component_is_thin(path: Path) -> None:
    [function] = [node for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.FunctionDef)]
    statements = [node for node in ast.walk(function) if isinstance(node, ast.stmt)]
    work = [node for node in statements if not isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef)]
    assert len(work) <= 12  # the docstring, the day of the run, and ten
    assert not any(isinstance(node, ast.If | ast.For | ast.While | ast.Try) for node in statements)
