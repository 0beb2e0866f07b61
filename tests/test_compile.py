from pathlib import Path

import pytest
import yaml
from kfp import components

from pipelines.package import load_package, write_package
from pipelines.placement import TABLE

GPU_STEPS = {"tune", "train", "refit"}


def compiled(path: Path, nodes: str = "cpu", image: str = "") -> tuple[dict, dict]:  # type: ignore[type-arg]
    write_package(path, nodes, image)
    spec, platform = yaml.safe_load_all(path.read_text())
    return spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def containers(spec: dict) -> dict[str, dict]:  # type: ignore[type-arg]
    found = spec["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): value["container"] for name, value in found.items()}


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    write_package(tmp_path / "a.yaml", "gpu", "registry.example/dawnlist-python:1")
    write_package(tmp_path / "b.yaml", "gpu", "registry.example/dawnlist-python:1")
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()


def test_the_package_loads(tmp_path: Path) -> None:
    write_package(tmp_path / "a.yaml", "cpu", "")
    assert components.load_component_from_file(str(tmp_path / "a.yaml")).name == "dawnlist-daily"


def test_image_and_gpu_are_chosen_when_compiled(tmp_path: Path) -> None:
    spec, executors = compiled(tmp_path / "gpu.yaml", "gpu", "registry.example/dawnlist-python:1")
    assert {container["image"] for container in containers(spec).values()} == {"registry.example/dawnlist-python:1"}
    with_gpu = {name for name, container in containers(spec).items() if "accelerator" in container["resources"]}
    assert with_gpu == GPU_STEPS
    assert {name.removeprefix("exec-") for name, on in executors.items() if "nodeSelector" in on} == GPU_STEPS
    assert {name.removeprefix("exec-") for name, on in executors.items() if "tolerations" in on} == GPU_STEPS


def test_cpu_nodes_ask_for_no_gpu(tmp_path: Path) -> None:
    spec, executors = compiled(tmp_path / "cpu.yaml")
    assert not any("accelerator" in container["resources"] for container in containers(spec).values())
    assert not any("nodeSelector" in on or "tolerations" in on for on in executors.values())


def test_every_step_has_resources_a_time_limit_and_optional_secrets(tmp_path: Path) -> None:
    spec, executors = compiled(tmp_path / "a.yaml")
    assert set(containers(spec)) == set(TABLE)
    for container in containers(spec).values():
        assert {"resourceMemoryLimit", "resourceMemoryRequest", "resourceCpuRequest"} <= set(container["resources"])
    for on in executors.values():
        assert int(on["activeDeadlineSeconds"]) > 0
        variables = {env["envVar"] for secret in on["secretAsEnv"] for env in secret["keyToEnv"]}
        assert variables == {"DAWNLIST_SOURCE_PASSWORD", "DAWNLIST_REDIS_PASSWORD"}
        assert all(secret["optional"] for secret in on["secretAsEnv"])


def test_parameters_are_flat_described_and_have_defaults(tmp_path: Path) -> None:
    spec, _ = compiled(tmp_path / "a.yaml")
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert {name for name, about in parameters.items() if "defaultValue" not in about} == {
        "source", "lake", "redis", "as_of",
    }  # fmt: skip
    assert all(len(about["description"]) > 10 for about in parameters.values())


def test_the_search_is_spread_over_nodes_when_asked(tmp_path: Path) -> None:
    write_package(tmp_path / "alone.yaml", "gpu", "")
    write_package(tmp_path / "spread.yaml", "gpu", "", tune_shards=2)
    alone, spread = (next(yaml.safe_load_all((tmp_path / name).read_text())) for name in ("alone.yaml", "spread.yaml"))
    [tasks] = (
        found["dag"]["tasks"]
        for found in spread["components"].values()
        if "tune" in found.get("dag", {}).get("tasks", {})
    )
    shares = [f"tune-{number}" for number in range(2, 8)]
    assert {name for name in tasks if name.startswith("tune")} == {"tune", *shares}
    waits = {
        name: {before for before in tasks[name]["dependentTasks"] if "tune" in before} for name in ("tune", *shares)
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
    assert set(containers(spread)) == set(TABLE) | set(shares)
    assert all("accelerator" in containers(spread)[name]["resources"] for name in shares)
    assert not any("tune-2" in name for name in containers(alone))
    with pytest.raises(ValueError, match="tune-shards is 1: give 2 to 64 nodes, or 0 for a search on one"):
        write_package(tmp_path / "one.yaml", "cpu", "", tune_shards=1)


def test_nothing_is_cached(tmp_path: Path) -> None:
    write_package(tmp_path / "a.yaml", "cpu", "")
    assert "enableCache: true" not in (tmp_path / "a.yaml").read_text()


def test_mistakes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nodes is 'tpu': give cpu or gpu"):
        write_package(tmp_path / "a.yaml", "tpu", "")
    with pytest.raises(ValueError, match=r"give a file that ends in \.yaml"):
        write_package(tmp_path / "a.txt", "cpu", "")
    with pytest.raises(FileNotFoundError, match="does not exist: make it first"):
        write_package(tmp_path / "no/a.yaml", "cpu", "")
    with pytest.raises(FileNotFoundError, match="there is no package"):
        load_package(tmp_path / "absent.yaml")
    assert list(tmp_path.iterdir()) == []
