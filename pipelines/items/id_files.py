"""Collect the ids of items that a command names: as arguments, or in a file with one a line."""

import sys
from collections.abc import Iterable
from pathlib import Path

STANDARD_INPUT = Path("-")


def collect_item_ids(arguments: Iterable[str], file: Path | None) -> list[str]:
    """Return the ids of the arguments and of the file, each once.

    Blank lines of the file are ignored, and so are blanks around an id.

    Raises:
        ValueError: There is no id, or the file is not text in UTF-8.
        OSError: The file can't be read.
    """
    ids = list(arguments)
    if file is not None:
        ids += _read_ids(file)
    if not ids:
        raise ValueError("there is no id of an item: give ids, or --file with an id a line")
    return list(dict.fromkeys(ids))


def _read_ids(file: Path) -> list[str]:
    try:
        if file == STANDARD_INPUT:
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        else:
            text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{str(file)!r} is not text in UTF-8: give an id a line") from None
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line]
