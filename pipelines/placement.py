"""Put the pipeline's steps on nodes and limit their resources (docs/NODES.md).

The tables in this module are applied to the tasks when the pipeline is compiled.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from kfp import dsl, kubernetes

from dawnlist.components.image import IMAGE
from dawnlist.pipelines.resources.step_memory import (
    ShopSize,
    compute_memory_limit,
    compute_memory_request,
)
from dawnlist.pipelines.resources.step_resources import StepResources, choose_resources
from dawnlist.pipelines.resources.step_retries import (
    BACKOFF_FACTOR,
    BACKOFF_SECONDS,
    compute_retry_seconds,
)

PIPELINE_SECRET: Final = "dawnlist-secrets"
"""The name of an optional Kubernetes secret. Its keys are names of environment variables; any of
them may be missing."""
LAKE_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Keys of the secret that every step gets. They are not needed where a service account has a role
on the bucket."""
ENVIRONMENT_CONFIG_MAP: Final = "dawnlist-environment"
"""The name of an optional config map with the lake's S3 endpoint, for a lake that is not on AWS."""
ENVIRONMENT_VARIABLES: Final = ("AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP", "AWS_REGION")
SETTINGS_CONFIG_MAP: Final = "dawnlist-settings"
"""The name of an optional config map, mounted as /settings/settings.yaml in every step."""
IMAGE_USER: Final = 1000
"""The user that the image runs as. Namespaces with Pod Security `restricted` want it in the pod."""
KFP_VERSIONS: Final = ("2.15", "2.16", "2.17")
"""The versions of Kubeflow Pipelines that packages can be compiled for (docs/KFP-VERSIONS.md)."""
CPU_REQUEST_SHARE: Final = 0.25
"""The share of a step's cores that it requests. A step without a free core is only slower, so the
request is small: one core of four fits beside Kubeflow on a node of four cores."""
RUN_HOURS: Final = 20
"""A run is ended after this many hours, so that the next day's run can begin."""


@dataclass(frozen=True)
class NodeKind:
    """A kind of node: its labels, and the taint that keeps other pods off it."""

    labels: dict[str, str] = field(default_factory=dict)
    taint: tuple[str, str] = ("", "")
    """Key and value of the taint. An empty value matches any value; an empty key means no taint."""


GPU_RESOURCE: Final = "nvidia.com/gpu"
GPU_NODE: Final = NodeKind(taint=(GPU_RESOURCE, ""))
"""A node with a GPU. It needs no label, as the request for a GPU finds it. GKE sets the taint."""
SPOT_NODE: Final = NodeKind(
    {"cloud.google.com/gke-spot": "true"}, ("cloud.google.com/gke-spot", "true")
)
GPU_TYPE_LABEL: Final = "cloud.google.com/gke-accelerator"
"""The label that names a node's kind of GPU on GKE."""
SPOT_RETRIES: Final = 5
"""How often a step on a spot node is tried again, as the node may be taken away at any time."""


