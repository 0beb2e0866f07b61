"""What sources write -> canonical values: on DuckDB for any text that comes, and on Spark the same."""

import functools
import math
import os
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import ibis
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dawnlist.machine import spark
from dawnlist.rows import coercions
from dawnlist.rows.sql_dialects import TIME_DIRECTIVES
from dawnlist.rows.times import parse_moment
from dawnlist.settings import SourceSettings

Coercion = Callable[[Any], Any]
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
FORM = "%d/%m/%Y %H:%M"


def berlin(value: Any) -> Any:
    return parse_moment(value, "Europe/Berlin", FORM)


def id_of(value: Any) -> Any:
    return coercions.clean_identifier(coercions.clean_text(value))


COERCIONS: dict[str, Coercion] = {
    "text": coercions.clean_text,
    "prose": coercions.clean_prose,
    "id": id_of,
    "number": coercions.parse_number,
    "network": coercions.truncate_address,
    "moment": parse_moment,
    "berlin": berlin,
    "weekday": lambda value: parse_moment(value, "Europe/Berlin", "%a %d.%m.%Y %H:%M:%S.%f %z"),
    "event": lambda value: coercions.map_event_name(
        coercions.clean_text(value), {"addToCart": "cart"}
    ),
}


@pytest.fixture(scope="module")
def duckdb() -> Iterator[Any]:
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET TimeZone = 'UTC'")
    yield connection
    connection.disconnect()


def read(connection: Any, values: list[str | None], coercion: Coercion) -> list[Any]:
    """The values as a coercion reads them, in one query."""
    connection.con.register(
        "given", pa.table({"place": range(len(values)), "value": pa.array(values, pa.string())})
    )
    return [row[0] for row in connection.raw_sql(query(coercion)).fetchall()]


@functools.cache
def query(coercion: Coercion) -> str:
    """The SQL of a coercion: to write it takes as long as to run it."""
    rows = ibis.table({"place": "int64", "value": "string"}, name="given")
    results = rows.select("place", result=coercion(rows.value)).order_by("place").select("result")
    return str(ibis.to_sql(results, dialect="duckdb"))


# what sources write, what they could, and what they should not
TEXTS: list[str | None] = [
    " 17850.0 ", "17850", "17850.00", "1.785e4", "1E5", "-3.0", "1.5", "v1.0", "1.0.0", "007", "", " ", None, "null",
    "NULL", "NaN", "n/a", "<NA>", "<na>", r"\N", "None", "NaT", "undefined", "nullable", "nano", "a\tb\x00", "x\x7f",
    "\ufeffx", "\u202eabc", "a\u00adb", "\u00a0x\u3000", 'say "hi"', r"back\slash", "日本語", "\U0001d4b3", "one\ntwo",
    "View", "ADDTOCART", "1,5", "-1,5", "1,234", "1.234,5", "1,234.5", "1,234,567", "1.234.567", ",5", "5,", "1_000",
    "0x10", "0x1p3", "1d", "1.5f", "1e5", "+-5", "inf", "Infinity", "1e400", "\uff11", "1e", "1..0", "+5", "1 0",
    "203.0.113.7", "::ffff:10.1.2.3", "2001:DB8:1:2::5", "::1", "fe80::", "999.1.1.1", "256.1.1.1", "01.2.3.4",
    "12:30", "2020-01-02", "2020-1-2", "2020/01/02", "2020-01", "2020", "20200102", "T03:04", "03:04:05",
    "2020-01-02T03", "2020-01-02T03:04", "2020-01-02T03:04Z", "2020-01-02 3:4:5", "2020-01-02T03:04:05,5",
    "2020/01/02 03:04:05", "2020-01-02T03:04:05.123456789Z", "2020-01-02T03:04:05.9999999", "2020-01-02T03:04:05 Z",
    "2020-01-02T03:04:05+02", "2020-01-02 03:04:05 +0200", "2020-01-02 03:04:05 UTC", "2020-01-02T03:04:05UTC",
    "2020-01-02T03:04:05-15:30", "2020-01-02T03:04:05+24:00", "2020-01-02T03:04:05 Europe/Berlin",
    "2020-01-02T24:00:00Z", "2020-01-02T23:59:60Z", "2020-02-30", "2020-02-30T00:00:00Z", "2020-01-02T25:00:00Z",
    "2020-01-02T", "2020-01-02x", "12020-01-02", "epoch", "infinity", "-infinity", "2020-01-02 (BC)", "now",
    "1577934245", "1577934245.25", "1577934245123", "1577934245123456", "1577934245123456000", "1.577934245e+18",
    "-5", "01/12/2010 08:26", "31/02/2010 08:26", "2020-03-29 02:30:00", "2020-10-25 02:30:00", "2020-10-25 03:30:00",
    "2020-10-25 01:30:00", "2020-06-01", "20200102T030405Z", "20200102T030405.123Z", "20200102T0304+0200",
    "Thu, 02 Jan 2020 03:04:05 +0100", "2 Jan 2020 03:04 GMT", "[02/Jan/2020:03:04:05 -0500]", "02/Jan/2020 x",
    "Thu 2.1.2020 03:04:05.123 +0200", "Thu 2.1.2020 03:04:05.123456 Z",
]  # fmt: skip


