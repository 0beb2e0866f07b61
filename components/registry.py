"""The registry: which model was published for which day, and which of them the store has active."""

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from components.cuts import iso, parse_as_of, stamp
from components.lake import Lake
from components.model import FactorModel

Publication = dict[str, Any]


def record(lake: Lake, version: int, meta: dict[str, Any]) -> None:
    """Write down what was published, from the meta data of its lists, and make it champion."""
    names = ("as_of", "run", "model", "winner", "metrics")
    publication = {"version": version, **{name: meta[name] for name in names}}
    lake.write_json(publication, "publications", f"{stamp(parse_as_of(publication['as_of']))}.json")
    lake.write_json(publication, "champion.json")


def publications(lake: Lake) -> list[Publication]:
    """All publications, oldest day first."""
    found = (lake.read_json("publications", name) for name in lake.names("publications"))
    return [publication for publication in found if publication]


def champion(lake: Lake) -> Publication | None:
    """The publication that the store has active, or None before the first."""
    found: Publication | None = lake.read_json("champion.json")
    return found


def crown(lake: Lake, version: int) -> Publication:
    """Point the champion at the publication of a store's version, after the store was switched to it."""
    for publication in publications(lake):
        if publication["version"] == version:
            lake.write_json(publication, "champion.json")
            return publication
    raise ValueError(f"version {version} was not published from this lake: check the lake and the namespace")


def incumbent(lake: Lake, as_of: datetime) -> Publication | None:
    """The newest publication older than `as_of`, so that a rerun or backfill of a day finds the one that it had.

    A champion that someone rolled back to counts as the newest as long as it is the champion.
    """
    crowned = champion(lake)
    if crowned and parse_as_of(crowned["as_of"]) < as_of:
        return crowned
    older = [found for found in publications(lake) if parse_as_of(found["as_of"]) < as_of]
    return older[-1] if older else None


def incumbent_model(lake: Lake, as_of: str) -> FactorModel | None:
    """The model that was live before this day, or None."""
    found = incumbent(lake, parse_as_of(as_of))
    return None if found is None else load_model(lake, found)


def load_model(lake: Lake, publication: Publication) -> FactorModel:
    """The published model; ValueError when its files were damaged."""
    with tempfile.TemporaryDirectory() as folder:
        lake.download_folder(Path(folder), "models", publication["model"])
        model = FactorModel.load(Path(folder))
    if model.lineage.get("as_of") != iso(parse_as_of(publication["as_of"])):
        raise ValueError(
            f"model {publication['model']} is of {model.lineage.get('as_of')}, its publication says "
            f"{publication['as_of']}: the registry was damaged, publish again"
        )
    return model
