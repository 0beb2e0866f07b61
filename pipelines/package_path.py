"""Find a compiled package."""

from pathlib import Path


def require_package(path: Path) -> Path:
    """Return the path of a package.

    Raises:
        FileNotFoundError: There is no such file. The message names the command that writes one.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no package {str(path)!r}: `dawnlist compile --output {path}` writes it"
        )
    return path
