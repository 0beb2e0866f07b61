"""The image that every step runs in, and the decorator that makes a step of a function."""

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

from kfp import dsl

IMAGE = f"dawnlist-python:{version('dawnlist')}"
"""The image that the Dockerfile builds. `dawnlist compile --image` takes another one."""


def _keep_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function of a step as it is."""
    return function


# The image has the code and kfp, so nothing is installed when a step starts.
component: Any = _keep_function
if hasattr(dsl, "component"):
    component = partial(dsl.component, base_image=IMAGE, install_kfp_package=False)
# Within a step kfp has no decorator (_KFP_RUNTIME). There a step's function can be called, as the
# components of dawnlist/pipelines/compact/components.py do.
