"""What the manifests of Kubeflow say, as far as ours depend on it: facts, each with the file that it was read in.

Files are of kubeflow/pipelines unless another repository is named, at the commit that is named. A stored copy names no
tag, so a row of a version says by which sign the version is known.
"""

from dataclasses import dataclass
from typing import Any, Final

Tree = dict[str, Any]
KUBEFLOW: Final = "kubeflow"
"""The namespace of Kubeflow Pipelines."""
PROFILE_LABELS: Final = {
    "app.kubernetes.io/part-of": "kubeflow-profile",
    "pipelines.kubeflow.org/enabled": "true",
}
"""What a profile's namespace is labelled with (the profile controller's namespace labels). By the first label KFP's
policies know a profile; by the second its profile controller makes the objects of PROFILE_OBJECTS."""
PROFILE_OBJECTS: Final = {("ConfigMap", "kfp-launcher"), ("Secret", "mlpipeline-minio-artifact")}
"""base/installs/multi-user/pipelines-profile-controller/sync.py and desired_resources.json."""
PROFILE_PREFIXES: Final = (
    "artifacts/",
    "private-artifacts/{profile}/",
    "private/{profile}/",
    "shared/",
)
"""The keys of the bucket mlpipeline that a profile's secret opens (sync.py: put_user_policy). Of these
private-artifacts/ is emptied after ARTIFACT_RETENTION_DAYS, and the first and the last are everybody's."""


def _service(ports: dict[int, int]) -> Tree:
    return {
        "spec": {"ports": [{"port": port, "targetPort": target} for port, target in ports.items()]}
    }


_PROFILES: Final[Tree] = {
    "namespaceSelector": {
        "matchExpressions": [
            {"key": "app.kubernetes.io/part-of", "operator": "In", "values": ["kubeflow-profile"]}
        ]
    }
}
_ISTIO: Final[Tree] = {
    "namespaceSelector": {
        "matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["istio-system"]}
        ]
    }
}
_SAME_NAMESPACE: Final[Tree] = {"podSelector": {}}