def test_numbers_with_both_marks(duckdb: Any) -> None:
    given = [
        "1.234,5",
        "1,234.5",
        "1,234",
        "-1.234.567,5",
        "1,234,567",
        "1.234.567",
        "12,34.5",
        ",5",
    ]
    assert read(duckdb, [*given], coercions.parse_number) == [
        1234.5,
        1234.5,
        1.234,
        -1234567.5,
        None,
        None,
        None,
        None,
    ]
    assert (
        read(duckdb, ["1_000", "0x10", "1d", "+-5", "1e400", "Infinity"], coercions.parse_number)
        == [None] * 6
    )


def test_ids_with_exponents_stay(duckdb: Any) -> None:
    assert read(duckdb, ["1.785e4", "1E5", "17850.0", "-3.00"], id_of) == [
        "1.785e4",
        "1E5",
        "17850",
        "-3",
    ]


def test_prose_keeps_words_apart(duckdb: Any) -> None:
    assert read(duckdb, ["one\ntwo\t\u2028three", " <b>x</b>\r\n", "NULL"], coercions.clean_prose) == [
        "one two three", "<b>x</b>", None,
    ]  # fmt: skip


def test_networks_are_of_addresses(duckdb: Any) -> None:
    given = ["255.255.255.255", "256.1.1.1", "01.2.3.4", "12:30", "0.0.0.0"]
    assert read(duckdb, [*given], coercions.truncate_address) == [
        "255.255.255.0/24",
        None,
        None,
        None,
        "0.0.0.0/24",
    ]


def test_times_as_others_write_them(duckdb: Any) -> None:
    second = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    same = ["2020/01/02 03:04:05", "2020-01-02 03:04:05 UTC", "2020-01-02T05:04:05 +0200", "1577934245000000000",
            "1.577934245e+18", "2020-01-02T03:04:05+00", "2020-1-2 3:4:5", "2020-01-02 03:04:05,0"]  # fmt: skip
    assert read(duckdb, [*same], parse_moment) == [second] * len(same)
    assert read(duckdb, ["2020-01-02", "2020-01-02T03:04Z"], parse_moment) == [
        datetime(2020, 1, 2, tzinfo=UTC), second.replace(second=0),
    ]  # fmt: skip
    odd: list[str | None] = [
        "T03:04",
        "2020",
        "2020-01",
        "epoch",
        "-infinity",
        "12020-01-02",
        "2020-01-02 (BC)",
    ]
    assert [
        value for value in read(duckdb, odd, parse_moment) if value and value.year != 1970
    ] == []


def test_a_declared_zone_is_of_times_without_one(duckdb: Any) -> None:
    """Skipped in spring: by the winter's clock. Twice in autumn: the first. As Python's fold=0."""
    given = ["2020-06-01 12:00:00", "2020-03-29 02:30:00", "2020-10-25 02:30:00", "2020-10-25 03:00:00", "2020-06-01",
             "01/06/2020 12:00"]  # fmt: skip
    clock = [
        (6, 1, 10, 0),
        (3, 29, 1, 30),
        (10, 25, 0, 30),
        (10, 25, 2, 0),
        (5, 31, 22, 0),
        (6, 1, 10, 0),
    ]
    assert read(duckdb, [*given], berlin) == [datetime(2020, *parts, tzinfo=UTC) for parts in clock]
    zoned = ["2020-06-01T12:00:00Z", "2020-06-01T14:00:00+02:00", "1591012800"]
    assert read(duckdb, [*zoned], berlin) == [datetime(2020, 6, 1, 12, tzinfo=UTC)] * 3


