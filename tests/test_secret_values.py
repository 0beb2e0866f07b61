"""Secrets come from the environment or from files of a folder; what can't be read never opens a door."""

import os
from pathlib import Path

import pytest

from dawnlist.messages.masking import mask_secrets
from dawnlist.secret_values import MAX_SECRET_BYTES, SECRETS_FOLDER, read_secret
from dawnlist.serving.collector.senders import Senders
from dawnlist.serving.predictor.transports.auth import Authenticator
from dawnlist.store.endpoint import ServerEndpoint

NAME = "DAWNLIST_API_KEY"


def read(folder: Path, **environment: str) -> str | None:
    return read_secret(NAME, {SECRETS_FOLDER: str(folder), **environment})


def test_a_secret_is_a_variable_or_a_file(tmp_path: Path) -> None:
    assert read_secret(NAME, {}) is None
    assert read_secret(NAME, {NAME: ""}) is None  # an optional secret that is missing
    assert read_secret(NAME, {NAME: "key"}) == "key"
    assert read(tmp_path) is None
    (tmp_path / NAME).write_text("key\n")
    assert read(tmp_path) == "key"
    assert read(tmp_path, **{NAME: ""}) == "key"
    assert read(tmp_path, **{NAME: "key"}) == "key"
    assert read_secret("DAWNLIST_JWT_KEY", {SECRETS_FOLDER: str(tmp_path)}) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds nothing: write a value, or delete the file"),
        (b"\r\n", "holds nothing: write a value, or delete the file"),
        (b" \n", "holds nothing: write a value, or delete the file"),
        (b"\xff", r"can't be read \(UnicodeDecodeError\)"),
        (b"k" * (MAX_SECRET_BYTES + 1), "has more than 65,536 bytes"),
    ],
    ids=["empty", "a line break", "a blank", "no text", "too long"],
)
def test_a_file_that_holds_no_secret_is_refused(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read(tmp_path)


def test_a_secret_on_the_bound_is_taken(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"k" * MAX_SECRET_BYTES)
    assert read(tmp_path) == "k" * MAX_SECRET_BYTES


def test_a_folder_that_is_none_and_two_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{SECRETS_FOLDER} names '.*missing', which is no folder"):
        read(tmp_path / "missing")
    (tmp_path / NAME).mkdir()
    with pytest.raises(ValueError, match=r"can't be read \(IsADirectoryError\)"):
        read(tmp_path)
    (tmp_path / NAME).rmdir()
    (tmp_path / NAME).write_text("secret-of-the-file")
    with pytest.raises(ValueError, match="keep one of them") as error:
        read(tmp_path, **{NAME: "secret-of-the-variable"})
    assert "secret-of" not in str(error.value)


def test_the_predictor_the_collector_and_the_store_read_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DAWNLIST_API_KEY", "DAWNLIST_COLLECTOR_KEYS", "DAWNLIST_REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
        (tmp_path / name).write_text(f"{name}-value\n")
    monkeypatch.setenv(SECRETS_FOLDER, str(tmp_path))
    assert len(Authenticator.from_environment(os.environ).api_keys) == 1
    senders = Senders.from_environment(os.environ, {})
    assert senders.identify_sender("DAWNLIST_COLLECTOR_KEYS-value", "") == "server-1"
    assert b"DAWNLIST_REDIS_PASSWORD-value" in ServerEndpoint.from_url("redis://h:1/0").greeting
    assert mask_secrets("it said DAWNLIST_API_KEY-value") == "it said ***"
    assert mask_secrets("it said DAWNLIST_COLLECTOR_KEYS-value") == "it said ***"


@pytest.mark.parametrize("content", ["", " ", ",", "\n"], ids=["empty", "blank", "comma", "line"])
def test_a_file_without_a_key_opens_no_door(tmp_path: Path, content: str) -> None:
    for name in ("DAWNLIST_API_KEY", "DAWNLIST_COLLECTOR_KEYS", "DAWNLIST_JWT_KEY"):
        (tmp_path / name).write_text(content)
    environment = {SECRETS_FOLDER: str(tmp_path)}
    with pytest.raises(ValueError, match=r"holds nothing|only blanks|no key"):
        Authenticator.from_environment(environment)
    with pytest.raises(ValueError, match=r"holds nothing|only blanks|no key"):
        Senders.from_environment(environment, {})
