"""Read which users of a simulated shop are people.

Only `dawnlist ablate`, benchmarks and tests may use this truth.
"""

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
    """Read the user ids of the people in a shop that `dawnlist simulate` wrote to `url`.

    Raises:
        ValueError: There is no truth at the URL.
    """
    truth = _read_truth_table(url)
    if truth is None or not {"user_id", "kind"} <= set(truth.column_names):
        raise ValueError(
            f"{mask_passwords(url)!r} has no truth table with user_id and kind: give the --out of "
            "`dawnlist simulate`, or leave --truth out to judge on the users whom every rule keeps"
        )
    people = truth.filter(pc.equal(truth["kind"], HUMAN))
    return people["user_id"].cast(pa.string()).combine_chunks()


def _read_truth_table(url: str) -> pa.Table | None:
    address = urlsplit(url)
    if address.scheme == "":
        return _read_truth_file(Path(url))
    if address.scheme == "file":
        return _read_truth_file(Path(unquote(address.path)))
    # The truth is a small table. A source reads it in the same way as the table of items.
    source = open_source(url, SourceSettings(items="truth"))
    batches = source.read_whole_table("items")
    if batches is None:
        return None
    return pa.Table.from_batches(batches)


def _read_truth_file(folder: Path) -> pa.Table | None:
    file = folder / "truth.csv"
    if not file.is_file():
        return None
    options = pyarrow.csv.ConvertOptions(column_types={"user_id": pa.string()})
    return pyarrow.csv.read_csv(file, convert_options=options)
