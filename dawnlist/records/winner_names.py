"""Say of a published version whose configuration it has, and since when."""

from collections.abc import Mapping
from typing import Any


def get_engine(publication: Mapping[str, Any]) -> str:
    """Return the engine of a published model, `als` or `popularity`.

    Publications of older releases don't name it. They have no renewed models, so that the winner
    says which it is.
    """
    if publication.get("engine"):
        return str(publication["engine"])
    return "popularity" if publication.get("winner") == "popularity" else "als"


def get_configured_day(publication: Mapping[str, Any]) -> str:
    """Return the day on which the published model's configuration won, ISO-8601 in UTC.

    The model itself may be newer: it is renewed on each day on which no other one wins.
    """
    return str(publication.get("configured") or publication["as_of"])


def describe_winner(version: Mapping[str, Any]) -> str:
    """Name for people what won: `challenger`, `popularity`, or which configuration was renewed.

    Args:
        version: A publication, or a version's report or meta: winner, engine, configured, as_of.
    """
    if version.get("winner") != "incumbent":
        return str(version.get("winner"))
    engine = get_engine(version)
    return f"{engine} of {get_configured_day(version)[:10]}, renewed"


def name_winner(version: Mapping[str, Any]) -> str:
    """Name for a table what won: `challenger`, `popularity`, or e.g. `renewed als`."""
    if version.get("winner") != "incumbent":
        return str(version.get("winner"))
    return f"renewed {get_engine(version)}"
