"""Select the configuration of the gate's winner."""

from typing import Any

from dawnlist.model.config import ALSConfig


def select_winning_config(
    verdict: dict[str, Any], trial: dict[str, Any], evaluation: dict[str, Any]
) -> dict[str, Any]:
    """Return the engine and hyper-parameters to refit.

    They are those of the best trial, or the best window of popularity.

    Raises:
        ValueError: The winner is neither the challenger nor popularity.
    """
    if verdict["winner"] == "popularity":
        return {"engine": "popularity", "window": evaluation["popularity_window"]}
    if verdict["winner"] == "challenger":
        return ALSConfig.from_dict(trial).as_dict()
    raise ValueError(
        f"the gate's winner is {verdict['winner']!r}: only a challenger or popularity is refitted"
    )
