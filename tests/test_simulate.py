"""The simulated shop: same seed same rows, more days more rows, and the dirt and the labels that were asked for."""

import importlib
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest

from dawnlist.lake.object_stores import open_object_store
from dawnlist.simulate import ShopConfig, SimulatedShop, ground_truth, simulate_shop, write_shop
from dawnlist.simulate.agents import HOSTILE_AGENT, SIMULATED_CRAWLERS
from dawnlist.simulate.config import CLEAN_SHOP_ARGUMENTS
from dawnlist.simulate.delivery import format_iso_utc
from dawnlist.simulate.upload import LAST_FILE, ShopExistsError

SMALL = ShopConfig(
    users=60, items=40, days=12, sessions_a_day=0.5, rename_day=8, sessionless_days=(3, 5)
)
SPOTLESS = replace(SMALL, **CLEAN_SHOP_ARGUMENTS, robot_share=0.0, unusual_share=0.0)


@pytest.fixture(scope="module")
def small() -> SimulatedShop:
    return simulate_shop(SMALL)


def kinds(shop: SimulatedShop) -> dict[str, str]:
    return dict(zip(shop.truth["user_id"].to_pylist(), shop.truth["kind"].to_pylist(), strict=True))


def test_the_same_seed_gives_the_same_tables(small: SimulatedShop) -> None:
    assert simulate_shop(SMALL).tables() == small.tables()


def test_another_seed_gives_other_events(small: SimulatedShop) -> None:
    assert simulate_shop(replace(SMALL, seed=2)).interactions != small.interactions


def test_more_days_only_add_rows(small: SimulatedShop) -> None:
    longer = simulate_shop(replace(SMALL, days=13)).tables()
    for name, table in small.tables().items():
        if name != "truth":
            assert longer[name].slice(0, table.num_rows) == table
    assert longer["interactions"].num_rows > small.interactions.num_rows
    assert kinds(small).items() <= kinds(simulate_shop(replace(SMALL, days=13))).items()


def test_users_and_items_arrive_every_few_days() -> None:
    shop = simulate_shop(replace(SPOTLESS, user_growth=2.0, item_growth=2.0, days=30))
    assert shop.users.num_rows == 60 + int(60 * 2.0 * 29 / 365)
    assert shop.items.num_rows == 40 + int(40 * 2.0 * 29 / 365)
    newest = pc.max(shop.items["added_at"]).as_py()
    assert "2025-01-01" < newest < "2025-01-31"


def test_a_row_as_production_calls_it(small: SimulatedShop) -> None:
    assert small.interactions.column_names == [
        "event_id", "user_id", "item_id", "event", "ts", "session_id", "user_agent", "ua", "ip_address", "received_at",
    ]  # fmt: skip
    received = small.interactions["received_at"].to_pylist()
    assert received == sorted(received)
    assert {len(text) for text in received} == {27}
    assert (
        received[0] >= "2025-01-01T00:00:00.000000Z"
        and received[-1] < "2025-01-13T00:00:00.000000Z"
    )


def test_iso_utc_has_a_fixed_width() -> None:
    assert format_iso_utc(pa.array([0, 1_735_689_600_000_001]).to_numpy()).to_pylist() == [
        "1970-01-01T00:00:00.000000Z",
        "2025-01-01T00:00:00.000001Z",
    ]


def test_a_spotless_shop_has_no_dirt() -> None:
    rows = simulate_shop(SPOTLESS).interactions
    assert len(set(rows["event_id"].to_pylist())) == rows.num_rows
    assert pc.all(pc.match_substring_regex(rows["user_id"], "^[0-9]{7}$")).as_py()
    assert pc.all(pc.ends_with(rows["ts"], "Z")).as_py()
    assert {name: rows[name].null_count for name in rows.column_names if rows[name].null_count} == {
        "ua": rows.num_rows
    }


def test_labels_partition_the_users(small: SimulatedShop) -> None:
    labels = kinds(small)
    assert len(labels) == small.truth.num_rows
    count = Counter(labels.values())
    assert count["human"] == 60 + 1  # and a couple on one account
    assert {kind for kind in count if kind.startswith("stealth:")} == {
        "stealth:fast", "stealth:regular", "stealth:wide", "stealth:skew", "stealth:scalper", "stealth:mimic",
        "stealth:clickfarm",
    }  # fmt: skip
    assert set(small.users["user_id"].to_pylist()) == {
        user for user, kind in labels.items() if kind != "crawler"
    }
    assert set(ground_truth.recover_events(small)["user"]) <= set(labels)


