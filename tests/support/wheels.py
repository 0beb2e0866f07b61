"""Build the wheel from the files that git tracks."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGED = (
    "setup.cfg",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "dawnlist",
    "components",
    "pipelines",
    "serving",
)
"""What the build reads; dawnlist/ holds links to its three neighbours."""
BUILD = "from setuptools import build_meta as backend; print(backend.build_wheel('.'))"


def copy_tracked_files(names: Sequence[str], folder: Path) -> Path:
    """Copy files and folders of the repository as far as git tracks them; links stay links.

    The checkout may belong to another user, as one that is mounted into a container does.
    """
    tracked = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in tracked.stdout.split():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target, follow_symlinks=False)
    return folder


def build_wheel(folder: Path) -> Path:
    """Build the wheel of a copied source tree with this environment's setuptools."""
    build = subprocess.run(
        [sys.executable, "-c", BUILD], cwd=folder, capture_output=True, text=True, check=True
    )
    return folder / build.stdout.splitlines()[-1]
