"""The command that runs a day again, from the parameters that the run was started with."""

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dawnlist.cuts import is_current_time
from dawnlist.model.hyper_parameters import HYPER_PARAMETERS
from dawnlist.records.run_parameters import (
    DEFAULT_SEARCH,
    PARAMETER_OPTIONS,
    PIPELINE_DEFAULTS,
)

LAPTOP_OPTIONS: Final = {
    "home": "--home",
    "history_days": "--window-days",
    "list_length": "--k",
    "search_mode": "--search",
    "metric": "--metric",
    "iterations": "--iterations",
    **{parameter.name: parameter.option for parameter in HYPER_PARAMETERS},
}
"""Parameters, and entries of the parameter `search`, that have an option on a laptop only."""


def select_changed_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Select what differs from the pipeline's defaults, and where the shop is.

    The names are those of parameters, and of entries of `search`.
    """
    changed_parameters = {}
    for name, value in list_parameters(parameters).items():
        is_default = name in FLAT_DEFAULTS and value == FLAT_DEFAULTS[name]
        # A version at Kubeflow may have defaults of its own for where the shop is.
        if name.startswith("shop") or not is_default:
            changed_parameters[name] = value
    return changed_parameters


def list_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """List all parameters by name, with the entries of `search` in its place."""
    flat_parameters = {}
    for name, value in parameters.items():
        if name == "search":
            flat_parameters.update({**DEFAULT_SEARCH, **value})
        else:
            flat_parameters[name] = value
    return flat_parameters


FLAT_DEFAULTS: Final = list_parameters(PIPELINE_DEFAULTS)
"""The defaults of the pipeline's parameters and of the entries of `search`."""


def build_rerun_command(parameters: Mapping[str, Any]) -> str:
    """Build `dawnlist submit …` on a cluster, or `dawnlist run --local …` on a laptop.

    The command has one option on each line.
    """
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return build_submit_command(parameters)
    values = _format_changed_parameters(parameters)
    _replace_laptop_urls(values)
    words = ["dawnlist run --local", *_take_options(values, PARAMETER_OPTIONS)]
    words += _take_options(values, LAPTOP_OPTIONS)
    return _join_words(words, values)


def build_submit_command(parameters: Mapping[str, Any]) -> str:
    """Build `dawnlist submit …` with one option on each line."""
    values = _format_changed_parameters(parameters)
    return _join_words(["dawnlist submit", *_take_options(values, PARAMETER_OPTIONS)], values)


def _join_words(words: list[str], values: Mapping[str, str]) -> str:
    """Join a command's words, one on each line, with --set for each value without an option."""
    for name, value in values.items():
        words.append(f"--set {shlex.quote(f'{name}={value}')}")
    return " \\\n  ".join(words)


def _format_changed_parameters(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Format the parameters that the command needs."""
    values = {}
    for name, value in select_changed_parameters(parameters).items():
        if value != "":
            values[name] = format_parameter(value)
    # Without a lake the day may not be known, and a new run takes its own.
    if is_current_time(values.get("as_of", "")):
        values.pop("as_of", None)
    return values


def _replace_laptop_urls(values: dict[str, str]) -> None:
    """Replace the URLs of a laptop's embedded lake and store by its home folder, in place.

    The embedded store listens at another port when it is started again.
    """
    home = _find_laptop_home(values.get("shop_lake", ""), values.get("shop_store", ""))
    if home is not None:
        values["home"] = str(home)
        values.pop("shop_lake", None)
        values.pop("shop_store", None)


def _take_options(values: dict[str, str], options: Mapping[str, str]) -> list[str]:
    """Remove the values that have an option, and return them with their options."""
    words = []
    for name, option in options.items():
        if name in values:
            words.append(f"{option} {shlex.quote(values.pop(name))}")
    return words


def format_parameter(value: Any) -> str:
    """Format a parameter as the commands take it."""
    if isinstance(value, list):
        return ",".join(map(format_parameter, value))
    if isinstance(value, float):
        # Kubeflow holds each number of a dictionary as a float.
        return f"{value:g}"
    return str(value)


def _find_laptop_home(lake: str, redis: str) -> Path | None:
    """Return the home folder that both lake and store are embedded in, or None."""
    home = Path(lake).absolute().parent
    try:
        port = json.loads((home / "valkey" / "valkey.json").read_text())["port"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return home if redis == f"redis://127.0.0.1:{port}/0" else None
