"""The commands `collect` and `events …`: take events of people, and look at their streams."""

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from dawnlist.pipelines import option_parsing
from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    FormatOption,
    HomeOption,
    LakeOption,
    NamespaceOption,
    RedisOption,
    SettingsOption,
)
from dawnlist.secret_values import read_secret

events_app = typer.Typer(
    no_args_is_help=True,
    help="Look at the events that the collector has taken.",
)


class CollectorRole(StrEnum):
    """What a process of the collector does."""

    ALL = "all"
    HTTP = "http"
    WORKER = "worker"
    FIREHOSE = "firehose"


RoleOption = Annotated[
    CollectorRole,
    typer.Option(
        help="`http` takes events, `worker` enriches them, `firehose` lands them in the lake; `all` "
        "does everything on this machine."
    ),
]
CountOption = Annotated[int, typer.Option(min=1, max=10_000, help="Number of events to show.")]


def collect_command(
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    lake: LakeOption = "",
    settings: SettingsOption = "",
    host: Annotated[
        str, typer.Option(help="Address to listen on; `0.0.0.0` in a container.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8081,
    role: RoleOption = CollectorRole.ALL,
    land_seconds: Annotated[
        float, typer.Option(min=1, max=3600, help="Land an event after so many seconds at most.")
    ] = 60.0,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Collect what people do: take events, enrich them, and land them in the lake.

    The environment variable DAWNLIST_COLLECTOR_KEYS sets the keys of servers (docs/COLLECTOR.md).

    Try it: `curl localhost:8081/v1/events -d '{"events": [{"type": "view", "user": "1", "item": "2"}]}'`
    """
    from dawnlist.serving.collector import background, server
    from dawnlist.settings import Settings

    shop_settings = Settings.load(settings)
    lake_uri = option_parsing.choose_lake_uri(lake, home)
    with option_parsing.provide_store_url(redis, home) as url:
        if role == CollectorRole.WORKER:
            background.run_worker(url, namespace, shop_settings)
            return
        if role == CollectorRole.FIREHOSE:
            background.run_firehose(url, namespace, lake_uri, land_seconds)
            return
        shared = [f"--redis={url}", f"--namespace={namespace}", f"--settings={settings}"]
        shared += [f"--lake={lake_uri}", f"--land-seconds={land_seconds}"]
        commands = []
        if role == CollectorRole.ALL:
            for child_role in (CollectorRole.WORKER, CollectorRole.FIREHOSE):
                commands.append(["collect", f"--role={child_role}", *shared])
        with background.run_children(commands):
            server.run_collector(url, namespace, shop_settings.collector, host, port)


def demo_shop_command(
    predictor: Annotated[
        str, typer.Option(help="Address of a predictor, as this machine reaches it.")
    ] = "http://127.0.0.1:8080",
    collector: Annotated[
        str, typer.Option(help="Address of a collector, as browsers reach it.")
    ] = "http://127.0.0.1:8081",
    key: Annotated[str, typer.Option(help="The collector's publishable key, if it has any.")] = "",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8082,
) -> None:
    """Show a small shop page, on which a click changes the shelf.

    It needs a predictor (`dawnlist serve`) and a collector (`dawnlist collect`) of one store. The
    predictor's key comes from DAWNLIST_API_KEY.

    Example: `dawnlist demo-shop`, then open http://127.0.0.1:8082
    """
    from dawnlist.serving.demo_shop.server import run_demo_shop
    from dawnlist.urls import API_KEY

    typer.echo(f"open http://{host}:{port}")
    run_demo_shop(predictor, collector, key, read_secret(API_KEY) or "", host, port)


@events_app.command("tail")
def tail_command(
    count: CountOption = 10,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as events come, until Ctrl-C.")
    ] = False,
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Print the newest events that were enriched and are not in the lake yet, a JSON line each.

    Example: `dawnlist events tail --follow`
    """
    from dawnlist.events.stream_views import iter_newest_events
    from dawnlist.store.client import connect_store

    with option_parsing.provide_store_url(redis, home) as url, connect_store(url) as client:
        for event in iter_newest_events(client, namespace, count, follow):
            typer.echo(json.dumps(event, ensure_ascii=False))


@events_app.command("lag")
def lag_command(
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    format_: FormatOption = "table",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Print how many events wait for a worker and for the lake, and how old the oldest is.

    Example: `dawnlist events lag`
    """
    from dawnlist.events.stream_views import measure_lags
    from dawnlist.pipelines.events.output import show_lags
    from dawnlist.store.client import connect_store

    option_parsing.refuse_unknown_format(format_)
    with option_parsing.provide_store_url(redis, home) as url, connect_store(url) as client:
        lags = measure_lags(client, namespace)
    if format_ == "json":
        typer.echo(json.dumps(lags, indent=1))
    else:
        show_lags(lags)


@events_app.command("dead")
def dead_command(
    count: CountOption = 20,
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    lake: LakeOption = "",
    format_: FormatOption = "table",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Print the newest events that were refused, and why: in the stream, and in the lake.

    Example: `dawnlist events dead --count 5`
    """
    from dawnlist.events.stream_views import list_dead_events
    from dawnlist.lake.lake import Lake
    from dawnlist.pipelines.events.output import show_dead_events
    from dawnlist.store.client import connect_store

    option_parsing.refuse_unknown_format(format_)
    opened_lake = Lake.open(option_parsing.choose_lake_uri(lake, home), namespace)
    with option_parsing.provide_store_url(redis, home) as url, connect_store(url) as client:
        dead_events = list_dead_events(client, opened_lake, namespace, count)
    if format_ == "json":
        typer.echo(json.dumps(dead_events, indent=1, ensure_ascii=False))
    else:
        show_dead_events(dead_events)


@events_app.command("replay")
def replay_command(
    reason: Annotated[
        str, typer.Option(help="Replay only the events whose reason contains this text.")
    ] = "",
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Give workers once more the events that they could not process, after the fault is mended.

    Only events that a collector had accepted are replayed: one that breaks the schema stays dead.

    Example: `dawnlist events replay --reason 'could not process'`
    """
    from dawnlist.events.stream_views import replay_dead_events
    from dawnlist.store.client import connect_store

    with option_parsing.provide_store_url(redis, home) as url, connect_store(url) as client:
        replayed, kept = replay_dead_events(client, namespace, reason)
    typer.echo(f"{replayed:,} events replayed, {kept:,} dead letters stay")
    if not replayed:
        print("dawnlist: no dead letter was accepted by a collector before", file=sys.stderr)


UserOption = Annotated[str, typer.Option(help="The user's id.")]


@events_app.command("export")
def export_command(
    user: UserOption,
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    lake: LakeOption = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Print everything that the collector and the log of answers hold of a user, a JSON line each.

    This includes the anonymous ids that were joined to the user.

    Example: `dawnlist events export --user 17850`
    """
    from dawnlist.events.person_data import iter_person_data
    from dawnlist.lake.lake import Lake
    from dawnlist.store.client import connect_store

    opened_lake = Lake.open(option_parsing.choose_lake_uri(lake, home), namespace)
    with option_parsing.provide_store_url(redis, home) as url, connect_store(url) as client:
        for entry in iter_person_data(client, opened_lake, namespace, user):
            typer.echo(json.dumps(entry, ensure_ascii=False, default=str))


@events_app.command("erase")
def erase_command(
    user: UserOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    lake: LakeOption = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Erase everything that the collector and the log of answers hold of a user.

    This includes the anonymous ids that were joined to the user. The shop's own database and what
    was learnt from it are not touched. Older versions of the tables keep the rows for
    keep.time_travel_days.

    Example: `dawnlist events erase --user 17850`
    """
    from dawnlist.events.person_data import erase_person
    from dawnlist.lake.lake import Lake
    from dawnlist.store.client import connect_store

    if not yes:
        typer.confirm(f"Erase all events of user {user!r}?", abort=True)
    opened_lake = Lake.open(option_parsing.choose_lake_uri(lake, home), namespace)
    with option_parsing.provide_store_url(redis, home) as url, connect_store(url) as client:
        counts = erase_person(client, opened_lake, namespace, user)
    for place, count in counts.items():
        typer.echo(f"{place}: {count:,} erased")
