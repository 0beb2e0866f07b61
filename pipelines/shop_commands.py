"""The commands `simulate`, `serve` and `recommend`."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from dawnlist.pipelines import option_parsing
from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    FormatOption,
    HomeOption,
    NamespaceOption,
    RedisOption,
)


def simulate_command(
    out: Annotated[
        str,
        typer.Option(
            help="Where to write: `sqlite:///FILE`, `postgresql://USER@HOST/DB`, a new folder, or "
            "an empty place in a bucket, `s3://BUCKET/PATH` or `gs://BUCKET/PATH`."
        ),
    ] = "sqlite:///.dawnlist/shop.db",
    users: Annotated[
        int, typer.Option(min=1, help="Users with an account on the first day.")
    ] = 8000,
    items: Annotated[int, typer.Option(min=1, help="Items on sale on the first day.")] = 2200,
    days: Annotated[
        int, typer.Option(min=1, help="Days of traffic, from 2025-01-01 on or until --end.")
    ] = 365,
    seed: Annotated[
        int,
        typer.Option(help="The same seed gives the same shop; more days only add to it."),
    ] = 1,
    end: Annotated[
        str,
        typer.Option(
            help="The day after the last one, UTC, e.g. `2026-01-31`, or `today`; default: the days "
            "begin on 2025-01-01."
        ),
    ] = "",
    if_missing: Annotated[
        bool,
        typer.Option("--if-missing", help="Do nothing if the target holds a shop already."),
    ] = False,
) -> None:
    """Write the production database of a simulated shop: customers, robots, staff and dirty rows.

    Example: `dawnlist simulate --users 2000 --days 90 --out sqlite:///shop.db`
    """
    from dawnlist.pipelines.terminal import show_progress_bar
    from dawnlist.simulate.config import ShopConfig
    from dawnlist.simulate.shop import simulate_shop
    from dawnlist.simulate.upload import ShopExistsError
    from dawnlist.simulate.write import write_shop
    from dawnlist.urls import SOURCE_PASSWORD, refuse_password

    # The URL is printed below, so it must not contain a password.
    refuse_password(out, SOURCE_PASSWORD)
    config = ShopConfig(users=users, items=items, days=days, seed=seed)
    if end:
        config = replace(config, start=option_parsing.parse_day(end) - timedelta(days=days))
    if out.startswith("sqlite:///"):
        database = Path(out.removeprefix("sqlite:///"))
        database.parent.mkdir(parents=True, exist_ok=True)
    with show_progress_bar("simulating") as advance:
        shop = simulate_shop(config, advance)
    try:
        with show_progress_bar("writing") as advance:
            write_shop(shop, out, advance)
    except ShopExistsError as error:
        if not if_missing:
            raise
        typer.echo(f"nothing is written: {error}")
        return
    typer.echo(f"{shop.interactions.num_rows:,} interactions of {days} days in {out}")
    typer.echo(f"next: dawnlist run --local --source {out} --as-of {config.end}T00:00:00Z")


def serve_command(
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    host: Annotated[
        str, typer.Option(help="Address to listen on; `0.0.0.0` in a container.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    grpc_port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Port of the V2 protocol over gRPC; 0 turns it off."),
    ] = 0,
    static: Annotated[
        Path | None, typer.Option(help="JSON file of items to answer with when there is no store.")
    ] = None,
    log_answers: Annotated[
        bool,
        typer.Option(
            "--log-answers",
            help="Log what each answer showed, for `dawnlist collect` to land in the lake.",
        ),
    ] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Serve recommendations: a KServe predictor with the V1 and V2 protocols.

    It also answers `GET /v1/recommendations/USER`. The environment variables DAWNLIST_API_KEY and
    DAWNLIST_JWT_KEY set the keys that it asks for (docs/SERVING.md).

    Try it: `curl -s localhost:8080/v1/recommendations/17850`
    """
    from dawnlist.serving.predictor.server import run_predictor

    with option_parsing.provide_store_url(redis, home) as url:
        run_predictor(
            url,
            namespace,
            port,
            host,
            grpc_port=grpc_port,
            static=static,
            logs_answers=log_answers,
        )


def recommend_command(
    user: Annotated[str, typer.Argument(help="The user's id, as the source has it.")],
    k: Annotated[
        int | None,
        typer.Option("--k", "-k", min=1, help="Number of items; default: the whole list."),
    ] = None,
    predictor: Annotated[
        str,
        typer.Option(
            help="URL of a predictor to ask, e.g. `http://127.0.0.1:8080`; default: read the store."
        ),
    ] = "",
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
    format_: FormatOption = "table",
) -> None:
    """Print a user's recommendations, by title.

    A predictor that asks for a key gets the one of the environment variable DAWNLIST_API_KEY.

    Example: `dawnlist recommend 17850 -k 5`
    """
    from dawnlist.pipelines.run_output import show_recommendation
    from dawnlist.serving.predictor.client import predict_from_store, request_prediction

    option_parsing.refuse_unknown_format(format_)
    if predictor:
        answer = request_prediction(predictor, user, k)
    else:
        with option_parsing.reach_store(redis, home) as url:
            answer = predict_from_store(url, namespace, user, k)
    if format_ == "json":
        typer.echo(json.dumps(answer, indent=1, ensure_ascii=False))
    else:
        show_recommendation(answer)