@pytest.mark.parametrize(
    "zone", ["America/New_York", "Australia/Lord_Howe", "Antarctica/Troll", "Asia/Kathmandu"]
)
def test_each_half_hour_of_a_year_is_what_python_says(duckdb: Any, zone: str) -> None:
    clocks = [datetime(2024, 1, 1) + timedelta(minutes=30 * step) for step in range(2 * 24 * 366)]
    wanted = [clock.replace(tzinfo=zoneinfo.ZoneInfo(zone)).astimezone(UTC) for clock in clocks]
    assert (
        read(duckdb, [f"{clock}" for clock in clocks], lambda value: parse_moment(value, zone))
        == wanted
    )


@pytest.mark.parametrize(
    ("key", "value"), [("time_zone", "Berlin"), ("time_zone", "../etc"), ("time_format", "%Q")]
)
def test_a_zone_or_format_that_is_none_is_refused(key: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"not the name of an IANA time zone|a format of %Y"):
        SourceSettings.model_validate({key: value})


def test_each_directive_is_read(duckdb: Any) -> None:
    SourceSettings(time_format=" ".join(TIME_DIRECTIVES))
    forms = {
        "%d-%b-%Y %I:%M %p": "02-Jan-2020 03:04 PM",
        "%m.%d.%Y, %H:%M:%S": "1.2.2020, 15:04:00",
    }
    for form, value in forms.items():
        parsed = read(duckdb, [value, "x"], lambda text, form=form: parse_moment(text, "UTC", form))  # type: ignore[misc]
        assert parsed == [datetime(2020, 1, 2, 15, 4, tzinfo=UTC), None]


# many values a query, and few queries: an example is a list; the same ones each time, but for a search for new ones
PROVE = "DAWNLIST_PROVE" in os.environ
few = settings(
    max_examples=2_000 if PROVE else 10,
    derandomize=not PROVE,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),  # a busy machine is "too slow"
)
utf8 = st.text(st.characters(codec="utf-8"), max_size=60)
hostile = st.one_of(
    utf8,
    st.sampled_from([text for text in TEXTS if text]),
    st.from_regex(r"[\d:.,+eEZTx/ -]{0,30}"),
)
SPAN = (datetime(1995, 1, 1), datetime(2100, 1, 1))


@few
@given(st.lists(hostile, min_size=20, max_size=200))
def test_no_text_breaks_a_coercion_nor_its_neighbours(
    duckdb: Any, values: list[str | None]
) -> None:
    together = {name: read(duckdb, values, coercion) for name, coercion in COERCIONS.items()}
    for name, coercion in COERCIONS.items():
        assert read(duckdb, values[:1], coercion) == together[name][:1]
    for name in ("text", "prose", "id"):  # what they made they leave as it is
        assert read(duckdb, together[name], COERCIONS[name]) == together[name]
    assert read(duckdb, together["network"], coercions.clean_text) == together["network"]
    assert all(value is None or math.isfinite(value) for value in together["number"])
    assert all(
        text is None or (text and text.isprintable()) or not text.isascii()
        for text in together["text"]
    )


def test_a_value_of_a_megabyte(duckdb: Any) -> None:
    long: list[str | None] = [
        "9" * 1_000_000,
        "1." + "0" * 1_000_000,
        "é" * 500_000,
        " " * 1_000_000,
        "2020-" * 200_000,
    ]
    for coercion in COERCIONS.values():
        assert len(read(duckdb, long, coercion)) == len(long)


@few
@given(st.lists(st.integers(-(10**18), 10**18), min_size=1, max_size=200))
def test_an_integer_id_is_one_id(duckdb: Any, ids: list[int]) -> None:
    for form in ("{}", "{}.0", "{}.000", " {} ", "\t{}.0\u00a0", "\ufeff{}"):
        assert read(duckdb, [form.format(number) for number in ids], id_of) == [
            str(number) for number in ids
        ]


@few
@given(
    st.lists(
        st.floats(allow_nan=False, allow_infinity=False, min_value=-1e90, max_value=1e90),
        min_size=1,
    )
)
def test_a_float_is_read_back(duckdb: Any, floats: list[float]) -> None:
    assert read(duckdb, [repr(number) for number in floats], coercions.parse_number) == floats
    fixed = [round(number, 6) for number in floats if abs(number) < 1e9]
    assert read(duckdb, [f"{number:.6f}" for number in fixed], coercions.parse_number) == fixed
    assert (
        read(
            duckdb, [f"{number:.6f}".replace(".", ",") for number in fixed], coercions.parse_number
        )
        == fixed
    )
    english = [f"{number:,.6f}" for number in fixed]
    assert read(duckdb, [*english], coercions.parse_number) == fixed
    continental = [text.translate(str.maketrans(",.", ".,")) for text in english]
    assert read(duckdb, [*continental], coercions.parse_number) == fixed


