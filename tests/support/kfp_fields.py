"""The fields that each version of Kubeflow Pipelines knows in a package's part for Kubernetes.

They are those of `kubernetes_executor_config_pb2` and `pipeline_spec_pb2` in the packages kfp-kubernetes and
kfp-pipeline-spec of these versions. The backends have the same definitions, and their Go reads JSON strictly
(protojson.Unmarshal): a field that is not known fails the run, or drops the whole part.
"""

from collections.abc import Iterator
from typing import Any, Final

EXECUTOR_2_15: Final = {
    "activeDeadlineSeconds": None,
    "configMapAsEnv": {
        "configMapName": None, "configMapNameParameter": ..., "optional": None,
        "keyToEnv": {"configMapKey": None, "envVar": None},
    },
    "configMapAsVolume": {"configMapName": None, "configMapNameParameter": ..., "mountPath": None, "optional": None},
    "emptyDirMounts": {"volumeName": None, "mountPath": None, "medium": None, "sizeLimit": None},
    "nodeSelector": {"labels": ..., "nodeSelectorJson": ...},
    "secretAsEnv": {
        "secretName": None, "secretNameParameter": ..., "optional": None,
        "keyToEnv": {"secretKey": None, "envVar": None},
    },
    "tolerations": {
        "key": None, "operator": None, "value": None, "effect": None, "tolerationSeconds": None, "tolerationJson": ...,
    },
}  # fmt: skip
EXECUTOR_2_16: Final = EXECUTOR_2_15 | {
    "securityContext": {"runAsUser": None, "runAsGroup": None, "runAsNonRoot": None}
}
PIPELINE_2_15: Final = {"resourceTtl": None, "workspace": ...}
PIPELINE_2_17: Final = {
    "activeDeadlineSeconds": None, "resourceTtlOnCompletion": None, "resourceTtlOnSuccess": None,
    "resourceTtlOnFailure": None, "workspace": ...,
}  # fmt: skip
FIELDS: Final = {
    "2.15": {"executor": EXECUTOR_2_15, "pipelineConfig": PIPELINE_2_15},
    "2.16": {"executor": EXECUTOR_2_16, "pipelineConfig": PIPELINE_2_15},
    "2.17": {"executor": EXECUTOR_2_16, "pipelineConfig": PIPELINE_2_17},
}
"""None: a value. `...`: a message whose fields are not looked at."""


def unknown_fields(platform: dict[str, Any], version: str) -> set[str]:
    """The fields of a package's part for Kubernetes that a version does not know."""
    kubernetes = platform["platforms"]["kubernetes"]
    fields = FIELDS[version]
    found = set(
        _unknown(kubernetes.get("pipelineConfig", {}), fields["pipelineConfig"], "pipelineConfig")
    )
    for executor in kubernetes["deploymentSpec"]["executors"].values():
        found |= set(_unknown(executor, fields["executor"], "executor"))
    return found


def _unknown(value: Any, known: Any, place: str) -> Iterator[str]:
    if isinstance(value, list):
        for element in value:
            yield from _unknown(element, known, place)
    elif isinstance(value, dict) and isinstance(known, dict):
        for name, child in value.items():
            if name not in known:
                yield f"{place}.{name}"
            else:
                yield from _unknown(child, known[name], f"{place}.{name}")
