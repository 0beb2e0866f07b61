"""Structural schemas of the operators' custom resource definitions, reduced to what holds manifests.

A field that a definition does not have is refused, as a server-side apply refuses it. What is left out: descriptions,
and the inside of fields that none of our manifests has (any object passes there). Where a definition copies a type of
Kubernetes' own API, as KServe's does with pods, the copy is taken from Kubernetes' OpenAPI of the version that the
operator is built with; a manifest has to fit both the oldest and the newest of these.

Sources:
- KServe 0.16 (go.mod: k8s.io/api 0.33) to 0.21: pkg/apis/serving/v1beta1/{component,predictor,inference_service,
  podspec}.go and pkg/apis/serving/v1alpha1/servingruntime_types.go, at f7bf4fd, 0217bda and 0091224, from whose
  markers controller-gen makes config/crd/full.
- prometheus-operator 0.80 to 0.82: example/prometheus-operator-crd/monitoring.coreos.com_{prometheusrules,podmonitors}.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import jsonschema  # type: ignore[import-untyped]
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

Tree = dict[str, Any]
POD_API: Final = ("1.33", "1.36")
"""The versions of Kubernetes' API that KServe 0.16 and 0.21 are built with."""
DEFINITIONS: Final = "https://kubernetes.io/api/_definitions.json#/$defs/io.k8s.api."

TEXT: Final[Tree] = {"type": "string"}
NAME: Final[Tree] = {"type": "string", "minLength": 1}
FLAG: Final[Tree] = {"type": "boolean"}
NUMBER: Final[Tree] = {"type": "integer"}
INT32: Final[Tree] = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
TEXTS: Final[Tree] = {"type": "object", "additionalProperties": TEXT}
ANYTHING: Final[Tree] = {"type": "object"}
QUANTITY: Final[Tree] = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
}
DURATION: Final[Tree] = {
    "type": "string",
    "pattern": "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
}


def one_of(*values: str) -> Tree:
    return {"type": "string", "enum": list(values)}


def list_of(items: Tree) -> Tree:
    return {"type": "array", "items": items}


def fields(required: tuple[str, ...] = (), /, **properties: Tree) -> Tree:
    """An object that has these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def copied(kind: str) -> Tree:
    """A type of Kubernetes' API, such as core.v1.Container."""
    return {"$ref": DEFINITIONS + kind}


def copied_fields(kind: str, *names: str) -> dict[str, Tree]:
    """Some fields of a type of Kubernetes' API."""
    return {name: {"$ref": f"{DEFINITIONS}{kind}/properties/{name}"} for name in names}


