"""Where steps run and what they may use: tables, applied when the pipeline is compiled (docs/NODES.md)."""

import re
from dataclasses import dataclass, field
from typing import Final

from kfp import dsl, kubernetes

from dawnlist.components.image import IMAGE
from dawnlist.pipelines.step_memory import ShopSize, compute_memory_limit
from dawnlist.urls import NOTIFY_URLS, REDIS_PASSWORD, SOURCE_PASSWORD

PIPELINE_SECRET: Final = "dawnlist-secrets"
"""An optional Kubernetes secret; its keys are the names of the variables, and any may be missing."""
LAKE_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Of the secret, for every step; where a service account has a role on the bucket they stay away."""
ENVIRONMENT_CONFIG_MAP: Final = "dawnlist-environment"
"""An optional config map: where the lake's S3 endpoint is, if it is not AWS."""
ENVIRONMENT_VARIABLES: Final = ("AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP", "AWS_REGION")
SETTINGS_CONFIG_MAP: Final = "dawnlist-settings"
"""An optional config map, which steps find as /settings/settings.yaml."""


@dataclass(frozen=True)
class StepResources:
    """What one step may use, beside the memory that the size of the shop asks for."""

    cpu: int
    """Cores that it can use."""
    minutes: int
    """After this it is stopped."""
    retries: int = 2
    fits: bool = False
    """Whether it runs on the GPU, where there is one, and on spot nodes, where it may."""
    scratch: int = 2
    """GiB on the node's disk, below /tmp, that it may fill."""
    secret: str = ""
    """What it alone needs of the secret."""


STEP_RESOURCES: Final[dict[str, StepResources]] = {
    "fetch": StepResources(1, 60, scratch=10, secret=SOURCE_PASSWORD),
    "clean": StepResources(2, 60, scratch=50),
    "filter-bots": StepResources(2, 60, scratch=20),
    "dataset": StepResources(2, 60, scratch=20, secret=REDIS_PASSWORD),
    "tune": StepResources(4, 240, fits=True),
    "train": StepResources(4, 120, fits=True),
    "evaluate": StepResources(4, 60),
    "gate": StepResources(1, 10),
    "refit": StepResources(4, 120, fits=True),
    "recommend": StepResources(4, 120),
    "publish": StepResources(1, 60, secret=REDIS_PASSWORD),
    "notify": StepResources(1, 30, retries=1, secret=NOTIFY_URLS),
}


@dataclass(frozen=True)
class NodeKind:
    """A kind of node: its labels, and the taint that keeps others off it."""

    labels: dict[str, str] = field(default_factory=dict)
    taint: tuple[str, str] = ("", "")
    """Key and value; no value: any."""


GPU_RESOURCE: Final = "nvidia.com/gpu"
GPU_NODE: Final = NodeKind(taint=(GPU_RESOURCE, ""))
"""The request of a GPU finds the node, wherever the cluster runs; GKE taints it so."""
SPOT_NODE: Final = NodeKind(
    {"cloud.google.com/gke-spot": "true"}, ("cloud.google.com/gke-spot", "true")
)
GPU_TYPE_LABEL: Final = "cloud.google.com/gke-accelerator"
"""GKE's label of a node's kind of GPU."""
SPOT_RETRIES: Final = 5


@dataclass(frozen=True)
class Placement:
    """What `dawnlist compile` chooses; the default is the laptop's."""

    nodes: str = "cpu"
    """cpu or gpu."""
    image: str = ""
    """Empty: the one of this version."""
    patient: bool = True
    """Whether a failed step is tried again; on a laptop it is shown at once."""
    tune_shards: int = 0
    """Nodes that share the rungs of the search; 0: one node does it alone."""
    size: ShopSize = field(default_factory=ShopSize)
    spot: bool = False
    """Whether the steps that fit run on spot nodes, which may be taken away."""
    gpu_type: str = ""
    """GKE's name of a kind of GPU, such as nvidia-l4; empty: any."""

    def __post_init__(self) -> None:
        if self.nodes not in ("cpu", "gpu"):
            raise ValueError(f"nodes is {self.nodes!r}: give cpu or gpu")
        if self.tune_shards == 1 or not 0 <= self.tune_shards <= 64:
            raise ValueError(
                f"tune-shards is {self.tune_shards}: give 2 to 64 nodes, or 0 for a search on one"
            )
        if self.gpu_type and self.nodes != "gpu":
            raise ValueError(
                f"gpu-type is {self.gpu_type!r} and nodes is {self.nodes!r}: give --nodes gpu with it"
            )

    @property
    def device(self) -> str:
        """What the solver computes on."""
        return self.nodes

    def place(self, *tasks: dsl.PipelineTask) -> None:
        """Give each task its rows of the tables: image, resources, time limit, retries, secrets and node."""
        for task in tasks:
            self._place(
                task, re.sub(r"-\d+$", "", task.name)
            )  # kfp numbers the tasks of one component

    def _place(self, task: dsl.PipelineTask, name: str) -> None:
        step, megabytes = STEP_RESOURCES[name], compute_memory_limit(name, self.size)
        task.set_container_image(self.image or IMAGE)
        task.set_caching_options(
            False
        )  # the run's id is among the inputs: no key would ever be met again
        # the limits are the requests: what is lent beyond them is taken back in the middle of a fit
        task.set_cpu_request(str(step.cpu)).set_cpu_limit(str(step.cpu))
        task.set_memory_request(megabytes).set_memory_limit(megabytes)
        if self.patient:
            retries = SPOT_RETRIES if step.fits and self.spot else step.retries
            task.set_retry(retries, backoff_duration="30s", backoff_factor=2)
        kubernetes.set_timeout(task, step.minutes * 60)
        kubernetes.empty_dir_mount(task, "scratch", "/tmp", size_limit=f"{step.scratch}Gi")
        _attach_configuration(task, (*LAKE_KEYS, step.secret) if step.secret else LAKE_KEYS)
        for node in self._kinds() if step.fits else ():
            _assign_node(task, node)
        if step.fits and self.nodes == "gpu":
            task.set_accelerator_type(GPU_RESOURCE).set_accelerator_limit(1)

    def _kinds(self) -> list[NodeKind]:
        """Of the nodes that steps which fit run on."""
        gpu = [GPU_NODE] if self.nodes == "gpu" else []
        named = [NodeKind({GPU_TYPE_LABEL: self.gpu_type})] if self.gpu_type else []
        return [*gpu, *named, *([SPOT_NODE] if self.spot else [])]


def _attach_configuration(task: dsl.PipelineTask, secrets: tuple[str, ...]) -> None:
    """Hand the task what the installation keeps: secrets and the S3 endpoint as variables, settings as a file."""
    kubernetes.use_secret_as_env(
        task, PIPELINE_SECRET, {name: name for name in secrets}, optional=True
    )
    kubernetes.use_config_map_as_env(
        task, ENVIRONMENT_CONFIG_MAP, {name: name for name in ENVIRONMENT_VARIABLES}, optional=True
    )
    kubernetes.use_config_map_as_volume(task, SETTINGS_CONFIG_MAP, "/settings", optional=True)


def _assign_node(task: dsl.PipelineTask, node: NodeKind) -> None:
    """Put the task on a kind of node."""
    for label, value in node.labels.items():
        kubernetes.add_node_selector(task, label, value)
    key, value = node.taint
    if key and value:
        kubernetes.add_toleration(task, key=key, operator="Equal", value=value, effect="NoSchedule")
    elif key:
        kubernetes.add_toleration(task, key=key, operator="Exists", effect="NoSchedule")
