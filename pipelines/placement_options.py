"""The options of commands that compile the pipeline: sizes, nodes and limits, defined once."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dawnlist.pipelines.placement import Placement

ARGUMENT_NAME = "placement_options"
"""The parameter by which a command gets its PlacementOptions."""


@dataclass(frozen=True)
class PlacementOptions:
    """What the options say about sizes, nodes and limits. None or empty: not given."""

    nodes: Annotated[
        str,
        typer.Option(
            help="`gpu` runs tune, train and refit on GPU nodes; `cpu`, the default, needs no GPU."
        ),
    ] = ""
    image: Annotated[str, typer.Option(help="Container image of every step.")] = ""
    tune_shards: Annotated[
        int | None,
        typer.Option(
            help="Number of nodes that share the search; default: 0, a search on one node."
        ),
    ] = None
    interactions: Annotated[
        int | None,
        typer.Option(
            help="Rows expected in the window; default: 10,000,000. The memory of the steps depends "
            "on this size."
        ),
    ] = None
    users: Annotated[
        int | None, typer.Option(help="Users expected in the window; default: 200,000.")
    ] = None
    items: Annotated[
        int | None, typer.Option(help="Items expected in the window; default: 30,000.")
    ] = None
    factors: Annotated[
        int | None,
        typer.Option(help="Length of the longest vectors that the search will try; default: 64."),
    ] = None
    spot: Annotated[
        bool, typer.Option("--spot", help="Run tune, train and refit on GKE's spot nodes.")
    ] = False
    gpu_type: Annotated[
        str, typer.Option(help="GKE's name of a kind of GPU, such as `nvidia-l4`.")
    ] = ""
    compact: Annotated[
        bool,
        typer.Option(
            "--compact",
            help="Run the short steps in fewer pods: clean to dataset in one, evaluate and gate, refit to "
            "publish. It suits small shops, whose pods take longer to start than the steps to run.",
        ),
    ] = False
    run_hours: Annotated[
        int | None,
        typer.Option(
            help="End a run after this many hours, also when a pod waits for a node; default: 20. "
            "0 never ends it."
        ),
    ] = None
    kfp_version: Annotated[
        str,
        typer.Option(
            help="Oldest Kubeflow Pipelines that has to run the package: `2.15`, `2.16` or `2.17`, "
            "the default. Older ones know no end of a run, and 2.15 no user of a step."
        ),
    ] = ""

    @property
    def given(self) -> bool:
        """Whether any of the options was given."""
        return self != PlacementOptions()

    def build_placement(self, kfp_version: str = "") -> "Placement":
        """Build the placement, with the defaults of what was not given.

        Args:
            kfp_version: The version of Kubeflow Pipelines if the options name none; empty for the
                newest.

        Raises:
            ValueError: A value is out of its range, or does not go with another.
        """
        from dawnlist.pipelines.placement import Placement
        from dawnlist.pipelines.resources.step_memory import ShopSize

        size_names = [field.name for field in fields(ShopSize)]
        size = ShopSize(**self._collect_given(size_names))
        other_names = [field.name for field in fields(self) if field.name not in size_names]
        values = self._collect_given(other_names)
        if kfp_version:
            values.setdefault("kfp_version", kfp_version)
        placement = Placement(size=size, **values)
        if self.run_hours and not placement.deadline_seconds:
            raise ValueError(
                f"run-hours is {self.run_hours}, and Kubeflow Pipelines {placement.kfp_version} "
                "knows no end of a run: leave the option out"
            )
        return placement

    def _collect_given(self, names: list[str]) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value not in (None, "")}


def add_placement_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of PlacementOptions, in place of its last parameter.

    The parameter is called ARGUMENT_NAME, and is given by keyword only.
    """
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name != ARGUMENT_NAME:
            parameters.append(parameter)
    parameters += _list_option_parameters()

    @functools.wraps(command)
    def run_command(**values: Any) -> None:
        option_names = [field.name for field in fields(PlacementOptions)]
        options = PlacementOptions(**{name: values.pop(name) for name in option_names})
        command(**values, **{ARGUMENT_NAME: options})

    # typer reads a command's options from its signature and its annotations.
    run_command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run_command.__annotations__ = {one.name: one.annotation for one in parameters}
    return run_command


def _list_option_parameters() -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=field.type,
        )
        for field in fields(PlacementOptions)
    ]
