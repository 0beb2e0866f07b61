import ast
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
import typer
import yaml

from dawnlist.pipelines.cli import app
from dawnlist.pipelines.compact.pods import list_pod_steps
from dawnlist.pipelines.kubeflow.parameters import build_run_parameters, read_spec
from dawnlist.pipelines.package import load_package, write_package
from dawnlist.pipelines.placement import LAKE_KEYS, Placement
from dawnlist.pipelines.placement_options import PlacementOptions
from dawnlist.pipelines.resources.step_memory import (
    ShopSize,
    compute_memory_limit,
    compute_memory_request,
)
from dawnlist.pipelines.resources.step_resources import STEP_RESOURCES
from dawnlist.records.run_parameters import PIPELINE_DEFAULTS

FITTING_STEPS = {"tune", "train", "refit"}
SECRETS = {
    "fetch": {"DAWNLIST_SOURCE_PASSWORD"}, "dataset": {"DAWNLIST_REDIS_PASSWORD"},
    "publish": {"DAWNLIST_REDIS_PASSWORD"}, "recommend": {"DAWNLIST_REDIS_PASSWORD"},
    "notify": {
        "DAWNLIST_NOTIFY_URLS", "DAWNLIST_MODEL_REGISTRY_TOKEN", "MLFLOW_TRACKING_TOKEN",
        "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD",
    },
}  # fmt: skip


@cache
def compiled(placement: Placement) -> tuple[dict, dict]:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as folder:
        write_package(Path(folder) / "a.yaml", placement)
        spec, platform = yaml.load_all((Path(folder) / "a.yaml").read_bytes(), yaml.CSafeLoader)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return spec, {name.removeprefix("exec-"): executor for name, executor in executors.items()}


def platform(placement: Placement) -> dict:  # type: ignore[type-arg]
    """What a package says about Kubernetes."""
    with tempfile.TemporaryDirectory() as folder:
        write_package(Path(folder) / "a.yaml", placement)
        _, document = yaml.load_all((Path(folder) / "a.yaml").read_bytes(), yaml.CSafeLoader)
    return document["platforms"]["kubernetes"]  # type: ignore[no-any-return]


def containers(spec: dict) -> dict[str, dict]:  # type: ignore[type-arg]
    found = spec["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): value["container"] for name, value in found.items()}


def tasks(spec: dict) -> dict[str, dict]:  # type: ignore[type-arg]
    dags = [
        spec["root"]["dag"],
        *(found["dag"] for found in spec["components"].values() if "dag" in found),
    ]
    return {
        name: task for dag in dags for name, task in dag["tasks"].items() if name in STEP_RESOURCES
    }


def nodes(executors: dict) -> dict[str, tuple]:  # type: ignore[type-arg]
    """The labels and tolerations of the steps that ask for any."""
    return {
        name: (on.get("nodeSelector", {}).get("labels", {}), on["tolerations"])
        for name, on in executors.items()
        if "nodeSelector" in on or "tolerations" in on
    }


def test_the_same_bytes_each_time_and_they_load(tmp_path: Path) -> None:
    write_package(tmp_path / "a.yaml", Placement())
    write_package(tmp_path / "b.yaml", Placement())
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()
    assert load_package(tmp_path / "a.yaml").name == "dawnlist-daily"


def test_each_step_takes_the_day_of_its_run_where_kubeflow_puts_in_no_time() -> None:
    for name, container in containers(compiled(Placement())[0]).items():
        # a long call may stand on several lines
        code = " ".join(container["command"][-1].split()).replace("( ", "(")
        # notify has the pipeline's own names
        code = code.replace("(shop_lake, shop,", "(lake, namespace,")
        taken = code.index("moment = resolve_as_of(lake, namespace, as_of, run)")
        assert taken < code.index("record_step(lake, namespace, moment, run, "), name


def test_image_and_gpu_are_chosen_when_compiled() -> None:
    spec, executors = compiled(Placement("gpu", "registry.example/dawnlist-python:1"))
    assert {container["image"] for container in containers(spec).values()} == {
        "registry.example/dawnlist-python:1"
    }
    with_gpu = {
        name
        for name, container in containers(spec).items()
        if "accelerator" in container["resources"]
    }
    assert with_gpu == FITTING_STEPS
    assert nodes(executors) == {
        name: ({}, [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}])
        for name in FITTING_STEPS
    }


