"""The commands on the store's versions: `versions`, `rollback`, `release` and `diff`."""

import json
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
)


def versions_command(
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
    format_: FormatOption = "table",
) -> None:
    """List the published versions in the store, and show which is active and whether it is held."""
    from dawnlist.dataclass_json import to_json
    from dawnlist.pipelines.store.output import show_versions
    from dawnlist.store.client import connect_store
    from dawnlist.store.control_values import ControlValueError
    from dawnlist.store.versions import list_foreign_values, list_versions, read_hold

    option_parsing.refuse_unknown_format(format_)
    hold = None
    with option_parsing.reach_store(redis, home) as url, connect_store(url) as client:
        versions = list_versions(client, namespace)
        warnings = list_foreign_values(client, namespace)
        try:
            hold = read_hold(client, namespace)
        except ControlValueError as error:
            warnings.append(str(error))
    if format_ == "json":
        shown_hold = to_json(hold) if hold else None
        shown_versions = [to_json(version) for version in versions]
        typer.echo(json.dumps({"hold": shown_hold, "versions": shown_versions}, indent=1))
    else:
        show_versions(versions, hold, namespace)
    for warning in warnings:
        typer.echo(warning, err=True)


def rollback_command(
    version: Annotated[
        int | None,
        typer.Argument(help="The version to go back to; default: the one before the active one."),
    ] = None,
    lake: LakeOption = "",
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Switch back to an older version, and hold it until `dawnlist release`.

    Both the store and the champion are switched at once.

    Example: `dawnlist rollback` or `dawnlist rollback 12`
    """
    from dawnlist.records.registry import roll_back_champion
    from dawnlist.store.client import connect_store

    opened = option_parsing.open_lake(lake, namespace, home)
    with option_parsing.reach_store(redis, home) as url, connect_store(url) as client:
        live = roll_back_champion(opened, client, namespace, version)
    typer.echo(
        f"version {live.version} of {live.as_of} is live again, and held: runs report, but "
        "nothing else goes live until `dawnlist release`"
    )


def release_command(
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """End the hold that a rollback has set, so that the next run may go live.

    Example: `dawnlist release`
    """
    from dawnlist.store.client import connect_store
    from dawnlist.store.versions import read_active_version, release_hold

    with option_parsing.reach_store(redis, home) as url, connect_store(url) as client:
        hold = release_hold(client, namespace)
        live = read_active_version(client, namespace)
    if hold is None:
        typer.echo(f"nothing is held in namespace {namespace!r}")
        return
    message = "released: the next run that passes goes live"
    if live:
        message += f"; version {live.version} of {live.as_of} stays live until then"
    typer.echo(message)


def diff_command(
    before: Annotated[int, typer.Argument(metavar="V1", help="A version in the store.")],
    after: Annotated[int, typer.Argument(metavar="V2", help="Another version in the store.")],
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
    from dawnlist.store.comparison import compare_versions

    option_parsing.refuse_unknown_format(format_)
    with option_parsing.reach_store(redis, home) as url, connect_store(url) as client:
        diff = compare_versions(client, namespace, before, after)
    if format_ == "json":
        typer.echo(json.dumps(diff, indent=1))
    else:
        show_diff(diff)
