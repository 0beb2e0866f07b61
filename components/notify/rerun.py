"""The command that runs a day again, from what the run was given."""

import json
import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dawnlist.cuts import CURRENT_TIME_MACRO, TIME_MACRO_PREFIXES

PIPELINE_DEFAULTS: Final[dict[str, Any]] = {
    "as_of": CURRENT_TIME_MACRO,
    "window_days": 365,
    "search": "around_champion",
    "factors": [32, 64],
    "regularization": [30.0, 100.0],
    "alpha": [1.0, 10.0],
    "alpha0": [1.0],
    "nu": [0.5],
    "half_life": [14.0, 60.0],
    "popularity_share": [0.0, 0.1, 0.3, 1.0, 3.0],
    "popularity_half_life": [0.5, 3.0, 14.0],
    "content_share": [0.0, 0.03, 0.1, 0.3],
    "content_pairs": [10.0, 100.0],
    "iterations": 10,
    "metric": "ndcg",
    "k": 20,
    "seed": 7,
    "force": "",
}
"""Of the pipeline, which says them too: a value that it has anyway makes a command no clearer."""
RERUN_OPTIONS: Final = (
    "as_of",
    "source",
    "home",
    "lake",
    "redis",
    "namespace",
    "settings",
    "force",
)
"""Parameters that have an option wherever a run is started."""
PARAMETERS_WITHOUT_OPTION: Final = ("seed",)
"""Those that have none on a laptop."""


def select_changed_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are not what the pipeline takes by itself."""
    return {
        name: value
        for name, value in parameters.items()
        if name not in PIPELINE_DEFAULTS or value != PIPELINE_DEFAULTS[name]
    }


def build_rerun_command(parameters: Mapping[str, Any]) -> str:
    """`dawnlist submit …` on a cluster, `dawnlist run --local …` on a laptop; an option a line."""
    cluster = "KUBERNETES_SERVICE_HOST" in os.environ
    given = {
        name: format_parameter(value)
        for name, value in select_changed_parameters(parameters).items()
        if value != ""
    }
    if given.get("as_of", "").startswith(
        TIME_MACRO_PREFIXES
    ):  # without a lake nobody knows the day; a new run takes its own
        del given["as_of"]
    home = None if cluster else _find_laptop_home(given.get("lake", ""), given.get("redis", ""))
    if home is not None:  # its embedded store listens at another port next time
        given = {
            "home": str(home),
            **{name: value for name, value in given.items() if name not in ("lake", "redis")},
        }
    options = [_format_option(name, given.pop(name)) for name in RERUN_OPTIONS if name in given]
    if cluster:
        options += [f"--set {shlex.quote(f'{name}={value}')}" for name, value in given.items()]
    else:
        options += [
            _format_option(name, value)
            for name, value in given.items()
            if name not in PARAMETERS_WITHOUT_OPTION
        ]
    return " \\\n  ".join(["dawnlist submit" if cluster else "dawnlist run --local", *options])


def _format_option(name: str, value: str) -> str:
    return f"--{name.replace('_', '-')} {shlex.quote(value)}"


def format_parameter(value: Any) -> str:
    """A parameter as the commands take it."""
    return ",".join(map("{:g}".format, value)) if isinstance(value, list) else str(value)


def _find_laptop_home(lake: str, redis: str) -> Path | None:
    """The home of a laptop's embedded parts, when both are of one."""
    home = Path(lake).absolute().parent
    with suppress(OSError, ValueError, KeyError, TypeError):
        port = json.loads((home / "valkey" / "valkey.json").read_text())["port"]
        return home if redis == f"redis://127.0.0.1:{port}/0" else None
    return None
