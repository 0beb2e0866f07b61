"""Days of a production database's traffic with late, replayed and duplicate rows, and what a lake must make of them."""

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dawnlist.cuts import format_iso

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)

Row = tuple[str | None, str | None, str, str, str, str]
"""event_id, user_id, item_id, event, ts, received_at."""
Event = tuple[str, str, str, datetime]
"""user_id, item_id, event_type, event_time: no two are alike here."""


@dataclass(frozen=True)
class Traffic:
    """Rows with the moment at which each was committed, so that it can be seen."""

    rows: list[tuple[datetime, Row]]
    events: list[Event]
    """The truth: each event once."""
    broken: int
    """Rows without a user, each sent once."""

    def write(self, database: Path, until: datetime) -> str:
        """The database as it is at `until`; its URL."""
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("DROP TABLE IF EXISTS interactions")
            connection.execute(
                "CREATE TABLE interactions (event_id, user_id, item_id, event, ts, received_at TEXT)"
            )
            seen = [row for committed, row in self.rows if committed < until]
            connection.executemany("INSERT INTO interactions VALUES (?, ?, ?, ?, ?, ?)", seen)
            connection.execute("CREATE INDEX arrival ON interactions (received_at)")
        return f"sqlite:///{database}"


def traffic(seed: int, days: int, events: int, missed: bool = False) -> Traffic:
    """`events` a day; with `missed`, some rows are committed hours after the time that their row says."""
    rng = random.Random(seed)
    rows: list[tuple[datetime, Row]] = []
    truth: list[Event] = []
    broken = 0
    for number in range(days * events):
        time = FIRST + timedelta(microseconds=rng.randrange(int(days * DAY.total_seconds() * 1e6)))
        user, item, kind = (
            f"u{rng.randrange(40)}",
            f"i{rng.randrange(30)}",
            rng.choice(("view", "cart", "purchase")),
        )
        late = (
            rng.choice((2 * HOUR, DAY, 3 * DAY))
            if rng.random() < 0.05
            else timedelta(seconds=rng.random() * 60)
        )
        name = f"e{number}" if rng.random() < 0.7 else None
        sent = time + late
        nobody = rng.random() < 0.01
        broken += nobody
        if not nobody:
            truth.append((user, item, kind, time))
        copies = [sent]
        if (
            not nobody and rng.random() < 0.1
        ):  # a client that sends again at once, or a queue that is replayed later
            copies.append(sent + rng.choice((timedelta(), 5 * HOUR, 2 * DAY)))
        for arrived in copies:
            slow = rng.random() < 0.03
            committed = arrived + (
                rng.random() * 50 * timedelta(minutes=1) if slow else timedelta(seconds=1)
            )
            if missed and rng.random() < 0.02:
                committed = arrived + 30 * HOUR
            row = (
                name,
                None if nobody else user,
                item,
                kind,
                format_iso(time),
                f"{arrived:%Y-%m-%dT%H:%M:%S.%fZ}",
            )
            rows.append((committed, row))
    return Traffic(sorted(rows, key=lambda pair: pair[0]), sorted(truth), broken)