def test_a_kind_of_gpu_and_spot_nodes_are_chosen_when_compiled() -> None:
    spec, executors = compiled(Placement("gpu", spot=True, gpu_type="nvidia-l4"))
    tolerated = [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {
            "key": "cloud.google.com/gke-spot",
            "operator": "Equal",
            "value": "true",
            "effect": "NoSchedule",
        },
    ]
    labels = {"cloud.google.com/gke-accelerator": "nvidia-l4", "cloud.google.com/gke-spot": "true"}
    assert nodes(executors) == dict.fromkeys(FITTING_STEPS, (labels, tolerated))
    tries = {name: task["retryPolicy"]["maxRetryCount"] for name, task in tasks(spec).items()}
    assert tries == {
        name: 5 if name in FITTING_STEPS else step.retries for name, step in STEP_RESOURCES.items()
    }


def test_spot_needs_no_gpu() -> None:
    spec, executors = compiled(Placement(spot=True))
    assert set(nodes(executors)) == FITTING_STEPS
    assert not any(
        "accelerator" in container["resources"] for container in containers(spec).values()
    )


def test_cpu_nodes_ask_for_no_gpu() -> None:
    spec, executors = compiled(Placement())
    assert not any(
        "accelerator" in container["resources"] for container in containers(spec).values()
    )
    assert nodes(executors) == {}


def test_every_step_has_resources_a_time_limit_and_optional_secrets() -> None:
    spec, executors = compiled(Placement())
    assert set(containers(spec)) == set(STEP_RESOURCES)
    for name, container in containers(spec).items():
        asked = container["resources"]
        assert asked["resourceMemoryLimit"] == compute_memory_limit(name, ShopSize())
        assert asked["resourceMemoryRequest"] == compute_memory_request(name, ShopSize())
        assert asked["resourceCpuLimit"] == str(STEP_RESOURCES[name].cpu)
        assert (
            asked["resourceCpuRequest"] == {1: "0.25", 2: "0.5", 4: "1"}[STEP_RESOURCES[name].cpu]
        )
    for name, on in executors.items():
        assert int(on["activeDeadlineSeconds"]) > 0
        assert on["emptyDirMounts"][0].keys() == {"volumeName", "mountPath", "sizeLimit"}
        assert all(source["optional"] for source in (*on["secretAsEnv"], *on["configMapAsEnv"]))
        variables = {
            env["envVar"] for secret in on["secretAsEnv"] for env in secret["keyToEnv"]
        } - set(LAKE_KEYS)
        assert variables == SECRETS.get(name, set())


def test_memory_grows_with_the_shop() -> None:
    small, large = (
        ShopSize(1_000_000, 20_000, 5_000),
        ShopSize(200_000_000, 4_000_000, 200_000, 256),
    )
    asked = {
        name: [int(compute_memory_limit(name, size).removesuffix("Mi")) for size in (small, large)]
        for name in STEP_RESOURCES
    }
    assert {name for name, (less, more) in asked.items() if more > less} >= {
        "dataset",
        "tune",
        "train",
        "refit",
    }
    assert all(more >= less >= 512 for less, more in asked.values())
    with pytest.raises(ValueError, match="users is 0: give how many are expected, 1 or more"):
        ShopSize(users=0)


@pytest.mark.parametrize(
    ("step", "request_", "limit"),
    [("tune", "4096Mi", "5888Mi"), ("gate", "256Mi", "512Mi"), ("fetch", "512Mi", "512Mi")],
)
def test_a_step_requests_what_it_is_expected_to_use_and_may_use_half_as_much_again(
    step: str, request_: str, limit: str
) -> None:
    assert compute_memory_request(step, ShopSize()) == request_
    assert compute_memory_limit(step, ShopSize()) == limit


