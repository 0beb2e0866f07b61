"""Values as shops write them: quantities, genres, and times in forms of mail, logs and file names."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from dawnlist.components.clean.duckdb_engine import open_spilling_duckdb
from dawnlist.components.clean.entities import clean_items
from dawnlist.components.clean.genres import parse_genres
from dawnlist.lake.lake import Lake
from dawnlist.rows.times import parse_moment
from dawnlist.settings import Settings, SourceSettings
from tests.test_clean import AS_OF, cleaned, evaluated, land, rows_of

TIME = "2026-01-03T10:00:00Z"


def test_a_quantity_speaks_of_purchases_and_carts_alone(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    quantities = ["0", "-1", "x", None, "1"]
    cells: dict[str, list[Any]] = {"user_id": [], "item_id": [], "event": [], "quantity": []}
    for event in ("view", "like", "cart", "purchase"):
        for number, quantity in enumerate(quantities):
            row = {"user_id": event, "item_id": f"i{number}", "event": event, "quantity": quantity}
            for name, value in row.items():
                cells[name].append(value)
    settings: dict[str, Any] = {"weights": {"like": 1}}
    report = cleaned(lake, pa.table({**cells, "ts": [TIME] * 20}), **settings)
    assert report["reasons"] == {"quantity not positive": 4, "quantity unreadable": 2}
    kept = [user for (user,) in rows_of(lake, "interactions", "user_id")]
    assert kept == ["cart"] * 2 + ["like"] * 5 + ["purchase"] * 2 + ["view"] * 5


GENRES = {
    '[{"id": 16, "name": "Animation"}, {"id": 35, "name": "Comedy"}]': ["Animation", "Comedy"],
    "[{'id': 16, 'name': 'Animation'}, {'id': 35, 'name': \"Women's\"}]": ["Animation", "Women's"],
    '{"id": 16, "Title": "Animation"}': ["Animation"],
    '[{"label": "A, B"}, {"id": 7}, null, 7]': ["A, B"],
    "[('Drama', 'Crime'), None]": ["Drama", "Crime"],
    '{Action,"Sci-Fi, Space"}': ["Action", "Sci-Fi, Space"],
    '{Action,"say \\"hi\\""}': ["Action", 'say "hi"'],
    "{1,2}": ["1", "2"],
    "['Drama', 'Drama']": ["Drama"],
    "[Drama, Crime]": ["Drama", "Crime"],
    "[__import__('os')]": ["__import__('os')"],
    "Drama|Sci-Fi, Space": ["Drama", "Sci-Fi", "Space"],
    "[" * 50_000: ["[" * 50_000],
    "[]": [],
}


@pytest.mark.parametrize(("text", "genres"), GENRES.items(), ids=[text[:30] for text in GENRES])
def test_genres(text: str, genres: list[str]) -> None:
    assert parse_genres(pa.array([text, None])).to_pylist() == [genres, None]


def test_genres_of_parquet_may_be_lists_of_objects(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    genres = [[{"id": 1, "name": "Sci-Fi, Space"}, {"id": 2, "name": "Drama"}], None]
    name = land(lake, pa.table({"item_id": ["i0", "i1"], "genres": genres}), kind="items")
    clean_items(lake, open_spilling_duckdb(tmp_path), name, Settings(), AS_OF, tmp_path)
    assert rows_of(lake, "items", "item_id", "genres") == [
        ("i0", ["Sci-Fi, Space", "Drama"]),
        ("i1", None),
    ]


MOMENT = datetime(2026, 1, 5, 10, 11, 12, tzinfo=UTC)
TIMES = [
    "20260105T101112Z",
    "20260105T111112+0100",
    "20260105T111112.0+01:00",
    "20260105T101112,000Z",
    "Mon, 05 Jan 2026 10:11:12 +0000",
    "Mon, 5 Jan 2026 11:11:12 +0100",
    "5 Jan 2026 10:11:12 GMT",
    "Mon, 05 Jan 2026 10:11:12 +0000 (UTC)",
    "05/Jan/2026:10:11:12 +0000",
    "[05/Jan/2026:05:11:12 -0500]",
    "05-JAN-2026 10:11:12 Z",
]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_times_of_mail_logs_and_names(zone: str) -> None:
    read = evaluated([*TIMES], lambda value: parse_moment(value, zone))
    assert read == [MOMENT] * len(TIMES)


def test_each_month_has_its_name() -> None:
    names = ["Jan", "FEB", "mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    read = evaluated([f"05 {name} 2026 10:11:12 GMT" for name in names], parse_moment)
    assert read == [MOMENT.replace(month=number) for number in range(1, 13)]


def test_a_compact_time_without_a_zone_is_in_the_sources() -> None:
    texts = ["20260105T111112", "20260105T1111"]
    read = evaluated([*texts], lambda value: parse_moment(value, "Europe/Berlin"))
    assert read == [MOMENT, MOMENT.replace(second=0)]


def test_what_is_no_such_time() -> None:
    texts = [
        "20261305T101112Z",
        "20260105T10",
        "05 Foo 2026 10:11:12 GMT",
        "05/Jan/26:10:11:12 +0000",
    ]
    texts += ["Mon, 32 Jan 2026 10:11:12 GMT", "05 Jan 2026 10:11:12 EST"]
    assert evaluated([*texts], parse_moment) == [None] * len(texts)


@pytest.mark.parametrize(
    ("time_format", "text"),
    [
        ("%a %d.%m.%Y %H:%M:%S %z", "Mon 05.01.2026 12:11:12 +0200"),
        ("%a %d.%m.%Y %H:%M:%S %z", "Mon 05.01.2026 10:11:12 Z"),
        ("%d.%m.%Y %H:%M:%S.%f", "05.01.2026 11:11:12.000000"),
    ],
)
def test_formats_with_weekday_offset_and_fraction(time_format: str, text: str) -> None:
    read = evaluated([text], lambda value: parse_moment(value, "Europe/Berlin", time_format))
    assert read == [MOMENT]


def test_directives_of_a_format() -> None:
    assert SourceSettings(time_format="%a %f %z").time_format == "%a %f %z"
    with pytest.raises(ValidationError, match="%f %z %a"):
        SourceSettings(time_format="%j")
