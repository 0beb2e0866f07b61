"""Files as spreadsheets, Spark, MySQL and loggers write them: they are read, or refused in one line."""

import bz2
import gzip
import json
import os
import zipfile
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dawnlist.components.fetch.formats.columns import MAX_COLUMNS
from dawnlist.components.fetch.formats.compression import _PeekedStream
from dawnlist.components.fetch.formats.paths import add_paths_to_batches
from dawnlist.components.fetch.sources import open_source
from dawnlist.lake.lake import Lake
from dawnlist.settings import SourceSettings
from tests.test_files import (
    CSV,
    END,
    SETTINGS,
    START,
    TEXT,
    folder,
    gzipped,
    lake,
    refused,
    rows,
    zst,
)

__all__ = ["folder", "lake"]

HEAD = "user_id,item_id,event,ts,note\n"
DAY = "2026-01-01"


def write_mapping(folder: Path, file: str, more: str = "") -> Path:
    mapping = folder / "shop.yaml"
    mapping.write_text(f"interactions: {{files: {file}{more}}}\n")
    return mapping


def read_notes(source: Path) -> list[str | None]:
    return [row["note"] for row in rows(source)]


# CSV


def test_a_backslash_before_quotes_is_named_in_a_mapping_file(folder: Path, lake: Lake) -> None:
    text = HEAD + rf'a,1,view,{DAY},"say \"hi\", now"' + "\n" + rf'b,2,view,{DAY},"back\\"' + "\n"
    (folder / "spark.csv").write_text(text)
    said = refused(folder / "spark.csv", lake)
    assert "line 2, has a quote that does not end" in said
    assert 'escape: "\\\\"' in said and 'quote: ""' in said
    mapping = write_mapping(folder, "spark.csv", r', escape: "\\"')
    assert read_notes(mapping) == ['say "hi", now', "back\\"]


def test_a_bare_quote_is_read_when_no_character_is_a_quote(folder: Path, lake: Lake) -> None:
    head = HEAD.replace(",", "\t")
    (folder / "bare.tsv").write_text(f'{head}a\t1\tview\t{DAY}\tx\nb\t2\tview\t{DAY}\t"Heroes\n')
    assert 'quote: ""' in refused(folder / "bare.tsv", lake)
    assert read_notes(write_mapping(folder, "bare.tsv", ', quote: ""')) == ["x", '"Heroes']


def test_text_of_mysql_without_quotes_is_unescaped(folder: Path) -> None:
    lines = [
        HEAD.replace(",", "\t").rstrip("\n"),
        f"a\t1\tview\t{DAY}\tx\\\ty",  # a tab in the value
        f"b\t2\tview\t{DAY}\t\\N",  # NULL
        f'c\t3\tview\t{DAY}\ttwo\\\nlines, "quoted"',
        f"d\t4\tview\t{DAY}\tC:\\\\new\\tN",  # as PostgreSQL's COPY writes a tab
    ]
    (folder / "dump.tsv").write_text("\n".join(lines) + "\n")
    mapping = write_mapping(folder, "dump.tsv", r', quote: "", escape: "\\"')
    assert read_notes(mapping) == ["x\ty", None, 'two\nlines, "quoted"', "C:\\new\tN"]


def test_a_surplus_field_of_unquoted_text_is_told(folder: Path, lake: Lake) -> None:
    (folder / "dump.tsv").write_text(
        f"user_id\titem_id\tevent\tts\na\t1\\\n\tview\t{DAY}\nb\t2\t3\t4\t5\n"
    )
    mapping = write_mapping(folder, "dump.tsv", r', quote: "", escape: "\\"')
    assert "dump.tsv', line 4, has 5 fields instead of 4" in refused(mapping, lake)


@pytest.mark.parametrize("first_line", ["sep=;", '"sep=;"', "SEP=;", "\ufeffsep=;"])
def test_the_line_that_excel_understands_names_the_delimiter(
    folder: Path, lake: Lake, first_line: str
) -> None:
    text = f"{first_line}\nuser_id;item_id;event;ts;note\na;1;view;{DAY};x,y\n"
    (folder / "excel.csv").write_text(text)
    assert read_notes(folder / "excel.csv") == ["x,y"]
    (folder / "excel.csv").write_text(text + "b;2\n")
    assert "line 4, has 2 fields instead of 5" in refused(folder / "excel.csv", lake)