def test_by_default_every_step_fits_beside_kubeflow_on_a_node_of_four_cores_and_16_gb() -> None:
    for name, container in containers(compiled(Placement())[0]).items():
        asked = container["resources"]
        assert float(asked["resourceCpuRequest"]) <= 1, name
        assert int(asked["resourceMemoryRequest"].removesuffix("Mi")) <= 4096, name


def test_a_run_ends_in_time_for_the_next_day() -> None:
    for placement, pipeline_config in (
        (Placement(), {"activeDeadlineSeconds": 20 * 3600}),
        (Placement(run_hours=336), {"activeDeadlineSeconds": 336 * 3600}),
        (Placement(run_hours=0), None),
    ):
        assert platform(placement).get("pipelineConfig") == pipeline_config
    for hours in (-1, 337):
        with pytest.raises(ValueError, match=f"run-hours is {hours}: give 1 to 336 hours, or 0"):
            Placement(run_hours=hours)


def test_compile_submit_and_schedule_have_the_same_options() -> None:
    names = [f"--{field.name.replace('_', '-')}" for field in fields(PlacementOptions)]
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for command in ("compile", "submit", "schedule"):
        options = [option for parameter in commands[command].params for option in parameter.opts]
        assert [option for option in options if option in names] == names, command


def test_options_that_are_not_given_have_the_defaults() -> None:
    assert not PlacementOptions().given
    assert PlacementOptions().build_placement() == Placement()
    options = PlacementOptions(
        "gpu", "i:1", 2, 1000, 100, 10, 128, spot=True, gpu_type="nvidia-l4", run_hours=0
    )
    assert options.given
    assert options.build_placement() == Placement(
        "gpu", "i:1", True, 2, ShopSize(1000, 100, 10, 128), True, "nvidia-l4", 0
    )
    assert PlacementOptions(items=7).build_placement().size == ShopSize(items=7)
    with pytest.raises(ValueError, match="interactions is 0: give how many are expected"):
        PlacementOptions(interactions=0).build_placement()


def test_the_help_names_the_defaults() -> None:
    help_ = {
        parameter.name: parameter.help
        for parameter in typer.main.get_command(app).commands["compile"].params  # type: ignore[attr-defined]
    }
    for field in fields(ShopSize):
        assert f"default: {field.default:,}." in help_[field.name]
    assert f"default: {Placement().run_hours}." in help_["run_hours"]


def test_the_form_of_a_run_is_short_and_in_order() -> None:
    """Kubeflow's form lists the parameters by name, with their types and defaults only."""
    spec, _ = compiled(Placement())
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert sorted(parameters) == [
        "as_of", "force_publish", "history_days", "list_length", "search", "shop", "shop_lake", "shop_settings",
        "shop_source", "shop_store",
    ]  # fmt: skip
    defaults = {name: spec.get("defaultValue") for name, spec in parameters.items()}
    assert defaults == {
        **PIPELINE_DEFAULTS, "shop_lake": None, "shop_source": None, "shop_store": None,
    }  # fmt: skip
    assert all(
        defaults[name] for name in PIPELINE_DEFAULTS
    )  # an empty box looks as if it had to be filled
    assert all(len(parameter["description"]) > 10 for parameter in parameters.values())


def test_the_first_picture_of_a_run_has_names() -> None:
    """The UI shows a task's taskInfo, and opens a box for each DAG."""
    spec, _ = compiled(Placement())
    shown = {task["taskInfo"]["name"] for task in spec["root"]["dag"]["tasks"].values()}
    assert shown == {"daily", "notify"}


def test_every_artifact_of_metrics_has_a_name_of_its_own() -> None:
    spec, _ = compiled(Placement())
    metrics = []
    for component in spec["components"].values():
        for name, artifact in component.get("outputDefinitions", {}).get("artifacts", {}).items():
            if artifact["artifactType"]["schemaTitle"] == "system.Metrics":
                metrics.append(name)
    assert sorted(metrics) == [
        "clean_metrics", "dataset_metrics", "evaluate_metrics", "filter_bots_metrics", "gate_metrics",
        "publish_metrics", "train_metrics", "tune_metrics",
    ]  # fmt: skip


