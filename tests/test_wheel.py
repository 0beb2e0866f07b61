"""The wheel in a folder that has a components/, a pipelines/ and a serving/ of its own, as KFP repositories do."""

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.published import publish, shop
from tests.support.servers import free_port, is_alive
from tests.support.wheels import PACKAGED, build_wheel, copy_tracked_files

THEIRS = ("components", "pipelines", "serving")
PIPELINE = """
from components import OWNER
from dawnlist.components.clean.component import clean
from dawnlist.components.fetch.component import fetch
from kfp import compiler, dsl


@dsl.pipeline(name="weekly-clean")
def weekly_clean(source: str, lake: str, as_of: str) -> None:
    landed = fetch(source=source, settings="", window_days=3, lake=lake, namespace=OWNER, as_of=as_of, run="run-1")
    clean(landed=landed.outputs["landed"], settings="", lake=lake, namespace=OWNER, as_of=as_of, run="run-1")


compiler.Compiler().compile(weekly_clean, "weekly.yaml")
"""
ROWS = "user_id,item_id,event_type,event_time,event_id\nann,A,view,2026-01-01T12:00:00Z,1\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; other packages come from this one's folder, which its links do not follow."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = build_wheel(copy_tracked_files(PACKAGED, folder / "source"))
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    [site] = environment.glob("lib/python*/site-packages")
    uv = Path(sys.executable).with_name("uv")
    python = environment / "bin" / "python"
    subprocess.run([uv, "pip", "install", "-q", "--no-deps", "--python", python, wheel], check=True)
    # a plain line: the .pth files over there, one of which finds this checkout, are not read
    (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return environment


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Somebody's KFP repository."""
    for name in THEIRS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text('OWNER = "theirs"\n')
    return tmp_path


def run(environment: Path, folder: Path, *command: str | Path) -> str:
    """Run a program of the environment in a folder, with that folder first on the path, and return what it prints."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    variables["PATH"] = f"{environment / 'bin'}:{os.environ['PATH']}"
    variables["PYTHONPATH"] = str(folder)
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_modules_come_from_the_wheel(environment: Path, foreign: Path) -> None:
    code = "import components, dawnlist.components; print(components.__file__, dawnlist.components.__file__)"
    theirs, ours = run(environment, foreign, environment / "bin" / "python", "-c", code).split()
    assert Path(theirs) == foreign / "components" / "__init__.py"
    assert Path(ours).is_relative_to(environment)


def test_the_command_compiles_the_daily_pipeline(environment: Path, foreign: Path) -> None:
    program = environment / "bin" / "dawnlist"
    run(environment, foreign, program, "compile", "--output", "daily.yaml")
    python = environment / "bin" / "python"
    run(
        environment,
        foreign,
        python,
        "-m",
        "dawnlist.pipelines.cli",
        "compile",
        "--output",
        "again.yaml",
    )
    assert (foreign / "daily.yaml").read_text() == (foreign / "again.yaml").read_text()


def container_command(package: Path, step: str) -> list[str]:
    """The command that Kubeflow's launcher starts in a step's container, up to its arguments."""
    spec = next(yaml.safe_load_all(package.read_text()))
    executor = spec["components"][f"comp-{step}"]["executorLabel"]
    container = spec["deploymentSpec"]["executors"][executor]["container"]
    return [*container["command"], *container["args"]]


def test_a_pipeline_of_the_users_own_compiles_and_its_step_runs(
    environment: Path, foreign: Path
) -> None:
    (foreign / "weekly.py").write_text(PIPELINE)
    run(environment, foreign, environment / "bin" / "python", "weekly.py")
    (foreign / "clicks.csv").write_text(ROWS)
    landed = foreign / "landed"
    parameters = {
        "source": str(foreign / "clicks.csv"),
        "settings": "",
        "window_days": 3,
        "lake": str(foreign / "lake"),
        "namespace": "theirs",
        "as_of": "2026-01-02T00:00:00Z",
        "run": "run-1",
    }
    artifact = {"name": "landed", "uri": str(landed), "type": {"schemaTitle": "system.Artifact"}}
    outputs = {
        "artifacts": {"landed": {"artifacts": [artifact]}},
        "outputFile": str(foreign / "outputs.json"),
    }
    given = {"inputs": {"parameterValues": parameters}, "outputs": outputs}
    command = container_command(foreign / "weekly.yaml", "fetch")
    command[command.index("{{$}}")] = json.dumps(given)
    run(environment, foreign, *command)
    assert json.loads(landed.read_text())["rows"] == {"interactions": 1}


@pytest.fixture
def answering(environment: Path, foreign: Path, valkey: str) -> Iterator[str]:
    """The URL of a predictor that the wheel's command serves."""
    publish(valkey, shop())
    port = free_port()
    program = environment / "bin" / "dawnlist"
    command = [str(program), "serve", "--port", str(port), "--redis", valkey]
    command += ["--namespace", "shop"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=foreign, stdout=quiet, stderr=quiet) as process:
        deadline = time.monotonic() + 180
        while not is_alive(f"http://127.0.0.1:{port}/"):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def test_the_predictor_starts_and_answers(answering: str) -> None:
    answer = httpx.get(f"{answering}/v1/recommendations/ann")
    assert (answer.status_code, answer.json()["tier"]) == (200, "list")
