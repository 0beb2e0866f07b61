"""Small literal data that several tests share."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from dawnlist.cuts import Cuts
from dawnlist.lake.lake import Lake
from dawnlist.model.ids import IdMap
from dawnlist.model.splits import Splits
from dawnlist.schema import INTERACTIONS_SCHEMA, VERDICTS_SCHEMA

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
CUTS = Cuts.from_as_of(AS_OF)
NO_VERDICTS = VERDICTS_SCHEMA.empty_table()


def interactions(*rows: tuple[str, str, float]) -> pa.Table:
    """A table of (user, item, hours before AS_OF), weight 1."""
    times = [AS_OF - timedelta(hours=hours) for _, _, hours in rows]
    columns: dict[str, list[Any]] = {
        "event_id": [f"e{number}" for number in range(len(rows))],
        "user_id": [user for user, _, _ in rows],
        "item_id": [item for _, item, _ in rows],
        "event_type": ["view"] * len(rows),
        "weight": [1.0] * len(rows),
        "event_time": times,
        "event_date": [time.date() for time in times],
        "session_id": [None] * len(rows),
        "user_agent": [None] * len(rows),
        "ip": [None] * len(rows),
        "source": ["literal"] * len(rows),
    }
    return pa.table(columns, schema=INTERACTIONS_SCHEMA)


def write_interactions(lake: Lake, *rows: tuple[str, str, float]) -> int:
    """Write the rows as the lake's interactions table; its version."""
    write_deltalake(
        lake.table_uri("interactions"), interactions(*rows), partition_by=["event_date"]
    )
    return 0


def clicks(path: Path, *times: object, kind: str = "TEXT") -> str:
    """A SQLite shop of one click for each time, which its user is called after."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS interactions (user_id, item_id, event, ts, received_at {kind})"
        )
        rows = [(str(time), "i", "view", "2026-01-01T00:00:00Z", time) for time in times]
        connection.executemany("INSERT INTO interactions VALUES (?, ?, ?, ?, ?)", rows)
    return f"sqlite:///{path}"


def two_tastes(users: int = 40, items: int = 20) -> Splits:
    """Even users meet even items, odd users odd ones; each meets two in validation and two in the holdout."""
    rng = np.random.default_rng(0)
    user, item, part = [], [], []
    for u in range(users):
        mine = rng.permutation(np.arange(u % 2, items, 2))
        user += [u] * len(mine)
        item += mine.tolist()
        part += [1, 1, 2, 2] + [0] * (len(mine) - 4)
    order = np.lexsort((item, user))
    weight, last = (
        np.zeros((3, len(user)), dtype=np.float32),
        np.zeros((3, len(user)), dtype=np.int64),
    )
    for p, hours in enumerate((72, 36, 12)):
        chosen = np.array(part) == p
        weight[p, chosen] = 1
        last[p, chosen] = int((AS_OF - timedelta(hours=hours)).timestamp() * 1e6)
    ids = [
        IdMap(pa.array([f"{kind}{n:02}" for n in range(size)]))
        for kind, size in (("u", users), ("i", items))
    ]
    return Splits(
        ids[0],
        ids[1],
        np.array(user, dtype=np.int32)[order],
        np.array(item, dtype=np.int32)[order],
        weight[:, order],
        last[:, order],
        CUTS,
        {"interactions_version": 0, "window_days": 30, "incumbent": None},
    )
