"""Where steps run and what they may use: one table, applied when the pipeline is compiled."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from kfp import dsl, kubernetes

from components.image import IMAGE
from components.urls import REDIS_PASSWORD, SOURCE_PASSWORD

Nodes = Literal["cpu", "gpu"]

ACCELERATOR: Final = "nvidia.com/gpu"
SECRETS: Final = "dawnlist-secrets"
"""An optional Kubernetes secret; its keys are the names of the variables."""


@dataclass(frozen=True)
class Resources:
    """Requests and limits of one step."""

    cpu: str
    memory: str
    minutes: int
    """After this the step is stopped."""
    retries: int = 2
    fits: bool = False
    """Whether the step runs on the GPU, where there is one."""


TABLE: Final[dict[str, Resources]] = {
    "fetch": Resources("1", "2G", 60),
    "clean": Resources("2", "8G", 60),
    "filter-bots": Resources("2", "8G", 60),
    "dataset": Resources("2", "8G", 60),
    "tune": Resources("4", "16G", 240, fits=True),
    "train": Resources("4", "16G", 120, fits=True),
    "evaluate": Resources("4", "16G", 60),
    "gate": Resources("1", "1G", 10),
    "refit": Resources("4", "16G", 120, fits=True),
    "recommend": Resources("4", "16G", 120),
    "publish": Resources("1", "4G", 60),
    "notify": Resources("1", "1G", 10, retries=1),
}


@dataclass(frozen=True)
class Placement:
    """What `dawnlist compile` chooses; the default is the laptop's."""

    nodes: Nodes = "cpu"
    image: str = IMAGE
    patient: bool = True
    """Whether a failed step is tried again; on a laptop it is shown at once."""
    tune_shards: int = 0
    """Nodes that share the rungs of the search; 0: one node does it alone."""

    def __post_init__(self) -> None:
        if self.nodes not in ("cpu", "gpu"):
            raise ValueError(f"nodes is {self.nodes!r}: give cpu or gpu")
        if self.tune_shards == 1 or not 0 <= self.tune_shards <= 64:
            raise ValueError(f"tune-shards is {self.tune_shards}: give 2 to 64 nodes, or 0 for a search on one")

    @property
    def device(self) -> str:
        """What the solver computes on."""
        return self.nodes

    def place(self, *tasks: dsl.PipelineTask) -> None:
        """Give each task its row of the table: image, resources, time limit, retries, secrets and node."""
        for task in tasks:
            self._place(task, TABLE[re.sub(r"-\d+$", "", task.name)])  # kfp numbers the tasks of one component

    def _place(self, task: dsl.PipelineTask, row: Resources) -> None:
        task.set_container_image(self.image)
        task.set_caching_options(False)  # the run's id is among the inputs: no key would ever be met again
        task.set_cpu_request(row.cpu).set_memory_request(row.memory).set_memory_limit(row.memory)
        if self.patient:
            task.set_retry(row.retries, backoff_duration="30s", backoff_factor=2)
        kubernetes.set_timeout(task, row.minutes * 60)
        for variable in (SOURCE_PASSWORD, REDIS_PASSWORD):
            kubernetes.use_secret_as_env(task, SECRETS, {variable: variable}, optional=True)
        if row.fits and self.nodes == "gpu":
            task.set_accelerator_type(ACCELERATOR).set_accelerator_limit(1)
            kubernetes.add_node_selector(task, "dawnlist/accelerator", "nvidia")
            kubernetes.add_toleration(task, key=ACCELERATOR, operator="Exists", effect="NoSchedule")