def test_line_ends_of_carriage_returns_alone(folder: Path) -> None:
    text = HEAD + f'a,1,view,{DAY},"two\nlines"\nb,2,view,{DAY},x\n'
    (folder / "mac.csv").write_bytes(text.replace("\n", "\r").encode())
    assert read_notes(folder / "mac.csv") == ["two\rlines", "x"]


def test_a_very_long_line_is_named(folder: Path, lake: Lake) -> None:
    (folder / "x.csv").write_text(HEAD + f"a,1,view,{DAY},{'x' * 2_100_000}\n")
    assert "line 2, is longer than 2 MB" in refused(folder / "x.csv", lake)


# compression and encoding


def pack_zip(data: bytes) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("clicks.csv", data)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("plain.csv.gz", CSV),
        ("zipped.csv", gzipped(CSV)),
        ("other.csv.gz", zst(CSV)),
        ("twice.csv.gz", gzipped(gzipped(CSV))),
        ("parts.csv.gz", gzipped(CSV[:60]) + gzipped(CSV[60:])),
        ("clicks.csv.bz2", bz2.compress(CSV)),
        ("utf16.csv", CSV.decode().encode("utf-16")),
        ("utf16.csv.gz", gzipped(CSV.decode().encode("utf-16"))),
        ("mark.jsonl", b"\xef\xbb\xbf" + json.dumps(TEXT).encode()),
    ],
)
def test_content_tells_compression_and_encoding(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    assert rows(folder / name) == [TEXT]


def test_what_is_compressed_three_times_is_read_and_no_more(folder: Path) -> None:
    (folder / "three.csv").write_bytes(gzipped(gzipped(gzipped(CSV))))
    assert rows(folder / "three.csv") == [TEXT]
    (folder / "four.csv").write_bytes(gzipped(gzipped(gzipped(gzipped(CSV)))))
    with pytest.raises(ValueError, match=r"four\.csv"):
        rows(folder / "four.csv")


def test_content_of_parquet_is_unpacked(folder: Path) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: [text] for name, text in TEXT.items()}), sink)
    (folder / "x.parquet.gz").write_bytes(gzip.compress(sink.getvalue().to_pybytes()))
    assert rows(folder / "x.parquet.gz") == [TEXT]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pack_zip(CSV), "is a zip archive or a spreadsheet: unpack it, or export it as CSV"),
        (b"\xfd7zXZ\0", "is compressed with xz"),
        (gzipped(pack_zip(CSV)), "is a zip archive"),
    ],
)
def test_an_archive_is_refused(folder: Path, lake: Lake, data: bytes, message: str) -> None:
    (folder / "x.csv").write_bytes(data)
    said = refused(folder / "x.csv", lake)
    assert message in said and "x.csv'" in said


def test_compression_in_a_mapping_file_goes_before_the_content(folder: Path, lake: Lake) -> None:
    (folder / "x.csv").write_bytes(CSV)
    mapping = write_mapping(folder, "x.csv", ", compression: gz")
    assert "x.csv' is damaged or was cut off" in refused(mapping, lake)


# JSON

EVENTS = [
    {"user_id": "a", "item_id": "1", "ts": DAY, "event": "view", "more": {"x": [1]}},
    {"user_id": "b", "item_id": "2", "ts": DAY, "event": "view", "more": None},
]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(EVENTS),
        json.dumps(EVENTS, indent=1),
        "[\n" + ",\n".join(map(json.dumps, EVENTS)) + "\n]\n",
        "\n".join(json.dumps(event, indent=2) for event in EVENTS),
        "\n".join(map(json.dumps, EVENTS)),
    ],
)
def test_arrays_and_objects_over_several_lines(folder: Path, text: str) -> None:
    (folder / "x.json").write_text(text)
    read = [(row["user_id"], row["item_id"], row["more"]) for row in rows(folder / "x.json")]
    assert [(user, item) for user, item, _ in read] == [("a", "1"), ("b", "2")]
    assert json.loads(read[0][2]) == {"x": [1]}


