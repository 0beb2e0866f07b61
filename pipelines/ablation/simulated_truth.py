"""The truth of a simulated shop, which only `dawnlist ablate`, benchmarks and tests may read."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from dawnlist.components.fetch.sources import open_source
from dawnlist.settings import SourceSettings
from dawnlist.urls import mask_passwords

HUMAN = "human"


def read_human_ids(url: str) -> pa.StringArray:
    """The user ids of the people in a shop that `dawnlist simulate` wrote to `url`.

    ValueError when there is no truth; what can't be reached is the source's own error in one line.
    """
    truth = _read_truth_table(url)
    if truth is None or not {"user_id", "kind"} <= set(truth.column_names):
        raise ValueError(
            f"{mask_passwords(url)!r} has no truth table with user_id and kind: give what `dawnlist simulate` wrote to, or "
            "leave --truth out to judge on the users whom every rule keeps"
        )
    people = truth.filter(pc.equal(truth["kind"], HUMAN))
    return people["user_id"].cast(pa.string()).combine_chunks()


def _read_truth_table(url: str) -> pa.Table | None:
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        file = Path(unquote(parts.path) if parts.scheme else url) / "truth.csv"
        text = pyarrow.csv.ConvertOptions(column_types={"user_id": pa.string()})
        return pyarrow.csv.read_csv(file, convert_options=text) if file.is_file() else None
    # a small table of its own, which a source reads as it reads that of the items
    rows = open_source(url, SourceSettings(items="truth")).read_whole_table("items")
    return None if rows is None else pa.Table.from_batches(rows)
