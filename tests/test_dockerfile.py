"""The image: what is copied is there and enough, and the install line installs; Docker itself is not asked."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.support.wheels import build_wheel, copy_tracked_files

ROOT = Path(__file__).parent.parent
LINES = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text()).splitlines()


def said(instruction: str) -> list[str]:
    return [
        line.removeprefix(instruction).strip()
        for line in LINES
        if line.startswith(f"{instruction} ")
    ]


def copied() -> list[str]:
    """What comes from the repository, in order."""
    return [
        name for line in said("COPY") if not line.startswith("--from") for name in line.split()[:-1]
    ]


def test_what_is_copied_is_there_and_all_that_docker_is_given() -> None:
    assert [name for name in copied() if not (ROOT / name).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*"
    assert {name.removeprefix("!") for name in ignored if name.startswith("!")} == set(copied())


def test_the_base_is_pinned_and_no_tool_stays() -> None:
    assert [line for line in said("ARG") if line.startswith("PYTHON=")] == [
        "PYTHON=python:3.11.16-slim-trixie"
    ]
    assert said("FROM") == ["${PYTHON} AS build", "${PYTHON}"]
    last = LINES[len(LINES) - 1 - LINES[::-1].index("FROM ${PYTHON}") :]
    assert not any(
        "pip" in line or line.startswith("ADD") for line in last if not line.startswith("#")
    )
    assert all("uv" not in line for line in last)


def test_it_runs_as_the_user_of_the_manifests() -> None:
    service = yaml.safe_load((ROOT / "manifests" / "base" / "predictor.yaml").read_text())
    assert said("USER") == [str(service["spec"]["predictor"]["securityContext"]["runAsUser"])]


def test_the_driver_of_a_gpu_node_of_gke_is_found() -> None:
    """GKE mounts libcuda.so.1 there, and images of CUDA's say so to the loader; this one is none."""
    last = LINES[len(LINES) - 1 - LINES[::-1].index("FROM ${PYTHON}") :]
    assert "ENV LD_LIBRARY_PATH=/usr/local/nvidia/lib64" in last


def test_the_wheel_of_what_is_copied_holds_all_that_is_imported_and_read(tmp_path: Path) -> None:
    folder = copy_tracked_files(copied(), tmp_path)
    needed = set()
    for name in ("dawnlist", "components", "pipelines", "serving"):
        paths = [path.relative_to(folder) for path in (folder / name).rglob("*") if path.is_file()]
        needed |= {str(path if name == "dawnlist" else "dawnlist" / path) for path in paths}
    with zipfile.ZipFile(build_wheel(folder)) as wheel:
        names = set(wheel.namelist())
    assert needed - names == set()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"dawnlist"}


@pytest.mark.skipif(
    "DAWNLIST_PROVE" not in os.environ, reason="installs everything anew; set DAWNLIST_PROVE=1"
)
def test_the_install_line_installs(tmp_path: Path) -> None:
    """In a new environment, with the very lines, but for the place; it takes minutes and the network."""
    environment = tmp_path / "dawnlist"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (install,) = (line for line in said("RUN") if line.startswith("uv pip install"))
    assert "-m venv --without-pip /opt/dawnlist" in said("RUN")[0]
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    folder = copy_tracked_files(copied(), tmp_path / "source")
    line = install.replace("/opt/dawnlist", str(environment))
    subprocess.run(
        ["bash", "-euc", line],
        cwd=folder,
        env={**os.environ, "PATH": tools},
        check=True,
        timeout=900,
    )
    program = environment / "bin" / "dawnlist"
    done = subprocess.run(
        [program, "compile", "--output", tmp_path / "daily.yaml"], cwd=tmp_path, check=False
    )
    assert (done.returncode, (tmp_path / "daily.yaml").stat().st_size > 10_000) == (0, True)
