"""The command that runs a day again, from the parameters that the run was started with."""

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dawnlist.cuts import TIME_MACRO_PREFIXES
from dawnlist.model.hyper_parameters import HYPER_PARAMETERS

PIPELINE_DEFAULTS: Final[dict[str, Any]] = {
    "as_of": "",
    "window_days": 365,
    "search": "around_champion",
    **{parameter.name: list(parameter.grid) for parameter in HYPER_PARAMETERS},
    "iterations": 10,
    "metric": "ndcg",
    "k": 20,
    "seed": 7,
    "force": "",
}
"""The pipeline's own defaults. The command leaves out a parameter that has its default."""
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
"""Parameters with an option of their own, both on a laptop and on a cluster."""
PARAMETERS_WITHOUT_OPTION: Final = ("seed",)
"""Parameters that have no option on a laptop, so that --set gives them."""


def select_changed_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Select the parameters that differ from the pipeline's defaults."""
    changed_parameters = {}
    for name, value in parameters.items():
        if name not in PIPELINE_DEFAULTS or value != PIPELINE_DEFAULTS[name]:
            changed_parameters[name] = value
    return changed_parameters


def build_rerun_command(parameters: Mapping[str, Any]) -> str:
    """Build `dawnlist submit …` on a cluster, or `dawnlist run --local …` on a laptop.

    The command has one option on each line.
    """
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return build_submit_command(parameters)
    values = _format_changed_parameters(parameters)
    _replace_laptop_urls(values)
    words = ["dawnlist run --local", *_take_options(values)]
    for name, value in values.items():
        if name in PARAMETERS_WITHOUT_OPTION:
            words.append(_format_assignment(name, value))
        else:
            words.append(_format_option(name, value))
    return _join_lines(words)


def build_submit_command(parameters: Mapping[str, Any]) -> str:
    """Build `dawnlist submit …` with one option on each line."""
    values = _format_changed_parameters(parameters)
    words = ["dawnlist submit", *_take_options(values)]
    for name, value in values.items():
        words.append(_format_assignment(name, value))
    return _join_lines(words)


def _join_lines(words: list[str]) -> str:
    return " \\\n  ".join(words)


def _format_changed_parameters(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Format the parameters that the command needs."""
    values = {}
    for name, value in select_changed_parameters(parameters).items():
        if value != "":
            values[name] = format_parameter(value)
    # A macro that was never replaced is left out: without a lake the day is not known, and a new
    # run takes its own.
    if values.get("as_of", "").startswith(TIME_MACRO_PREFIXES):
        del values["as_of"]
    return values


def _replace_laptop_urls(values: dict[str, str]) -> None:
    """Replace the URLs of a laptop's embedded lake and store by its home folder, in place.

    The embedded store listens at another port when it is started again.
    """
    home = _find_laptop_home(values.get("lake", ""), values.get("redis", ""))
    if home is not None:
        values["home"] = str(home)
        values.pop("lake", None)
        values.pop("redis", None)


def _take_options(values: dict[str, str]) -> list[str]:
    """Remove the parameters in RERUN_OPTIONS from the values, and return them as options."""
    return [_format_option(name, values.pop(name)) for name in RERUN_OPTIONS if name in values]


def _format_option(name: str, value: str) -> str:
    return f"--{name.replace('_', '-')} {shlex.quote(value)}"


def _format_assignment(name: str, value: str) -> str:
    return f"--set {shlex.quote(f'{name}={value}')}"


def format_parameter(value: Any) -> str:
    """Format a parameter as the commands take it."""
    if isinstance(value, list):
        return ",".join(f"{number:g}" for number in value)
    return str(value)


def _find_laptop_home(lake: str, redis: str) -> Path | None:
    """Return the home folder that both lake and store are embedded in, or None."""
    home = Path(lake).absolute().parent
    try:
        port = json.loads((home / "valkey" / "valkey.json").read_text())["port"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return home if redis == f"redis://127.0.0.1:{port}/0" else None