def test_unusual_people_come_beside_the_others() -> None:
    config = replace(SPOTLESS, users=500, days=60)
    usual = simulate_shop(config)
    shop = simulate_shop(replace(config, unusual_share=0.1))
    habits = Counter(shop.truth["habit"].drop_null().to_pylist())
    assert habits == {
        "couple": 25,
        "evening rater": 8,
        "gift hunter": 8,
        "commuter": 5,
        "collector": 3,
        "wholesale buyer": 2,
    }
    assert shop.users.num_rows == usual.users.num_rows + 51
    is_unusual = pc.is_valid(shop.truth["habit"])
    assert set(shop.truth["kind"].filter(is_unusual).to_pylist()) == {"human"}
    events = ground_truth.recover_events(shop)
    unusual_ids = set(shop.truth["user_id"].filter(is_unusual).to_pylist())
    assert len(unusual_ids.intersection(events["user"])) > 40
    others = events[~events["user"].isin(unusual_ids)]
    columns = ["user", "item", "event"]
    expected = ground_truth.recover_events(usual)[columns].sort_values(columns)
    assert others[columns].sort_values(columns).to_numpy().tolist() == expected.to_numpy().tolist()


def test_what_unusual_people_do() -> None:
    shop = simulate_shop(replace(SPOTLESS, users=500, items=300, days=60, unusual_share=0.1))
    events = ground_truth.recover_events(shop)
    habits = dict(zip(*shop.truth.select(["user_id", "habit"]).to_pydict().values(), strict=True))
    events = events.assign(habit=events["user"].map(habits), day=events["time"] // 86_400)
    kinds_by_habit = events.groupby("habit")["event"].unique()
    assert set(kinds_by_habit["evening rater"]) == {"like"}
    assert set(kinds_by_habit["wholesale buyer"]) == {"cart", "purchase"}
    rated = events[events["habit"] == "evening rater"].groupby("user")
    assert (rated["day"].nunique() <= 3).all()
    assert rated.size().max() >= 100
    wholesale = events[events["habit"] == "wholesale buyer"].groupby("user")["day"]
    assert all(len(set(days.unique() % 7)) == 1 for _, days in wholesale)
    networks = events.assign(network=events["address"].str.rpartition(".")[0])
    commuters = networks[networks["habit"] == "commuter"].groupby("user")
    assert (commuters["network"].nunique() >= 0.8 * commuters["day"].nunique()).all()


def test_crawlers_say_who_they_are_and_stealthy_bots_do_not() -> None:
    events = ground_truth.recover_events(
        simulate_shop(replace(SMALL, users=300, robot_share=0.4, null_text_share=0.0))
    )
    declared = set(events.loc[events["kind"] == "crawler", "agent"])
    assert (
        declared <= {crawler.agent for crawler in SIMULATED_CRAWLERS} and HOSTILE_AGENT in declared
    )
    others = events.loc[events["kind"] != "crawler", "agent"]
    assert others.str.startswith("Mozilla/5.0").all()
    assert not others.str.contains(ground_truth.ROBOT_AGENT_PATTERN, case=False).any()


def test_robots_make_the_share_that_was_asked_for() -> None:
    events = ground_truth.recover_events(
        simulate_shop(ShopConfig(users=1_500, items=300, days=40, robot_share=0.2))
    )
    assert 0.15 < (events["kind"] != "human").mean() < 0.25


def test_staff_are_known_by_role_or_address(small: SimulatedShop) -> None:
    users = small.users.to_pandas().assign(kind=lambda frame: frame["user_id"].map(kinds(small)))
    staff = users[users["kind"].isin(["staff", "test"])]
    assert (
        staff["role"].isin(["staff", "test"]) | staff["email"].str.endswith("@dawnmart.example")
    ).all()
    assert set(users.loc[users["kind"] == "human", "role"]) == {"customer"}


def test_replays_keep_the_event_id_and_double_clicks_do_not() -> None:
    spotless = simulate_shop(SPOTLESS).interactions
    replayed = simulate_shop(replace(SPOTLESS, replay_share=1.0)).interactions
    assert set(Counter(replayed["event_id"].to_pylist()).values()) <= {1, 2}
    assert replayed.num_rows > 1.9 * spotless.num_rows
    doubled = simulate_shop(replace(SPOTLESS, double_click_share=1.0)).interactions
    assert len(set(doubled["event_id"].to_pylist())) == doubled.num_rows > 1.9 * spotless.num_rows


def test_late_rows_happened_hours_before_they_arrived() -> None:
    rows = simulate_shop(replace(SPOTLESS, late_share=0.5)).interactions
    happened, arrived = (
        pc.utf8_slice_codeunits(rows[name], 0, 10) for name in ("ts", "received_at")
    )
    late = pc.sum(pc.less(happened, arrived))
    assert 0.2 < late.as_py() / rows.num_rows < 0.5


def test_odd_formats_mean_the_same_event() -> None:
    config = replace(SPOTLESS, odd_time_share=0.6, odd_id_share=0.6)
    plain, odd = (
        ground_truth.recover_events(simulate_shop(SPOTLESS)),
        ground_truth.recover_events(simulate_shop(config)),
    )
    assert odd[["user", "item", "event"]].equals(plain[["user", "item", "event"]])
    assert (
        (plain["time"] - odd["time"]).between(-0.0005, 0.9995).all()
    )  # epoch seconds drop the fraction
    texts = simulate_shop(config).interactions["ts"].to_pylist()
    shapes = Counter("+02:00" in t or ("T" in t) * 2 or (" " in t) * 3 or len(t) for t in texts)
    assert set(shapes) == {True, 2, 3, 10, 13}


def test_corrupt_rows_are_few_and_plain_to_see() -> None:
    rows = simulate_shop(replace(SPOTLESS, corrupt_share=0.3)).interactions
    assert rows["user_id"].null_count and rows["item_id"].null_count
    assert "heartbeat" in rows["event"].to_pylist()
    assert {"2099-12-31T23:59:59.000Z", "1970-01-01T00:00:00.000Z", "not a time"} <= set(
        rows["ts"].to_pylist()
    )


def test_a_column_is_renamed_and_another_missing(small: SimulatedShop) -> None:
    rows = small.interactions
    day = pc.cast(pc.utf8_slice_codeunits(rows["received_at"], 8, 10), pa.int64())
    before, after = rows.filter(pc.less(day, 9)), rows.filter(pc.greater_equal(day, 9))
    assert before["ua"].null_count == before.num_rows and before["user_agent"].null_count == 0
    assert after["user_agent"].null_count == after.num_rows and after["ua"].null_count == 0
    gone = rows.filter(pc.is_in(day, pa.array([4, 5])))
    assert gone["session_id"].null_count == gone.num_rows == rows["session_id"].null_count > 0


def test_the_hostile_title_is_on_sale(small: SimulatedShop) -> None:
    titles = small.items["title"].to_pylist()
    assert titles.count("<script>alert(1)</script>") == 1
    assert len(set(titles)) == len(titles)


def test_titles_stay_unique_in_a_large_catalogue() -> None:
    titles = (
        simulate_shop(replace(SPOTLESS, users=1, days=1, items=30_000)).items["title"].to_pylist()
    )
    assert len(set(titles)) == 30_000


@pytest.mark.parametrize("target", ["sqlite", "file"])
def test_a_target_with_something_in_it_is_left_alone(
    small: SimulatedShop, tmp_path: Path, target: str
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "notes.txt").write_text("mine")
    url = f"sqlite:///{tmp_path}/shop/notes.txt" if target == "sqlite" else str(tmp_path / "shop")
    with pytest.raises(FileExistsError, match="only written to a new"):
        write_shop(small, url)
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]
    assert (tmp_path / "shop" / "notes.txt").read_text() == "mine"


