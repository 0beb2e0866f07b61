import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import NOBODY

COMMANDS = (
    "simulate", "run", "compile", "serve", "recommend", "versions", "rollback", "release", "diff", "items", "backfill",
    "ablate", "crawl", "query", "lake", "train", "evaluate", "tune",
    "deploy", "submit", "schedule", "unschedule", "status", "housekeep",
)  # fmt: skip


def dawnlist(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "dawnlist.pipelines.cli", *words],
        capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200", **environment},
    )  # fmt: skip


def test_help_teaches() -> None:
    text = dawnlist("--help").stdout
    assert all(command in text for command in COMMANDS)
    assert "dawnlist run --local" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = dawnlist(command, "--help")
    assert done.returncode == 0 and "Usage:" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "add --local"),
        (["run", "--local", "--as-of", "soon"], "as_of 'soon' is no time"),
        (["run", "--local", "--as-of", "2999-01-01T00:00:00Z"], "is in the future"),
        (["run", "--local", "--factors", "a,b"], "--factors is 'a,b': give numbers with commas"),
        (["run", "--local", "--factors", "64,-5"], "factors is -5.0: give a number from 1 to 4096"),
        (["run", "--local", "--iterations", "0"], "iterations is 0: give a number from 1"),
        (["run", "--local", "--set", "k"], "--set 'k' has no '=': give NAME=VALUE"),
        (["run", "--local", "--set", "kk=5"], "the pipeline has no parameter kk: --set takes"),
        (["run", "--local", "--set", "seed=5", "--set", "seed=6"], "--set seed=… is given twice"),
        (["run", "--local", "--set", "shop_lake=x"], "give shop_lake by --lake"),
        (["run", "--local", "--set", "seed=x"], "--set seed='x': seed is a whole number"),
        (
            ["run", "--local", "--set", "factors=32", "--factors", "64"],
            "factors is given twice: by --factors and by --set",
        ),
        (
            ["run", "--local", "--set", "factors=64,4097"],
            "factors is 4097.0: give a number from 1 to 4096",
        ),
        (["run", "--local", "--set", "metric=ndgc"], "metric 'ndgc' is unknown"),
        (
            ["run", "--local", "--set", "search_mode=some"],
            "search_mode is 'some': give one of full",
        ),
        (
            ["run", "--local", "--metric", "ndgc"],
            "metric 'ndgc' is unknown: give one of ndcg, recall, map, mrr",
        ),
        (
            ["run", "--local", "--redis", "redis://:s3cret@h:1"],
            "set DAWNLIST_REDIS_PASSWORD instead",
        ),
        (
            ["recommend", "1", "--redis", "redis://NOBODY"],
            "no store answers at redis://NOBODY",
        ),
        (
            ["recommend", "1", "--predictor", "http://NOBODY"],
            "no predictor answers at http://NOBODY",
        ),
        (["compile", "--nodes", "tpu"], "nodes is 'tpu'"),
        (["rollback", "--lake", "ftp://x"], "give a folder or"),
        (
            ["simulate", "--out", "postgresql://me:s3cret@NOBODY/shop"],
            "set DAWNLIST_SOURCE_PASSWORD instead",
        ),
        (["simulate", "--out", "ftp://x"], "can't write a shop to ftp://"),
        (["simulate", "--end", "soon"], "the day is 'soon': give one such as 2026-01-31, or today"),
    ],
)
def test_a_failure_is_one_clear_line(words: list[str], message: str, tmp_path: Path) -> None:
    words = [word.replace("NOBODY", NOBODY) for word in words]
    message = message.replace("NOBODY", NOBODY)
    home = ["--home", str(tmp_path)] if words[0] in ("run", "recommend", "rollback") else []
    done = dawnlist(*words, *home)
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("dawnlist: ") and message in line
    assert "s3cret" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--bogus"], "No such option: --bogus (see --help)"),
        (["recommend"], "Missing argument 'user'"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["serve", "--port", "0"], "Invalid value for '--port'"),
    ],
)
def test_a_wrong_word_is_one_line_too(words: list[str], message: str) -> None:
    done = dawnlist(*words)
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("dawnlist: ") and message in line


def test_no_words_are_a_call_for_help() -> None:
    assert dawnlist().stdout == dawnlist("--help").stdout


@pytest.mark.parametrize("group", ["bots", "lake"])
def test_so_is_a_group_without_a_command(group: str) -> None:
    done = dawnlist(group)
    assert (done.returncode, done.stderr) == (2, "") and done.stdout.strip() == dawnlist(
        group, "--help"
    ).stdout.strip()


@pytest.mark.parametrize("command", ["run", "backfill"])
def test_help_cuts_no_name_off_on_a_narrow_terminal(command: str) -> None:
    said = dawnlist(command, "--help", COLUMNS="80").stdout
    assert all(
        word in said
        for word in ("DAWNLIST_SOURCE_PASSWORD", "postgresql://USER@HOST/DB", ".dawnlist/shop.db")
    )


def test_debug_shows_the_traceback() -> None:
    done = dawnlist("--debug", "compile", "--nodes", "tpu")
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_versions_of_an_empty_store(valkey: str) -> None:
    said = dawnlist("versions", "--redis", valkey).stdout
    assert said.startswith(
        "nothing has been published in namespace 'default': check --redis, --home and --namespace"
    )
    done = dawnlist("recommend", "1", "--redis", valkey)
    assert done.returncode == 1 and "nothing has been published" in done.stderr
