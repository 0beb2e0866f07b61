"""Print to the terminal: consoles for standard output and standard error, and a progress bar."""

import os
import sys
import time
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


class StepStatus:
    """A line on standard error with the steps that run now. Their seconds count on by themselves."""

    def __init__(self, waiting_text: str) -> None:
        self._waiting_text = waiting_text
        self._started: dict[str, float] = {}
        """For each step that runs, its start by the monotonic clock."""

    def show(self, steps: dict[str, float]) -> None:
        """Set the steps that run now, and for how many seconds each has run."""
        now = time.monotonic()
        self._started = {name: now - seconds for name, seconds in steps.items()}

    def __rich__(self) -> str:
        """Render the line, which rich does several times a second."""
        if not self._started:
            return self._waiting_text
        now = time.monotonic()
        texts = [f"{escape(name)} {now - start:.0f} s" for name, start in self._started.items()]
        return ", ".join(texts)


@contextmanager
def show_step_status(waiting_text: str) -> Iterator[StepStatus]:
    """Show the steps that run now on standard error; `waiting_text` while there are none."""
    status = StepStatus(waiting_text)
    with err.status(status):
        yield status
