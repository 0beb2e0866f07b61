"""The rules of the clean step in vectorised pandas 3: what benchmarks/cleaning.py measures it against.

Everything that a careful author of pandas does is done: Arrow's strings, a search for the few texts that need washing
before any is washed, no apply, no Python object in a row. It knows the columns of the simulated shop, and reads no
settings.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

INVISIBLE = r"[\x00-\x1f\x7f-\x{9f}\x{ad}\x{200b}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2060}-\x{2069}\x{feff}]"
NULL = r"^(?i:null|nan|none|nil|n/a|<na>|nat|undefined|\\n)?$"
WEIGHTS = {"view": 1.0, "click": 1.0, "like": 2.0, "bookmark": 2.0, "comment": 3.0, "cart": 3.0, "follow": 3.0,
           "purchase": 5.0}  # fmt: skip
TWO_SECONDS = pd.Timedelta(seconds=2)
FIVE_MINUTES = pd.Timedelta(minutes=5)


def text(values: pd.Series) -> pd.Series:
    """Without invisible characters and outer blanks; missing for the ways in which sources write NULL."""
    dirty = values.str.contains(rf"{INVISIBLE}|^\s|\s$|{NULL}", regex=True, na=False)
    if not dirty.any():
        return values
    washed = values[dirty].str.replace(INVISIBLE, "", regex=True).str.strip()
    washed = washed.mask(washed.str.contains(NULL, regex=True, na=False))
    values = values.copy()
    values[dirty] = washed
    return values


def identifier(values: pd.Series) -> pd.Series:
    """17850.0 is 17850."""
    pointed = values.str.contains(".", regex=False, na=False)
    if pointed.any():
        values = values.copy()
        values[pointed] = values[pointed].str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)
    return values


def moment(values: pd.Series) -> pd.Series:
    """UTC: ISO-8601, or seconds, milliseconds, microseconds since 1970."""
    number = pd.to_numeric(values, errors="coerce").astype("float64")
    size = number.abs()
    scale = np.select([size < 1e11, size < 1e14, size < 1e17], [1e6, 1e3, 1.0], np.nan)
    counted = pd.to_datetime((number * scale).round(), unit="us", utc=True, errors="coerce")
    written = values[number.isna()]
    # without a zone UTC is meant; pandas takes the zone of the row before
    zoneless = ~written.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True, na=False)
    written = written.where(~zoneless, written + "Z")
    read = pd.to_datetime(written, utc=True, errors="coerce", format="ISO8601")
    return read.reindex(values.index).fillna(counted).astype("datetime64[us, UTC]")


def network(values: pd.Series) -> pd.Series:
    """The /24 of an address."""
    return values.str.extract(r"^(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}$", expand=False) + ".0/24"


def cleaned(raw: pd.DataFrame) -> pd.DataFrame:
    """Canonical columns and the fate of each row."""
    rows = pd.DataFrame(
        {
            "event_id": identifier(text(raw["event_id"])),
            "user_id": identifier(text(raw["user_id"])),
            "item_id": identifier(text(raw["item_id"])),
            "event_type": text(raw["event"]).str.lower(),
            "event_time": moment(text(raw["ts"])),
            "session_id": identifier(text(raw["session_id"])),
            "user_agent": text(raw["user_agent"]).fillna(text(raw["ua"])).str.slice(0, 1024),
            "ip": network(text(raw["ip_address"])),
        }
    )
    timed = text(raw["ts"]).notna()
    arrived = moment(text(raw["received_at"]))
    rows["weight"] = rows["event_type"].map(WEIGHTS).astype("float32")
    rows["event_date"] = rows["event_time"].dt.floor("D")
    rows["source"] = "landing/interactions/w/r1.parquet"
    rules = {
        "user_id missing": rows["user_id"].isna(),
        "item_id missing": rows["item_id"].isna(),
        "time missing": ~timed,
        "time unreadable": rows["event_time"].isna(),
        "time in the future": rows["event_time"] > arrived + FIVE_MINUTES,
        "time before 1995": rows["event_time"] < pd.Timestamp("1995-01-01", tz="UTC"),
        "event missing": rows["event_type"].isna(),
        "event unknown": rows["weight"].isna(),
    }
    rows["fate"] = np.select([rule.to_numpy() for rule in rules.values()], list(rules), "clean")
    return rows


def repeats(rows: pd.DataFrame) -> pd.DataFrame:
    """The same with the fates of duplicates and double clicks."""
    good = rows.loc[
        rows["fate"] == "clean", ["event_id", "user_id", "item_id", "event_type", "event_time"]
    ]
    good = good.sort_values("event_time", kind="stable")
    again = good["event_id"].duplicated()
    rows.loc[good.index[again], "fate"] = "duplicate"
    good = good[~again]
    what = good.groupby(["user_id", "item_id", "event_type"], sort=False)["event_time"]
    close = what.diff() <= TWO_SECONDS
    rows.loc[good.index[close], "fate"] = "double click"
    return rows


def main(source: Path, out: Path) -> None:
    """Read, clean, write by day; prints the counts."""
    raw = pd.read_parquet(source)
    rows = repeats(cleaned(raw))
    counts = rows["fate"].value_counts().to_dict()
    kept = rows[rows["fate"] == "clean"].drop(columns="fate")
    kept["event_date"] = kept["event_date"].dt.strftime("%Y-%m-%d")
    kept.to_parquet(
        out / "interactions", partition_cols=["event_date"], compression="zstd", compression_level=1
    )
    rejected = ~rows["fate"].isin(["clean", "duplicate", "double click"])
    raw[rejected].assign(reason=rows.loc[rejected, "fate"]).to_parquet(out / "quarantine.parquet")
    assert pq.read_metadata(out / "quarantine.parquet").num_rows == int(rejected.sum())
    print(json.dumps({"pandas": pd.__version__, "counts": counts}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
