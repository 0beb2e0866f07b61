"""Exported lists are what the predictor answers, row for row, in whole files, and an export continues."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from deltalake import write_deltalake
from scipy.sparse import csr_matrix

from dawnlist.lake.lake import Lake
from dawnlist.model.user_items import UserItems
from dawnlist.pipelines.export import list_export
from dawnlist.pipelines.export.list_export import ListExport
from dawnlist.pipelines.export.list_files import read_user_ids, write_lists
from dawnlist.pipelines.export.list_table import names_lists
from dawnlist.schema import INTERACTIONS_SCHEMA
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.store.client import connect_store
from dawnlist.store.layout import NothingPublishedError
from dawnlist.store.withdrawals import withdraw_items
from tests.support.kfp_api import dawnlist
from tests.test_engine import AS_OF, asked, publish, shop

USERS = [f"u{number}" for number in range(70)]


def many_lists() -> Any:
    """Lists of 70 users in five buckets, some of them short or empty."""
    rng = np.random.default_rng(3)
    lengths = np.array([number % 3 for number in range(70)])
    items = np.array([rng.permutation(8)[:2] for _ in range(70)], dtype=np.uint32)
    scores = np.sort(rng.random((70, 2)).astype(np.float32))[:, ::-1]
    histories = UserItems(csr_matrix((70, 8), dtype=np.float32), np.zeros(0, np.float32))
    return shop(
        user_ids=np.array(USERS, dtype=object), item_index=items, score=scores, lengths=lengths,
        vectors=np.zeros((70, 2), np.float32), histories=histories,
    )  # fmt: skip


def make_lake(folder: Path, users: list[str]) -> Lake:
    lake = Lake.open(str(folder), "shop")
    row = {
        "item_id": "a",
        "event_type": "view",
        "weight": 1.0,
        "event_time": AS_OF,
        "event_date": AS_OF.date(),
        "source": "s",
    }
    rows = [{**row, "event_id": user, "user_id": user} for user in [*users, *users]]
    write_deltalake(lake.table_uri("interactions"), pa.Table.from_pylist(rows, INTERACTIONS_SCHEMA))
    return lake


def read_rows(folder: Path) -> list[dict[str, Any]]:
    return [
        row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


def export(url: str, lake: Lake, folder: Path, k: int = 20) -> list[Any]:
    with connect_store(url) as client:
        return list(
            write_lists(ListExport(client, "shop", read_user_ids(lake), k), str(folder), "parquet")
        )


@pytest.mark.parametrize("block", [1, 2, 4096])
def test_the_rows_are_what_the_predictor_answers(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(list_export, "BUCKETS_PER_BLOCK", block)
    publish(valkey, many_lists())
    with redis.from_url(valkey) as client:
        withdraw_items(client, "shop", ["c"])
    parts = export(valkey, make_lake(tmp_path / "lake", [*USERS, "stranger"]), tmp_path / "out")
    assert len(parts) == -(-5 // block)
    assert sum(part.users for part in parts) == 70
    assert sum(part.unnamed_users for part in parts) == 0
    rows: dict[str, list[Any]] = {user: [] for user in USERS}
    for row in read_rows(tmp_path / "out"):
        rows[row["user_id"]].append(row)
    answers = asked(valkey, *(Question(user) for user in USERS))
    for user, answer in zip(USERS, answers, strict=True):
        if answer.tier != "list":
            continue
        assert [row["item_id"] for row in rows[user]] == answer.item_ids, user
        assert [row["title"] or "" for row in rows[user]] == answer.titles
        assert [row["score"] for row in rows[user]] == pytest.approx(answer.scores)
        assert [row["rank"] for row in rows[user]] == [*range(1, len(answer.item_ids) + 1)]
    assert sum(answer.tier == "list" for answer in answers) > 40
    assert not any(row["item_id"] == "c" for row in read_rows(tmp_path / "out"))


def test_a_shorter_list_and_users_that_the_lake_does_not_know(valkey: str, tmp_path: Path) -> None:
    publish(valkey, many_lists())
    [part] = export(valkey, make_lake(tmp_path / "lake", USERS[:50]), tmp_path / "out", k=1)
    assert (part.users, part.unnamed_users) == (50, 20)
    assert {row["rank"] for row in read_rows(tmp_path / "out")} == {1}
    assert (
        part.rows == len(read_rows(tmp_path / "out")) == sum(number % 3 > 0 for number in range(50))
    )


def test_an_export_continues_where_it_ended(
    valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_export, "BUCKETS_PER_BLOCK", 2)
    publish(valkey, many_lists())
    lake = make_lake(tmp_path / "lake", USERS)
    with connect_store(valkey) as client:
        parts = write_lists(
            ListExport(client, "shop", read_user_ids(lake), 20), str(tmp_path / "out"), "parquet"
        )
        first = next(parts)
    assert first.is_new
    assert [part.is_new for part in export(valkey, lake, tmp_path / "out")] == [False, True, True]
    assert len({row["user_id"] for row in read_rows(tmp_path / "out")}) == sum(
        n % 3 > 0 for n in range(70)
    )
    assert not list((tmp_path / "out").glob("*.part"))


def test_the_command_writes_each_format(valkey: str, tmp_path: Path) -> None:
    publish(valkey, many_lists())
    make_lake(tmp_path / "lake", USERS[:69])
    place = ("--redis", valkey, "--namespace", "shop", "--lake", str(tmp_path / "lake"))
    for kind in ("csv", "jsonl"):
        done = dawnlist(
            "export", "lists", "--to", str(tmp_path / kind), "--file-format", kind, *place
        )
        assert "users\n1 users are not in the lake" in done.out, done.err
    [path] = (tmp_path / "csv").iterdir()
    rows = list(csv.DictReader(path.read_text().splitlines()))
    [path] = (tmp_path / "jsonl").iterdir()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["user_id"], row["item_id"]) for row in rows] == [
        (row["user_id"], row["item_id"]) for row in lines
    ]
    summary = json.loads(
        dawnlist("export", "lists", "--to", str(tmp_path / "p"), "--format", "json", *place).out
    )
    assert (summary["users"], summary["unnamed_users"], summary["rows"]) == (69, 1, len(rows))
    assert (
        "give one of parquet, csv, jsonl"
        in dawnlist(
            "export", "lists", "--to", str(tmp_path / "x"), "--file-format", "xml", *place
        ).err
    )


def test_without_a_version_or_a_lake_there_is_one_line(valkey: str, tmp_path: Path) -> None:
    with connect_store(valkey) as client, pytest.raises(NothingPublishedError):
        ListExport(client, "shop", pa.array(["u"]), 20)
    with pytest.raises(FileNotFoundError, match="no interactions"):
        read_user_ids(Lake.open(str(tmp_path), "shop"))


def test_a_segment_has_files_of_its_own(valkey: str, tmp_path: Path) -> None:
    publish(valkey, many_lists())
    make_lake(tmp_path / "lake", USERS)
    place = ("--redis", valkey, "--namespace", "shop", "--lake", str(tmp_path / "lake"))
    out = ("export", "lists", "--to", str(tmp_path / "out"), "--format", "json")
    whole = json.loads(dawnlist(*out, *place).out)
    sql = "SELECT user_id FROM interactions WHERE user_id IN ('u1', 'u2', 'u3', 'nobody')"
    part = json.loads(dawnlist(*out, "--users", sql, *place).out)
    assert (part["users"], part["rows"], part["unnamed_users"]) == (3, 1 + 2 + 0, 0)
    assert (whole["users"], len(list((tmp_path / "out").iterdir()))) == (70, 2)
    [name] = part["files"]
    rows = pq.read_table(tmp_path / "out" / name).to_pylist()
    everything = pq.read_table(tmp_path / "out" / whole["files"][0]).to_pylist()
    assert rows == [row for row in everything if row["user_id"] in ("u1", "u2", "u3")]
    wrong = dawnlist(*out, "--users", "SELECT user_id, item_id FROM interactions", *place)
    assert "--users returns the columns user_id, item_id: select one column user_id" in wrong.err
    assert "there is no table 'people'" in dawnlist(
        *out, "--users", "SELECT user_id FROM people", *place
    ).err  # fmt: skip


def query(folder: Path, sql: str, *place: str) -> Any:
    """The rows of a query."""
    answer = dawnlist("query", sql, "--output", str(folder / "rows.json"), *place)
    assert answer.code == 0, answer.err
    return json.loads((folder / "rows.json").read_text())


def test_lists_are_a_table_of_queries(valkey: str, tmp_path: Path) -> None:
    publish(valkey, many_lists())
    with redis.from_url(valkey) as client:
        withdraw_items(client, "shop", ["c"])
    lake = make_lake(tmp_path / "lake", USERS)
    export(valkey, lake, tmp_path / "out")
    place = ("--redis", valkey, "--namespace", "shop", "--lake", str(tmp_path / "lake"))
    answer = query(tmp_path, "SELECT * FROM lists", *place)
    assert answer == read_rows(tmp_path / "out")
    # A table can be read more than once, and beside others.
    sql = (
        "SELECT count(*) AS rows, count(DISTINCT a.user_id) AS users FROM lists a JOIN lists b "
        "USING (user_id, rank) WHERE user_id IN (SELECT user_id FROM interactions)"
    )
    [counts] = query(tmp_path, sql, *place)
    rows = read_rows(tmp_path / "out")
    assert counts == {"rows": len(rows), "users": len({row["user_id"] for row in rows})}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM lists", True),
        ('select 1 from interactions, "lists" l', True),
        ("select 1 from users join\nLISTS using (user_id)", True),
        ("select lists from users", False),
        ("select 1 from lists_of_old", False),
        ("select 'lists' from users", False),
    ],
)
def test_a_store_is_asked_only_for_the_table_of_lists(sql: str, expected: bool) -> None:
    assert names_lists(sql) is expected


def test_a_query_for_lists_without_a_store_is_refused(tmp_path: Path) -> None:
    make_lake(tmp_path / "lake", USERS)
    place = ("--namespace", "shop", "--lake", str(tmp_path / "lake"), "--home", str(tmp_path))
    refused = dawnlist("query", "SELECT * FROM lists", *place)
    assert refused.code != 0 and not refused.out
    assert dawnlist("query", "SELECT count(*) FROM interactions", *place).code == 0
