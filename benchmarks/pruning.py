"""How many files a condition on event_time opens, without and with the days of the files.

python benchmarks/pruning.py --days 161
"""

import argparse
import tempfile
from datetime import timedelta

import pyarrow.dataset as pads
import pyarrow.fs as pafs
from deltalake import DeltaTable

from dawnlist.lake.day_ranges import add_day_ranges
from dawnlist.lake.lake import Lake
from tests.support.counted_files import count_reads
from tests.support.daily_files import FIRST_DAY, commit_daily_files


def main() -> None:
    """Print the files that the events of the last three days need in both ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=161)
    options = parser.parse_args()
    start = FIRST_DAY + timedelta(days=options.days - 3)
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open(folder, "shop")
        commit_daily_files(lake, options.days)
        for label, has_ranges in (("without days", False), ("with days", True)):
            counted_lake, handler = count_reads(lake)
            folder_of_table = counted_lake.path("tables", "interactions")
            filesystem = pafs.SubTreeFileSystem(folder_of_table, counted_lake.filesystem)
            table = DeltaTable(lake.table_uri("interactions"))
            rows = table.to_pyarrow_dataset(filesystem=filesystem)
            if has_ranges:
                rows = add_day_ranges(rows)
            row_count = rows.to_table(filter=pads.field("event_time") >= start).num_rows
            print(f"{label}: {len(handler.opened)} of {options.days} files, {row_count} rows")


if __name__ == "__main__":
    main()