POD_FIELDS: Final = (
    "activeDeadlineSeconds", "affinity", "automountServiceAccountToken", "containers", "dnsConfig", "dnsPolicy",
    "enableServiceLinks", "ephemeralContainers", "hostAliases", "hostIPC", "hostNetwork", "hostPID", "hostUsers",
    "hostname", "imagePullSecrets", "initContainers", "nodeName", "nodeSelector", "os", "overhead", "preemptionPolicy",
    "priority", "priorityClassName", "readinessGates", "resourceClaims", "resources", "restartPolicy",
    "runtimeClassName", "schedulerName", "schedulingGates", "securityContext", "serviceAccount", "serviceAccountName",
    "setHostnameAsFQDN", "shareProcessNamespace", "subdomain", "terminationGracePeriodSeconds", "tolerations",
    "topologySpreadConstraints", "volumes",
)  # fmt: skip
"""KServe's PodSpec is a copy of Kubernetes' in which `containers` is optional."""
_TARGET: Final = fields(
    type=one_of("Utilization", "Value", "AverageValue"),
    value=QUANTITY,
    averageValue=QUANTITY,
    averageUtilization=INT32,
)
_METRIC: Final = fields(
    ("type",),
    type=one_of("Resource", "External", "PodMetric"),
    resource=fields(("name", "target"), name=one_of("cpu", "memory"), target=_TARGET),
    external=fields(
        ("metric", "target"),
        metric=fields(
            backend=one_of("prometheus", "graphite"), serverAddress=TEXT, query=TEXT, namespace=TEXT
        ),
        target=_TARGET,
    ),
    podmetric=ANYTHING,
)
_LOGGER: Final = fields(
    url=TEXT,
    mode=one_of("all", "request", "response"),
    metadataHeaders=list_of(TEXT),
    metadataAnnotations=list_of(TEXT),
    storage=ANYTHING,
)
_COMPONENT: Final[dict[str, Tree]] = {
    "minReplicas": INT32, "maxReplicas": INT32, "scaleTarget": INT32,
    "scaleMetric": one_of("cpu", "memory", "concurrency", "rps"),
    "scaleMetricType": one_of("Utilization", "Value", "AverageValue"),
    "autoScaling": fields(metrics=list_of(_METRIC)),
    "containerConcurrency": NUMBER, "timeout": NUMBER, "canaryTrafficPercent": NUMBER,
    "logger": _LOGGER, "batcher": fields(maxBatchSize=NUMBER, maxLatency=NUMBER, timeout=NUMBER),
    "labels": TEXTS, "annotations": TEXTS, "deploymentStrategy": copied("apps.v1.DeploymentStrategy"),
}  # fmt: skip
_CONTAINER_FIELDS: Final = (
    "args", "command", "env", "envFrom", "image", "imagePullPolicy", "lifecycle", "livenessProbe", "name", "ports",
    "readinessProbe", "resizePolicy", "resources", "restartPolicy", "securityContext", "startupProbe", "stdin",
    "stdinOnce", "terminationMessagePath", "terminationMessagePolicy", "tty", "volumeDevices", "volumeMounts",
    "workingDir",
)  # fmt: skip
_MODEL: Final = fields(
    ("modelFormat",),
    modelFormat=fields(("name",), name=TEXT, version=TEXT),
    runtime=TEXT,
    storageUri=TEXT,
    runtimeVersion=TEXT,
    protocolVersion=TEXT,
    storage=ANYTHING,
    **copied_fields("core.v1.Container", *_CONTAINER_FIELDS),
)
_PREDICTOR: Final = fields(
    **copied_fields("core.v1.PodSpec", *POD_FIELDS),
    **_COMPONENT,
    model=_MODEL,
    storageUris=list_of(ANYTHING),
    workerSpec=ANYTHING,
    **dict.fromkeys(
        ("sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm", "paddle"),
        ANYTHING,
    ),
)  # fmt: skip
_RUNTIME: Final = fields(
    ("containers",),
    supportedModelFormats=list_of(
        fields(
            ("name",),
            name=TEXT,
            version=TEXT,
            autoSelect=FLAG,
            priority={**INT32, "minimum": 1},
        )
    ),
    multiModel=FLAG, disabled=FLAG, protocolVersions=list_of(TEXT), workerSpec=ANYTHING, labels=TEXTS,
    annotations=TEXTS, grpcEndpoint=TEXT, grpcDataEndpoint=TEXT, httpDataEndpoint=TEXT,
    replicas={"type": "integer", "minimum": 0, "maximum": 2**16 - 1},
    storageHelper=fields(disabled=FLAG), builtInAdapter=ANYTHING,
    **copied_fields(
        "core.v1.PodSpec", "containers", "volumes", "nodeSelector", "affinity", "tolerations", "imagePullSecrets",
        "hostIPC",
    ),
)  # fmt: skip
_RELABELING: Final = fields(
    action=TEXT,
    modulus=NUMBER,
    regex=TEXT,
    replacement=TEXT,
    separator=TEXT,
    sourceLabels=list_of({"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}),
    targetLabel=TEXT,
)
_ENDPOINT: Final = fields(
    port=TEXT, portNumber={**NUMBER, "minimum": 1, "maximum": 65535}, targetPort={"type": ["integer", "string"]},
    path=TEXT, scheme=one_of("http", "https"), params={"type": "object", "additionalProperties": list_of(TEXT)},
    interval=DURATION, scrapeTimeout=DURATION, honorLabels=FLAG, honorTimestamps=FLAG, trackTimestampsStaleness=FLAG,
    followRedirects=FLAG, enableHttp2=FLAG, filterRunning=FLAG, proxyUrl=TEXT, relabelings=list_of(_RELABELING),
    metricRelabelings=list_of(_RELABELING), authorization=ANYTHING, basicAuth=ANYTHING, bearerTokenSecret=ANYTHING,
    oauth2=ANYTHING, tlsConfig=ANYTHING,
)  # fmt: skip
_MONITOR: Final = fields(
    ("selector",),
    selector=fields(
        matchLabels=TEXTS,
        matchExpressions=list_of(
            fields(("key", "operator"), key=TEXT, operator=TEXT, values=list_of(TEXT))
        ),
    ),
    podMetricsEndpoints=list_of(_ENDPOINT),
    namespaceSelector=fields(any=FLAG, matchNames=list_of(TEXT)),
    podTargetLabels=list_of(TEXT), jobLabel=TEXT, sampleLimit=NUMBER, targetLimit=NUMBER, labelLimit=NUMBER,
    labelNameLengthLimit=NUMBER, labelValueLengthLimit=NUMBER, keepDroppedTargets=NUMBER, bodySizeLimit=TEXT,
    scrapeClass=NAME, scrapeProtocols=list_of(TEXT), attachMetadata=fields(node=FLAG), fallbackScrapeProtocol=TEXT,
    scrapeClassicHistograms=FLAG, nativeHistogramBucketLimit=NUMBER, nativeHistogramMinBucketFactor=QUANTITY,
    selectorMechanism=one_of("RelabelConfig", "RoleSelector"),
)  # fmt: skip
_RULE: Final = fields(
    ("expr",),
    alert=TEXT,
    record=TEXT,
    expr={"type": ["integer", "string"]},
    keep_firing_for={**DURATION, "minLength": 1},
    labels=TEXTS,
    annotations=TEXTS,
    **{"for": DURATION},
)
_GROUP: Final = fields(
    ("name",),
    name=NAME,
    interval=DURATION,
    query_offset=DURATION,
    limit=NUMBER,
    labels=TEXTS,
    partial_response_strategy={"type": "string", "pattern": "^(?i:abort|warn)?$"},
    rules=list_of(_RULE),
)

SPECS: Final[dict[str, Tree]] = {
    "serving.kserve.io/v1beta1 InferenceService": fields(
        ("predictor",), predictor=_PREDICTOR, explainer=ANYTHING, transformer=ANYTHING
    ),
    "serving.kserve.io/v1alpha1 ServingRuntime": _RUNTIME,
    "monitoring.coreos.com/v1 PodMonitor": _MONITOR,
    "monitoring.coreos.com/v1 PrometheusRule": fields(groups=list_of(_GROUP)),
}
"""The schema of each kind's spec."""
REQUIRED_SPEC: Final = ("monitoring.coreos.com/v1 PodMonitor", "monitoring.coreos.com/v1 PrometheusRule")  # fmt: skip
"""Kinds whose spec has to be there."""


def crd_problems(tree: Tree) -> list[str]:
    """What the custom resource definition of an object's kind refuses in it, for each version of the pods' API."""
    kind = f"{tree['apiVersion']} {tree['kind']}"
    required = ("spec",) if kind in REQUIRED_SPEC else ()
    schema = fields(
        required, apiVersion=TEXT, kind=TEXT, metadata=ANYTHING, status=ANYTHING, spec=SPECS[kind]
    )
    found: list[str] = []
    for version in POD_API:
        validator = jsonschema.Draft202012Validator(schema, registry=_registry(version))
        for error in validator.iter_errors(tree):
            place = ".".join([tree["kind"], *map(str, error.path)])
            line = f"{place}: {error.message}"
            if line not in found:
                found.append(line)
    return found + list(_keyless_elements(tree, tree["kind"]))


@cache
def _registry(version: str) -> Registry[Any]:
    file = f"kubernetes-json-schema/v{version}.0-local-strict/_definitions.json"
    return Resource.from_contents(schema_contents(file, version)) @ Registry()


def _keyless_elements(value: Any, place: str) -> Iterator[str]:
    """Container ports without a protocol: by port and protocol an apply knows them, and the copy has no default."""
    if isinstance(value, list):
        for number, element in enumerate(value):
            if (
                isinstance(element, dict)
                and "containerPort" in element
                and "protocol" not in element
            ):
                yield f"{place}.{number}: element of an associative list omits key field protocol"
            yield from _keyless_elements(element, f"{place}.{number}")
    elif isinstance(value, dict):
        for name, element in value.items():
            yield from _keyless_elements(element, f"{place}.{name}")
