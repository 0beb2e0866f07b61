"""Enter a run into Kubeflow's Model Registry and into MLflow, where the settings name them.

A system that does not answer fails nothing: the report has one line about it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.run_figures import build_tracked_run
from dawnlist.lake.lake import Lake
from dawnlist.messages.channels import run_with_timeout
from dawnlist.messages.masking import anonymise_text
from dawnlist.settings import Settings
from dawnlist.urls import format_error

REGISTER_SECONDS: Final = 60.0
"""How long one system is waited for, in all."""


def register_run(
    lake: Lake, facts: Facts, settings_uri: str, parameters: Mapping[str, Any]
) -> Facts:
    """Register what was published, and log the run.

    Args:
        settings_uri: Where the shop's settings are; empty for the defaults, which name no system.
        parameters: The parameters that the run was started with.

    Returns:
        The facts, with a line for each system that the settings name. Settings that can't be read
        name none: the step that they broke says so.
    """
    try:
        settings = Settings.load(settings_uri)
    except (ValueError, OSError):
        return facts
    lines = {}
    if settings.model_registry.url:
        lines["Model Registry"] = _try_to_register(
            lambda: _register_versions(lake, settings.model_registry.url, facts)
        )
    if settings.mlflow.url:
        lines["MLflow"] = _try_to_register(lambda: _log_run(settings, facts, parameters))
    return replace(facts, registrations=lines)


def _register_versions(lake: Lake, url: str, facts: Facts) -> str:
    from dawnlist.records.model_registry import register_publications

    line = register_publications(lake, url, facts.shop)
    return line or "nothing was published yet"


def _log_run(settings: Settings, facts: Facts, parameters: Mapping[str, Any]) -> str:
    from dawnlist.records.mlflow_tracking import log_run

    experiment = settings.mlflow.experiment or f"dawnlist-{facts.shop}"
    return log_run(settings.mlflow.url, experiment, build_tracked_run(facts, parameters))


def _try_to_register(register: Callable[[], str]) -> str:
    """Return the line of a system; if it fails, the reason and what happens next."""
    lines: list[str] = []
    try:
        run_with_timeout(REGISTER_SECONDS, lambda: lines.append(register()))
    except Exception as error:
        return f"not reached, the run is not affected: {anonymise_text(format_error(error))}"
    return lines[0]