LINE = json.dumps(EVENTS[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'{LINE}\n{{"user_id": "\\ud83d"}}\n', "line 2, is no JSON (no low surrogate in string)"),
        (f'{{"user_id": {"[" * 100_000}\n{LINE}\n', "line 1, is no JSON"),
        (f'{{"user_id": {"[" * 100_000}{"]" * 100_000}}}\n{{"a": \n', "line 2, is no JSON"),
        (f'{{"user_id": {"9" * 10_000}}}\n{{"a": \n', "line 2, is no JSON"),
        (f"{LINE},\n{LINE}\n", "line 1, is no JSON (unexpected content after document)"),
        (f"[{LINE},\n{LINE}\n", "is no JSON at its value"),
        (f"[{LINE}, 3]", "holds values that are no JSON objects"),
        (f"{LINE}\n\n" * 11_000 + "{\n", "line 22001, is no JSON (unexpected end of data)"),
    ],
)
def test_broken_json_names_file_and_line(folder: Path, lake: Lake, text: str, message: str) -> None:
    (folder / "x.jsonl").write_text(text)
    said = refused(folder / "x.jsonl", lake)
    assert message in said and "x.jsonl'" in said


def test_deep_nesting_and_huge_numbers_are_text(folder: Path) -> None:
    deep, huge = f"{'[' * 5000}{']' * 5000}", "9" * 5000
    (folder / "x.jsonl").write_text(f'{LINE[:-1]}, "deep": {deep}, "huge": {huge}}}\n')
    [row] = rows(folder / "x.jsonl")
    assert (row["deep"], row["huge"]) == (deep, huge)


# columns


def write_wide(path: Path, count: int) -> Path:
    names = ["user_id", "item_id", "event", "ts", *(f"k{n}" for n in range(count - 4))]
    if path.suffix == ".csv":
        path.write_text(f"{','.join(names)}\n")
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({name: ["x"] for name in names}), path)
    else:
        lines = [
            {"user_id": "a", "item_id": "1", "event": "view", "ts": DAY, name: 1}
            for name in names[4:]
        ]
        path.write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet"])
def test_a_thousand_columns_are_read_and_one_more_is_refused(
    folder: Path, lake: Lake, name: str
) -> None:
    source = open_source(str(write_wide(folder / name, MAX_COLUMNS)), SETTINGS)
    assert source.describe_newest() in (None, "2026-01-01T00:00:00Z")
    said = refused(write_wide(folder / name, MAX_COLUMNS + 1), lake)
    assert "has more than 1,000 columns" in said and name in said


def test_columns_of_all_files_together_are_bounded(folder: Path, lake: Lake) -> None:
    (folder / "2025-12-31.csv").write_text(
        "user_id,item_id,event,ts," + ",".join(f"a{n}" for n in range(600)) + "\n"
    )
    (folder / "2026-01-01.csv").write_text(
        "user_id,item_id,event,ts," + ",".join(f"b{n}" for n in range(600)) + "\n"
    )
    assert "has more than 1,000 columns" in refused(folder, lake)


def test_the_file_with_too_many_columns_is_named_among_others(folder: Path, lake: Lake) -> None:
    write_wide(folder / "2025-12-31.jsonl", MAX_COLUMNS + 1)
    write_wide(folder / "2026-01-01.jsonl", 5)
    assert "2025-12-31.jsonl' has more than 1,000 columns" in refused(folder, lake)


# what is no file


def test_a_pipe_and_a_link_to_nowhere_are_refused(folder: Path, lake: Lake) -> None:
    os.mkfifo(folder / "pipe.csv")
    (folder / "dead.csv").symlink_to("nowhere.csv")
    (folder / "loop.csv").symlink_to("loop.csv")
    assert "pipe.csv' is a pipe, a socket or a device" in refused(folder / "pipe.csv", lake)
    for name in ("dead.csv", "loop.csv"):
        assert f"{name}' is a link that leads nowhere" in refused(folder / name, lake)
    assert "does not exist" in refused(folder / "none.csv", lake)


