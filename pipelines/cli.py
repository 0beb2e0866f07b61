"""The command `dawnlist`. Everything heavy is imported by the command that needs it, so that --help is quick."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dawnlist.pipelines import option_parsing
from dawnlist.pipelines.ablation.command import ablate
from dawnlist.pipelines.bots import commands as bot_commands
from dawnlist.pipelines.deploy.command import deploy
from dawnlist.pipelines.kubeflow import commands as kubeflow_commands
from dawnlist.pipelines.lake import commands as lake_commands
from dawnlist.pipelines.lake import query_commands
from dawnlist.pipelines.lake.backfill import backfill
from dawnlist.pipelines.matrices import commands as matrix_commands
from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    HomeOption,
    LakeOption,
    NamespaceOption,
    RedisOption,
    SettingsOption,
    SourceOption,
)
from dawnlist.pipelines.store import commands as store_commands

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Daily recommendations on Kubeflow Pipelines.\n\n"
    "Try it: `dawnlist simulate`, then the `dawnlist run --local …` that it tells, then `dawnlist recommend 1`.",
)


@app.callback()
def set_common_options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of all commands."""
    context.obj = debug


@app.command()
def simulate(
    out: Annotated[str, typer.Option(help="Where to: `sqlite:///FILE`, `postgresql://USER@HOST/DB` or a new folder.")]
    = "sqlite:///.dawnlist/shop.db",
    users: Annotated[int, typer.Option(min=1, help="Users with an account on the first day.")] = 8000,
    items: Annotated[int, typer.Option(min=1, help="Items on sale on the first day.")] = 2200,
    days: Annotated[int, typer.Option(min=1, help="Days of traffic, from 2025-01-01 on.")] = 365,
    seed: Annotated[int, typer.Option(help="The same seed gives the same shop; more days only add to it.")] = 1,
) -> None:  # fmt: skip
    """Write the production database of a shop that does not exist: people, robots, staff and dirt.

    Example: `dawnlist simulate --users 2000 --days 90 --out sqlite:///shop.db`
    """
    from dawnlist.pipelines.terminal import show_progress_bar
    from dawnlist.simulate.config import ShopConfig
    from dawnlist.simulate.shop import simulate_shop as make
    from dawnlist.simulate.write import write_shop
    from dawnlist.urls import SOURCE_PASSWORD, refuse_password

    refuse_password(out, SOURCE_PASSWORD)  # it is printed below
    config = ShopConfig(users=users, items=items, days=days, seed=seed)
    if out.startswith("sqlite:///"):
        Path(out.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    with show_progress_bar("simulating") as advance:
        shop = make(config, advance)
    with show_progress_bar("writing") as advance:
        write_shop(shop, out, advance)
    typer.echo(f"{shop.interactions.num_rows:,} interactions of {days} days in {out}")
    typer.echo(f"next: dawnlist run --local --source {out} --as-of {config.end}T00:00:00Z")


@app.command()
def run(
    local: Annotated[bool, typer.Option("--local", help="On this machine, with kfp's local runner.")] = False,
    source: SourceOption = "sqlite:///.dawnlist/shop.db",
    as_of: Annotated[str, typer.Option(help="End of the day to learn from, e.g. 2026-01-31T03:00:00Z; "
                                            "default: the last midnight, UTC.")] = "",
    lake: LakeOption = "",
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    settings: SettingsOption = "",
    window_days: Annotated[int, typer.Option(help="Days of history to learn from.")] = 365,
    search: Annotated[str, typer.Option(help="`full`: the whole grid; `around_champion`: the live configuration and "
                                             "its neighbours in the grid; `off`: the live one alone.")]
    = "around_champion",
    factors: Annotated[str, typer.Option(help="Vector lengths to try, e.g. `64,128`.")] = "",
    regularization: Annotated[str, typer.Option(help="Regularizations to try.")] = "",
    alpha: Annotated[str, typer.Option(help="Confidence weights to try.")] = "",
    alpha0: Annotated[str, typer.Option(help="Confidences of unseen pairs to try.")] = "",
    nu: Annotated[str, typer.Option(help="Exponents of regularization to try, 0 to 2.")] = "",
    half_life: Annotated[str, typer.Option(help="Half-lives of an interaction to try, in days; 0: for ever.")] = "",
    popularity_share: Annotated[str, typer.Option(help="Shares of decayed popularity to try in the scores.")] = "",
    popularity_half_life: Annotated[str, typer.Option(help="Half-lives of that popularity to try, in days.")] = "",
    content_share: Annotated[str, typer.Option(help="Shares of what items' words say to try in the scores.")] = "",
    content_pairs: Annotated[str, typer.Option(help="After how many items met half of that share is left, to try.")]
    = "",
    iterations: Annotated[int | None, typer.Option(help="Sweeps of each fit.")] = None,
    metric: Annotated[str, typer.Option(help="What decides: ndcg, recall, map, mrr or hit_rate.")] = "ndcg",
    k: Annotated[int, typer.Option("--k", "-k", min=1, metavar="<int>", help="Length of a list, 1 or more.")] = 20,
    force: Annotated[str | None, typer.Option(help="Let the challenger go live whatever the gate's rules say: the "
                                                   "reason, which is written down.")] = None,
    package: Annotated[Path | None, typer.Option(help="Run this compiled YAML instead of the code's own DAG.")] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:  # fmt: skip
    """Run the daily pipeline: fetch, clean, filter, search, train, judge, publish, report.

    Example: `dawnlist run --local --source ./ml-1m --as-of 2003-03-01T00:00:00Z`
    """
    if not local:
        raise ValueError(
            "`dawnlist run` runs on this machine only: add --local; on a cluster `dawnlist submit` does"
        )
    from dawnlist.components.tune.grid import validate_metric, validate_search_mode
    from dawnlist.pipelines.terminal import run_and_show_report

    given: dict[str, Any] = {
        "source": source,
        "as_of": option_parsing.parse_past_as_of(as_of),
        "lake": lake or str(home / "lake"),
        "namespace": namespace,
        "settings": settings,
        "window_days": window_days,
        "search": validate_search_mode(search),  # here, too: the step that needs it comes late
        "metric": validate_metric(metric),
        "k": k,
        **option_parsing.parse_search_options(
            iterations,
            factors=factors,
            regularization=regularization,
            alpha=alpha,
            alpha0=alpha0,
            nu=nu,
            half_life=half_life,
            popularity_share=popularity_share,
            popularity_half_life=popularity_half_life,
            content_share=content_share,
            content_pairs=content_pairs,
        ),
        **({} if force is None else {"force": option_parsing.parse_force_reason(force)}),
    }
    with option_parsing.provide_store_url(redis, home) as url:
        raise typer.Exit(run_and_show_report({**given, "redis": url}, package, home))


@app.command("compile")
def compile_pipeline(
    output: Annotated[Path, typer.Option(help="The YAML file to write.")] = Path(
        "dawnlist-daily.yaml"
    ),
    nodes: Annotated[
        str, typer.Option(help="`gpu` puts tune, train and refit on GPU nodes; `cpu` needs none.")
    ] = "cpu",
    image: Annotated[str, typer.Option(help="The image that every step runs in.")] = "",
    tune_shards: Annotated[
        int,
        typer.Option(
            help="Spread the rungs of the search over so many nodes; 0: one node does it."
        ),
    ] = 0,
    interactions: Annotated[
        int, typer.Option(help="Rows expected in the window: memory is asked for by size.")
    ] = 20_000_000,
    users: Annotated[int, typer.Option(help="Users expected.")] = 400_000,
    items: Annotated[int, typer.Option(help="Items expected.")] = 50_000,
    factors: Annotated[
        int, typer.Option(help="The longest vectors that the search will try.")
    ] = 64,
    spot: Annotated[
        bool, typer.Option("--spot", help="Put tune, train and refit on GKE's spot nodes.")
    ] = False,
    gpu_type: Annotated[
        str, typer.Option(help="GKE's name of a kind of GPU, such as `nvidia-l4`.")
    ] = "",
    kubernetes: Annotated[
        bool,
        typer.Option(
            "--kubernetes", help="Write the objects Pipeline and PipelineVersion, for GitOps."
        ),
    ] = False,
    source: kubeflow_commands.ClusterSourceOption = "",
    lake: kubeflow_commands.ClusterLakeOption = "",
    redis: kubeflow_commands.ClusterStoreOption = "",
    namespace: NamespaceOption = "default",
    settings: kubeflow_commands.ClusterSettingsOption = "",
) -> None:
    """Write the Kubeflow Pipelines package; the same code gives the same bytes.

    What is given of --source, --lake, --redis, --namespace and --settings is what a run starts with in the UI.

    Example: `dawnlist compile --output daily.yaml --nodes gpu --image registry.example/dawnlist-python:0.1.0`
    """
    from dawnlist.pipelines.kubeflow.parameters import collect_option_values
    from dawnlist.pipelines.package import write_package
    from dawnlist.pipelines.placement import Placement
    from dawnlist.pipelines.step_memory import ShopSize

    size = ShopSize(interactions, users, items, factors)
    placement = Placement(nodes, image, True, tune_shards, size, spot, gpu_type)
    write_package(
        output,
        placement,
        kubernetes,
        collect_option_values(source, lake, redis, namespace, settings),
    )
    typer.echo(
        f"next: {'kubectl apply -f' if kubernetes else 'dawnlist submit --package'} {output}"
    )


app.command()(deploy)
app.command()(kubeflow_commands.submit)
app.command()(kubeflow_commands.schedule)
app.command()(kubeflow_commands.unschedule)
app.command()(kubeflow_commands.status)


@app.command()
def serve(
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    host: Annotated[
        str, typer.Option(help="Address to listen on; `0.0.0.0` in a container.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    grpc_port: Annotated[
        int, typer.Option(min=0, max=65535, help="For the V2 protocol over gRPC; 0: not.")
    ] = 0,
    static: Annotated[
        Path | None, typer.Option(help="A JSON file of items for when there is no store.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Answer requests: a KServe predictor with the V1 and V2 protocols, and `GET /v1/recommendations/USER`.

    Ask it: `curl -s localhost:8080/v1/recommendations/17850`. Whose key it asks for, the environment says:
    DAWNLIST_API_KEY, DAWNLIST_JWT_KEY (docs/SERVING.md).
    """
    from dawnlist.serving.predictor.server import run_predictor as answer

    with option_parsing.provide_store_url(redis, home) as url:
        answer(url, namespace, port, host, grpc_port=grpc_port, static=static)


@app.command()
def recommend(
    user: Annotated[str, typer.Argument(help="The user's id, as the source has it.")],
    k: Annotated[int | None, typer.Option("--k", "-k", min=1, help="How many; default: all of the list.")] = None,
    predictor: Annotated[str, typer.Option(help="URL of a predictor to ask, e.g. `http://127.0.0.1:8080`; "
                                                "default: read the store.")] = "",
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
) -> None:  # fmt: skip
    """Print what a user is recommended, by title.

    Example: `dawnlist recommend 17850 -k 5`
    """
    from dawnlist.pipelines.terminal import show_recommendation
    from dawnlist.serving.predictor.client import predict_from_store, request_prediction

    if predictor:
        show_recommendation(request_prediction(predictor, user, k))
        return
    with option_parsing.provide_store_url(redis, home) as url:
        show_recommendation(predict_from_store(url, namespace, user, k))


app.command()(store_commands.versions)
app.command()(store_commands.rollback)
app.command()(store_commands.release)
app.command()(store_commands.diff)
app.command()(backfill)
app.command()(ablate)
app.command()(matrix_commands.train)
app.command()(matrix_commands.evaluate)
app.command()(matrix_commands.tune)
app.add_typer(lake_commands.lake_app, name="lake")
app.add_typer(bot_commands.bots_app, name="bots")
app.command()(query_commands.crawl)
app.command()(query_commands.query)


def main() -> None:
    """Run the command; any failure is one line on stderr and a non-zero exit code, with --debug the traceback too."""
    debug = "--debug" in sys.argv
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        from dawnlist.urls import format_error

        usage = getattr(error, "format_message", None)  # a wrong option: click's own words
        if said := format_error(
            usage() if usage else error
        ):  # none: a group without a command has printed its help
            print(f"dawnlist: {said}{' (see --help)' if usage else ''}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 1))


if __name__ == "__main__":
    main()
