"""What Kubernetes and the operators would say to an object, without a cluster: nothing, if all is well.

Core kinds are held against Kubernetes' own OpenAPI schemas (kubernetes-validate, strict); KServe's and Prometheus'
against their custom resource definitions (crds.py), and KServe's also against the models of its Python package, which
is newer. For the rest the fields that are used here are listed, by hand, with their source.
"""

import importlib
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import kserve
import kubernetes_validate

from tests.support.crds import SPECS as DEFINED
from tests.support.crds import crd_problems

Tree = dict[str, Any]

OLDEST: Final = "1.27"
"""The oldest Kubernetes that docs/KUBEFLOW.md names; the newest is the package's."""
SCALARS: Final = ("str", "int", "bool", "float")
QUANTITIES: Final = ("V1beta1MetricQuantity",)
"""Such as 500m: the package names the type and has no model of it."""
TEXTS: Final = "dict(str, str)"

MODELS: Final = {
    "serving.kserve.io/v1beta1 InferenceService": "V1beta1InferenceService",
    "serving.kserve.io/v1alpha1 ServingRuntime": "V1alpha1ServingRuntime",
}

_POD: Final[Tree] = {"cores": "int", "memory": "str", "template": "V1PodTemplateSpec"}

SPECS: Final[dict[str, Tree]] = {
    # kubeflow/spark-operator 2.4, api/v1alpha1/sparkconnect_types.go
    "sparkoperator.k8s.io/v1alpha1 SparkConnect": {
        "sparkVersion!": "str",
        "image": "str",
        "sparkConf": TEXTS,
        "hadoopConf": TEXTS,
        "server!": _POD,
        "executor!": {**_POD, "instances": "int"},
    },
    # kubeflow/pipelines, backend/src/crd/kubernetes/v2beta1
    "pipelines.kubeflow.org/v2beta1 Pipeline": {"displayName": "str", "description": "str"},
    "pipelines.kubeflow.org/v2beta1 PipelineVersion": {
        "pipelineName!": "str",
        "displayName": "str",
        "description": "str",
        "codeSourceURL": "str",
        "pipelineSpec": "object",
        "platformSpec": "object",
        "pipelineSpecURI": "str",
    },
}


def problems(tree: Tree) -> list[str]:
    """Every mistake in an object; a kind that nobody here can judge is one."""
    kind = f"{tree['apiVersion']} {tree['kind']}"
    found: list[str] = []
    if kind in MODELS:
        found += mistakes(tree, MODELS[kind], tree["kind"])
    if kind in DEFINED:
        return found + crd_problems(tree)
    if kind in SPECS:
        fields = {
            "apiVersion!": "str",
            "kind!": "str",
            "metadata!": "V1ObjectMeta",
            "spec!": SPECS[kind],
        }
        return list(_of_fields(tree, fields, tree["kind"]))
    return list(_of_kubernetes(json.dumps(tree)))


@cache
def _of_kubernetes(text: str) -> tuple[str, ...]:
    """The same for a core kind, by the oldest version's schema and the newest's; once for objects that are alike."""
    tree = json.loads(text)
    kind = f"{tree['apiVersion']} {tree['kind']}"
    for version in (OLDEST, kubernetes_validate.latest_version()):
        try:
            kubernetes_validate.validate(tree, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            return (
                f"{kind}: no schema is known for this kind; add its model or fields to tests/support/schemas.py",
            )
        except kubernetes_validate.ValidationError as error:
            return (f"{tree['kind']}.{'.'.join(map(str, error.path))}: {error.message}",)
    return ()


def mistakes(value: Any, kind: str, place: str) -> Iterator[str]:
    """What a client model does not know or misses; `kind` is a type as `openapi_types` writes it."""
    if found := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            yield f"{place} is no list"
            return
        for number, element in enumerate(value):
            yield from mistakes(element, found[1], f"{place}[{number}]")
    elif found := re.fullmatch(r"dict\(str, (.+)\)", kind):
        if not isinstance(value, dict):
            yield f"{place} is no mapping"
            return
        for name, element in value.items():
            yield from mistakes(element, found[1], f"{place}.{name}")
    elif kind in SCALARS:
        if type(value).__name__ != kind:
            yield f"{place} is {value!r}, no {kind}"
    elif kind != "object":
        yield from _of_model(value, kind, place)


def _of_model(value: Any, kind: str, place: str) -> Iterator[str]:
    if kind in QUANTITIES:
        yield from mistakes(value, "str", place)
        return
    plain = re.sub("^K8sIoApi(Apps|Autoscaling)", "", kind)
    model = getattr(kserve, plain, None) or getattr(
        importlib.import_module("kubernetes.client"), plain
    )
    if not isinstance(value, dict):
        yield f"{place} is no {kind}"
        return
    names = {outside: inside for inside, outside in model.attribute_map.items()}
    yield from (f"{place}.{name} is no field of {kind}" for name in value if name not in names)
    known = {names[name]: element for name, element in value.items() if name in names}
    try:
        model(**known)
    except ValueError as error:
        yield f"{place}: {error}"
    for name, element in known.items():
        yield from mistakes(
            element, model.openapi_types[name], f"{place}.{model.attribute_map[name]}"
        )


def _of_fields(value: Any, fields: Any, place: str) -> Iterator[str]:
    """The same by a table: a mapping of its fields, `!` for one that has to be there, or a list of one element."""
    if isinstance(fields, str):
        yield from mistakes(value, fields, place)
    elif isinstance(fields, list):
        if not isinstance(value, list):
            yield f"{place} is no list"
            return
        for number, element in enumerate(value):
            yield from _of_fields(element, fields[0], f"{place}[{number}]")
    elif not isinstance(value, dict):
        yield f"{place} is no mapping"
    else:
        known = {name.removesuffix("!"): kind for name, kind in fields.items()}
        yield from (f"{place}.{name} is no field" for name in value if name not in known)
        yield from (
            f"{place}.{name[:-1]} is missing"
            for name in fields
            if name[-1] == "!" and name[:-1] not in value
        )
        for name in known.keys() & value.keys():
            yield from _of_fields(value[name], known[name], f"{place}.{name}")
