"""Run `dawnlist deploy` in this process, with what it says kept."""

import io
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest
from rich.console import Console

from dawnlist.pipelines import cli


@dataclass(frozen=True)
class Done:
    """What a command has said."""

    code: int
    out: list[str]
    err: list[str]


def run_deploy(
    monkeypatch: pytest.MonkeyPatch, modules: tuple[ModuleType, ...], *words: str
) -> Done:
    """Run the command; `modules` are those that print to the consoles `out` and `err`."""
    out, err = io.StringIO(), io.StringIO()
    for name, file in (("out", out), ("err", err)):
        console = Console(file=file, width=200, highlight=False)
        for module in modules:
            monkeypatch.setattr(module, name, console)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "argv", ["dawnlist", "deploy", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return Done(
        int(ended.value.code or 0), out.getvalue().splitlines(), err.getvalue().splitlines()
    )
