"""Each command that the documentation shows is one that the command line takes."""

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from dawnlist.pipelines.cli import app
from dawnlist.pipelines.kubeflow.assignments import parse_assignments
from dawnlist.pipelines.run_assignments import PARAMETER_KINDS

ROOT = Path(__file__).parents[1]
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if page.name != "COMMANDS.md"  # which is made from the command line itself
]
ENDS = {"|", "&&", "||", ";", ">", "2>", "&", ">>"}
"""Words after which another command begins, or a file."""


def collect_shown(text: str) -> list[str]:
    """The commands of a page's blocks of code, whole."""
    commands = []
    for block in re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        lines = block.replace("\\\n", " ").splitlines()
        for number, line in enumerate(lines):
            found = re.match(r"\s*(?:next: |\$ )?(?:\w+=\S+ )*(dawnlist [a-z].*)", line)
            if found:
                commands.append(close_quotes(found[1], lines[number + 1 :]))
    return commands


def close_quotes(command: str, following: list[str]) -> str:
    """The command with as many of the following lines as its last quotation takes."""
    text = command
    for line in following:
        try:
            shlex.split(text, comments=True)
        except ValueError:
            text = f"{text}\n{line}"
        else:
            return text
    return text


def collect_mentioned(text: str) -> list[str]:
    """The commands in a page's sentences, which may be a part of one."""
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"(?<!`)`(dawnlist [a-z][^`]*)`", " ".join(prose.split()))


def split_command(text: str) -> list[str]:
    """The words of one command, without `dawnlist`."""
    words = shlex.split(text, comments=True)[1:]
    for number, word in enumerate(words):
        if word in ENDS:
            return words[:number]
    return words


def fill_gaps(words: list[str]) -> list[str]:
    """The words with a value for each option that has `…` for one, and without other `…`."""
    filled: list[str] = []
    for before, word in pairwise(["", *words]):
        if "…" not in word:
            filled.append(word)
        elif before.startswith("--"):
            filled.append("…")
    return filled


def refuse(words: list[str], is_part: bool = False) -> str | None:
    """Why the command line would not take the words; None if it would, whatever their values.

    Nothing that a command needs is missing where it is `is_part`, or has `…`.
    """
    command: Any = typer.main.get_command(app)
    is_part |= any("…" in word for word in words)
    words = fill_gaps(words)
    while hasattr(command, "commands"):
        if not words:
            return None
        name = words.pop(0)
        if name not in command.commands:
            return f"there is no command {name}"
        command = command.commands[name]
    try:
        command.make_context("dawnlist", words)
    except Exception as error:  # typer has errors of its own, in a module that is not public
        kinds = [kind.__name__ for kind in type(error).__mro__]
        is_missing = "MissingParameter" in kinds or "requires an argument" in str(error)
        is_value = "BadParameter" in kinds and "MissingParameter" not in kinds
        is_gap = "(…)" in str(error)  # after an option that takes no value
        if is_value or is_gap or "Exit" in kinds:  # a word such as DAY for a value; or --help
            return None
        if is_missing and is_part:
            return None
        return str(error) or type(error).__name__
    return None


def refuse_assignments(words: list[str]) -> str | None:
    """Why --set would not take its names and values."""
    for option, text in pairwise(words):
        if option == "--set" and "=" in text and "…" not in text and text != "NAME=VALUE":
            try:
                parsed = parse_assignments([text], PARAMETER_KINDS)
            except ValueError as error:
                return str(error)
            if not parsed.keys() <= PARAMETER_KINDS.keys():
                return f"--set does not take {text}"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_documentation_is_one(page: Path) -> None:
    text = page.read_text()
    wrong = {}
    for is_part, commands in ((False, collect_shown(text)), (True, collect_mentioned(text))):
        for command in commands:
            words = split_command(command)
            reason = refuse(words, is_part) or refuse_assignments(words)
            if reason:
                wrong[command] = reason
    assert wrong == {}


def test_commands_are_found_where_they_stand() -> None:
    text = "Run `dawnlist\nversions` or `make`.\n\n```sh\nA=1 dawnlist submit \\\n  --detach # so\nls\n```\n"
    [shown], [mentioned] = collect_shown(text), collect_mentioned(text)
    assert split_command(shown) == ["submit", "--detach"]
    assert split_command(mentioned) == ["versions"]
    texts = [page.read_text() for page in PAGES]
    assert sum(len(collect_shown(text)) for text in texts) > 60
    assert sum(len(collect_mentioned(text)) for text in texts) > 60


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("submit --lake gs://b/l --set list_length=10 --set factors=8,16", None),
        ("submit … --as-of DAY", None),
        ("schedule '0 3 * * *' --namespace shop", None),
        ("schedule --namespace shop", "Missing"),
        ("submit --bogus", "No such option"),
        ("launch", "there is no command launch"),
        ("lake sweep", "there is no command sweep"),
        ("submit extra", "unexpected extra argument"),
        ("submit --set k=10", "--set does not take k=10"),
        ("submit --set seed=x", "seed is a whole number"),
    ],
)
def test_what_the_command_line_does_not_take_is_found(command: str, reason: str | None) -> None:
    words = split_command(f"dawnlist {command}")
    told = refuse(words) or refuse_assignments(words)
    assert (told is None) if reason is None else (reason in str(told))
