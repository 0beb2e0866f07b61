"""Correct how often Kubeflow repeats a failed step, in the settings of its workflow controller.

Kubeflow Pipelines gives a step's pod the number of retries from the package, and no policy. Argo adds
what is missing from `workflowDefaults` of the controller's config map, to pods and also to the DAGs
around them. Kubeflow Pipelines 2.17 sets the policy OnError there: Argo then repeats no step that
ends with an error code, and repeats whole DAGs when a pod is lost (docs/NODES.md).
"""

from typing import Any, Final

import yaml

from dawnlist.pipelines.deploy.cluster import KubernetesCluster
from dawnlist.pipelines.deploy.manifests import YAML_LOADER, KubernetesObject

KUBEFLOW_NAMESPACE: Final = "kubeflow"
CONTROLLER_CONFIG_MAP: Final = "workflow-controller-configmap"
DEFAULTS_KEY: Final = "workflowDefaults"
"""The key of the config map whose value is a YAML text: what every workflow gets."""
RETRY_POLICY: Final = "Always"
RETRY_EXPRESSION: Final = "lastRetry.message != '' && !(lastRetry.message startsWith 'child ')"
"""True for a pod, which always says why it failed, and false for a DAG. A failed DAG has no message,
or in Argo after 4.1 the message "child '…' failed". So a DAG is not run again."""
RETRY_LIMIT: Final = "2"
"""The retries of pods whose package names no number, such as Kubeflow's drivers."""


def read_controller_config(cluster: KubernetesCluster) -> KubernetesObject | None:
    """Read the config map of Kubeflow's workflow controller; None if there is none.

    Raises:
        PermissionError: You may not read it.
    """
    return cluster.find(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CONTROLLER_CONFIG_MAP, "namespace": KUBEFLOW_NAMESPACE},
        }
    )


def find_retry_fault(cluster: KubernetesCluster) -> str:
    """Say what is wrong with the controller's retries, and the remedy; empty when all is well.

    It is also empty when there are no such settings, or when you may not read them.
    """
    try:
        config_map = read_controller_config(cluster)
        if config_map is None:
            return ""
        return describe_retry_fault(config_map)
    except (OSError, ValueError):
        return ""


def describe_retry_fault(config_map: KubernetesObject) -> str:
    """Say what is wrong with the controller's retries, and the remedy; empty when all is well.

    Raises:
        ValueError: The settings can't be read.
    """
    strategy = _read_strategy(_parse_defaults(config_map))
    policy = strategy.get("retryPolicy")
    fault = ""
    if policy in ("OnError", "OnTransientError"):
        fault = f"Kubeflow repeats no step that fails (retryPolicy {policy}"
    elif policy == "Always" and not strategy.get("expression") and _has_retries(strategy):
        fault = "Kubeflow repeats a failing step hundreds of times (retryPolicy Always for DAGs"
    if not fault:
        return ""
    place = f"{KUBEFLOW_NAMESPACE}/{CONTROLLER_CONFIG_MAP}"
    return f"{fault} in {place}): `dawnlist deploy --fix-retries` corrects it"


def build_retry_fix(config_map: KubernetesObject) -> KubernetesObject:
    """Build the object to apply: the config map with the corrected text as its only key.

    Everything else in the text stays, but comments are lost.

    Raises:
        ValueError: The settings can't be read.
    """
    defaults = _parse_defaults(config_map)
    strategy = _read_strategy(defaults)
    strategy.setdefault("limit", RETRY_LIMIT)
    strategy["retryPolicy"] = RETRY_POLICY
    strategy["expression"] = RETRY_EXPRESSION
    text = yaml.safe_dump(defaults, sort_keys=False, width=1000)
    if _is_same_yaml(text, config_map):
        text = config_map["data"][DEFAULTS_KEY]
    metadata = config_map["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
        "data": {DEFAULTS_KEY: text},
    }


def _is_same_yaml(text: str, config_map: KubernetesObject) -> bool:
    return bool(yaml.load(text, YAML_LOADER) == _parse_defaults(config_map))


def _has_retries(strategy: dict[str, Any]) -> bool:
    return str(strategy.get("limit", "")) != "0"


def _parse_defaults(config_map: KubernetesObject) -> dict[str, Any]:
    data = config_map.get("data") or {}
    if "config" in data:
        raise ValueError(
            f"{CONTROLLER_CONFIG_MAP} has all settings in one text, `config`: set there "
            f"{DEFAULTS_KEY}.spec.templateDefaults.retryStrategy as docs/NODES.md says"
        )
    try:
        defaults = yaml.load(data.get(DEFAULTS_KEY, ""), YAML_LOADER)
    except yaml.YAMLError:
        defaults = ""
    if defaults is None:
        return {}
    if not isinstance(defaults, dict):
        raise ValueError(
            f"{DEFAULTS_KEY} of {CONTROLLER_CONFIG_MAP} is not a YAML mapping: mend it"
        )
    return defaults


def _read_strategy(defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the retry strategy for all templates, and add an empty one where there is none.

    Raises:
        ValueError: Something on the way to it is not a mapping.
    """
    tree = defaults
    for name in ("spec", "templateDefaults", "retryStrategy"):
        if tree.get(name) is None:
            tree[name] = {}
        tree = tree[name]
        if not isinstance(tree, dict):
            raise ValueError(
                f"{name} in {DEFAULTS_KEY} of {CONTROLLER_CONFIG_MAP} is not a YAML mapping: mend it"
            )
    return tree
