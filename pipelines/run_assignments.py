"""Parse --set NAME=VALUE of `dawnlist run`, which takes the same values as `dawnlist submit`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from dawnlist.pipelines.kubeflow.assignments import SEARCH_KINDS, parse_assignments

PARAMETER_KINDS: Final = {
    "history_days": "NUMBER_INTEGER",
    "list_length": "NUMBER_INTEGER",
    "search": "STRUCT",
}
"""Parameters of the daily pipeline that --set takes, with kfp's names of their types."""


def parse_run_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Parse texts NAME=VALUE, e.g. factors=32,64 or seed=3, into parameters of the pipeline.

    Raises:
        ValueError: A text has no equals sign, or a parameter is unknown, given twice, has an option
            of its own, or is of another type.
    """
    parameters = parse_assignments(assignments, PARAMETER_KINDS)
    for name in parameters:
        if name not in PARAMETER_KINDS:
            known = ", ".join([*PARAMETER_KINDS, *SEARCH_KINDS])
            raise ValueError(f"the pipeline has no parameter {name}: --set takes {known}")
    return parameters


def merge_search_entries(options: Mapping[str, Any], assigned: Mapping[str, Any]) -> dict[str, Any]:
    """Merge entries of the parameter `search` that came by options with those that came by --set.

    Raises:
        ValueError: An entry came both ways.
    """
    for name in sorted(options.keys() & assigned.keys()):
        option = name.replace("_", "-")
        raise ValueError(f"{name} is given twice: by --{option} and by --set")
    return {**options, **assigned}
