"""Files of every kind that a source may be: what lands of them, and what clean makes of it."""

import gc
import gzip
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.files import FileSource
from dawnlist.components.fetch.filesystems import resolve_filesystem
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.components.fetch.sources import open_source
from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.settings import Settings, SourceSettings
from tests.support.literal import interactions
from tests.support.servers import NOBODY

REAL = Path(__file__).parents[2] / "shared" / "data"
AS_OF = parse_as_of("2026-01-02T00:00:00Z")
START, END = datetime(2025, 12, 30, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
ALL = (datetime(1995, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
SETTINGS = SourceSettings()
Rows = list[dict[str, Any]]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


def rows(source: Path | str, start: datetime = START, end: datetime = END) -> Rows:
    """The interactions of a window as they land."""
    landed: Rows = pa.Table.from_batches(
        open_source(str(source), SETTINGS).interactions(start, end)
    ).to_pylist()
    return landed


def whole(source: Path | str, table: str) -> Rows:
    landed: Rows = pa.Table.from_batches(
        open_source(str(source), SETTINGS).read_whole_table(table)
    ).to_pylist()
    return landed


def cleaned(
    lake: Lake, source: Path | str, year: int, settings: SourceSettings = SETTINGS
) -> list[tuple[Any, ...]]:
    """Through fetch and clean: user, item, event, weight and time of what the lake then holds of a year or so."""
    as_of = datetime(year + 1, 1, 2, tzinfo=UTC)
    landed = fetch_source(lake, str(source), settings, as_of, "run-1", window_days=400)
    report = clean_landed_objects(lake, landed, Settings(source=settings), as_of, "run-1")
    assert (report["clean"], report["quarantined"]) == (report["rows_in"], 0), report
    return table(lake, "interactions", "user_id", "item_id", "event_type", "weight", "event_time")


def table(lake: Lake, name: str, *columns: str) -> list[tuple[Any, ...]]:
    found = lake.rows(name)
    assert found is not None
    return sorted(
        zip(*(column.to_pylist() for column in found.to_table(columns=list(columns))), strict=True),
        key=str,
    )


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def refused(source: Path | str, lake: Lake) -> str:
    """The one line that fetch says; nothing of it lands."""
    with pytest.raises((ValueError, OSError)) as error:
        fetch_source(lake, str(source), SETTINGS, AS_OF, "run-1", window_days=3)
    assert "\n" not in str(error.value) and lake.names("landing", "interactions") == []
    return str(error.value)


def gzipped(data: bytes) -> bytes:
    """Without the time, which would give a parametrised test another name in each process."""
    return gzip.compress(data, mtime=0)


def zst(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    framed: bytes = sink.getvalue().to_pybytes()
    return framed


# formats

CSV = b'user_id,item_id,event,ts,note\na,1,view,1767225600000,"x, ""y"""\nb,1.0,view,2026-01-02T00:00:00+00:00,\n'
TEXT = {"user_id": "a", "item_id": "1", "event": "view", "ts": "1767225600000", "note": 'x, "y"'}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("clicks.csv", CSV),
        ("clicks.csv.gz", gzipped(CSV)),
        ("clicks.csv.zst", zst(CSV)),
        ("semicolons.csv", CSV.replace(b",", b";").replace(b"x; ", b"x, ")),
        ("marked.csv", b"\xef\xbb\xbf" + CSV),
        ("windows.csv", CSV.replace(b"\n", b"\r\n")),
        ("clicks.tsv", CSV.replace(b",", b"\t").replace(b"x\t ", b"x, ")),
        ("clicks.JSONL.gz", gzipped(json.dumps(TEXT).encode())),
    ],
)
def test_text_lands_as_it_is_and_is_cut_by_event_time(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    assert rows(folder / name) == [TEXT]
    assert rows((folder / name).as_uri()) == [TEXT]


def test_json_lines_land_with_nested_values_as_text(folder: Path) -> None:
    lines = [
        {
            "user_id": 7,
            "item_id": "A",
            "rating": 4.5,
            "ts": "2026-01-01",
            "tags": ["x", {"y": None}],
            "Ts": "é",
        },
        {"user_id": "8", "item_id": None, "ts": 1767225600, "a.b/c'd": True},
        {"user_id": 9, "item_id": "B", "ts": "2026-01-02"},
    ]
    (folder / "interactions.jsonl").write_text(
        "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    )
    nothing = {"rating": None, "tags": None, "Ts": None, "a.b/c'd": None}
    assert sorted(rows(folder), key=str) == [
        nothing | {"user_id": "7", "item_id": "A", "rating": "4.5", "ts": "2026-01-01",
                   "tags": '["x",{"y":null}]', "Ts": "é"},
        nothing | {"user_id": "8", "item_id": None, "ts": "1767225600", "a.b/c'd": "true"},
    ]  # fmt: skip


def test_parquet_keeps_its_types(folder: Path) -> None:
    given = interactions(("a", "1", 24 * 29.5), ("b", "1", 24 * 33))
    pq.write_table(given, folder / "clicks.parquet")
    [batch] = [batch for batch in open_source(str(folder / "clicks.parquet"), SETTINGS).interactions(START, END)
               if batch.num_rows]  # fmt: skip
    assert batch["user_id"].to_pylist() == ["a"]
    assert [batch.schema.field(name).type for name in ("weight", "event_time", "event_date")] == [
        pa.float32(), pa.timestamp("us", "UTC"), pa.date32(),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "place",
    ["interactions/{}.csv", "{}.csv", "event_date={}/part-0.csv", "interactions/day={}/x.csv"],
)
def test_a_folder_of_daily_files_gives_whole_days(lake: Lake, folder: Path, place: str) -> None:
    for day in ("2025-12-29", "2025-12-30", "2026-01-01", "2026-01-02"):
        (folder / place.format(day)).parent.mkdir(parents=True, exist_ok=True)
        (folder / place.format(day)).write_text(f"user_id,item_id,event,ts\n{day},a,view,{day}\n")
    landed = fetch_source(lake, str(folder), SETTINGS, AS_OF, "run-1", window_days=3)
    assert landed["rows"] == {"interactions": 2}
    assert landed["arrivals"] == {"2025-12-30T00:00:00Z": 1, "2026-01-01T00:00:00Z": 1}
    source = open_source(str(folder), SETTINGS)
    assert [row["user_id"] for row in rows(folder)] == ["2025-12-30", "2026-01-01"]
    assert source.count_rows_by_day([date(2025, 12, 29), date(2025, 12, 31)]) == {
        date(2025, 12, 29): 1
    }  # the 31st is missing
    assert "2026-01-02" in str(source.describe_newest())


@pytest.mark.parametrize(
    ("daily", "extra"),
    [
        ("2026-01-01.csv", "extra.csv"),
        ("2026-01-01.csv", "interactions.tsv"),
        ("interactions/2026-01-01.csv", "interactions/late.jsonl.gz"),
        ("event_date=2026-01-01/part-0.csv", "rest.parquet"),
    ],
)
def test_a_file_beside_daily_files_is_not_left_out_in_silence(
    folder: Path, lake: Lake, daily: str, extra: str
) -> None:
    (folder / daily).parent.mkdir(exist_ok=True)
    (folder / daily).write_text("user_id,item_id,event,ts\na,A,view,2026-01-01\n")
    for name in (
        "items.csv",
        "users.parquet",
        "notes.txt",
        "interactions/_part.csv",
        "other/truth.csv",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("of no interest")
    assert [row["user_id"] for row in rows(folder)] == ["a"]
    (folder / extra).write_text("left out")
    said = refused(folder, lake)
    assert (
        f"{extra}' lies beside files named by day and is not: name it by its day or take it out"
        in said
    )


@pytest.mark.parametrize(
    ("daily", "moved"),
    [
        ("2026-01-01.csv", "event_date=2026-01-02/part-0.parquet"),
        ("interactions/2026-01-01.csv", "interactions/2026-01-02/clicks.csv.gz"),
        ("event_date=2026-01-01/part-0.csv", "event_date=2026-01-02/hour=03/part-0.csv"),
    ],
)
def test_days_that_are_named_in_another_way_are_not_left_out_in_silence(
    folder: Path, lake: Lake, daily: str, moved: str
) -> None:
    (folder / daily).parent.mkdir(exist_ok=True)
    (folder / daily).write_text("user_id,item_id,event,ts\na,A,view,2026-01-01\n")
    for name in (f"logs/{moved}", "2026-01-01-notes/x.csv"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("of no interest")
    assert [row["user_id"] for row in rows(folder)] == ["a"]
    (folder / moved).parent.mkdir(parents=True)
    (folder / moved).write_text("left out")
    assert (
        f"{moved}' lies in a folder of a day, beside files named by day in another way"
        in refused(folder, lake)
    )


def test_daily_files_of_several_kinds_land_together(folder: Path) -> None:
    (folder / "2025-12-30.csv").write_text(
        "user_id,item_id,event,ts\na,A,view,2025-12-30T05:00:00Z\n"
    )
    (folder / "2025-12-31.csv.gz").write_bytes(
        gzip.compress(b"ts,user_id,item_id,event,extra\n2025-12-31,b,B,,x\n")
    )
    times = pa.array([datetime(2026, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    typed = pa.table({"user_id": [7], "item_id": ["C"], "ts": times, "price": [1.5]})
    pq.write_table(typed, folder / "2026-01-01.parquet")
    nothing = {"event": None, "extra": None, "price": None}
    assert rows(folder) == [
        nothing | {"user_id": "a", "item_id": "A", "event": "view", "ts": "2025-12-30T05:00:00Z"},
        nothing | {"user_id": "b", "item_id": "B", "ts": "2025-12-31", "extra": "x"},
        nothing | {"user_id": "7", "item_id": "C", "ts": "2026-01-01 00:00:00+00", "price": 1.5},
    ]


def test_a_window_without_a_file_is_empty(folder: Path) -> None:
    (folder / "2026-01-05.csv").write_text("user_id,item_id,event,ts\na,A,view,2026-01-05\n")
    assert rows(folder) == []
    source = open_source(str(folder), SETTINGS)
    assert source.describe_newest() == "2026-01-05.csv"
    assert source.count_rows_by_day([date(2026, 1, 1)]) == {}


def test_counts_of_one_file_are_by_event_time(folder: Path) -> None:
    (folder / "interactions.csv").write_text(
        "user_id,item_id,event,ts\na,A,view,2026-01-01T23:59:59Z\nb,A,view,2026-01-01\nc,A,view,2026-01-02\nd,A,view,x\n"
    )
    (folder / "items.csv").write_text("item_id,title\nA,Apple\n")
    (folder / "users.jsonl").write_text('{"user_id": "a"}\n')
    source = open_source(str(folder), SETTINGS)
    assert source.count_rows_by_day([date(2026, 1, 1), date(2026, 1, 3)]) == {date(2026, 1, 1): 2}
    assert source.describe_newest() == "2026-01-02T00:00:00Z"
    assert (whole(folder, "items"), whole(folder, "users")) == (
        [{"item_id": "A", "title": "Apple"}],
        [{"user_id": "a"}],
    )


def test_a_folder_of_files_without_days_is_cut_by_event_time(folder: Path) -> None:
    (folder / "interactions").mkdir()
    for number in (1, 2):
        text = f"user_id,item_id,event,ts\n{number},A,view,2026-01-01\n{number},A,view,2026-01-0{number + 1}\n"
        (folder / "interactions" / f"part-{number}.csv").write_text(text)
    assert [row["user_id"] for row in rows(folder)] == ["1", "2"]
    assert open_source(str(folder), SETTINGS).count_rows_by_day([date(2026, 1, 1)]) == {
        date(2026, 1, 1): 2
    }


def test_copies_go_when_nobody_needs_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    (folder / "x.csv.gz").write_bytes(gzipped(CSV))
    source = open_source(str(folder / "x.csv.gz"), SETTINGS)
    assert len(list(source.interactions(START, END))) == 2
    assert len(list(folder.glob("dawnlist-source-*/*"))) == 1
    del source
    gc.collect()
    assert list(folder.iterdir()) == [folder / "x.csv.gz"]


# public data


def test_movielens_100k(lake: Lake, folder: Path) -> None:
    (folder / "u.data").write_text("196\t242\t3\t881250949\n186\t302\t5\t891717742\n")
    flags = "|".join("1" if place in (1, 5) else "0" for place in range(19))
    none = "|".join("1" if place == 0 else "0" for place in range(19))
    (folder / "u.item").write_bytes(
        f"242|Été (1997)|24-Jan-1997||http://us.imdb.com/M/title-exact?Kolya|{flags}\n267|unknown||||{none}\n".encode(
            "latin-1"
        )
    )
    (folder / "u.user").write_text("196|49|M|writer|55105\n")
    assert rows(folder, *ALL)[0] == {
        "user_id": "196",
        "item_id": "242",
        "rating": "3",
        "timestamp": "881250949",
    }
    assert cleaned(lake, folder, 1998) == [
        ("186", "302", "rating", 1.0, at(891717742)),
        ("196", "242", "rating", pytest.approx(0.6), at(881250949)),
    ]
    assert table(lake, "items", "item_id", "title", "genres") == [
        ("242", "Été (1997)", ["Action", "Comedy"]),
        ("267", "unknown", []),
    ]
    assert table(lake, "users", "user_id") == [("196",)]


def test_movielens_1m(lake: Lake, folder: Path) -> None:
    (folder / "ratings.dat.gz").write_bytes(gzip.compress(b"1::1193::5::978300760\n"))
    (folder / "movies.dat").write_bytes(
        "1193::\"Été\", l'an 01 (1973)::Children's|Sci-Fi\n".encode("latin-1")
    )
    (folder / "users.dat").write_text("1::F::1::10::48067\n")
    assert whole(folder, "users") == [
        {"user_id": "1", "gender": "F", "age": "1", "occupation": "10", "zip_code": "48067"}
    ]
    assert cleaned(lake, folder, 2000) == [("1", "1193", "rating", 1.0, at(978300760))]
    assert table(lake, "items", "item_id", "title", "genres") == [
        ("1193", '"Été", l\'an 01 (1973)', ["Children's", "Sci-Fi"])
    ]


def test_movielens_dat_of_others_has_no_scale_of_its_own(lake: Lake, folder: Path) -> None:
    (folder / "ratings.dat").write_text(
        "1::7::9::1767225600\n1::8::3::1780000000\n2::7::x::not a time\n"
    )
    (folder / "movies.dat").write_text(
        '7::He said "x", l\'été (1999)::Drama|Comedy\n', encoding="utf-8"
    )
    landed = fetch_source(lake, str(folder), SETTINGS, AS_OF, "run-1", window_days=3)
    assert [row["item_id"] for row in rows(folder)] == ["7", "7"]
    assert whole(folder, "items") == [
        {"item_id": "7", "title": 'He said "x", l\'été (1999)', "genres": "Drama|Comedy"}
    ]
    assert landed["users"] is None
    report = clean_landed_objects(lake, landed, Settings(), AS_OF, "run-1")
    assert report["reasons"] == {"time unreadable": 1}
    assert table(lake, "interactions", "weight") == [(pytest.approx(0.9),)]


def test_movielens_latest(lake: Lake, folder: Path) -> None:
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.5,1147880044\n")
    (folder / "movies.csv").write_text(
        'movieId,title,genres\n1,"American President, The (1995)",Comedy|Drama\n2,X,(no genres listed)\n'
    )
    (folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n1,1,funny,1147880044\n")
    assert cleaned(lake, folder, 2006) == [("1", "1", "rating", pytest.approx(0.9), at(1147880044))]
    assert table(lake, "items", "item_id", "title", "genres") == [
        ("1", "American President, The (1995)", ["Comedy", "Drama"]),
        ("2", "X", []),
    ]


REVIEW_2018 = {"overall": 4.0, "verified": True, "reviewTime": "10 2, 2016", "reviewerID": "A2SUAM1J3GNN3B",
               "asin": "0000013714", "style": {"Format:": " Hardcover"}, "reviewText": "I enjoy\nit",
               "unixReviewTime": 1475366400}  # fmt: skip
REVIEW_2023 = {"rating": 4.0, "title": "Good", "text": "It is", "images": [], "asin": "B088SZDGXG",
               "parent_asin": "B08BBQ29N5", "user_id": "AEYORY2AVPMCPDV57CE337YU5LXA",
               "timestamp": 1475366400123, "helpful_vote": 0, "verified_purchase": True}  # fmt: skip


def test_amazon_2018(lake: Lake, folder: Path) -> None:
    (folder / "Books_5.json.gz").write_bytes(
        gzip.compress(json.dumps(REVIEW_2018).encode() + b"\n")
    )
    meta = [
        {
            "asin": "0000013714",
            "title": "Piano",
            "category": ["Books", "Arts, Music & Photo"],
            "also_buy": [],
        },
        {
            "asin": "0000013715",
            "title": "Two",
            "categories": [["Books", "Music"], ["Books", "Piano"]],
        },  # as in 2014
    ]
    (folder / "meta_Books.json.gz").write_bytes(
        gzip.compress("\n".join(map(json.dumps, meta)).encode())
    )
    [row] = rows(folder, *ALL)
    assert (row["overall"], row["style"], row["reviewText"]) == (
        "4.0",
        '{"Format:":" Hardcover"}',
        "I enjoy\nit",
    )
    assert cleaned(lake, folder, 2016) == [
        ("A2SUAM1J3GNN3B", "0000013714", "rating", pytest.approx(0.8), at(1475366400))
    ]
    assert table(lake, "items", "item_id", "title", "genres") == [
        ("0000013714", "Piano", ["Books", "Arts, Music & Photo"]),
        ("0000013715", "Two", ["Books", "Music", "Piano"]),
    ]


def test_amazon_2023(lake: Lake, folder: Path) -> None:
    (folder / "Beauty.jsonl").write_text(json.dumps(REVIEW_2023) + "\n")
    meta = {"main_category": "Beauty", "title": "Comb", "description": ["Of wood"], "categories": ["Hair"],
            "details": {"Color": "Brown"}, "parent_asin": "B08BBQ29N5", "store": None}  # fmt: skip
    (folder / "meta_Beauty.jsonl").write_text(json.dumps(meta) + "\n")
    assert cleaned(lake, folder, 2016) == [
        (
            "AEYORY2AVPMCPDV57CE337YU5LXA",
            "B08BBQ29N5",
            "rating",
            pytest.approx(0.8),
            at(1475366400.123),
        )
    ]
    assert table(lake, "items", "item_id", "title", "genres") == [("B08BBQ29N5", "Comb", ["Hair"])]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Books.csv", "0001713353,A1C6M8LCIX4M6M,5.0,1123804800\nB000FA64PK,A2OKLYCLF5SOA9,3.0,1123804801\n"),  # 2018
        ("ratings_Books.csv", "A1C6M8LCIX4M6M,0001713353,5.0,1123804800\nA2OKLYCLF5SOA9,B000FA64PK,3.0,1123804801\n"),
        ("Movies.csv", "user_id,parent_asin,rating,timestamp\nA1C6M8LCIX4M6M,0001713353,5.0,1123804800000\n"
                       "A2OKLYCLF5SOA9,B000FA64PK,3.0,1123804801000\n"),  # 2023
    ],
)  # fmt: skip
def test_amazon_ratings_only(lake: Lake, folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    assert cleaned(lake, folder / name, 2005) == [
        ("A1C6M8LCIX4M6M", "0001713353", "rating", 1.0, at(1123804800)),
        ("A2OKLYCLF5SOA9", "B000FA64PK", "rating", pytest.approx(0.6), at(1123804801)),
    ]


def test_the_settings_scale_goes_before_a_layouts(lake: Lake, folder: Path) -> None:
    (folder / "u.data").write_text("196\t242\t3\t881250949\n")
    [(*_, weight, _)] = cleaned(lake, folder, 1997, SourceSettings(rating_scale=6))
    assert weight == 0.5


@pytest.mark.skipif(not REAL.exists(), reason="the public data is not on this machine")
def test_movietweetings(lake: Lake) -> None:
    landed = fetch_source(
        lake,
        str(REAL / "movietweetings"),
        SETTINGS,
        parse_as_of("2013-11-06T00:00:00Z"),
        "r",
        window_days=300,
    )
    assert landed["rows"] == {"interactions": 141_694, "items": 22_438}
    assert sum(landed["arrivals"].values()) == 141_694


# mapping files

MAPPING = """
interactions:
  files: clicks/*.txt.gz
  format: csv
  delimiter: ";"
  quote: ""
  columns: [wer, was, wie, wann, sterne]
  encoding: cp1252
items: {files: [none.csv, waren.csv]}
columns: {user_id: [wer], item_id: [was, nr], event_type: [wie], event_time: [wann], title: [name], rating: [sterne]}
events: {kauf: purchase, note: rating}
rating_scale: 6
"""


def test_a_mapping_file_says_what_is_where(lake: Lake, folder: Path) -> None:
    (folder / "clicks").mkdir()
    for day, line in (
        ("2025-12-30", "ü;1;kauf;2025-12-30;\n"),
        ("2026-01-01", 'a";2;NOTE;2026-01-01;3\n'),
    ):
        (folder / "clicks" / f"{day}.txt.gz").write_bytes(gzip.compress(line.encode("cp1252")))
    (folder / "waren.csv").write_text("nr,name\n1,Äpfel\n")
    (folder / "shop.yaml").write_text(MAPPING)
    assert rows(folder / "shop.yaml")[0] == {
        "wer": "ü",
        "was": "1",
        "wie": "kauf",
        "wann": "2025-12-30",
        "sterne": None,
    }
    assert cleaned(lake, folder / "shop.yaml", 2025) == [
        ('a"', "2", "rating", 0.5, datetime(2026, 1, 1, tzinfo=UTC)),
        ("ü", "1", "purchase", 5.0, datetime(2025, 12, 30, tzinfo=UTC)),
    ]
    assert table(lake, "items", "item_id", "title") == [("1", "Äpfel")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is no YAML"),
        ("", "the document is None"),
        ("interactions: {files: there.csv, flags: {genres: [Action]}}", "there.csv' has no column 'Action', which"),
        ("interactions: {files: there.csv}\ncolumns: {user: [x]}", "columns maps 'user', which is no column that we"),
        ("items: {files: x.csv}", "interactions is .*: Field required"),
        ("interactions: {files: x.csv, form: csv}", "interactions.form is 'csv': there is no such name"),
        ("interactions: {files: x.csv, format: xls}", "interactions.format is 'xls': Input should be 'csv', 'jsonl'"),
        ("interactions: {files: x.csv, encoding: klingon}", "is 'klingon': Value error, no encoding that Python knows"),
        ("interactions: {files: x.csv}\nrating_scale: 0", "rating_scale is 0: Input should be greater than 0"),
        ("interactions: {files: '*/x.csv'}", r"interactions.files is '\*/x.csv', and there is no such file"),
        ("interactions: {files: x.csv}", "interactions.files is 'x.csv', and there is no such file"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_mapping_file_is_one_line(
    folder: Path, lake: Lake, text: str, message: str
) -> None:
    (folder / "shop.yml").write_text(text)
    (folder / "there.csv").write_bytes(CSV)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        list(open_source(str(folder / "shop.yml"), SETTINGS).interactions(START, END))
    assert "\n" not in str(error.value)


# bad input

HEAD = b"user_id,item_id,event,ts\n"
GOOD = HEAD + b"a,A,view,2026-01-01\n" * 3
PARQUET = pa.BufferOutputStream()
pq.write_table(interactions(("a", "1", 24 * 29.5)), PARQUET)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.parquet", PARQUET.getvalue().to_pybytes()[:-9], "damaged or was cut off"),
        ("x.csv.gz", gzipped(GOOD)[:-4], "damaged or was cut off"),
        (
            "x.csv.gz",
            gzipped(GOOD)[:-8] + b"\0\0\0\0" + gzipped(GOOD)[-4:],
            "damaged or was cut off",
        ),
        ("x.csv.zst", zst(GOOD)[:-3], "damaged or was cut off"),
        ("x.csv", GOOD + b"b,B,view\n", "line 5, has 3 fields instead of 4"),
        ("x.csv", GOOD + b"b,B,view,2026-01-01,x\n", "line 5, has 5 fields instead of 4"),
        ("x.csv", GOOD + b'b,"B,view,2026-01-01\n', "line 5, has a quote that does not end"),
        (
            "x.csv",
            GOOD.replace(b"\n", b"\r\n") + b"b,B,view,2026-01-01\n",
            "mixes two kinds of line ends",
        ),
        ("x.csv", GOOD + b"b,\xe9,view,2026-01-01\n", "line 5, is not UTF-8: set the encoding"),
        ("x.csv", HEAD.replace(b"event", b"\xe9"), "line 1, is not UTF-8: set the encoding"),
        ("x.csv", b"", "is empty"),
        ("x.csv.gz", gzipped(b""), "is empty"),
        ("x.csv", b"\n" + GOOD, "has no header"),
        (
            "x.csv",
            b"user_id,event,ts\n1,view,2026-01-01\n",
            "x.csv has no column for item_id among 'user_id', 'event'",
        ),
        ("x.jsonl", b'{"user_id": 1}\n\n{"user_id": \n{}\n', "line 3, is no JSON"),
        ("x.jsonl", b'{"user_id": 1}\n[1]\n', "line 2, is no JSON object"),
        ("x.jsonl", b'{"user_id": 1}\n{"user_id": "\xe9"}\n', "line 2, is not UTF-8"),
        ("x.jsonl", b'{"user_id": 1}\n{"us', "line 2, is no JSON"),
        ("x.xlsx", b"PK", "is of a kind that can't be read"),
        ("2026-13-01.csv", GOOD, "is named by a day that is none, 2026-13-01"),
    ],
)
def test_a_file_that_can_not_be_read_is_one_line(
    folder: Path, lake: Lake, name: str, data: bytes, message: str
) -> None:
    (folder / name).write_bytes(data)
    said = refused(folder / name, lake)
    assert message in said and name in said


def test_a_folder_with_nothing_readable_says_what_was_looked_for(folder: Path, lake: Lake) -> None:
    (folder / "notes.txt").write_text("x")
    assert "looked for files named by day such as interactions/2026-01-31.csv" in refused(
        folder, lake
    )


def test_one_broken_row_of_many_is_found(folder: Path, lake: Lake) -> None:
    lines = [b"u,i,view,2026-01-01\n"] * 400_000
    lines[300_000] = b"u,i\n"
    (folder / "x.csv").write_bytes(HEAD + b"".join(lines))
    assert "line 300002, has 2 fields instead of 4" in refused(folder / "x.csv", lake)


# far away


@pytest.fixture(params=["s3_root", "gcs_root"])
def bucket(request: pytest.FixtureRequest) -> str:
    root: str = request.getfixturevalue(request.param)
    return root


def put(url: str, data: bytes) -> None:
    filesystem, path = resolve_filesystem(url)
    with filesystem.open_output_stream(path, compression=None) as stream:
        stream.write(data)


def test_only_the_days_of_a_window_come_from_a_bucket(bucket: str) -> None:
    for day in ("2025-12-29", "2025-12-30", "2026-01-01", "2026-01-02"):
        put(
            f"{bucket}/clicks/{day}.csv.gz",
            gzip.compress(f"user_id,item_id,event,ts\n{day},a,view,{day}\n".encode()),
        )
    put(f"{bucket}/clicks/items.csv", b"item_id,title\na,Apple\n")
    put(f"{bucket}/shop.yaml", b"interactions: {files: clicks/2*.csv.gz}")
    for source in (f"{bucket}/clicks", f"{bucket}/shop.yaml"):
        opened = open_source(source, SETTINGS)
        assert isinstance(opened, FileSource)
        landed = pa.Table.from_batches(opened.interactions(START, END)).to_pylist()
        assert [row["user_id"] for row in landed] == ["2025-12-30", "2026-01-01"]
        assert [name.rpartition("/")[2] for name in opened.copies._paths] == [
            "2025-12-30.csv.gz",
            "2026-01-01.csv.gz",
        ]
        assert opened.count_rows_by_day([date(2025, 12, 29)]) == {date(2025, 12, 29): 1}
    assert whole(f"{bucket}/clicks", "items") == [{"item_id": "a", "title": "Apple"}]


def test_what_is_wrong_with_a_bucket_is_one_line(bucket: str, lake: Lake) -> None:
    assert "does not exist" in refused(f"{bucket}/nothing", lake)
    assert "does not exist" in refused(f"{bucket}-none/clicks", lake)
    put(f"{bucket}/x.csv.gz", gzipped(GOOD)[:-9])
    assert f"'{bucket}/x.csv.gz' is damaged or was cut off" in refused(f"{bucket}/x.csv.gz", lake)


def test_a_place_that_does_not_answer_is_one_line(
    s3_root: str, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{NOBODY}")
    assert f"'{s3_root}/clicks' can't be read" in refused(f"{s3_root}/clicks", lake)


PEAK = """
import resource, sys
from datetime import datetime, UTC
from pathlib import Path
from dawnlist.components.fetch.parquet import write_batches
from dawnlist.components.fetch.sources import open_source
from dawnlist.components.fetch.filesystems import resolve_filesystem
from dawnlist.settings import SourceSettings

window = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
batches = open_source(sys.argv[1], SourceSettings()).interactions(*window)
print(write_batches(batches, Path(sys.argv[1] + ".parquet"), {}), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_stays_flat_as_a_file_grows(folder: Path) -> None:
    """Ten times the rows in about the same memory; DAWNLIST_PROVE=1 takes ten times as many of both."""
    small = 1_000_000 if os.environ.get("DAWNLIST_PROVE") else 100_000
    peaks = []
    for size in (small, 10 * small):
        path = folder / f"2026-01-01-{size}.csv"
        with path.open("wb") as file:
            file.write(HEAD)
            file.writelines(
                b"user-%d,item-%d,view,2026-01-01T10:00:00Z\n" % (n, n) for n in range(size)
            )
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
        )
        written, peak = map(int, done.stdout.split())
        assert written == size
        peaks.append(peak / 1024)
    assert peaks[1] - peaks[0] < 80, peaks  # the rows as text are a hundred and more
