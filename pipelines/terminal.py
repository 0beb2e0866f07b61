"""Print to the terminal: consoles for standard output and standard error, and a progress bar."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

FILE_WIDTH = 160
"""Columns of output to a file or a pipe. These have no width, and rich's 80 columns are too few."""


def _choose_width() -> int | None:
    """Return the width of standard output, or None to let rich ask the terminal or COLUMNS."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return None
    return FILE_WIDTH


out = Console(highlight=False, width=_choose_width())
# A local run redirects sys.stderr to its log. With stderr=True the console would follow it there.
err = Console(file=sys.stderr, highlight=False)


def print_line(text: str) -> None:
    """Print text to standard output as it is, without markup and without wrapping long lines."""
    out.print(escape(text), soft_wrap=True)


@contextmanager
def show_progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on standard error. Yields the function (done, total) that moves it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(description, total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield advance