@few
@given(
    st.lists(st.datetimes(*SPAN), min_size=1, max_size=100),
    st.integers(-14, 14),
    st.sampled_from("T "),
)
def test_a_time_is_read_back(duckdb: Any, times: list[datetime], hours: int, mark: str) -> None:
    times = [time.replace(tzinfo=UTC) for time in times]
    east = timezone(timedelta(hours=hours))
    written = {
        "zoneless": [time.replace(tzinfo=None).isoformat(mark) for time in times],
        "Z": [time.isoformat(mark).replace("+00:00", "Z") for time in times],
        "offset": [time.astimezone(east).isoformat(mark) for time in times],
        "short offset": [
            time.astimezone(east).strftime(f"%Y-%m-%d{mark}%H:%M:%S.%f %z") for time in times
        ],
        "us": [str(round(time.timestamp() * 1e6)) for time in times if time.year > 2000],
        "us.0": [f"{round(time.timestamp() * 1e6)}.0" for time in times if time.year > 2000],
        "comma": [time.strftime(f"%Y-%m-%d{mark}%H:%M:%S,%f") for time in times],
        "slashes": [time.strftime(f"%Y/%m/%d{mark}%H:%M:%S.%f") for time in times],
    }
    later = [time for time in times if time.year > 2000]
    for name, texts in written.items():
        assert read(duckdb, [*texts], parse_moment) == (
            later if name.startswith("us") else times
        ), name
    seconds = [time.replace(microsecond=0) for time in times]
    assert read(duckdb, [str(int(time.timestamp())) for time in seconds], parse_moment) == seconds
    local = [time.replace(tzinfo=BERLIN).astimezone(UTC) for time in seconds]
    assert read(duckdb, [time.strftime("%Y-%m-%d %H:%M:%S") for time in seconds], berlin) == local
    minutes = [time.replace(second=0) for time in local]
    assert read(duckdb, [time.strftime(FORM) for time in seconds], berlin) == minutes


@pytest.fixture(scope="module")
def on_spark() -> Iterator[Any]:
    if why := spark.describe_missing_spark("local[1]"):
        pytest.skip(why)
    yield ibis.pyspark.connect(spark.open_spark_session("local[1]"))


def test_spark_reads_the_same(duckdb: Any, on_spark: Any) -> None:
    """All coercions in one query a side: a query of Spark takes a second."""
    values = [
        *TEXTS,
        *(f"2020-{month:02}-{day:02}T01:30:00" for month in range(1, 13) for day in range(1, 29)),
    ]
    session = on_spark._session
    session.createDataFrame(
        list(enumerate(values)), "place bigint, value string"
    ).createOrReplaceTempView("given")
    rows = on_spark.table("given")
    columns = {name: coercion(rows.value).cast("string") for name, coercion in COERCIONS.items()}
    shown = on_spark.compile(rows.select("place", **columns).order_by("place"))
    modes = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
    for name, mode in modes.items():  # Java compiles longer than it runs
        session.conf.set(name, mode)
    told = [row.asDict() for row in session.sql(shown).collect()]
    for name in modes:
        session.conf.unset(name)
    for name, coercion in COERCIONS.items():
        found: list[Any] = [row[name] for row in told]
        if name in ("moment", "berlin", "weekday"):
            found = [text and datetime.fromisoformat(text).replace(tzinfo=UTC) for text in found]
        elif name == "number":
            found = [text and float(text) for text in found]
        wanted = read(duckdb, values, coercion)
        differing = [
            (value, ours, its)
            for value, ours, its in zip(values, wanted, found, strict=True)
            if ours != its
        ]
        assert differing == [], name


YEAR_5138 = datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)
MARCH_1973 = datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)


