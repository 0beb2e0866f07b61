"""What each step may use: cores, time, disk, passwords. Memory is in step_memory."""

from dataclasses import dataclass
from itertools import chain
from typing import Final

from dawnlist.pipelines.compact.pods import list_pod_steps
from dawnlist.urls import (
    MLFLOW_PASSWORD,
    MLFLOW_TOKEN,
    MLFLOW_USERNAME,
    MODEL_REGISTRY_TOKEN,
    NOTIFY_URLS,
    REDIS_PASSWORD,
    SOURCE_PASSWORD,
)

NOTIFY_SECRETS: Final = (
    NOTIFY_URLS, MODEL_REGISTRY_TOKEN, MLFLOW_TOKEN, MLFLOW_USERNAME, MLFLOW_PASSWORD,
)  # fmt: skip
"""Keys of the secret that the step notify gets: the people and the systems that it tells."""


@dataclass(frozen=True)
class StepResources:
    """What one step may use. Its memory is computed in step_memory, from the size of the shop."""

    cpu: int
    """The most cores that the step may use. It starts a thread for each."""
    minutes: int
    """The step is stopped after this many minutes."""
    retries: int = 2
    """How often a failed step is tried again."""
    fits_model: bool = False
    """Whether the step fits a model. Such steps run on GPU nodes and on spot nodes, if chosen."""
    scratch: int = 2
    """The GiB that the step may write below /tmp, on the node's disk."""
    secrets: tuple[str, ...] = ()
    """Keys of the secret that the step gets beside those of the lake."""


STEP_RESOURCES: Final[dict[str, StepResources]] = {
    "fetch": StepResources(1, 60, scratch=10, secrets=(SOURCE_PASSWORD,)),
    "clean": StepResources(2, 60, scratch=50),
    "filter-bots": StepResources(2, 60, scratch=20),
    "dataset": StepResources(2, 60, scratch=20, secrets=(REDIS_PASSWORD,)),
    "tune": StepResources(4, 240, fits_model=True),
    "train": StepResources(4, 120, fits_model=True),
    "evaluate": StepResources(4, 60),
    "gate": StepResources(1, 10),
    "refit": StepResources(4, 120, fits_model=True),
    "recommend": StepResources(4, 120, secrets=(REDIS_PASSWORD,)),
    "publish": StepResources(1, 60, secrets=(REDIS_PASSWORD,)),
    "notify": StepResources(1, 30, retries=1, secrets=NOTIFY_SECRETS),
}


def choose_resources(task: str) -> StepResources:
    """Choose what a task may use. A pod of several steps gets the most cores of any, and all their time."""
    steps = [STEP_RESOURCES[step] for step in list_pod_steps(task)]
    secrets = chain.from_iterable(step.secrets for step in steps)
    return StepResources(
        cpu=max(step.cpu for step in steps),
        minutes=sum(step.minutes for step in steps),
        retries=max(step.retries for step in steps),
        fits_model=any(step.fits_model for step in steps),
        scratch=sum(step.scratch for step in steps),
        secrets=tuple(dict.fromkeys(secrets)),
    )