@dataclass(frozen=True)
class Placement:
    """Where and how the steps run, as `dawnlist compile` is told. The defaults suit a laptop."""

    nodes: str = "cpu"
    """The kind of nodes for the steps that fit a model: "cpu" or "gpu"."""
    image: str = ""
    """The container image of every step; empty for the image of this version."""
    patient: bool = True
    """Whether a failed step is tried again. A run on a laptop reports the failure at once."""
    tune_shards: int = 0
    """The number of nodes that share the search, 2 to 64; 0 for a search on one node."""
    size: ShopSize = field(default_factory=ShopSize)
    """The expected size of the shop, which decides the steps' memory."""
    spot: bool = False
    """Whether the steps that fit a model run on spot nodes, which may be taken away."""
    gpu_type: str = ""
    """GKE's name of a kind of GPU, such as nvidia-l4; empty for any."""
    run_hours: int = RUN_HOURS
    """Argo ends the run after this many hours, also when a pod waits for a node. 0 for no end."""
    compact: bool = False
    """Whether the short steps share pods, see compact/pods.py. It suits small shops."""
    kfp_version: str = KFP_VERSIONS[-1]
    """The oldest version of Kubeflow Pipelines that has to run the package. What that version does
    not know is left out: a run's end before 2.17, and the steps' user before 2.16."""

    def __post_init__(self) -> None:
        if self.nodes not in ("cpu", "gpu"):
            raise ValueError(f"nodes is {self.nodes!r}: give cpu or gpu")
        if self.tune_shards == 1 or not 0 <= self.tune_shards <= 64:
            raise ValueError(
                f"tune-shards is {self.tune_shards}: give 2 to 64 nodes, or 0 for a search on one"
            )
        if not 0 <= self.run_hours <= 24 * 14:
            raise ValueError(f"run-hours is {self.run_hours}: give 1 to 336 hours, or 0 for no end")
        if self.kfp_version not in KFP_VERSIONS:
            raise ValueError(
                f"kfp-version is {self.kfp_version!r}: give one of {', '.join(KFP_VERSIONS)}"
            )
        if self.gpu_type and self.nodes != "gpu":
            raise ValueError(
                f"gpu-type is {self.gpu_type!r} and nodes is {self.nodes!r}: give --nodes gpu with it"
            )

    @property
    def deadline_seconds(self) -> int:
        """The seconds after which Argo ends the run; 0 for no end.

        Kubeflow Pipelines before 2.17 knows no end. It ignores all that is specific to Kubernetes
        in a package that has one: secrets, time limits, mounts.
        """
        if self.kfp_version != "2.17":
            return 0
        return self.run_hours * 3600

    @property
    def device(self) -> str:
        """The device that the solver computes on: "cpu" or "gpu"."""
        return self.nodes

    def place(self, *tasks: dsl.PipelineTask) -> None:
        """Set each task's image, resources, time limit, retries, secrets and node."""
        for task in tasks:
            # kfp numbers the tasks of one component: tune, tune-2, tune-3.
            step_name = re.sub(r"-\d+$", "", task.name)
            self._place_task(task, step_name)

    def _place_task(self, task: dsl.PipelineTask, step_name: str) -> None:
        step = choose_resources(step_name)
        task.set_container_image(self.image or IMAGE)
        # The run's id is one of the inputs, so a cached result could never be used again.
        task.set_caching_options(False)
        requested_cores = f"{step.cpu * CPU_REQUEST_SHARE:g}"
        task.set_cpu_request(requested_cores).set_cpu_limit(str(step.cpu))
        # A node that runs out of memory evicts the pods that use more than they requested. A step
        # requests what it is expected to use, so only a larger shop than expected borrows memory.
        task.set_memory_request(compute_memory_request(step_name, self.size))
        task.set_memory_limit(compute_memory_limit(step_name, self.size))
        if self.patient:
            self._set_retries(task, step)
        kubernetes.set_timeout(task, step.minutes * 60)
        kubernetes.empty_dir_mount(task, "scratch", "/tmp", size_limit=f"{step.scratch}Gi")
        _attach_configuration(task, (*LAKE_KEYS, *step.secrets))
        if self.kfp_version != "2.15":
            # Kubeflow Pipelines 2.15 refuses a run whose steps have a security context.
            kubernetes.set_security_context(task, run_as_user=IMAGE_USER, run_as_non_root=True)
        if step.fits_model:
            self._place_fit(task)

    def _set_retries(self, task: dsl.PipelineTask, step: StepResources) -> None:
        retries = step.retries
        if step.fits_model and self.spot:
            retries = SPOT_RETRIES
        task.set_retry(
            retries,
            backoff_duration=f"{BACKOFF_SECONDS}s",
            backoff_factor=BACKOFF_FACTOR,
            backoff_max_duration=f"{compute_retry_seconds(step.minutes, retries)}s",
        )

    def _place_fit(self, task: dsl.PipelineTask) -> None:
        """Put a task that fits a model on the chosen kinds of nodes."""
        if self.nodes == "gpu":
            _assign_node(task, GPU_NODE)
        if self.gpu_type:
            _assign_node(task, NodeKind({GPU_TYPE_LABEL: self.gpu_type}))
        if self.spot:
            _assign_node(task, SPOT_NODE)
        if self.nodes == "gpu":
            task.set_accelerator_type(GPU_RESOURCE).set_accelerator_limit(1)


def _attach_configuration(task: dsl.PipelineTask, secrets: tuple[str, ...]) -> None:
    """Give the task secrets and the S3 endpoint as variables, and the settings as a file."""
    secret_variables = {name: name for name in secrets}
    kubernetes.use_secret_as_env(task, PIPELINE_SECRET, secret_variables, optional=True)
    endpoint_variables = {name: name for name in ENVIRONMENT_VARIABLES}
    kubernetes.use_config_map_as_env(
        task, ENVIRONMENT_CONFIG_MAP, endpoint_variables, optional=True
    )
    kubernetes.use_config_map_as_volume(task, SETTINGS_CONFIG_MAP, "/settings", optional=True)


def _assign_node(task: dsl.PipelineTask, node: NodeKind) -> None:
    """Let the task run on a kind of node only, and tolerate the node's taint."""
    for label, value in node.labels.items():
        kubernetes.add_node_selector(task, label, value)
    key, value = node.taint
    if key and value:
        kubernetes.add_toleration(task, key=key, operator="Equal", value=value, effect="NoSchedule")
    elif key:
        kubernetes.add_toleration(task, key=key, operator="Exists", effect="NoSchedule")
