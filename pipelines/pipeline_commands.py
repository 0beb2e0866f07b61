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
    RequirePublishedOption,
    SettingsOption,
    SourceOption,
)
from dawnlist.pipelines.placement_options import PlacementOptions, add_placement_options

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
        "neighbours in the grid; `off` only the live configuration. Default: around_champion."
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
    str,
    typer.Option(help="Metric that decides: ndcg (the default), recall, map, mrr or hit_rate."),
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
    search: SearchOption = "",
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
    metric: MetricOption = "",
    k: ListLengthOption = 20,
    set_: RunSetOption = None,
    force: ForceOption = None,
    package: RunPackageOption = None,
    require_published: RequirePublishedOption = False,
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
    from dawnlist.cuts import format_iso
    from dawnlist.pipelines.run_assignments import merge_search_entries, parse_run_assignments
    from dawnlist.pipelines.run_output import run_and_show_report
    from dawnlist.settings import Settings

    arguments: dict[str, Any] = {
        "shop_source": source,
        "as_of": format_iso(option_parsing.parse_past_as_of(as_of)),
        "shop_lake": option_parsing.choose_lake_uri(lake, home),
        "shop": namespace,
        "shop_settings": settings,
        "history_days": window_days,
        "list_length": k,
    }
    search_entries = option_parsing.parse_search_options(
        iterations,
        search,
        metric,
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
    arguments |= assigned
    arguments["search"] = merge_search_entries(search_entries, assigned.get("search", {}))
    if force is not None:
        arguments["force_publish"] = option_parsing.parse_force_reason(force)
    # A wrong setting is told before a store starts.
    Settings.load(arguments["shop_settings"])
    with option_parsing.provide_store_url(redis, home) as url:
        arguments["shop_store"] = url
        raise typer.Exit(run_and_show_report(arguments, package, home, require_published))


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
KubernetesOption = Annotated[
    bool,
    typer.Option(
        "--kubernetes",
        help="Write the Kubernetes objects Pipeline and PipelineVersion, for GitOps.",
    ),
]


@add_placement_options
def compile_command(
    output: CompileOutputOption = None,
    component: ComponentOption = "",
    kubernetes: KubernetesOption = False,
    source: kubeflow_options.ClusterSourceOption = "",
    lake: kubeflow_options.ClusterLakeOption = "",
    redis: kubeflow_options.ClusterStoreOption = "",
    namespace: kubeflow_options.ShopNameOption = "",
    settings: kubeflow_options.ClusterSettingsOption = "",
    shop: kubeflow_options.ShopFileOption = "",
    *,
    placement_options: PlacementOptions,
) -> None:
    """Write the package for Kubeflow Pipelines. The same code always gives the same bytes.

    The values of --source, --lake, --redis, --namespace and --settings, or of --shop, become the
    defaults of a run that is started in the UI.

    Example: `dawnlist compile --output daily.yaml --nodes gpu --image registry.example/dawnlist-python:0.2.0`
    """
    from dawnlist.pipelines.kubeflow.shop_values import collect_option_values
    from dawnlist.pipelines.package import write_component, write_package

    if component:
        file = output or Path(f"{component}.yaml")
        write_component(file, component, placement_options.image)
        typer.echo(f"next: kfp.components.load_component_from_file({str(file)!r})")
        return
    file = output or Path("dawnlist-daily.yaml")
    defaults = collect_option_values(source, lake, redis, namespace, settings, shop)
    write_package(file, placement_options.build_placement(), kubernetes, defaults)
    next_command = "kubectl apply -f" if kubernetes else "dawnlist submit --package"
    typer.echo(f"next: {next_command} {file}")
