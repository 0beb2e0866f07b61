"""Which configuration the gate's winner stands for."""

from typing import Any

from dawnlist.model.config import ALSConfig


def select_winning_config(
    verdict: dict[str, Any], trial: dict[str, Any], evaluation: dict[str, Any]
) -> dict[str, Any]:
    """The engine and hyper-parameters to refit: the best trial's, or the strongest popularity window's."""
    if verdict["winner"] == "popularity":
        return {"engine": "popularity", "window": evaluation["popularity_window"]}
    if verdict["winner"] == "challenger":
        return ALSConfig.from_dict(trial).as_dict()
    raise ValueError(
        f"the gate's winner is {verdict['winner']!r}: only a challenger or popularity is refitted"
    )
