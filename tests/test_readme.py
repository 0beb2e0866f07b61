"""What README.md and docs/ tell people to type or to read is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dawnlist.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> list[str]:
    return [
        text for page in PAGES for found, text in BLOCK.findall(page.read_text()) if found == kind
    ]


def commands() -> dict[str, set[str]]:
    """Command -> the options that the pages use with it."""
    used: dict[str, set[str]] = {}
    for words in re.findall(
        r"dawnlist ((?:lake|bots|items|events|export) \w+|\w[\w-]*)([^#;&\n]*)",
        "\n".join(blocks("sh")),
    ):
        used.setdefault(words[0], set()).update(re.findall(r"(?<=\s)--?[a-z][a-z-]*", words[1]))
    return used


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_and_option_exists(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dawnlist.pipelines.cli", *command.split(), "--help"],
        capture_output=True, text=True, check=True, env={"COLUMNS": "200", "PATH": ""},
    )  # fmt: skip
    missing = {
        option for option in commands()[command] if not re.search(rf"{option}\b", done.stdout)
    }
    assert not missing


def test_the_settings_of_the_readme_are_settings() -> None:
    examples = [yaml.safe_load(block) for block in blocks("yaml")]
    ours = [
        found for found in examples if not found.keys() & {"components", "kind"}
    ]  # no manifests
    settings, *_ = map(Settings.model_validate, ours)
    assert (settings.source.time_column, settings.bots.behaviour) == ("inserted_at", "shadow")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", BLOCK.sub("", page.read_text())):
        there = page.parent / target if target else page
        assert target.startswith("http") or there.exists(), target
        assert not anchor or anchor in anchors(there), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """What a link may name after #, as GitHub makes it of the headings."""
    headings = re.findall(r"^#+ (.+)", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "script", re.findall(r"(?:python )(benchmarks/\w+\.py)", "".join(p.read_text() for p in PAGES))
)
def test_every_script_is_there(script: str) -> None:
    assert (ROOT / script).is_file()


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name for text in blocks("sh") for name in re.findall(r"^make (\w+)", text, re.MULTILINE)
    }
    assert named and named <= targets
