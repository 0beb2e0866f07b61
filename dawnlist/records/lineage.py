"""Write where an artifact comes from, and figures to compare runs by, into Kubeflow's metadata."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any, Protocol

from dawnlist.cuts import format_iso
from dawnlist.lake.lake import Lake

ORIGIN_FIELDS = ("table", "table_version", "settings", "name_in_lake")
"""What an artifact takes over from the artifacts that it is made of.

These are the URI and version of the table, the digest of the settings, and the name of the model.
"""


class LineageArtifact(Protocol):
    """An artifact of Kubeflow Pipelines, as a step sees it."""

    metadata: dict[str, Any]


def write_lineage(
    outputs: Sequence[LineageArtifact],
    inputs: Sequence[LineageArtifact],
    lake: str,
    namespace: str,
    as_of: datetime,
    run: str,
    **facts: Any,
) -> None:
    """Write lineage into each output's metadata.

    It names the day, the run, the code's version, the lake, the origins of the inputs, and the
    given facts, which win over the rest.
    """
    lineage = {}
    for artifact in inputs:
        for name in ORIGIN_FIELDS:
            if name in artifact.metadata:
                lineage[name] = artifact.metadata[name]
    lineage["lake"] = Lake.open(lake, namespace).uri
    lineage["namespace"] = namespace
    lineage["as_of"] = format_iso(as_of)
    lineage["run"] = run
    lineage["code_version"] = version("dawnlist")
    lineage.update(facts)
    for output in outputs:
        output.metadata.update(lineage)


def select_finite_figures(report: Mapping[str, Any], *names: str) -> dict[str, float]:
    """Return the finite numbers of a report, by name. A NaN would make Kubeflow fail the run.

    Args:
        names: The figures to return. None given: all.
    """
    figures = {}
    for name in names or report:
        value = report.get(name)
        if isinstance(value, bool):
            value = float(value)
        if isinstance(value, int | float) and math.isfinite(value):
            figures[name] = value
    return figures
