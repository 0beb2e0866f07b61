"""The components one by one: each in a file of its own, and in a pipeline of somebody else."""

import re
from pathlib import Path

import pytest
import yaml
from kfp import components

from dawnlist.pipelines.package import write_component
from dawnlist.pipelines.placement import LAKE_KEYS
from dawnlist.pipelines.resources.step_resources import STEP_RESOURCES
from tests.test_cli import dawnlist

PAGE = Path(__file__).parents[1] / "docs" / "COMPONENTS.md"
SECTION = re.compile(r"^### (\w+)\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("step", STEP_RESOURCES)
def test_each_step_is_a_component_that_loads(step: str, tmp_path: Path) -> None:
    file = tmp_path / f"{step}.yaml"
    write_component(file, step, "registry.example/other:1.2.3")
    loaded = components.load_component_from_file(str(file))
    assert loaded.name == step
    names = {*loaded.component_spec.inputs, *loaded.component_spec.outputs}
    assert names == list_names_of_page(step.replace("-", "_"))
    [executor] = yaml.safe_load(file.read_text())["deploymentSpec"]["executors"].values()
    assert executor["container"]["image"] == "registry.example/other:1.2.3"


def list_names_of_page(step: str) -> set[str]:
    """The inputs and outputs of a step that the page names."""
    sections = dict(SECTION.findall(PAGE.read_text()))
    return set(re.findall(r"^\| `(\w+)` \|", sections[step], re.MULTILINE))


def test_the_command_writes_a_component(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    done = dawnlist("compile", "--component", "filter_bots", "--output", str(file))
    assert done.stdout == f"next: kfp.components.load_component_from_file('{file}')\n"
    assert components.load_component_from_file(str(file)).name == "filter-bots"
    done = dawnlist("compile", "--component", "filter", "--output", str(file))
    assert "the component is 'filter': give one of fetch, clean, filter-bots, " in done.stderr


def test_the_pipeline_of_the_page_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    file = tmp_path / "find_bots.py"
    file.write_text(code)
    # kfp reads the source of a component, so the code has to lie in a file.
    exec(compile(code, str(file), "exec"), {"__name__": "find_bots"})
    spec, platform = yaml.safe_load_all((tmp_path / "find-bots.yaml").read_text())
    tasks = spec["root"]["dag"]["tasks"]
    assert set(tasks) == {"fetch", "clean", "filter-bots", "count-verdicts"}
    images = {
        executor["container"]["image"] for executor in spec["deploymentSpec"]["executors"].values()
    }
    assert images == {"registry.example/shop/dawnlist-python:0.2.0"}
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    [secret] = executors["exec-clean"]["secretAsEnv"]
    assert {entry["envVar"] for entry in secret["keyToEnv"]} == set(LAKE_KEYS)
    assert "exec-count-verdicts" not in executors
