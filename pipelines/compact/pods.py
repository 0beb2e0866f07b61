"""Which steps a pod runs: one, or with --compact several short ones."""

from typing import Final

COMPACT_PODS: Final = {
    "clean-to-dataset": ("clean", "filter-bots", "dataset"),
    "evaluate-and-gate": ("evaluate", "gate"),
    "refit-to-publish": ("refit", "recommend", "publish"),
}
"""The tasks of components.py, and the steps that each of them runs, in their order."""


def list_pod_steps(task: str) -> tuple[str, ...]:
    """List the steps that a task runs in its pod, in their order."""
    return COMPACT_PODS.get(task, (task,))
