"""What the profile says of dirty rows written by hand, and which limits they break."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from dawnlist.components.clean import limits
from dawnlist.components.clean.cleaning import open_cleaning_engine
from dawnlist.components.clean.duplicates import mark_repeats
from dawnlist.components.clean.fates import NESTED_ITEM, NESTED_USER, ROUNDED_ITEM, ROUNDED_USER
from dawnlist.components.clean.interactions import (
    apply_layout_hints,
    create_text_view,
    validate_rows,
)
from dawnlist.components.clean.profile import (
    CleaningProfile,
    DayVolume,
    profile_landed_rows,
    sort_by_count,
)
from dawnlist.components.clean.profile_page import render_profile_page
from dawnlist.dataclass_json import to_json
from dawnlist.lake.commits import build_commit_properties
from dawnlist.lake.lake import Lake
from dawnlist.lake.watermark import build_window_transactions
from dawnlist.schema import INTERACTIONS_SCHEMA
from dawnlist.settings import LimitSettings, Settings, SourceSettings

END = datetime(2026, 1, 31, 3, tzinfo=UTC)
WINDOW = (END - timedelta(days=1, hours=1), END)
ROWS = pa.table(
    {
        "User": ["7", " 8.0", "null", None, "7"],
        "item_id": ["10", "a|b", "10", "10", "10"],
        "event": ["view", "view", "view", "view", "<b>scroll"],
        "ts": [
            "2026-01-30T10:00:00Z",
            "1769767200",
            "2026-01-30 10:00:00",
            "soon",
            "2026-01-30T10:00:00Z",
        ],
        "colour": ["red", None, "1,5", "2", "3.5"],
    }
)


def test_reasons_of_one_count_are_told_by_name() -> None:
    # an engine gives its groups in any order, and two runs over the same rows print the same
    assert sort_by_count({"time missing": 1, "event unknown": 3, "item_id missing": 1}) == [
        ("event unknown", 3),
        ("item_id missing", 1),
        ("time missing", 1),
    ]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), "shop")


def found(lake: Lake, tmp_path: Path, *tables: pa.Table) -> CleaningProfile:
    """The profile of rows, with their volume."""
    Path(lake.path("landing")).mkdir(parents=True, exist_ok=True)
    names = [f"landing/{number}.parquet" for number in range(len(tables))]
    for name, table in zip(names, tables, strict=True):
        pq.write_table(table, lake.path(*name.split("/")))
    with open_cleaning_engine(Settings().engines, tmp_path) as engine:
        parts = engine.create_landed_views(lake, names, "landed")
        source = apply_layout_hints(parts, SourceSettings())
        texts = create_text_view(engine, parts, source)
        once = engine.materialise("once", validate_rows(texts, source, END))
        rows = mark_repeats(engine, once, None, source)
        usual = limits.measure_volume(lake.table("interactions"), engine, rows, WINDOW)
        return replace(profile_landed_rows(engine, parts, texts, once, rows, source), volume=usual)


def column(
    source: str, name: str | None, nulls: int, padded: int, rejected: Any, types: Any
) -> dict[str, Any]:
    return {"source": source, "column": name, "rows": 5, "nulls": nulls, "padded": padded, "rejected": rejected,
            "types": types}  # fmt: skip


def test_profile(lake: Lake, tmp_path: Path) -> None:
    times = {"ISO time with a zone": 2, "epoch seconds": 1, "ISO time without a zone": 1, "text": 1}
    none = {"clean": 0, "duplicates": 0, "double_clicks": 0, "rejected": 0}
    assert to_json(found(lake, tmp_path, ROWS, ROWS.slice(0, 0))) == {
        "rows_in": 5, "event_ids": 0, "reused_ids": 0, "rows_of_no_window": 0, "rows_with_id": 0,
        "clean": 2, "duplicates": 0, "double_clicks": 0, "rejected": 3,
        "reasons": {"user_id missing": 2, "event unknown": 1},
        "days": [
            none | {"day": "2026-01-30", "rows": 4, "clean": 2, "rejected": 2},
            none | {"day": None, "rows": 1, "rejected": 1},
        ],
        "sampled": 5,
        "columns": [
            column("User", "user_id", 1, 1, {"user_id missing": 2}, {"integer": 2, "decimal point": 1, "null text": 1}),
            column("item_id", "item_id", 0, 0, {}, {"integer": 4, "text": 1}),
            column("event", "event_type", 0, 0, {"event unknown": 1}, {"text": 5}),
            column("ts", "event_time", 0, 0, {}, times),
            column("colour", None, 1, 0, {}, {"text": 1, "decimal comma": 1, "integer": 1, "decimal point": 1}),
        ],
        "unknown_events": {"<b>scroll": 1},
        "volume": None,
    }  # fmt: skip


def test_the_page_is_escaped_and_tells_no_values(lake: Lake, tmp_path: Path) -> None:
    page = render_profile_page(found(lake, tmp_path, ROWS))
    assert "5 rows = 2 clean + 3 rejected + 0 duplicates + 0 double clicks" in page
    assert '<td class="word">user_id missing</td><td>2</td><td>40.00%</td>' in page
    assert "&lt;b&gt;scroll" in page and "<b>" not in page
    assert "a|b" not in page


def test_a_sample_is_of_blocks_over_the_whole_object(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dawnlist.components.clean.profile.PROFILE_SAMPLE_ROWS", 1_600)
    rows = 32_000
    table = pa.table({"user_id": ["1"] * (rows // 2) + ["1.0"] * (rows // 2), "item_id": ["a"] * rows,
                      "event": ["view"] * rows, "ts": [str(1769767200 + 60 * n) for n in range(rows)]})  # fmt: skip
    told = found(lake, tmp_path, table)
    assert told.sampled == 1_600 and told.rows_in == rows
    assert told.columns[0].types == {"integer": 800, "decimal point": 800}


def judged_profile(**about: Any) -> CleaningProfile:
    counts = dict.fromkeys(("clean", "duplicates", "double_clicks", "rejected", "sampled"), 0)
    empty: dict[str, Any] = {"reasons": {}, "days": [], "columns": [], "unknown_events": {}}
    return CleaningProfile(**{"rows_in": 2000, **counts, **empty, **about})


def refused(reasons: dict[str, int], unknown_events: dict[str, int] | None = None) -> str:
    """What check_limits says of 2,000 rows that are rejected for these reasons."""
    profile = judged_profile(
        rejected=sum(reasons.values()), reasons=reasons, unknown_events=unknown_events or {}
    )
    try:
        limits.check_limits(profile, LimitSettings(), END, is_first=False)
    except RuntimeError as error:
        return str(error)
    return ""


def test_shares_over_their_limits_fail_with_the_numbers() -> None:
    too_few = judged_profile(rows_in=999, rejected=999, reasons={"event unknown": 999})
    limits.check_limits(too_few, LimitSettings(), END, False)
    assert refused({"item_id missing": 1000}) == ""
    reasons = {"item_id missing": 501, "event unknown": 500}
    assert refused(reasons, {"scroll": 500}) == (
        "cleaning as of 2026-01-31 03:00 stopped before its clean rows were committed: 1,001 of 2,000 rows (50.0%) are "
        "rejected, more than limits.max_rejected (50.0%): 501 item_id missing, 500 event unknown; 500 of 2,000 rows "
        "(25.0%) are of unknown events, more than limits.max_unknown_events (20.0%): name them in source.events or "
        "source.weights ('scroll'). The rejected rows are in the table quarantine; mend the source or its mapping, or "
        "raise the limit, and run again"
    )


@pytest.mark.parametrize("reason", ["user_id missing", "event not wanted"])
def test_rows_without_a_mistake_count_for_no_limit_on_mistakes(reason: str) -> None:
    assert refused({reason: 1000, "item_id missing": 500}) == ""
    message = refused({reason: 1000, "item_id missing": 501})
    assert "501 of 1,000 rows (50.1%) are rejected, " in message
    assert "more than limits.max_rejected (50.0%): 501 item_id missing. The" in message
    # Of 2,000 rows, 999 are left to judge, which are fewer than limits.min_rows.
    assert refused({reason: 1001, "item_id missing": 999}) == ""


def test_rows_without_a_user_have_a_limit_of_their_own() -> None:
    assert refused({"user_id missing": 1900}) == ""
    assert "1,901 of 2,000 rows (95.0%) have no user, more than limits.max_without_user (95.0%): check that" in refused(
        {"user_id missing": 1901}
    )  # fmt: skip
    assert refused({"event not wanted": 2000}) == ""


def test_limits_count_from_the_least_number_of_rows_on() -> None:
    def refused_of(rows: int, **about: Any) -> str:
        profile = judged_profile(rows_in=rows, **about)
        try:
            limits.check_limits(profile, LimitSettings(), END, False)
        except RuntimeError as error:
            return str(error)
        return ""

    bad: dict[str, Any] = {"rejected": 999, "reasons": {"item_id missing": 999}}
    assert refused_of(999, **bad) == "" and "are rejected" in refused_of(1000, **bad)
    nobody: dict[str, Any] = {"rejected": 999, "reasons": {"user_id missing": 999}}
    assert refused_of(999, **nobody) == "" and "have no user" in refused_of(1000, **nobody)
    unknown: dict[str, Any] = {"rejected": 200, "reasons": {"event unknown": 200}}
    assert refused_of(1000, **unknown) == ""
    unknown = {"rejected": 201, "reasons": {"event unknown": 201}}
    assert "unknown events" in refused_of(1000, **unknown)
    reused = {"rows_with_id": 999, "reused_ids": 999, "event_ids": 1}
    assert refused_of(1000, **reused) == ""
    assert "it is no id of an event" in refused_of(1000, **{**reused, "rows_with_id": 1000})
    assert refused_of(1000, rows_with_id=1000, reused_ids=200) == ""
    assert "201 of them" in refused_of(1000, rows_with_id=1000, reused_ids=201)


def test_limits_of_nothing_accept_nothing_and_no_more() -> None:
    strict = LimitSettings(
        min_rows=1, max_without_user=0, max_rejected=0, max_unknown_events=0, max_reused_ids=0
    )
    limits.check_limits(judged_profile(rows_in=1, rows_with_id=1), strict, END, False)
    for about, message in (
        ({"rejected": 1, "reasons": {"user_id missing": 1}}, "have no user"),
        ({"rejected": 1, "reasons": {"item_id missing": 1}}, "are rejected"),
        ({"rejected": 1, "reasons": {"event unknown": 1}}, "of unknown events"),
        ({"rows_with_id": 2, "reused_ids": 1, "event_ids": 1}, "it is no id of an event"),
    ):
        with pytest.raises(RuntimeError, match=message):
            limits.check_limits(judged_profile(rows_in=2, **about), strict, END, False)


@pytest.mark.parametrize("reason", ["user_id nested", "item_id nested"])
def test_half_of_the_rows_may_have_nested_ids(reason: str) -> None:
    name = {"user_id nested": NESTED_USER, "item_id nested": NESTED_ITEM}[reason]
    for count, is_refused in ((5, False), (6, True), (0, False)):
        profile = judged_profile(rows_in=10, rejected=count, reasons={name: count})
        with pytest.raises(RuntimeError) if is_refused else nullcontext():
            limits.check_limits(profile, LimitSettings(), END, False)


def test_the_first_run_needs_a_row_with_a_time() -> None:
    """Later ones may find that a file has brought nothing but rows without a time."""

    def check(rows: int, without_time: int, is_first: bool) -> None:
        profile = judged_profile(
            rows_in=rows, rejected=without_time, rows_of_no_window=without_time
        )
        limits.check_limits(profile, LimitSettings(), END, is_first=is_first)

    for rows, without_time, is_first in ((1, 1, False), (2, 1, True), (0, 0, True)):
        check(rows, without_time, is_first)
    for rows in (1, 2, 5_000):
        with pytest.raises(RuntimeError, match=f"none of the {rows:,} rows has a time"):
            check(rows, rows, is_first=True)


def test_rows_of_no_window_count_for_no_limit_on_mistakes() -> None:
    reasons = {"item_id missing": 500, "time missing": 1_000}
    about: dict[str, Any] = {"rejected": 1_500, "reasons": reasons, "rows_of_no_window": 1_000}
    limits.check_limits(judged_profile(**about), LimitSettings(), END, False)
    about["rows_of_no_window"] = 999
    with pytest.raises(RuntimeError, match=r"501 of 1,001 rows"):
        limits.check_limits(judged_profile(**about), LimitSettings(), END, False)


@pytest.mark.parametrize(
    ("rows", "usual", "said"),
    [
        (2000, 2000, ""),
        (0, 999, ""),
        (200, 2000, ""),
        (20_000, 2000, ""),
        (199, 2000, "less than limits.min_volume"),
        (20_001, 2000, "more than limits.max_volume"),
    ],
)
def test_volume_limits(rows: int, usual: int, said: str) -> None:
    volume = DayVolume(day="2026-01-30", rows=rows, usual=usual, days=4)
    if not said:
        limits.check_limits(judged_profile(volume=volume), LimitSettings(), END, False)
        return
    with pytest.raises(
        RuntimeError,
        match=f"have {rows:,} clean rows, and the same weekday before had 2,000: {said}",
    ):
        limits.check_limits(judged_profile(volume=volume), LimitSettings(), END, False)


def history(lake: Lake, days: dict[str, int], transactions: dict[str, int] | None = None) -> None:
    """Interactions of days, so many rows each."""
    event = {"user_id": "1", "item_id": "a", "event_type": "view", "weight": 1.0, "source": "s"}
    times = [
        datetime.fromisoformat(f"{day}T10:00:00+00:00")
        for day, count in days.items()
        for _ in range(count)
    ]
    rows = [
        event | {"event_id": str(n), "event_time": t, "event_date": t.date()}
        for n, t in enumerate(times)
    ]
    table = pa.Table.from_pylist(rows, schema=INTERACTIONS_SCHEMA)
    commit = build_commit_properties(transactions or {}, {})
    write_deltalake(
        lake.table_uri("interactions"), table, partition_by=["event_date"], commit_properties=commit
    )


def test_the_volume_is_of_the_same_weekday_of_four_weeks(lake: Lake, tmp_path: Path) -> None:
    history(
        lake,
        {"2026-01-02": 9, "2026-01-09": 4, "2026-01-16": 5, "2026-01-22": 90, "2026-01-30": 80},
    )
    assert found(lake, tmp_path, ROWS).volume == DayVolume(
        day="2026-01-30", rows=2, usual=5, days=3
    )


def test_the_volume_counts_the_last_24_hours_and_days_before_the_window(
    lake: Lake, tmp_path: Path
) -> None:
    history(
        lake,
        {"2025-12-26": 90, "2026-01-02": 3, "2026-01-09": 4, "2026-01-16": 5, "2026-01-23": 6},
    )
    times = [
        END - timedelta(days=1),
        END - timedelta(days=1, microseconds=1),
        END,
        END - timedelta(microseconds=1),
    ]
    table = pa.table(
        {
            "user_id": [f"u{number}" for number in range(4)],
            "item_id": ["10"] * 4,
            "event": ["view"] * 4,
            "ts": [time.isoformat() for time in times],
        }
    )
    volume = found(lake, tmp_path, table).volume
    assert volume == DayVolume(day="2026-01-30", rows=2, usual=4.5, days=4)


@pytest.mark.parametrize(("hours", "is_judged"), [(23, True), (22.99, False)])
def test_the_volume_of_less_than_23_hours_is_not_judged(
    lake: Lake, tmp_path: Path, hours: float, is_judged: bool
) -> None:
    history(lake, {"2026-01-02": 3, "2026-01-09": 4, "2026-01-16": 5})
    table = lake.table("interactions")
    with open_cleaning_engine(Settings().engines, tmp_path) as engine:
        rows = pa.table({"event_time": [END], "fate": ["clean"]})
        fates = ibis.memtable(rows)
        window = (END - timedelta(hours=hours), END)
        assert (limits.measure_volume(table, engine, fates, window) is not None) == is_judged
        assert limits.measure_volume(None, engine, fates, window) is None


@pytest.mark.parametrize(
    ("covered_to", "is_judged"), [(END, False), (END - timedelta(hours=1), True)]
)
def test_the_volume_of_a_covered_window_is_not_judged(
    lake: Lake, tmp_path: Path, covered_to: datetime, is_judged: bool
) -> None:
    history(
        lake,
        {"2026-01-02": 9, "2026-01-09": 4, "2026-01-16": 5},
        build_window_transactions((END - timedelta(days=30), covered_to)),
    )
    assert (found(lake, tmp_path, ROWS).volume is not None) == is_judged


@pytest.mark.parametrize(
    "days", [{}, {"2026-01-16": 5, "2026-01-23": 4, "2026-01-29": 8}], ids=["first", "young"]
)
def test_a_young_shop_has_no_usual_day(lake: Lake, tmp_path: Path, days: dict[str, int]) -> None:
    if days:
        history(lake, days)
    assert found(lake, tmp_path, ROWS).volume is None


@pytest.mark.parametrize("reason", [ROUNDED_USER, ROUNDED_ITEM])
@pytest.mark.parametrize(
    ("rows", "rounded", "is_refused"),
    [
        (1000, 10, False),  # 1% is the limit
        (1000, 11, True),
        (999, 11, False),  # fewer rows than min_rows are judged if most are rounded
        (10, 5, False),
        (10, 6, True),
    ],
)
def test_rounded_ids_have_exact_limits(
    reason: str, rows: int, rounded: int, is_refused: bool
) -> None:
    judged = LimitSettings(min_rows=1000, max_rounded_ids=0.01, max_rejected=1.0)
    profile = judged_profile(rows_in=rows, rejected=rounded, reasons={reason: rounded})
    expected: Any = nullcontext()
    if is_refused:
        name = reason.removesuffix(" rounded")
        message = f"{rounded} of {rows:,} rows have a rounded {name}, such as"
        expected = pytest.raises(RuntimeError, match=message)
    with expected:
        limits.check_limits(profile, judged, END, False)
