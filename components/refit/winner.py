"""Select the configuration of the gate's winner."""

from typing import Any

from dawnlist.model.config import ALSConfig


def select_winning_config(
    winner: str, trial: dict[str, Any], popularity_window: str
) -> dict[str, Any]:
    """Return the engine and hyper-parameters to refit.

    Args:
        winner: The gate's winner.
        trial: The best trial, which the challenger was fitted with.
        popularity_window: The best window of popularity.

    Raises:
        ValueError: The winner is neither the challenger nor popularity.
    """
    if winner == "popularity":
        return {"engine": "popularity", "window": popularity_window}
    if winner == "challenger":
        return ALSConfig.from_dict(trial).as_dict()
    raise ValueError(
        f"the gate's winner is {winner!r}: only a challenger or popularity is refitted"
    )