def test_where_things_are_can_be_known_when_compiled(tmp_path: Path) -> None:
    there = ("--source", "postgresql://dawn@db/shop", "--lake", "s3://b/lake", "--redis", "redis://store:6379/0",
             "--settings", "s3://b/settings.yaml")  # fmt: skip
    output = str(tmp_path / "a.yaml")
    with pytest.raises(SystemExit, match="0"):
        app(["compile", "--output", output, "--namespace", "books", *there])
    spec = read_spec(Path(output))
    shop = {"shop_source": "postgresql://dawn@db/shop", "shop_lake": "s3://b/lake", "shop": "books",
            "shop_store": "redis://store:6379/0", "shop_settings": "s3://b/settings.yaml"}  # fmt: skip
    assert build_run_parameters(spec, {"shop": "books"}, []) == shop
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert {name: parameter["defaultValue"] for name, parameter in parameters.items()} == {
        **PIPELINE_DEFAULTS,
        **shop,
    }
    # the values of one shop are not another's
    with pytest.raises(ValueError, match="needs a value for shop_lake, shop_source, shop_store: "):
        build_run_parameters(spec, {"shop": "toys"}, [])
    theirs = {"shop": "toys", "shop_lake": "s3://t/l", "shop_source": "s", "shop_store": "r"}
    run = build_run_parameters(spec, theirs, [])
    assert run == {**theirs, "shop_settings": "/settings/settings.yaml"}
    assert all("description" in parameter for parameter in parameters.values())
    with pytest.raises(ValueError, match="holds a password"):
        app(
            ["compile", "--output", output, "--redis", "redis://:secret@store:6379/0"],
            standalone_mode=False,
        )


def test_the_search_is_spread_over_nodes_when_asked() -> None:
    alone, spread = compiled(Placement("gpu"))[0], compiled(Placement("gpu", tune_shards=2))[0]
    [tasks] = (
        found["dag"]["tasks"]
        for found in spread["components"].values()
        if "tune" in found.get("dag", {}).get("tasks", {})
    )
    shares = [f"tune-{number}" for number in range(2, 8)]
    assert {name for name in tasks if name.startswith("tune")} == {"tune", *shares}
    waits = {
        name: {before for before in tasks[name]["dependentTasks"] if "tune" in before}
        for name in ("tune", *shares)
    }
    assert waits == {
        "tune-2": set(), "tune-3": set(), "tune-4": {"tune-2", "tune-3"}, "tune-5": {"tune-2", "tune-3"},
        "tune-6": {"tune-4", "tune-5"}, "tune-7": {"tune-4", "tune-5"}, "tune": {"tune-6", "tune-7"},
    }  # fmt: skip
    parts = {
        tuple(
            int(tasks[name]["inputs"]["parameters"][part]["runtimeValue"]["constant"])
            for part in ("rung", "shard", "shards")
        )
        for name in shares
    }
    assert parts == {(rung, shard, 2) for rung in range(3) for shard in range(2)}
    assert set(containers(spread)) == set(STEP_RESOURCES) | set(shares)
    assert all("accelerator" in containers(spread)[name]["resources"] for name in shares)
    assert not any("tune-2" in name for name in containers(alone))
    with pytest.raises(
        ValueError, match="tune-shards is 1: give 2 to 64 nodes, or 0 for a search on one"
    ):
        Placement(tune_shards=1)