def test_sqlite_round_trip(small: SimulatedShop, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    write_shop(
        small, f"sqlite:///{tmp_path}/deep/shop.db", lambda done, total: steps.append((done, total))
    )
    with closing(sqlite3.connect(tmp_path / "deep" / "shop.db")) as connection, connection:
        for name, table in small.tables().items():
            rows = connection.execute(f"SELECT * FROM {name} ORDER BY rowid").fetchall()
            assert rows == list(zip(*(column.to_pylist() for column in table.columns), strict=True))
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM interactions WHERE received_at >= 'a'"
        ).fetchall()
    assert "interactions_received_at" in str(plan)
    assert steps[-1] == (sum(table.num_rows for table in small.tables().values()),) * 2
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["shop.db"]


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_folder_round_trip(small: SimulatedShop, tmp_path: Path, scheme: str) -> None:
    write_shop(small, f"{scheme}{tmp_path}/shop")
    folder = tmp_path / "shop"
    assert sorted(path.name for path in folder.iterdir()) == [
        "interactions",
        "items.csv",
        "truth.csv",
        "users.csv",
    ]
    files = sorted((folder / "interactions").iterdir())
    assert [path.stem for path in files] == [f"2025-01-{day:02}" for day in range(1, 13)]
    assert "user_agent" in files[7].read_text().splitlines()[0]
    assert "ua" in files[8].read_text().splitlines()[0].replace('"', "").split(",")
    assert (
        pa.concat_tables([read_csv(path) for path in files], promote_options="default").select(
            small.interactions.column_names
        )
        == small.interactions.combine_chunks()
    )
    assert read_csv(folder / "items.csv") == small.items


