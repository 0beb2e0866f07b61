"""Select the configuration of the gate's winner, and the model that its fit continues from."""

from collections.abc import Mapping
from typing import Any

from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.records.challengers import WarmStart
from dawnlist.records.registry import load_model_by_name


def select_winning_config(
    winner: str,
    trial: dict[str, Any],
    popularity_window: str,
    live_config: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return the engine and hyper-parameters to refit.

    Args:
        winner: The gate's winner.
        trial: The best trial, which the challenger was fitted with.
        popularity_window: The best window of popularity.
        live_config: The configuration that is live, or None.

    Raises:
        ValueError: The winner is unknown, or it is the incumbent and nothing is live.
    """
    if winner == "popularity":
        return {"engine": "popularity", "window": popularity_window}
    if winner == "challenger":
        return ALSConfig.from_dict(trial).as_dict()
    if winner == "incumbent" and live_config is not None:
        return live_config
    raise ValueError(
        f"the gate's winner is {winner!r}: only a challenger, popularity, or an incumbent that is "
        "live can be refitted"
    )


def load_warm_start(lake: Lake, winner: str, names: Mapping[str, Any]) -> WarmStart:
    """Load the model that the winner's refit continues from: the winner before the holdout.

    Args:
        names: The labels of the challenger's artifact, see train's name_models. Popularity starts
            from nothing, whichever model this is.
    """
    name = names["name_in_lake"]
    if winner == "incumbent":
        name = names["incumbent_in_lake"]
    return WarmStart(name, load_model_by_name(lake, name))
