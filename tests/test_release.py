"""The release's plain YAML: exactly what kustomize makes of each overlay, and a head that says what to change."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dawnlist.pipelines.deploy.manifests import read_manifests
from tests.support.rendered import MANIFESTS, OVERLAYS, rendered

VARIANTS: dict[str, tuple[str, ...]] = {"": (), "-sample-data": ("sample-data",)}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make release` fills."""
    folder = tmp_path_factory.mktemp("release") / "dist"
    command = [sys.executable, str(MANIFESTS / "release.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == sorted(map(str, folder.iterdir()))
    return folder


def test_there_is_a_file_for_each_overlay(release: Path) -> None:
    names = {f"dawnlist-{overlay}{suffix}.yaml" for overlay in OVERLAYS for suffix in VARIANTS}
    assert {file.name for file in release.iterdir()} == names


@pytest.mark.parametrize("suffix", VARIANTS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_file_has_the_objects_of_its_overlay(release: Path, overlay: str, suffix: str) -> None:
    file = release / f"dawnlist-{overlay}{suffix}.yaml"
    assert list(yaml.safe_load_all(file.read_text())) == rendered(overlay, *VARIANTS[suffix])
    assert len(read_manifests(str(file))) == len(rendered(overlay, *VARIANTS[suffix]))


def test_the_head_says_how_to_apply_it_and_what_to_change(release: Path) -> None:
    lines = (release / "dawnlist-gke-gpu.yaml").read_text().splitlines()
    head = [line for line in lines if line.startswith("# ")]
    assert "# Apply it with: kubectl apply --server-side -f dawnlist-gke-gpu.yaml" in head
    assert "# Change: DAWNLIST_LAKE=gs://shop-example/lake (your bucket)" in head
    assert "# Change: cidr: 10.0.0.0/8 (where your store is)" in head
    assert "# HERE" not in "\n".join(lines)
