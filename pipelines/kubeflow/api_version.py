"""Check the version of Kubeflow Pipelines, as its API says it."""

import re
from typing import Final

from dawnlist.pipelines.kubeflow.client import KfpClient
from dawnlist.pipelines.placement import KFP_VERSIONS
from dawnlist.urls import format_error

ApiVersion = tuple[int, int]
"""The first two numbers of a version of Kubeflow Pipelines."""

LEAST_VERSION: Final[ApiVersion] = (2, 15)
"""Older ones fail on a secret or a config map that is optional."""

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


def choose_package_version(version: ApiVersion | None) -> str:
    """Choose the version to compile for: the newest of KFP_VERSIONS that an API is not older than."""
    chosen = ""
    for text in KFP_VERSIONS:
        known_version = parse_api_version(text)
        if version is None or known_version is None or known_version <= version:
            chosen = text
    return chosen


def format_api_version(version: ApiVersion) -> str:
    """Format a version for messages, such as '2.15'."""
    return f"{version[0]}.{version[1]}"
