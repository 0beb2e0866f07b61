"""What all commands share: negative ids, keys, formats, the version, and completion in a shell."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer.main

from dawnlist.pipelines.cli import app
from dawnlist.serving.predictor.client import request_prediction
from tests.support.kfp_api import dawnlist
from tests.support.published import publish, shop
from tests.support.servers import running_predictor

ACTIONS = {
    "demo-shop", "party", "simulate", "run", "compile", "deploy", "submit", "schedule", "unschedule", "housekeep",
    "serve", "collect", "rollback", "release", "backfill", "events replay", "items withdraw", "items restore",
    "events erase",
}  # fmt: skip
"""Commands that do something, and print what they do."""
ALWAYS_JSON = {"evaluate", "events tail", "events export"}


def list_commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """The name of each command, with those of groups, and its options."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from list_commands(inner, (*path, name))
    if not hasattr(command, "commands"):
        yield " ".join(path), {option for parameter in command.params for option in parameter.opts}


def test_every_command_that_answers_can_answer_as_json() -> None:
    commands = dict(list_commands(typer.main.get_command(app)))
    without = {name for name, options in commands.items() if "--format" not in options}
    assert without == ACTIONS | ALWAYS_JSON


@pytest.mark.parametrize(
    "words",
    [
        ("-1032", "-k", "1"),
        ("-k", "1", "-1032"),
        ("-k", "1", "--", "-1032"),
        ("--k=1", "-1032"),
    ],
)
def test_a_negative_id_is_an_argument(valkey: str, words: tuple[str, ...]) -> None:
    publish(valkey, shop())
    store = ("--redis", valkey, "--namespace", "shop", "--format", "json")
    done = dawnlist("recommend", *store, *words)
    answer = json.loads(done.out)
    assert (answer["user_id"], len(answer["items"])) == ("-1032", 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("recommend", "-x"), "No such option: -x"),
        (("recommend", "--bogus"), "No such option: --bogus"),
        (("recommend", "-1032", "--bogus"), "unexpected extra argument"),
        (("versions", "-1"), "No such option: -1"),
    ],
)
def test_an_unknown_option_is_refused_all_the_same(words: tuple[str, ...], message: str) -> None:
    done = dawnlist(*words)
    assert message in done.err and done.code == 2


def test_negative_ids_of_items_and_users_in_groups(valkey: str) -> None:
    publish(valkey, shop())
    store = ("--redis", valkey, "--namespace", "shop")
    dawnlist("items", "withdraw", *store, "-7", "-8")
    assert set(json.loads(dawnlist("items", "withdrawn", *store, "--format", "json").out)) == {
        "-7",
        "-8",
    }
    assert dawnlist("items", "restore", *store, "-7").out.startswith("1 items restored")


def test_a_predictor_that_asks_for_a_key_gets_it(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(valkey, shop())
    with running_predictor(valkey, "shop", {"DAWNLIST_API_KEY": "old-key,new-key"}) as running:
        words = ("recommend", "ann", "--predictor", running.url)
        done = dawnlist(*words)
        assert done.code == 1 and "answers 401" in done.err
        for value in ("old-key", " new-key , other"):
            monkeypatch.setenv("DAWNLIST_API_KEY", value)
            assert dawnlist(*words).out.startswith("user ann: ")
        monkeypatch.setenv("DAWNLIST_API_KEY", "wrong-key")
        done = dawnlist(*words)
        assert done.code == 1 and "wrong-key" not in done.err + done.out
        monkeypatch.setenv("DAWNLIST_API_KEY", "sécret\u2028key")
        with pytest.raises(ValueError, match="the key in DAWNLIST_API_KEY has characters") as error:
            request_prediction(running.url, "ann")
        assert "cret" not in str(error.value)


@pytest.mark.parametrize(
    "words",
    [("versions",), ("recommend", "1"), ("diff", "1", "2"), ("release",), ("items", "withdrawn")],
)
def test_an_empty_folder_stays_empty(tmp_path: Path, words: tuple[str, ...]) -> None:
    home = tmp_path / "home"
    done = dawnlist(*words, "--home", str(home))
    [line] = done.err.splitlines()
    assert line.startswith(f"dawnlist: there is no store in {home} yet: run the pipeline")
    assert done.code == 1 and not home.exists()


def test_the_version() -> None:
    done = dawnlist("--version")
    assert (done.code, done.out) == (0, f"dawnlist {version('dawnlist')}\n")


@pytest.mark.parametrize(
    ("line", "completed"), [("dawnlist ver", "versions"), ("dawnlist status --for", "--format")]
)
def test_a_shell_completes_words(line: str, completed: str) -> None:
    variables = {
        "_DAWNLIST_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    code = "import sys; sys.argv = ['dawnlist']; from dawnlist.pipelines.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, **variables},
    )  # fmt: skip
    assert done.stdout.split() == [completed]
