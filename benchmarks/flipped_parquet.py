"""Flip a bit of a Parquet file at places that are spread over it, and fetch and clean each copy.

    python benchmarks/flipped_parquet.py --flips 134

Each copy is refused in one line, or each of its rows is in the sum: clean, rejected or a duplicate.
"""

import argparse
import io
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.lake.lake import Lake
from dawnlist.settings import Settings

AS_OF: Final = datetime(2026, 1, 31, tzinfo=UTC)
ROWS: Final = 500
SETTINGS: Final = Settings.model_validate(
    {
        "source": {"check_days": 0},
        "limits": {"max_rejected": 1, "max_without_user": 1, "max_unknown_events": 1},
    }
)


def build_file() -> bytes:
    """Write events to a Parquet file, as zstd compresses them."""
    numbers = list(range(ROWS))
    events = {
        "event_id": [f"e{number}" for number in numbers],
        "user_id": [f"u{number % 37}" for number in numbers],
        "item_id": [f"i{number % 101}" for number in numbers],
        "event": ["view" for _ in numbers],
        "ts": [AS_OF - timedelta(hours=1, seconds=number) for number in numbers],
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(events), buffer, compression="zstd")
    return buffer.getvalue()


def judge_copy(data: bytes, folder: Path) -> str:
    """Fetch and clean a copy, and say what became of it.

    Raises:
        AssertionError: rows are missing, or the message has several lines.
    """
    source = folder / "source"
    source.mkdir()
    (source / "2026-01-30.parquet").write_bytes(data)
    lake = Lake.open(str(folder / "lake"), "shop")
    try:
        landed = fetch_source(lake, str(source), SETTINGS.source, AS_OF, "r1", 30)
        report = clean_landed_objects(lake, landed, SETTINGS, AS_OF, "r1")
    except (ValueError, RuntimeError, OSError) as error:
        assert "\n" not in str(error), error
        return "refused in one line"
    fates = ("clean", "quarantined", "duplicates", "double_clicks")
    assert sum(report[fate] for fate in fates) == ROWS, report
    if report["clean"] == ROWS:
        return "all rows clean"
    return "all rows in the sum, some of them rejected"


def main() -> None:
    """Print how many copies had each outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=134)
    given = parser.parse_args()
    data = build_file()
    outcomes: Counter[str] = Counter()
    for number in range(given.flips):
        place = number * len(data) // given.flips
        copy = bytearray(data)
        copy[place] ^= 1 << number % 8
        with tempfile.TemporaryDirectory() as folder:
            outcomes[judge_copy(bytes(copy), Path(folder))] += 1
    print(f"{given.flips} flips of a file of {len(data):,} bytes")
    for outcome, count in outcomes.most_common():
        print(f"{count:>5}  {outcome}")


if __name__ == "__main__":
    main()
