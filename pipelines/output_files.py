"""Choose the format of a query's rows, and write them to a file or to standard output."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

ROW_FORMATS: Final = ("table", "csv", "json", "parquet")
TABLE_ROWS: Final = 100
"""The rows of a table, unless --limit says otherwise."""


def choose_row_format(requested: str, output: Path | None) -> str:
    """Choose the format of rows.

    Args:
        requested: The format of --format; empty for the suffix of the file, or a table.
        output: The file of --output; None for standard output.

    Raises:
        ValueError: The format is unknown, or does not suit the output.
        FileNotFoundError: The file's folder does not exist.
    """
    row_format = requested or _infer_row_format(output)
    choices = ROW_FORMATS if output is None else ROW_FORMATS[1:]
    if row_format not in choices:
        raise ValueError(f"--format is {row_format!r}: give {', '.join(choices)}")
    if output is not None:
        require_output_folder(output)
    elif row_format == "parquet" and sys.stdout.isatty():
        raise ValueError(
            "a terminal can't show Parquet: give --output FILE, or send the output to a file or a "
            "program"
        )
    return row_format


def _infer_row_format(output: Path | None) -> str:
    if output is None:
        return "table"
    return output.suffix.removeprefix(".").lower()


def choose_row_limit(limit: int | None, row_format: str) -> int:
    """Return the number of rows to show; 0 means all. Without --limit, a table shows TABLE_ROWS."""
    if limit is not None:
        return limit
    return TABLE_ROWS if row_format == "table" else 0


def require_output_folder(output: Path) -> None:
    """Check that a file can be written.

    Raises:
        FileNotFoundError: The file's folder does not exist.
    """
    if not output.parent.is_dir():
        raise FileNotFoundError(
            f"the output's folder {str(output.parent)!r} does not exist: make it first"
        )


def write_rows(reader: Any, row_format: str, output: Path | None) -> None:
    """Write rows as csv, json or parquet, to a file or to standard output.

    When it fails, no file is left behind.

    Args:
        reader: A pyarrow.RecordBatchReader.
        row_format: csv, json or parquet.
        output: The file to write; None for standard output.
    """
    from dawnlist.pipelines import query_output

    writers = {
        "csv": query_output.write_csv,
        "json": query_output.write_json,
        "parquet": query_output.write_parquet,
    }
    write = writers[row_format]
    if output is not None:
        with _open_atomically(output) as sink:
            write(reader, sink)
        return
    try:
        write(reader, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The reading program, such as head, has ended. Python must not fail again at exit, when
        # it flushes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _open_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears under its name only after everything has been written."""
    staged = path.with_name(f".{path.name}.part")
    try:
        with staged.open("wb") as sink:
            yield sink
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


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
