"""The image that every step runs in, and the decorator that makes a step of a function."""

from functools import partial
from importlib.metadata import version

from kfp import dsl

IMAGE = f"dawnlist-python:{version('dawnlist')}"
"""The image that the Dockerfile builds. `dawnlist compile --image` takes another one."""

# The image has the code and kfp, so nothing is installed when a step starts.
component = partial(dsl.component, base_image=IMAGE, install_kfp_package=False)
