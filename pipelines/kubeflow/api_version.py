"""Check the version of Kubeflow Pipelines, as its API says it."""

import re
from typing import Final

from dawnlist.pipelines.kubeflow.client import KfpClient
from dawnlist.urls import format_error

ApiVersion = tuple[int, int]
"""The first two numbers of a version of Kubeflow Pipelines."""

LEAST_VERSION: Final[ApiVersion] = (2, 15)
"""Older ones fail on a secret or a config map that is optional."""
STEP_USER_VERSION: Final[ApiVersion] = (2, 16)
"""Older ones refuse a run whose package names the user of its steps."""
RUN_END_VERSION: Final[ApiVersion] = (2, 17)
"""Older ones ignore all options for Kubernetes of a package that ends its runs (--run-hours)."""

_VERSION_PATTERN: Final = re.compile(r"v?(\d+)\.(\d+)(?:\.\d+)?(?:[-+.].*)?")


def require_api_version(client: KfpClient) -> ApiVersion | None:
    """Return the version of the API; None when its text is no version, as builds of commits say.

    Raises:
        ValueError: The version is older than LEAST_VERSION.
    """
    text = client.read_version_text()
    version = parse_api_version(text)
    if version is not None and version < LEAST_VERSION:
        raise ValueError(
            f"{client.api_url} is Kubeflow Pipelines {format_error(text)}: Dawnlist needs "
            f"{format_api_version(LEAST_VERSION)} or newer, because older ones fail where a secret is optional; "
            "upgrade Kubeflow Pipelines"
        )
    return version


def parse_api_version(text: str) -> ApiVersion | None:
    """Parse a version such as '2.17.0'; None for another text, such as 'unknown' or a commit."""
    match = _VERSION_PATTERN.fullmatch(text.strip())
    if match is None:
        return None
    return int(match[1]), int(match[2])


def choose_kfp_version(version: ApiVersion | None) -> str:
    """Choose what to compile for, so that an API takes the package (`compile --kfp-version`).

    An API whose version is not known may be the newest.
    """
    if version is None or version >= RUN_END_VERSION:
        return format_api_version(RUN_END_VERSION)
    return format_api_version(version)


def format_api_version(version: ApiVersion) -> str:
    """Format a version for messages, such as '2.15'."""
    return f"{version[0]}.{version[1]}"
