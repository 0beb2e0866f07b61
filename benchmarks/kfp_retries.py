"""How often a step runs when something fails on Kubeflow, and how large packages are.

Usage: python benchmarks/kfp_retries.py

It plays the compiled package on a simulated controller of Argo (tests/support/argo_retries.py), with
the retry defaults that versions of Kubeflow Pipelines have, and with others (docs/NODES.md). Then it
measures packages whose search is spread over more and more nodes.
"""

import tempfile
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format  # type: ignore[import-untyped]

from dawnlist.pipelines.daily import build_daily_pipeline
from dawnlist.pipelines.deploy.kfp_retries import RETRY_EXPRESSION, RETRY_LIMIT, RETRY_POLICY
from dawnlist.pipelines.package import write_package
from dawnlist.pipelines.package_limits import (
    ARGUMENT_BYTES,
    WORKFLOW_BYTES,
    measure_longest_argument,
    measure_workflow,
)
from dawnlist.pipelines.placement import Placement
from tests.support.argo_retries import CAUSES, SUCCEEDED, Controller, End, Template, workflow_of

ALWAYS = {"limit": "2", "retryPolicy": "Always"}
DEFAULTS: dict[str, dict[str, str] | None] = {
    "none (KFP 2.15, 2.16)": None,
    "OnError (KFP 2.17)": {"limit": "2", "retryPolicy": "OnError"},
    "Always": ALWAYS,
    "Always, limit 0": {"limit": "0", "retryPolicy": "Always"},
    "Always, by exit code": {
        **ALWAYS,
        "expression": "lastRetry.status == 'Error' || asInt(lastRetry.exitCode) > 0",
    },
    "--fix-retries": {
        "limit": RETRY_LIMIT,
        "retryPolicy": RETRY_POLICY,
        "expression": RETRY_EXPRESSION,
    },
}
TRY_SECONDS = 600
SHARDS = (0, 8, 16, 24, 32, 40)


def count_tries(workflow: Template, defaults: dict[str, Any] | None, pod: str, end: End) -> int:
    """Count how often a pod starts when it ends like this each time."""

    def choose_end(name: str, _: int) -> End:
        return end if name == pod else SUCCEEDED

    controller = Controller(defaults, choose_end, {pod: TRY_SECONDS})
    controller.run(workflow)
    return len(controller.starts[pod])


def print_tries(workflow: Template) -> None:
    """Print a table: how often each kind of pod starts, by cause and by defaults."""
    print("| what | each time it | " + " | ".join(DEFAULTS) + " |")
    print("|---|---|" + "--:|" * len(DEFAULTS))
    for pod in ("tune", "refit", "notify", "tune-driver"):
        for cause, end in CAUSES.items():
            tries = [count_tries(workflow, one, pod, end) for one in DEFAULTS.values()]
            print(f"| {pod} | {cause} | " + " | ".join(map(str, tries)) + " |")


def print_sizes() -> None:
    """Print a table: the sizes of packages with more and more shards, and the limits."""
    print("| shards | longest argument, bytes | workflow, bytes |")
    print("|--:|--:|--:|")
    for shards in SHARDS:
        pipeline = build_daily_pipeline(Placement(tune_shards=shards))
        spec = json_format.MessageToDict(pipeline.pipeline_spec)
        platform = json_format.MessageToDict(pipeline.platform_spec)
        longest, size = measure_longest_argument(spec), measure_workflow(spec, platform)
        print(f"| {shards} | {longest:,} | {size:,} |")
    print(f"| the limit | {ARGUMENT_BYTES:,} | {WORKFLOW_BYTES:,} |")


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "daily.yaml"
        write_package(package, Placement())
        spec, _ = yaml.safe_load_all(package.read_text())
    print_tries(workflow_of(spec))
    print()
    print_sizes()


if __name__ == "__main__":
    main()