def read_csv(path: Path) -> pa.Table:
    """All text; nothing is NULL and a pair of quotes is an empty text."""
    names = path.read_text().splitlines()[0].replace('"', "").split(",")
    return pyarrow.csv.read_csv(
        path,
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )


@pytest.fixture(scope="module")
def database(postgres: str) -> Iterator[str]:
    """The URL of an empty database of our own."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE simulated")
        yield postgres.replace("/postgres?", "/simulated?")
        connection.execute("DROP DATABASE simulated")


def test_postgresql_round_trip_and_refusal(small: SimulatedShop, database: str) -> None:
    write_shop(small, database)
    with psycopg.connect(database) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        moment = 'to_char(received_at, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')'
        for name, table in small.tables().items():
            columns = ", ".join(
                moment if column == "received_at" else column for column in table.column_names
            )
            rows = connection.execute(f"SELECT {columns} FROM {name}".encode()).fetchall()
            assert Counter(rows) == Counter(
                zip(*(column.to_pylist() for column in table.columns), strict=True)
            )
    with pytest.raises(FileExistsError, match="only written to empty tables"):
        write_shop(small, database)


@pytest.fixture(params=["s3_root", "gcs_root"])
def bucket(request: pytest.FixtureRequest) -> str:
    root: str = request.getfixturevalue(request.param)
    return root


def test_bucket_round_trip_and_refusals(small: SimulatedShop, bucket: str, tmp_path: Path) -> None:
    write_shop(small, str(tmp_path / "shop"))
    local = {
        path.relative_to(tmp_path / "shop").as_posix(): path.read_bytes()
        for path in (tmp_path / "shop").rglob("*.csv")
    }
    store = open_object_store(f"{bucket}/sample")
    first_day = "interactions/2025-01-01.csv"
    store.put(local[first_day], first_day)  # of an upload that was killed
    write_shop(small, f"{bucket}/sample")
    assert {stored.name for stored in store.walk("")} == set(local)
    for name, data in local.items():
        assert (store.get(name) or (b"",))[0] == data
    with pytest.raises(ShopExistsError, match=f"{bucket}/sample holds a shop already"):
        write_shop(small, f"{bucket}/sample")
    with pytest.raises(FileExistsError, match=f"{bucket} has sample/.*, which is not of this shop"):
        write_shop(small, bucket)
    store.delete(LAST_FILE)
    store.put(b"other", first_day)
    with pytest.raises(FileExistsError, match=f"has {first_day}, which is not of this shop"):
        write_shop(small, f"{bucket}/sample")
    assert not store.exists(LAST_FILE)


def test_an_unknown_url_says_what_to_give(small: SimulatedShop) -> None:
    with pytest.raises(ValueError, match=r"mysql://.*give sqlite:///"):
        write_shop(small, "mysql://host/shop")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("users", 0, "users is 0; it must be a whole number from 1"),
        ("days", 2.5, "days is 2.5; it must be a whole number"),
        ("seed", -1, "seed is -1"),
        ("late_share", 1.5, "late_share is 1.5; a share must lie from 0 to 1"),
        ("robot_share", 0.95, "robot_share is 0.95; it must leave some people"),
        ("stay_days", 0, "stay_days is 0; it must be more than 0"),
        ("sessionless_days", (9, 3), "the first day must not be after the second"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError) as error:
        replace(SMALL, **{field: value})  # type: ignore[arg-type]
    assert message in str(error.value)


DATA = Path(os.environ.get("DAWNLIST_DATA", "../shared/data"))


@pytest.mark.skipif(not (DATA / "deskdrop").is_dir(), reason="the real data sets are not here")
def test_the_statistics_read_a_real_data_set() -> None:
    statistics = importlib.import_module("benchmarks.shop_statistics")
    log = statistics.deskdrop(DATA)
    assert (len(log.users), log.shape) == (72_312, (1_895, 2_987))
    assert 0 < statistics.shape_statistics(log)["Gini of item popularity"] < 1
