"""Commands about what the store has: `versions`, `rollback`, `release` and `diff`."""

import json
from typing import Annotated, Any

import typer

from dawnlist.pipelines import arguments
from dawnlist.pipelines.options import HOME, Home, LakeRoot, Namespace, Redis

Format = Annotated[str, typer.Option("--format", help="`table` for people, `json` for programs.")]


def versions(
    redis: Redis = arguments.EMBEDDED,
    namespace: Namespace = "default",
    home: Home = HOME,
    format_: Format = "table",
) -> None:
    """List the published versions that the store keeps, the active one marked, and whether it is held."""
    from dawnlist.pipelines.store.words import show_versions
    from dawnlist.store import versions as store
    from dawnlist.store.client import connect

    arguments.checked_format(format_)
    with arguments.store(redis, home) as url, connect(url) as client:
        found, held = store.versions(client, namespace), store.hold(client, namespace)
    if format_ == "json":
        typer.echo(json.dumps({"hold": held, "versions": found}, indent=1))
    else:
        show_versions(found, held, namespace)


def rollback(
    version: Annotated[int | None, typer.Argument(help="The version to go back to; default: the one before.")] = None,
    lake: LakeRoot = "",
    redis: Redis = arguments.EMBEDDED,
    namespace: Namespace = "default",
    home: Home = HOME,
) -> None:
    """Switch the store back to an older version at once, the champion with it, and hold it until `dawnlist release`.

    Example: `dawnlist rollback` or `dawnlist rollback 12`
    """
    from dawnlist.lake.lake import Lake
    from dawnlist.records import registry
    from dawnlist.store.client import connect

    opened = Lake.open(lake or str(home / "lake"), namespace)
    with arguments.store(redis, home) as url, connect(url) as client:
        live = registry.rollback(opened, client, namespace, version)
    typer.echo(
        f"version {live['version']} of {live['as_of']} is live again, and held: runs report, but nothing else goes "
        "live until `dawnlist release`"
    )


def release(redis: Redis = arguments.EMBEDDED, namespace: Namespace = "default", home: Home = HOME) -> None:
    """End the hold that a rollback has set, so that the next run may go live.

    Example: `dawnlist release`
    """
    from dawnlist.store import versions as store
    from dawnlist.store.client import connect

    with arguments.store(redis, home) as url, connect(url) as client:
        held, live = store.release(client, namespace), store.active(client, namespace)
    if held is None:
        typer.echo(f"nothing is held in namespace {namespace!r}")
        return
    stays = f"; version {live['version']} of {live['as_of']} stays live until then" if live else ""
    typer.echo(f"released: the next run that passes goes live{stays}")


def diff(
    before: Annotated[int, typer.Argument(metavar="V1", help="A version that the store keeps.")],
    after: Annotated[int, typer.Argument(metavar="V2", help="Another.")],
    redis: Redis = arguments.EMBEDDED,
    namespace: Namespace = "default",
    home: Home = HOME,
    format_: Format = "table",
) -> None:
    """Compare two versions: how much of the lists is new, and which metrics and parameters differ.

    Example: `dawnlist diff 11 12`
    """
    from dawnlist.pipelines.store.words import show_diff
    from dawnlist.store.client import connect
    from dawnlist.store.diff import diff as compare

    arguments.checked_format(format_)
    with arguments.store(redis, home) as url, connect(url) as client:
        found: dict[str, Any] = compare(client, namespace, before, after)
    if format_ == "json":
        typer.echo(json.dumps(found, indent=1))
    else:
        show_diff(found)
