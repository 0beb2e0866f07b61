from dataclasses import dataclass, field
from typing import Any

import pytest

from dawnlist.dataclass_json import JSON_KEY, OMIT_NONE, from_json, to_json


@dataclass(frozen=True)
class Part:
    name: str
    size: int = 0


@dataclass(frozen=True)
class Whole:
    start: str = field(metadata={JSON_KEY: "from"})
    part: Part | None = None
    parts: list[Part] = field(default_factory=list)
    by_name: dict[str, Part] = field(default_factory=dict)
    shares: dict[str, list[float]] | None = None
    note: str | None = field(default=None, metadata={OMIT_NONE: True})


EMPTY: dict[str, Any] = {"from": "a", "part": None, "parts": [], "by_name": {}, "shares": None}
FULL = Whole("a", Part("b", 1), [Part("c")], {"d": Part("d", 2)}, {"e": [0.5]}, "said")


def test_fields_keep_their_order_and_an_omitted_none_has_no_key() -> None:
    assert list(to_json(Whole("a")).items()) == list(EMPTY.items())
    assert list(to_json(FULL)) == [*EMPTY, "note"]
    assert to_json(FULL)["by_name"] == {"d": {"name": "d", "size": 2}}


@pytest.mark.parametrize("whole", [Whole("a"), FULL])
def test_what_is_written_reads_back(whole: Whole) -> None:
    assert from_json(Whole, to_json(whole)) == whole


def test_older_and_newer_records_are_read() -> None:
    assert from_json(Whole, {"from": "a", "later": 1}) == Whole("a")
    with pytest.raises(TypeError, match="'start'"):
        from_json(Whole, {"note": "said"})
