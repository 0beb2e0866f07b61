"""Who may import whom: pipelines -> components -> dawnlist <- serving; kfp at the edge only."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STEPS = {path.parent.name for path in ROOT.glob("components/*/component.py")}
NEIGHBOURS = ("components", "pipelines", "serving")
LARGEST_FOLDER = 25
LIBRARY_ORDER = (
    (
        "arrays",
        "clients",
        "cuts",
        "dataclass_json",
        "namespace",
        "pages",
        "progress",
        "schema",
        "secret_values",
        "source_columns",
        "urls",
    ),
    ("machine", "lake", "messages", "values", "yaml_documents"),
    ("ranking", "filters"),
    ("settings",),
    ("model", "rows"),
    ("als", "store", "explore"),
    ("records", "events"),
    ("upkeep", "simulate"),
)
"""Packages and modules of the library; each may import those of earlier lines, and none of its own line."""


def find_modules() -> list[Path]:
    """All modules of the package, relative to the root, each once: the links in dawnlist/ are not followed."""
    paths = []
    for folder in ("dawnlist", *NEIGHBOURS):
        paths += [path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.py")]
    return sorted(
        path for path in paths if not (path.parts[0] == "dawnlist" and path.parts[1] in NEIGHBOURS)
    )


def module_name(path: Path) -> str:
    """The dotted name by which a module is imported."""
    parts = path.with_suffix("").parts
    if parts[0] in NEIGHBOURS:
        parts = ("dawnlist", *parts)
    return ".".join(parts).removesuffix(".__init__")


MODULES = find_modules()
NAMES = {module_name(path) for path in MODULES}


def imports(path: Path) -> set[str]:
    """All modules a file imports, inside functions too."""
    modules = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            if names - NAMES:  # not only modules are taken from the package
                modules.add(node.module)
            modules |= names
    return modules


def own_imports(path: Path) -> set[str]:
    """The modules of Dawnlist that a file imports; a package counts only where it is imported itself."""
    return {name for name in imports(path) if name in NAMES and name.count(".") > 0} - {
        module_name(path)
    }


def step_of(module: str) -> str | None:
    """The step that a module belongs to; None where it belongs to no step."""
    parts = module.split(".")
    return (
        parts[2]
        if parts[:2] == ["dawnlist", "components"] and len(parts) > 2 and parts[2] in STEPS
        else None
    )


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_the_layers_hold(path: Path) -> None:
    used, folder = imports(path), path.parts[0]
    wrapper = path.name in ("component.py", "image.py")
    assert not any(name.split(".")[0] in NEIGHBOURS for name in used), (
        "import dawnlist.components, not components"
    )
    if folder != "pipelines":
        assert not any(name.startswith("dawnlist.pipelines") for name in used)
        assert wrapper or not any(name.split(".")[0] == "kfp" for name in used)
    if folder in ("components", "dawnlist"):
        assert not any(name.startswith("dawnlist.serving") for name in used)
    if folder in ("serving", "dawnlist"):
        assert not any(name.startswith("dawnlist.components") for name in used)
    if folder == "components":
        own = path.parts[1]
        others = {step_of(name) for name in used} - {None, own}
        allowed = {"refit": {"train"}}.get(own, set())  # refit is train's fit on more rows
        assert others <= allowed, f"{path} imports other steps: {others}"


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[0] == "dawnlist"], ids=str)
def test_the_library_imports_in_its_order(path: Path) -> None:
    if path.name == "__init__.py" and len(path.parts) == 2:
        return
    own = Path(path.parts[1]).stem
    [line] = [number for number, members in enumerate(LIBRARY_ORDER) if own in members]
    earlier = {member for members in LIBRARY_ORDER[:line] for member in members}
    used = {name.split(".")[1] for name in own_imports(path)}
    assert used <= earlier | {own}, (
        f"{path} imports {used - earlier - {own}}, which stand beside it or above it"
    )


def test_no_module_imports_itself_through_others() -> None:
    graph = {module_name(path): own_imports(path) & NAMES for path in MODULES}
    while leaves := {name for name, used in graph.items() if not used & graph.keys()}:
        graph = {name: used for name, used in graph.items() if name not in leaves}
    assert not graph, f"these modules import each other, or modules that do: {sorted(graph)}"


def test_no_folder_is_too_large_to_look_through() -> None:
    sizes = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    assert max(sizes.values()) <= LARGEST_FOLDER, sizes.most_common(3)


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint('\\n'.join(sys.modules))"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    return set(done.stdout.split())


def test_serving_never_loads_kfp() -> None:
    assert "kfp" not in loaded_by(
        "import dawnlist.serving.predictor.server, dawnlist.serving.predictor.client"
    )


def test_the_command_starts_light() -> None:
    loaded = loaded_by("import dawnlist.pipelines.cli")
    assert not loaded & {"kfp", "numpy", "pandas", "pyarrow", "kserve", "implicit", "rich.progress"}


@pytest.mark.parametrize("path", sorted(path.relative_to(ROOT) for path in ROOT.glob("components/*/component.py")),
                         ids=str)  # fmt: skip
def test_a_component_is_thin(path: Path) -> None:
    [function] = [
        node
        for node in ast.parse((ROOT / path).read_text()).body
        if isinstance(node, ast.FunctionDef)
    ]
    statements = [node for node in ast.walk(function) if isinstance(node, ast.stmt)]
    work = [
        node
        for node in statements
        if not isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef)
    ]
    assert len(work) <= 12  # the docstring, the day of the run, and ten
    assert not any(isinstance(node, ast.If | ast.For | ast.While | ast.Try) for node in statements)


def test_components_holds_the_steps_alone() -> None:
    """What steps share is in the library; image.py has the decorator that component files use."""
    modules = {path.name for path in MODULES if path.parent == Path("components")}
    assert modules == {"__init__.py", "image.py"}
    folders = {
        path.parts[1] for path in MODULES if path.parts[0] == "components" and len(path.parts) > 2
    }
    assert folders == STEPS
