"""YAML that a person wrote: what is wrong with it is one short line, however large it would become."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dawnlist.components.fetch.file_listing import glob_files
from dawnlist.components.fetch.mapping_files import read_mapping_file
from dawnlist.settings import Settings
from dawnlist.values import MAX_DESCRIPTION
from dawnlist.yaml_documents import (
    MAX_NUMBER,
    MAX_REASON,
    MAX_REPEATED_NODES,
    parse_yaml,
    parse_yaml_documents,
)


def write_aliases(form: str, names: str = "abcdefgh") -> bytes:
    """Write lines of which each repeats the one before nine times; `form` is a line with %s."""
    lines = ["z: &z {x0: 1}"]
    before = "z"
    for name in names:
        aliases = ", ".join([f"*{before}"] * 9)
        lines.append(f"{name}: &{name} {form % aliases}")
        before = name
    return "\n".join(lines).encode()


def write_repeats(repeated: int) -> bytes:
    """Write a list whose aliases repeat so many values: an alias stands for ten values."""
    assert repeated % 10 == 0
    ten_values = "[1, 2, 3, 4, 5, 6, 7, 8, 9]"
    return f"[&a {ten_values}{', *a' * (repeated // 10)}]".encode()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"", None),
        (b"a: &a [1, x]\nb: *a\n", {"a": [1, "x"], "b": [1, "x"]}),
        (b"a: &a {x: 1}\nb: {<<: *a, y: 2}", {"a": {"x": 1}, "b": {"x": 1, "y": 2}}),
        (b"1" * MAX_NUMBER, int("1" * MAX_NUMBER)),
        (b"'" + b"1" * 10_000 + b"'", "1" * 10_000),
    ],
    ids=["nothing", "an alias", "a merged alias", "a long number", "a longer one in quotes"],
)
def test_yaml_is_parsed(text: bytes, value: Any) -> None:
    assert parse_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (write_aliases("[%s]"), "its aliases repeat more than 100,000 values"),
        (write_aliases("{<<: [%s]}"), "its aliases repeat more than 100,000 values"),
        (b"a: &a [*a]", "refers to itself"),
        (b"a: &a {b: *a}", "refers to itself"),
        (b"[" * 5_000 + b"]" * 5_000, "it is nested too deeply"),
        (b"- " * 5_000 + b"a", "it is nested too deeply"),
        (b"a: " + b"1" * (MAX_NUMBER + 1), "a number has 101 characters"),
        (b"a: 1." + b"1" * MAX_NUMBER, "a number has 102 characters"),
        (b"a: 0x" + b"f" * 5_000, "a number has 5,002 characters"),
        (b"a: 1" + b":0" * 100_000, "a number has 200,001 characters"),
        (b"a: 2026-13-45", "month must be in 1..12"),
        (b"a: !!bool maybe", "maybe"),
        (b"a: !!timestamp never", "NoneType"),
        (b"a: [", "expected"),
        (b"a: \xff", "invalid start byte"),
        (b"a\n---\nb", "it has 2 documents: leave one"),
    ],
    ids=[
        "aliases", "merged aliases", "a list in itself", "an object in itself", "brackets",
        "dashes", "a number", "decimals", "hexadecimal", "sexagesimal", "no date", "no boolean",
        "no time", "not closed", "not UTF-8", "two documents",
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_short_line(text: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as error:
        parse_yaml(text)
    assert "\n" not in str(error.value) and len(str(error.value)) <= MAX_REASON


def test_aliases_may_repeat_as_much_as_the_bound() -> None:
    assert len(parse_yaml(write_repeats(MAX_REPEATED_NODES))) == MAX_REPEATED_NODES // 10 + 1
    with pytest.raises(ValueError, match="its aliases repeat more"):
        parse_yaml(write_repeats(MAX_REPEATED_NODES + 10))


def test_the_loader_in_c_has_the_same_bounds() -> None:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    assert list(parse_yaml_documents(b"a: 1\n---\nb: 2", loader)) == [{"a": 1}, {"b": 2}]
    with pytest.raises(ValueError, match="its aliases repeat more"):
        list(parse_yaml_documents(write_aliases("[%s]"), loader))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (write_aliases("[%s]"), "are not valid YAML: its aliases repeat"),
        (write_aliases("[%s]", "abcd") + b"\nsource: *d", r"source is \[\[\[\.\.\.\], "),
        (b"bots: " + b"[" * 5_000, "are not valid YAML: it is nested too deeply"),
        (b"source: {interactions: 5, items: " + b"x" * 100_000 + b", a: 1}", "interactions is 5"),
        (b"? " + b"x" * 100_000 + b"\n: 1", r"xxx\.\.\. is 1: there is no such name"),
        (
            b"source: " + b"'redis://:secret@h/" + b"x" * 1_000 + b"'",
            r"source is 'redis://:\*\*\*@",
        ),
    ],
    ids=["aliases", "fewer aliases", "brackets", "a long value", "a long name", "a password"],
)
def test_settings_that_are_too_much_are_one_short_line(
    tmp_path: Path, text: bytes, message: str
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=message) as error:
        Settings.load(str(path))
    assert len(str(error.value)) < 5_000 and "secret" not in str(error.value)


def test_many_errors_in_settings_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("".join(f"unknown{number}: 1\n" for number in range(20)))
    with pytest.raises(ValueError, match="unknown19 is 1") as error:
        Settings.load(str(path))
    assert " more" not in str(error.value)
    path.write_text("".join(f"unknown{number}: 1\n" for number in range(1_021)))
    with pytest.raises(ValueError, match=r"unknown19 is 1: .*; and 1001 more$") as error:
        Settings.load(str(path))
    assert "unknown20" not in str(error.value)


@pytest.mark.parametrize(
    "text", [write_aliases("[%s]"), b"[" * 5_000, b"a: 2026-13-45"], ids=range(3)
)
def test_a_mapping_that_is_too_much_is_one_short_line(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "mapping.yaml").write_bytes(text)
    [file] = glob_files("mapping.yaml", str(tmp_path))
    with pytest.raises(ValueError, match=r"mapping '.*mapping\.yaml' is no YAML: ") as error:
        read_mapping_file(file)
    assert len(str(error.value)) < 200 + MAX_DESCRIPTION + MAX_REASON
