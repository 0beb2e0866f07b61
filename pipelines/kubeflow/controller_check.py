"""Check the settings of Kubeflow's workflow controller, for commands that need no Kubernetes."""

from typing import Final

from dawnlist.pipelines.deploy.cluster import connect_to_kubernetes
from dawnlist.pipelines.deploy.kfp_retries import find_retry_fault

CHECK_SECONDS: Final = 5.0
"""The time limit of a request. The command has done its work, and should not wait for a cluster."""


def find_controller_fault() -> str:
    """Say what is wrong with the controller's settings, and the remedy; empty when all is well.

    It is also empty without access to Kubernetes.
    """
    try:
        cluster = connect_to_kubernetes("", "", CHECK_SECONDS)
    except (OSError, ValueError):
        return ""
    return find_retry_fault(cluster)
