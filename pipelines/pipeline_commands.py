"""The commands `run` and `compile`, which build the daily pipeline."""

from pathlib import Path
from typing import Annotated, Any

import typer

from dawnlist.model.hyper_parameters import BY_NAME
from dawnlist.pipelines import option_parsing
from dawnlist.pipelines.kubeflow import options as kubeflow_options
from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    ForceOption,
    HomeOption,
    LakeOption,
    ListLengthOption,
    NamespaceOption,
    RedisOption,
    SettingsOption,
    SourceOption,
)

LocalOption = Annotated[
    bool, typer.Option("--local", help="Run on this machine, with kfp's local runner.")
]
AsOfOption = Annotated[
    str,
    typer.Option(
        help="End of the day to learn from, e.g. 2026-01-31T03:00:00Z; default: the last midnight "
        "(UTC)."
    ),
]
WindowOption = Annotated[int, typer.Option(help="Days of history to learn from.")]
SearchOption = Annotated[
    str,
    typer.Option(
        help="`full` tries the whole grid; `around_champion` the live configuration and its "
        "neighbours in the grid; `off` only the live configuration."
    ),
]
FactorsOption = Annotated[str, typer.Option(help=BY_NAME["factors"].help)]
RegularizationOption = Annotated[str, typer.Option(help=BY_NAME["regularization"].help)]
AlphaOption = Annotated[str, typer.Option(help=BY_NAME["alpha"].help)]
Alpha0Option = Annotated[str, typer.Option(help=BY_NAME["alpha0"].help)]
NuOption = Annotated[str, typer.Option(help=BY_NAME["nu"].help)]
HalfLifeOption = Annotated[str, typer.Option(help=BY_NAME["half_life"].help)]
PopularityShareOption = Annotated[str, typer.Option(help=BY_NAME["popularity_share"].help)]
PopularityHalfLifeOption = Annotated[str, typer.Option(help=BY_NAME["popularity_half_life"].help)]
RepeatShareOption = Annotated[str, typer.Option(help=BY_NAME["repeat_share"].help)]
RepeatHalfLifeOption = Annotated[str, typer.Option(help=BY_NAME["repeat_half_life"].help)]
ContentShareOption = Annotated[str, typer.Option(help=BY_NAME["content_share"].help)]
ContentPairsOption = Annotated[str, typer.Option(help=BY_NAME["content_pairs"].help)]
RunSetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any parameter of the pipeline, as `submit` takes it, e.g. `seed=3`; repeatable.",
    ),
]
RunIterationsOption = Annotated[
    int | None, typer.Option(help="Sweeps over users and items in each fit.")
]
MetricOption = Annotated[
    str, typer.Option(help="Metric that decides: ndcg, recall, map, mrr or hit_rate.")
]
RunPackageOption = Annotated[
    Path | None, typer.Option(help="Run this compiled YAML file instead of the code's pipeline.")
]


