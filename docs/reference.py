"""Make the pages of docs/ that come from the code: SETTINGS.md, COMMANDS.md, and the site's pages of the Python API.

`python docs/reference.py` writes the first two, and the second half of COMPONENTS.md. MkDocs calls `on_files` and
`on_page_markdown` as hooks (mkdocs.yml).
"""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = {
    "als": "Alternating least squares",
    "clients": "Clients",
    "components": "Steps",
    "explore": "Exploring the lake",
    "filters": "Filters",
    "lake": "The lake",
    "machine": "The machine",
    "messages": "Messages",
    "model": "The model",
    "pipelines": "Pipelines and commands",
    "ranking": "Ranking",
    "records": "Records of runs",
    "rows": "Rows",
    "serving": "Serving",
    "simulate": "The simulator",
    "store": "The store",
    "upkeep": "Upkeep",
}
"""The packages that have a page, and its title."""
SETTINGS_HEAD = """# Settings

One YAML file per shop, given as `--settings FILE` (a path, or a `gs://` or `s3://` address). Every
setting has a default, so a file holds only what differs. An unknown name or a wrong value stops the
command with one line that names the place, the value and the rule. This page is made from
[dawnlist/settings](../dawnlist/settings) by `python docs/reference.py`.
"""

COMPONENTS_MARK = (
    "<!-- What follows is made from components/*/component.py by `python docs/reference.py`. -->"
)


def render_settings() -> str:
    """The page of all settings: a table for each section, in the order of the code."""
    sections = {}
    for path in sorted((ROOT / "dawnlist" / "settings").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                sections[node.name] = node
    page = [SETTINGS_HEAD]
    for field in sections["Settings"].body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            page.append(_render_section(field.target.id, sections[ast.unparse(field.annotation)]))
    return "\n".join(page)


def _render_section(name: str, section: ast.ClassDef) -> str:
    rows = [
        f"## {name}",
        "",
        ast.get_docstring(section) or "",
        "",
        "| setting | default | what it does |",
        "|---|---|---|",
    ]
    for field, following in zip(section.body, [*section.body[1:], ast.Pass()], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = _read_docstring(following)
            rows.append(f"| `{field.target.id}` | {_render_default(field)} | {text} |")
    return "\n".join([*rows, ""])


def _read_docstring(node: ast.stmt) -> str:
    """The docstring that stands below a field, on one line, safe in a table's cell."""
    if (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ):
        text = " ".join(node.value.value.split())
        return re.sub(r"([|*_<{}])", r"\\\1", text)
    return ""


def _render_default(field: ast.AnnAssign) -> str:
    """The default as YAML would have it; a factory's name where a function makes it."""
    value = field.value
    if isinstance(value, ast.Call):
        keywords = {keyword.arg: keyword.value for keyword in value.keywords}
        value = keywords.get("default", keywords.get("default_factory", value))
    text = ast.unparse(value) if value is not None else ""
    text = {"dict": "{}", "list": "[]", "None": "none", "True": "on", "False": "off"}.get(
        text, text
    )
    text = text.removeprefix("lambda: ")
    return f"`{text}`".replace("|", "\\|")


def render_commands() -> str:
    """The page of all commands, as typer writes it from their help."""
    command = [sys.executable, "-m", "typer", "dawnlist.pipelines.cli", "utils", "docs"]
    page = subprocess.run(
        [*command, "--name", "dawnlist", "--title", "Commands"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return page.stdout.replace("\x0c", "")


def render_components() -> str:
    """The page of the components: its own text up to the mark, then a section for each step."""
    page = (ROOT / "docs" / "COMPONENTS.md").read_text()
    parts = [page.partition(COMPONENTS_MARK)[0] + COMPONENTS_MARK, ""]
    for path in sorted((ROOT / "components").glob("*/component.py")):
        parts.append(_render_component(path))
    return "\n".join(parts)


def _render_component(path: Path) -> str:
    """A step's heading, sentence, and a table of what it takes and leaves."""
    [function] = [
        node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)
    ]
    rows = [f"### {function.name}", "", ast.get_docstring(function) or "", ""]
    rows += ["| name | kind | type |", "|---|---|---|"]
    for argument in function.args.args:
        rows.append(_render_argument(argument.arg, ast.unparse(argument.annotation or ast.Pass())))
    returned = ast.unparse(function.returns) if function.returns else "None"
    if returned != "None":
        rows.append(f"| `Output` | output parameter | {returned} |")
    return "\n".join([*rows, ""])


def _render_argument(name: str, annotation: str) -> str:
    match = re.fullmatch(r"(Input|Output)\[(\w+)\]", annotation)
    if match:
        return f"| `{name}` | {match[1].lower()} artifact | {match[2]} |"
    return f"| `{name}` | parameter | {annotation} |"


def render_api(package: str) -> str:
    """The page of a package's modules, for mkdocstrings."""
    page = [f"# {LIBRARY[package]}", "", f"`dawnlist.{package}`", ""]
    folder = (ROOT / "dawnlist" / package).resolve()
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if parts[-1] != "__init__":
            page += [f"::: dawnlist.{package}.{'.'.join(parts)}", ""]
    return "\n".join(page)


def render_api_index() -> str:
    """The page that lists the packages, with the modules of the library that stand alone."""
    page = [
        "# Python API",
        "",
        "What a notebook, a pipeline of your own or a new step may import.",
        "",
    ]
    page += [
        f"- [{title}]({package}.md): `dawnlist.{package}`" for package, title in LIBRARY.items()
    ]
    page.append("")
    for path in sorted((ROOT / "dawnlist").glob("*.py")):
        if path.stem != "__init__":
            page += [f"::: dawnlist.{path.stem}", ""]
    return "\n".join(page)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the Python API to the site."""
    from mkdocs.structure.files import File

    pages = {f"api/{package}.md": render_api(package) for package in LIBRARY}
    pages["api/index.md"] = render_api_index()
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links to files outside docs/ into plain text: the site has no such pages."""
    depth = page.file.src_uri.count("/")
    to_root = r"\.\./" * (depth + 1)
    outside = re.compile(rf"\[([^\]]+)\]\({to_root}[^)]+\)")
    return outside.sub(r"\1", markdown)


def main() -> None:
    """Write the three pages that are kept in the repository."""
    (ROOT / "docs" / "SETTINGS.md").write_text(render_settings())
    (ROOT / "docs" / "COMMANDS.md").write_text(render_commands())
    (ROOT / "docs" / "COMPONENTS.md").write_text(render_components())


if __name__ == "__main__":
    main()