def test_the_unit_of_a_number_changes_at_a_power_of_ten(duckdb: Any) -> None:
    """1e11 seconds would be the year 5138, so that as many are milliseconds, and so on to nanoseconds."""
    largest = {"9" * digits: YEAR_5138 for digits in (11, 14, 17, 20)}
    smallest = {"1" + "0" * digits: MARCH_1973 for digits in (11, 14, 17)}
    beyond: dict[str | None, datetime | None] = {"1" + "0" * 20: None, "9" * 21: None}
    texts = [*largest, *smallest, *beyond]
    found = [
        moment and moment.replace(microsecond=0) for moment in read(duckdb, texts, parse_moment)
    ]
    expected = [*largest.values(), *smallest.values(), *beyond.values()]
    # A float has no room for the last digits of 20 nines.
    differences = [
        moment and wanted and abs(moment - wanted)
        for moment, wanted in zip(found, expected, strict=True)
    ]
    assert [difference is None for difference in differences] == [False] * 7 + [True] * 2
    assert all(
        cast(timedelta, difference) <= timedelta(seconds=1)
        for difference in differences
        if difference is not None
    )


def test_the_unit_of_a_number_with_a_sign_or_a_point_is_told_by_its_size(duckdb: Any) -> None:
    texts: list[str | None] = [
        "100000000000.0",
        "99999999999.0",
        "-100000000000",
        "-86400",
        "0",
        "0.5",
        "1e11",
        "1e20",
    ]
    october_1966 = datetime(1966, 10, 31, 14, 13, 20, tzinfo=UTC)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert read(duckdb, texts, parse_moment) == [
        MARCH_1973, YEAR_5138, october_1966, epoch - timedelta(days=1), epoch,
        epoch + timedelta(seconds=0.5), MARCH_1973, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6e10", 6e10), ("1.5e11", 1.5e8), ("6e13", 6e10), ("1.5e14", 1.5e8),
        ("6e16", 6e10), ("1.5e17", 1.5e8), ("6e19", 6e10),
    ],
)  # fmt: skip
def test_numbers_on_either_side_of_a_unit(duckdb: Any, text: str, seconds: float) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert read(duckdb, [text], parse_moment) == [moment]


def test_every_spelling_of_null_in_any_case(duckdb: Any) -> None:
    spellings = ("null", "nan", "none", "nil", "n/a", "<na>", "nat", "undefined", r"\n", "")
    cases: list[str | None] = []
    for spelling in spellings:
        cases += [
            spelling,
            spelling.upper(),
            spelling.title(),
            f" {spelling} ",
            f"\u200b{spelling}",
        ]
    assert read(duckdb, cases, coercions.clean_text) == [None] * len(cases)
    others: list[str | None] = [
        "undefineds",
        "nulls",
        "|",
        "null|nan",
        "!",
        "<",
        "na",
        "nul",
        "an|no",
        "n",
        "0",
    ]
    assert read(duckdb, others, coercions.clean_text) == others


def test_blanks_and_invisible_characters_at_either_end(duckdb: Any) -> None:
    texts: list[str | None] = [
        "x ",
        " x",
        " ",
        "!",
        "! ",
        " !",
        "x!",
        "a b",
        "a\u00a0",
        "\x7fa",
        "\x1fa",
        "~",
    ]
    cleaned = ["x", "x", None, "!", "!", "!", "x!", "a b", "a", "a", "a", "~"]
    assert read(duckdb, texts, coercions.clean_text) == cleaned


def test_without_columns_there_is_no_text(duckdb: Any) -> None:
    assert read(duckdb, ["x"], lambda value: coercions.coalesce_text([])) == [None]
    both = coercions.coalesce_text
    found = read(duckdb, ["x", "null", None], lambda value: both([value.nullif("x"), value, value]))
    assert found == ["x", None, None]


def test_names_of_events_are_mapped_in_any_case(duckdb: Any) -> None:
    names = {" addToCart ": "cart", "BUY": "purchase"}
    texts: list[str | None] = ["ADDTOCART", "buy", "View", None]
    found = read(duckdb, texts, lambda value: coercions.map_event_name(value, names))
    assert found == ["cart", "purchase", "view", None]
    assert read(duckdb, texts, lambda value: coercions.map_event_name(value, {})) == [
        "addtocart", "buy", "view", None,
    ]  # fmt: skip


def test_nested_ids_are_told_from_ids_in_braces(duckdb: Any) -> None:
    texts: list[str | None] = [
        '{"a": 1}',
        "{}",
        "[1]",
        "[]",
        "{3F25}",
        "a{b:c}",
        "{a:b}c",
        "[",
        "{a:",
        "x",
    ]
    assert read(duckdb, texts, coercions.is_nested) == [True] * 4 + [False] * 6