def test_short_steps_share_pods_when_asked() -> None:
    spec, executors = compiled(Placement(compact=True))
    pods = {
        "fetch",
        "clean-to-dataset",
        "tune",
        "train",
        "evaluate-and-gate",
        "refit-to-publish",
        "notify",
    }
    assert set(containers(spec)) == set(executors) == pods
    run_steps = [step for pod in pods for step in list_pod_steps(pod)]
    assert sorted(run_steps) == sorted(STEP_RESOURCES)
    # the largest step counts for cores and memory, the sum for time and disk
    asked = containers(spec)["clean-to-dataset"]["resources"]
    assert asked["resourceCpuLimit"] == "2"
    assert asked["resourceMemoryLimit"] == max(
        (compute_memory_limit(step, ShopSize()) for step in ("clean", "filter-bots", "dataset")),
        key=lambda memory: int(memory.removesuffix("Mi")),
    )
    joined = executors["clean-to-dataset"]
    assert int(joined["activeDeadlineSeconds"]) == 3 * 60 * 60
    assert joined["emptyDirMounts"][0]["sizeLimit"] == "90Gi"
    for pod in ("clean-to-dataset", "refit-to-publish"):
        variables = [
            key["envVar"] for secret in executors[pod]["secretAsEnv"] for key in secret["keyToEnv"]
        ]
        assert variables == [*LAKE_KEYS, "DAWNLIST_REDIS_PASSWORD"]


def test_a_compact_package_fits_on_gpu_nodes() -> None:
    spec, _ = compiled(Placement("gpu", compact=True))
    with_gpu = {
        name
        for name, container in containers(spec).items()
        if "accelerator" in container["resources"]
    }
    assert with_gpu == {"tune", "train", "refit-to-publish"}


def test_nothing_is_cached() -> None:
    assert not any(task["cachingOptions"] for task in tasks(compiled(Placement())[0]).values())


GUARD = """
import sys

def refuse(event, details):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        raise OSError(f"no network here: {event} {details[1:]}")

sys.addaudithook(refuse)
"""


def guarded(tmp_path: Path, code: str) -> "subprocess.CompletedProcess[str]":
    """The code run without network, credentials, GPU, or anything at home."""
    (tmp_path / "guard").mkdir(exist_ok=True)
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    (tmp_path / "home").mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{tmp_path / 'guard'}:{Path(__file__).parents[1]}",
        "HOME": str(tmp_path / "home"),
        "CUDA_VISIBLE_DEVICES": "",
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )


def test_pipelines_are_imported_and_compiled_without_network_credentials_or_gpu(
    tmp_path: Path,
) -> None:
    bites = guarded(tmp_path, "import socket; socket.create_connection(('127.0.0.1', 9))")
    assert "no network here" in bites.stderr
    code = """
        import importlib, pkgutil, sys
        from pathlib import Path
        from dawnlist import pipelines

        for module in pkgutil.walk_packages(pipelines.__path__, "dawnlist.pipelines."):
            importlib.import_module(module.name)
        from dawnlist.pipelines.package import write_package
        from dawnlist.pipelines.placement import Placement

        for nodes in ("cpu", "gpu"):
            write_package(Path(f"{nodes}.yaml"), Placement(nodes))
        assert "cupy" not in sys.modules
    """
    done = guarded(tmp_path, textwrap.dedent(code))
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in tmp_path.glob("*.yaml")} == {"cpu.yaml", "gpu.yaml"}
    assert list((tmp_path / "home").iterdir()) == []


def test_mistakes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nodes is 'tpu': give cpu or gpu"):
        Placement("tpu")
    with pytest.raises(
        ValueError, match="gpu-type is 'nvidia-l4' and nodes is 'cpu': give --nodes gpu with it"
    ):
        Placement(gpu_type="nvidia-l4")
    with pytest.raises(ValueError, match=r"give a file that ends in \.yaml"):
        write_package(tmp_path / "a.txt", Placement())
    with pytest.raises(FileNotFoundError, match="does not exist: make it first"):
        write_package(tmp_path / "no/a.yaml", Placement())
    with pytest.raises(FileNotFoundError, match="there is no package"):
        load_package(tmp_path / "absent.yaml")
    assert list(tmp_path.iterdir()) == []


def test_the_comment_of_a_package_is_in_the_same_order_in_each_process(tmp_path: Path) -> None:
    package = tmp_path / "daily.yaml"
    write_package(package, Placement())
    [line] = re.findall(r"(?m)^#    search: dict \[Default: (\{.*\})\]$", package.read_text())
    entries = ast.literal_eval(line)
    assert list(entries) == sorted(entries) and len(entries) > 10
