"""Parse --set NAME=VALUE of `dawnlist run`, which takes the same values as `dawnlist submit`."""

from collections.abc import Sequence
from typing import Any, Final

from dawnlist.model.hyper_parameters import BY_NAME
from dawnlist.pipelines.kubeflow.parameters import parse_parameter_value, split_assignment

PARAMETER_KINDS: Final = {
    "window_days": "NUMBER_INTEGER",
    "search": "STRING",
    "iterations": "NUMBER_INTEGER",
    "metric": "STRING",
    "k": "NUMBER_INTEGER",
    "seed": "NUMBER_INTEGER",
    **dict.fromkeys(BY_NAME, "LIST"),
}
"""Parameters of the daily pipeline that --set takes, with kfp's names of their types."""


def parse_run_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Parse texts NAME=VALUE, e.g. factors=32,64 or seed=3.

    Raises:
        ValueError: A text has no equals sign, or a parameter is unknown, given twice, has an option
            of its own, or is of another type.
    """
    parameters: dict[str, Any] = {}
    for assignment in assignments:
        name, text = split_assignment(assignment)
        if name in parameters:
            raise ValueError(f"--set {name}=… is given twice")
        if name not in PARAMETER_KINDS:
            known = ", ".join(sorted(PARAMETER_KINDS))
            raise ValueError(f"the pipeline has no parameter {name}: --set takes {known}")
        parameters[name] = parse_parameter_value(name, text, PARAMETER_KINDS[name])
    return parameters


def refuse_double_values(options: dict[str, Any], assigned: dict[str, Any]) -> None:
    """Raise ValueError where a hyper-parameter has a value by its option and by --set."""
    for name in sorted(options.keys() & assigned.keys()):
        option = name.replace("_", "-")
        raise ValueError(f"{name} is given twice: by --{option} and by --set")