def run_command(
    local: LocalOption = False,
    source: SourceOption = "sqlite:///.dawnlist/shop.db",
    as_of: AsOfOption = "",
    lake: LakeOption = "",
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    settings: SettingsOption = "",
    window_days: WindowOption = 365,
    search: SearchOption = "around_champion",
    factors: FactorsOption = "",
    regularization: RegularizationOption = "",
    alpha: AlphaOption = "",
    alpha0: Alpha0Option = "",
    nu: NuOption = "",
    half_life: HalfLifeOption = "",
    popularity_share: PopularityShareOption = "",
    popularity_half_life: PopularityHalfLifeOption = "",
    repeat_share: RepeatShareOption = "",
    repeat_half_life: RepeatHalfLifeOption = "",
    content_share: ContentShareOption = "",
    content_pairs: ContentPairsOption = "",
    iterations: RunIterationsOption = None,
    metric: MetricOption = "ndcg",
    k: ListLengthOption = 20,
    set_: RunSetOption = None,
    force: ForceOption = None,
    package: RunPackageOption = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Run the daily pipeline: fetch, clean, filter, search, train, judge, publish, report.

    Example: `dawnlist run --local --source ./ml-1m --as-of 2003-03-01T00:00:00Z`
    """
    if not local:
        raise ValueError(
            "`dawnlist run` runs on this machine only: add --local, or use `dawnlist submit` to run "
            "on a cluster"
        )
    from dawnlist.components.tune.grid import validate_metric, validate_search_mode
    from dawnlist.cuts import format_iso
    from dawnlist.pipelines.run_assignments import parse_run_assignments, refuse_double_values
    from dawnlist.pipelines.run_output import run_and_show_report

    arguments: dict[str, Any] = {
        "source": source,
        "as_of": format_iso(option_parsing.parse_past_as_of(as_of)),
        "lake": option_parsing.choose_lake_uri(lake, home),
        "namespace": namespace,
        "settings": settings,
        "window_days": window_days,
        "search": search,
        "metric": metric,
        "k": k,
    }
    searched = option_parsing.parse_search_options(
        iterations,
        factors=factors,
        regularization=regularization,
        alpha=alpha,
        alpha0=alpha0,
        nu=nu,
        half_life=half_life,
        popularity_share=popularity_share,
        popularity_half_life=popularity_half_life,
        repeat_share=repeat_share,
        repeat_half_life=repeat_half_life,
        content_share=content_share,
        content_pairs=content_pairs,
    )
    assigned = parse_run_assignments(set_ or [])
    refuse_double_values(searched, assigned)
    arguments |= searched | assigned
    # The steps that use these come late in a run, so they are validated here too.
    validate_search_mode(arguments["search"])
    validate_metric(arguments["metric"])
    option_parsing.validate_grid(arguments)
    if force is not None:
        arguments["force"] = option_parsing.parse_force_reason(force)
    with option_parsing.provide_store_url(redis, home) as url:
        arguments["redis"] = url
        raise typer.Exit(run_and_show_report(arguments, package, home))


CompileOutputOption = Annotated[
    Path | None,
    typer.Option(help="YAML file to write.", show_default="dawnlist-daily.yaml, or STEP.yaml"),
]
ComponentOption = Annotated[
    str,
    typer.Option(
        metavar="STEP",
        help="Write this step alone, such as `clean`, for a pipeline of your own; of the other "
        "options it takes --image (docs/COMPONENTS.md).",
    ),
]
CompileNodesOption = Annotated[
    str,
    typer.Option(help="`gpu` runs tune, train and refit on GPU nodes; `cpu` needs no GPU."),
]
StepImageOption = Annotated[str, typer.Option(help="Container image of every step.")]
TuneShardsOption = Annotated[
    int, typer.Option(help="Number of nodes that share the search; 0 searches on one node.")
]
InteractionsCountOption = Annotated[
    int,
    typer.Option(help="Rows expected in the window. The memory of the steps depends on this size."),
]
UsersCountOption = Annotated[int, typer.Option(help="Users expected in the window.")]
ItemsCountOption = Annotated[int, typer.Option(help="Items expected in the window.")]
LongestVectorOption = Annotated[
    int, typer.Option(help="Length of the longest vectors that the search will try.")
]
SpotOption = Annotated[
    bool, typer.Option("--spot", help="Run tune, train and refit on GKE's spot nodes.")
]
GpuTypeOption = Annotated[
    str, typer.Option(help="GKE's name of a kind of GPU, such as `nvidia-l4`.")
]
KubernetesOption = Annotated[
    bool,
    typer.Option(
        "--kubernetes",
        help="Write the Kubernetes objects Pipeline and PipelineVersion, for GitOps.",
    ),
]


def compile_command(
    output: CompileOutputOption = None,
    component: ComponentOption = "",
    nodes: CompileNodesOption = "cpu",
    image: StepImageOption = "",
    tune_shards: TuneShardsOption = 0,
    interactions: InteractionsCountOption = 20_000_000,
    users: UsersCountOption = 400_000,
    items: ItemsCountOption = 50_000,
    factors: LongestVectorOption = 64,
    spot: SpotOption = False,
    gpu_type: GpuTypeOption = "",
    kubernetes: KubernetesOption = False,
    source: kubeflow_options.ClusterSourceOption = "",
    lake: kubeflow_options.ClusterLakeOption = "",
    redis: kubeflow_options.ClusterStoreOption = "",
    namespace: NamespaceOption = "default",
    settings: kubeflow_options.ClusterSettingsOption = "",
) -> None:
    """Write the package for Kubeflow Pipelines. The same code always gives the same bytes.

    The values of --source, --lake, --redis, --namespace and --settings become the defaults of a
    run that is started in the UI.

    Example: `dawnlist compile --output daily.yaml --nodes gpu --image registry.example/dawnlist-python:0.2.0`
    """
    from dawnlist.pipelines.kubeflow.parameters import collect_option_values
    from dawnlist.pipelines.package import write_component, write_package
    from dawnlist.pipelines.placement import Placement
    from dawnlist.pipelines.step_memory import ShopSize

    if component:
        file = output or Path(f"{component}.yaml")
        write_component(file, component, image)
        typer.echo(f"next: kfp.components.load_component_from_file({str(file)!r})")
        return
    file = output or Path("dawnlist-daily.yaml")
    size = ShopSize(interactions, users, items, factors)
    placement = Placement(nodes, image, True, tune_shards, size, spot, gpu_type)
    defaults = collect_option_values(source, lake, redis, namespace, settings)
    write_package(file, placement, kubernetes, defaults)
    next_command = "kubectl apply -f" if kubernetes else "dawnlist submit --package"
    typer.echo(f"next: {next_command} {file}")
