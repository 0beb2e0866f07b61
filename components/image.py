"""The one image that every step runs in, and the one decorator that makes a step of a function."""

from functools import partial
from importlib.metadata import version

from kfp import dsl

IMAGE = f"dawnlist-python:{version('dawnlist')}"
"""Built by the Dockerfile; `dawnlist compile --image` names another."""

# the code comes with the image, so nothing is installed when a step starts
component = partial(dsl.component, base_image=IMAGE, install_kfp_package=False)
