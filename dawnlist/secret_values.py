"""Read secrets: from an environment variable, or from a file of the same name in a folder.

A cluster mounts the keys of a secret as files of one folder, which DAWNLIST_SECRETS_FOLDER names. A
file is in no list of a pod's environment and passes to no child process. A key that an optional
secret lacks has no file, and counts as absent, as an empty variable does.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SECRETS_FOLDER: Final = "DAWNLIST_SECRETS_FOLDER"
"""The environment variable with the folder of secrets."""
MAX_SECRET_BYTES: Final = 65_536


def read_secret(variable: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return a secret; None if neither the variable nor a file has one.

    A line break at the end of a file does not count, since editors write one.

    Raises:
        ValueError: the folder or the file can't be read, the file holds nothing, or the variable has
            another value than the file. No message has a value.
    """
    value = environment.get(variable) or None
    folder = environment.get(SECRETS_FOLDER)
    if not folder:
        return value
    file_value = _read_secret_file(Path(folder), variable)
    if file_value is None:
        return value
    if value is not None and value != file_value:
        raise ValueError(
            f"{variable} has one value in the environment and another in the folder of "
            f"{SECRETS_FOLDER}: keep one of them"
        )
    return file_value


def _read_secret_file(folder: Path, name: str) -> str | None:
    """Return the text of a secret's file; None if there is no such file."""
    if not folder.is_dir():
        raise ValueError(f"{SECRETS_FOLDER} names {str(folder)!r}, which is no folder")
    path = folder / name
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        text = content.decode().rstrip("\r\n")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = type(error).__name__
        raise ValueError(f"the secret {str(path)!r} can't be read ({reason})") from None
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError(f"the secret {str(path)!r} has more than {MAX_SECRET_BYTES:,} bytes")
    if not text.strip():
        # A file without a value must not open a door that a key was meant to close.
        raise ValueError(
            f"the secret {str(path)!r} holds nothing: write a value, or delete the file"
        )
    return text
