"""What Kubeflow keeps beside a step's outputs: where an artifact comes from, and figures to compare runs by."""

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Protocol

from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.lake.lake import Lake

ORIGIN_FIELDS = ("table", "table_version", "settings", "name_in_lake")
"""What an artifact inherits of those it is made of: the table's URI and version, the settings' digest, the model."""


class LineageArtifact(Protocol):
    """An artifact, as a step knows it."""

    metadata: dict[str, Any]


def write_lineage(
    outputs: Sequence[LineageArtifact],
    inputs: Sequence[LineageArtifact],
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
    **facts: Any,
) -> None:
    """Write into each output's metadata the day, the code, what its inputs say of their origins, and the facts."""
    origins = {
        name: of.metadata[name] for of in inputs for name in ORIGIN_FIELDS if name in of.metadata
    }
    told = {
        **origins,
        "lake": Lake.open(lake, namespace).uri,
        "namespace": namespace,
        "as_of": format_iso(parse_as_of(as_of)),
        "run": run,
        "code_version": version("dawnlist"),
        **facts,
    }
    for output in outputs:
        output.metadata.update(told)


def select_finite_figures(report: Mapping[str, Any], *names: str) -> dict[str, float]:
    """The finite numbers of a report, or those of them that are named; a single NaN would break the run."""
    found = {name: report[name] for name in names or report if name in report}
    return {
        name: float(value) if isinstance(value, bool) else value
        for name, value in found.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