def test_links_among_daily_files_are_refused_when_their_day_is_read(
    folder: Path, lake: Lake
) -> None:
    (folder / "2026-01-01.csv").write_text(f"user_id,item_id,event,ts\na,1,view,{DAY}\n")
    (folder / "2025-12-01.csv").symlink_to("nowhere")
    assert len(rows(folder)) == 1
    (folder / "2025-12-31.csv").symlink_to("nowhere")
    assert "2025-12-31.csv' is a link that leads nowhere" in refused(folder, lake)


def test_links_that_lead_back_are_followed_once(folder: Path) -> None:
    (folder / "interactions").mkdir()
    (folder / "interactions" / "a.csv").write_text(f"user_id,item_id,event,ts\na,1,view,{DAY}\n")
    for number in range(4):
        (folder / "interactions" / f"up{number}").symlink_to("..")
        (folder / f"again{number}").symlink_to("interactions")
    assert len(rows(folder)) == 1


def test_names_that_are_not_utf8_are_read(folder: Path) -> None:
    path = folder / os.fsdecode(b"2026-01-01-caf\xe9.csv")
    for data in (CSV, gzipped(CSV)):
        path.write_bytes(data)
        assert len(rows(folder)) == 2
    source = open_source(str(folder), SETTINGS)
    assert source.describe_newest() == "2026-01-01-caf\\xe9.csv"


# the exact bounds of forms


def test_a_header_of_two_character_delimiters_is_split(folder: Path) -> None:
    (folder / "two.csv").write_text(HEAD.replace(",", "::") + f"a::1::view::{DAY}::x\n")
    assert read_notes(write_mapping(folder, "two.csv", ', delimiter: "::"')) == ["x"]


def test_quotes_of_a_header_are_no_part_of_its_names(folder: Path) -> None:
    (folder / "quoted.csv").write_text(f'user_id,item_id,event,ts,"note"\na,1,view,{DAY},x\n')
    assert read_notes(folder / "quoted.csv") == ["x"]


def test_a_peeked_stream_gives_each_byte_once() -> None:
    data = bytes(range(256)) * 300
    peeked = _PeekedStream(BytesIO(data))
    assert peeked.head == data[: len(peeked.head)]
    assert peeked.read(0) == b"" and not peeked.closed
    assert peeked.read(3) == data[:3]
    assert peeked.read() == data[3:]
    assert peeked.read() == b"" and peeked.read(5) == b""
    peeked.close()
    assert peeked.closed
    again = _PeekedStream(BytesIO(data))
    assert b"".join(iter(lambda: again.read(1000), b"")) == data
    none = _PeekedStream(BytesIO(data))
    none.read(len(none.head))
    assert none.read(0) == b""
    assert none.read(-1) == data[len(none.head) :]


def test_a_path_into_objects_of_parquet_and_into_json_text(folder: Path) -> None:
    table = pa.table(
        {
            "user": [{"id": "u1", "age": 3}, None],
            "item": ['{"id": "i1"}', "no JSON"],
            "event": ["view", "view"],
            "ts": [DAY, DAY],
        }
    )
    pq.write_table(table, folder / "x.parquet")
    names = {"user_id": ["user.id"], "item_id": ["item.id"]}
    settings = SETTINGS.model_copy(update={"columns": names})
    read = [(row["user.id"], row["item.id"]) for row in rows_with(folder / "x.parquet", settings)]
    assert sorted(read, key=str) == [("u1", "i1"), (None, None)]
    batches = list(add_paths_to_batches(iter(table.select(["item"]).to_batches()), names))
    assert [batch.to_pydict() for batch in batches] == [
        {"item": ['{"id": "i1"}', "no JSON"], "item.id": ["i1", None]}
    ]
    plain = table.select(["event"]).to_batches()
    assert list(add_paths_to_batches(iter(plain), names)) == plain


def rows_with(source: Path, settings: SourceSettings) -> list[dict[str, object]]:
    batches = open_source(str(source), settings).interactions(START, END)
    rows: list[dict[str, object]] = pa.Table.from_batches(batches).to_pylist()
    return rows
