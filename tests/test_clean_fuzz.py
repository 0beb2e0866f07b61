"""Mangled files through fetch and clean: either one line says what is wrong, or each row of the file is in the sum."""

import csv
import io
import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.settings import Settings

CASES = 3_000 if os.environ.get("DAWNLIST_PROVE") else 8
BATCH = 50
"""Cases of one test, when there are many."""
ROWS = 60
AS_OF = parse_as_of("2026-01-31T00:00:00Z")
START = datetime(2026, 1, 30, tzinfo=UTC)
HEADER = ("event_id", "user_id", "item_id", "event", "ts", "rating", "user_agent", "ip_address")
HOSTILE = (
    "", "null", "\x00", "\ufeff", "\u202e", "🦑" * 9, "1e999", "-", "0x1", "9" * 400, "a\nb", '"', "'", ",", ";", "\t",
    "T", "2026-13-45", "infinity", "\\N", "=cmd()", "x" * 300_000, "\U0010ffff", "a\r\nb", '""', "|", "\x1f", "NaN",
)  # fmt: skip

Columns = list[tuple[str, list[Any]]]


def shop(dice: random.Random) -> Columns:
    """ROWS events, some of them bad as they come."""

    def row(number: int) -> tuple[str, ...]:
        time = START + timedelta(seconds=dice.randrange(86_400))
        event = dice.choice(("view", "purchase", "rating", "View", "scroll"))
        id_ = str(number - dice.choice((0, 0, 0, 1)))
        return (id_, str(dice.randrange(9)), f"i{dice.randrange(9)}", event, time.isoformat(), str(dice.randrange(12)),
                "Mozilla/5.0", "203.0.113.7")  # fmt: skip

    cells = zip(*(row(number) for number in range(ROWS)), strict=True)
    return [(name, list(column)) for name, column in zip(HEADER, cells, strict=True)]


def drop(dice: random.Random, columns: Columns) -> None:
    columns.pop(dice.randrange(len(columns)))


def rename(dice: random.Random, columns: Columns) -> None:
    place = dice.randrange(len(columns))
    names = (
        "USER ID",
        "x",
        "Event.Type",
        "item id",
        "",
        "c0",
        "key",
        "source",
        "arrived",
        'a"b',
        "naïve",
        "c0 --",
    )
    columns[place] = dice.choice(names), columns[place][1]


def reorder(dice: random.Random, columns: Columns) -> None:
    dice.shuffle(columns)


def double(dice: random.Random, columns: Columns) -> None:
    columns.append(dice.choice(columns))


def spoil(dice: random.Random, columns: Columns) -> None:
    for _ in range(dice.randrange(1, 30)):
        _, cells = dice.choice(columns)
        cells[dice.randrange(ROWS)] = dice.choice(HOSTILE)


def empty(dice: random.Random, columns: Columns) -> None:
    _, cells = dice.choice(columns)
    cells[:] = [None] * ROWS


SHAPES = (drop, rename, reorder, double, spoil, spoil, empty)
TYPES: tuple[Callable[[random.Random], Any], ...] = (
    lambda dice: dice.choice((1, -5, 2**40)),
    lambda dice: dice.choice((1.0, float("nan"), float("inf"), -1e300, 1.5e18)),
    lambda dice: dice.random() < 0.5,
    lambda dice: datetime(2026, 1, 30, dice.randrange(24), tzinfo=dice.choice((UTC,))),
    lambda dice: datetime(2026, 1, 30, dice.randrange(24)),
    lambda dice: START.date(),
    lambda dice: ["a", None, "b"][: dice.randrange(3)],
    lambda dice: {"id": dice.randrange(9)},
    lambda dice: bytes(dice.randrange(256) for _ in range(4)),
    lambda dice: timedelta(seconds=dice.randrange(99)),
)


def retyped(dice: random.Random, columns: Columns) -> pa.Table:
    """As Arrow's table, some columns of another type."""
    made = []
    for _, cells in columns:
        if dice.random() < 0.2:
            kind = dice.choice(TYPES)
            made.append(pa.array([dice.choice((kind(dice), None)) for _ in cells]))
        else:
            made.append(pa.array(cells, pa.string()))
    return pa.Table.from_arrays(made, names=[name for name, _ in columns])


def as_csv(dice: random.Random, columns: Columns) -> bytes:
    text = io.StringIO(newline="")
    delimiter, end = dice.choice(",;\t|"), dice.choice(("\n", "\r\n"))
    if dice.random() < 0.5:
        out = csv.writer(text, delimiter=delimiter, lineterminator=end)
    else:
        out = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    out.writerow([name for name, _ in columns])
    out.writerows(zip(*(cells for _, cells in columns), strict=True))
    return text.getvalue().encode()


def mangled(dice: random.Random, data: bytes) -> bytes:
    """Bytes changed, cut out or put in, at random places."""
    bent = bytearray(data)
    for _ in range(dice.choice((0, 0, 1, 3, 20))):
        place = dice.randrange(len(bent))
        piece = dice.choice(
            (
                b'"',
                b"\xff\xfe",
                b"\x00",
                b"\n",
                b",",
                bytes([dice.randrange(256)]),
                b"\xc3\x28",
                b"",
            )
        )
        bent[place : place + dice.choice((0, 1, 1, 9))] = piece
    return bytes(bent) or b"\n"


def told(home: Path, number: int) -> tuple[str, int | None]:
    """What became of a case, and how many rows it has to account for (None: its bytes were mangled)."""
    dice = random.Random(number)
    columns = shop(dice)
    for _ in range(dice.randrange(4)):
        if columns:
            dice.choice(SHAPES)(dice, columns)
    source = home / "source"
    source.mkdir()
    kind = dice.choice(("csv", "parquet"))
    file, whole = source / f"2026-01-30.{kind}", io.BytesIO()
    if kind == "parquet":
        pq.write_table(retyped(dice, columns), whole)
    data = as_csv(dice, columns) if kind == "csv" else whole.getvalue()
    bent = mangled(dice, data)
    file.write_bytes(bent)
    try:
        report = ran(home, source)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) < 2_000, str(error)
        return f"{kind} refused", None
    rows = report["clean"] + report["quarantined"] + report["duplicates"] + report["double_clicks"]
    assert rows == report["rows_in"]
    if bent == data:
        assert rows == ROWS
    return f"{kind} {'mangled and ' if bent != data else ''}cleaned", rows


def ran(home: Path, source: Path) -> dict[str, Any]:
    """Fetch and clean of the day; what was committed must be what the report says."""
    lake = Lake.open(str(home / "lake"), "shop")
    settings = Settings()
    landed = fetch_source(lake, str(source), settings.source, AS_OF, "r1", 3)
    report = clean_landed_objects(lake, landed, settings, AS_OF, "r1")
    for name, rows in (("interactions", report["clean"]), ("quarantine", report["quarantined"])):
        stored = lake.rows(name)
        assert (0 if stored is None else stored.count_rows()) == rows
    return report


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("batch", range(max(1, CASES // BATCH)))
def test_each_row_is_in_the_sum_or_one_line_says_why(tmp_path: Path, batch: int) -> None:
    counts: dict[str, int] = {}
    for number in range(batch * BATCH, batch * BATCH + min(CASES, BATCH)):
        home = tmp_path / str(number)
        home.mkdir()
        try:
            what, _ = told(home, number)
        except BaseException as error:
            error.add_note(f"case {number}")
            raise
        counts[what] = counts.get(what, 0) + 1
    print(dict(sorted(counts.items())))
    assert any("cleaned" in what for what in counts)
