"""Commands about what the store has: `versions`, `rollback`, `release` and `diff`."""

import json
from typing import Annotated, Any

import typer

from dawnlist.pipelines import option_parsing
from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    FormatOption,
    HomeOption,
    LakeOption,
    NamespaceOption,
    RedisOption,
)


def versions(
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
    format_: FormatOption = "table",
) -> None:
    """List the published versions that the store keeps, the active one marked, and whether it is held."""
    from dawnlist.pipelines.store.output import show_versions
    from dawnlist.store import versions as store
    from dawnlist.store.client import connect_store

    option_parsing.refuse_unknown_format(format_)
    with option_parsing.provide_store_url(redis, home) as url, connect_store(url) as client:
        found, held = store.list_versions(client, namespace), store.read_hold(client, namespace)
    if format_ == "json":
        typer.echo(json.dumps({"hold": held, "versions": found}, indent=1))
    else:
        show_versions(found, held, namespace)


def rollback(
    version: Annotated[
        int | None, typer.Argument(help="The version to go back to; default: the one before.")
    ] = None,
    lake: LakeOption = "",
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Switch the store back to an older version at once, the champion with it, and hold it until `dawnlist release`.

    Example: `dawnlist rollback` or `dawnlist rollback 12`
    """
    from dawnlist.lake.lake import Lake
    from dawnlist.records import registry
    from dawnlist.store.client import connect_store

    opened = Lake.open(lake or str(home / "lake"), namespace)
    with option_parsing.provide_store_url(redis, home) as url, connect_store(url) as client:
        live = registry.roll_back_champion(opened, client, namespace, version)
    typer.echo(
        f"version {live['version']} of {live['as_of']} is live again, and held: runs report, but nothing else goes "
        "live until `dawnlist release`"
    )


def release(
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """End the hold that a rollback has set, so that the next run may go live.

    Example: `dawnlist release`
    """
    from dawnlist.store import versions as store
    from dawnlist.store.client import connect_store

    with option_parsing.provide_store_url(redis, home) as url, connect_store(url) as client:
        held, live = (
            store.release_hold(client, namespace),
            store.read_active_version(client, namespace),
        )
    if held is None:
        typer.echo(f"nothing is held in namespace {namespace!r}")
        return
    stays = f"; version {live['version']} of {live['as_of']} stays live until then" if live else ""
    typer.echo(f"released: the next run that passes goes live{stays}")


def diff(
    before: Annotated[int, typer.Argument(metavar="V1", help="A version that the store keeps.")],
    after: Annotated[int, typer.Argument(metavar="V2", help="Another.")],
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
    format_: FormatOption = "table",
) -> None:
    """Compare two versions: how much of the lists is new, and which metrics and parameters differ.

    Example: `dawnlist diff 11 12`
    """
    from dawnlist.pipelines.store.output import show_diff
    from dawnlist.store.client import connect_store
    from dawnlist.store.comparison import compare_versions as compare

    option_parsing.refuse_unknown_format(format_)
    with option_parsing.provide_store_url(redis, home) as url, connect_store(url) as client:
        found: dict[str, Any] = compare(client, namespace, before, after)
    if format_ == "json":
        typer.echo(json.dumps(found, indent=1))
    else:
        show_diff(found)