def _policy(app: str, *rules: Tree) -> Tree:
    selector = {"matchExpressions": [{"key": "app", "operator": "In", "values": [app]}]}
    return {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": list(rules)}


_SEAWEEDFS_POLICY: Final = _policy(
    "seaweedfs",
    {"from": [_PROFILES], "ports": [{"port": 8333}]},
    {"from": [_ISTIO]},
    {"from": [_SAME_NAMESPACE], "ports": [{"port": 8333}]},
)
"""third-party/seaweedfs/base/seaweedfs/seaweedfs-networkpolicy.yaml at 75c1b8f (the third rule is of
kubeflow/pipelines#12543, December 2025)."""
_SEAWEEDFS_POLICY_2_17: Final = {
    **_SEAWEEDFS_POLICY,
    "ingress": [
        *_SEAWEEDFS_POLICY["ingress"],
        {
            "from": [
                {"podSelector": {"matchLabels": {"app": "kubeflow-pipelines-profile-controller"}}}
            ],
            "ports": [{"port": 8111}],
        },
    ],
}
"""The same at 420ab6e."""
API_POLICY: Final = _policy("ml-pipeline", {"from": [_PROFILES, _ISTIO]})
"""Of Kubeflow with profiles: kubeflow/manifests, common/networkpolicies/base/ml-pipeline.yaml at 408b64d. Alone,
Kubeflow Pipelines has no policy about its API."""


@dataclass(frozen=True)
class PipelinesFacts:
    """The object store of one version of Kubeflow Pipelines."""

    version: str
    services: dict[str, Tree]
    """The store's Services by name."""
    pod_labels: dict[str, str]
    """The labels of the store's pods."""
    pod_port: int
    """Where the store's pods answer S3."""
    policies: tuple[Tree, ...]
    """The network policies of the namespace about the store."""
    endpoint: str
    """Where the lake's S3 is, from another namespace."""


_SEAWEEDFS: Final = {"app": "seaweedfs"}
PIPELINES: Final = (
    # third-party/minio/base/minio-service.yaml at 969d9f9: the store of 2.14 and older, still offered by 2.15.
    PipelinesFacts(
        "2.14", {"minio-service": _service({9000: 9000})}, {"app": "minio"}, 9000, (),
        "http://minio-service.kubeflow:9000",
    ),
    # third-party/seaweedfs/base/seaweedfs: kustomization.yaml at 4d2eac5 lists minio-service.yaml,
    # seaweedfs-service.yaml is that of 8959076, without the ports of S3.
    PipelinesFacts(
        "2.15",
        {
            "minio-service": _service({9000: 8333}),
            "seaweedfs": _service({port: port for port in (8111, 9333, 19333, 18888, 8888)}),
        },
        _SEAWEEDFS, 8333, (_SEAWEEDFS_POLICY,), "http://minio-service.kubeflow:9000",
    ),
    # The same folder: kustomization.yaml at 2688327 has no minio-service.yaml any more, seaweedfs-service.yaml at
    # 25c6a1e has both ports of S3.
    PipelinesFacts(
        "2.16", {"seaweedfs": _service({8333: 8333, 9000: 8333, 8111: 8111})},
        _SEAWEEDFS, 8333, (_SEAWEEDFS_POLICY,), "http://seaweedfs.kubeflow:9000",
    ),
    # Seen on a cluster with 2.17.0, too.
    PipelinesFacts(
        "2.17", {"seaweedfs": _service({8333: 8333, 9000: 8333, 8111: 8111})},
        _SEAWEEDFS, 8333, (_SEAWEEDFS_POLICY_2_17,), "http://seaweedfs.kubeflow:9000",
    ),
)  # fmt: skip

Rule = tuple[str, tuple[str, ...], tuple[str, ...]]
"""An API group, its resources and the verbs."""
_WRITE: Final = ("create", "delete", "deletecollection", "patch", "update")
_READ: Final = ("get", "list", "watch")
OWNER_RULES: Final[tuple[Rule, ...]] = (
    # kubeflow/manifests, common/kubeflow-roles/base/cluster-roles.yaml at f782bdb: kubeflow-kubernetes-admin, -edit and
    # -view, all of them aggregated to kubeflow-admin, which a profile's owner has in its namespace.
    ("rbac.authorization.k8s.io", ("rolebindings", "roles"), (*_READ, *_WRITE)),
    ("", ("secrets", "configmaps", "serviceaccounts", "services", "persistentvolumeclaims"), (*_READ, *_WRITE)),
    ("", ("pods",), (*_READ, *_WRITE)),
    ("", ("pods/log", "events", "namespaces", "resourcequotas"), _READ),
    ("apps", ("deployments", "replicasets", "statefulsets"), (*_READ, *_WRITE)),
    ("autoscaling", ("horizontalpodautoscalers",), (*_READ, *_WRITE)),
    ("batch", ("cronjobs", "jobs"), (*_READ, *_WRITE)),
    ("policy", ("poddisruptionbudgets",), (*_READ, *_WRITE)),
    ("networking.k8s.io", ("ingresses", "networkpolicies"), (*_READ, *_WRITE)),
    # base/installs/multi-user/view-edit-cluster-roles.yaml at c0e2be1: kubeflow-pipelines-edit and -view.
    ("pipelines.kubeflow.org", ("pipelines", "pipelineversions"), ("create", "delete", "update", "get", "list")),
    ("pipelines.kubeflow.org", ("experiments",), ("archive", "create", "delete", "unarchive", "get", "list")),
    ("pipelines.kubeflow.org", ("runs",), ("archive", "create", "delete", "retry", "terminate", "get", "list")),
    ("pipelines.kubeflow.org", ("jobs",), ("create", "delete", "disable", "enable", "get", "list")),
    ("argoproj.io", ("cronworkflows", "workflows", "workflowtemplates", "workflowtaskresults"), ("*",)),
    # kubeflow/manifests, applications/kserve/kserve/helm/manifests/platform-resources.yaml at a63750e.
    ("serving.kserve.io", ("inferenceservices", "servingruntimes"), (*_READ, *_WRITE)),
)  # fmt: skip
"""What the owner of a profile may do in its namespace. No list of monitors, of Argo's task sets or of other people's
namespaces is among them, and nobody may `use` a service account."""


def may(group: str, resource: str, verb: str) -> bool:
    """Whether the owner of a profile has a right in its namespace."""
    return any(
        group == owned and resource in resources and ("*" in verbs or verb in verbs)
        for owned, resources, verbs in OWNER_RULES
    )
