"""The configuration of a published model: what a day decides on, and each night fits anew."""

from typing import Any

from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.records.registry import Publication, build_lost_error


def read_published_config(lake: Lake, publication: Publication | None) -> dict[str, Any] | None:
    """Read the engine and hyper-parameters of a published model, so that it can be fitted anew.

    Returns:
        The configuration, or None without a publication.

    Raises:
        ValueError: the model's files are gone.
    """
    if publication is None:
        return None
    path = ("models", publication["model"], "config.json")
    config = lake.read_json(*path, types={"engine": str})
    if config is None:
        raise build_lost_error(lake, "/".join(path), publication)
    if config["engine"] == "popularity":
        return {"engine": "popularity", "window": config["window"]}
    return ALSConfig.from_dict(config).as_dict()
