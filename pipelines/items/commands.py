"""The commands `dawnlist items …`, which take items out of all answers and bring them back."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dawnlist.pipelines import option_parsing
from dawnlist.pipelines.id_arguments import IdCommand
from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    FormatOption,
    HomeOption,
    NamespaceOption,
    RedisOption,
)

items_app = typer.Typer(
    no_args_is_help=True,
    help="Take items out of all answers at once, and bring them back.",
)
IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="ID…", help="Ids of items, as the source has them.")
]
FileOption = Annotated[
    Path | None,
    typer.Option("--file", help="A file with an id a line; `-` reads standard input."),
]


@items_app.command("withdraw", cls=IdCommand)
def withdraw_command(
    item_ids: IdsArgument = None,
    file: FileOption = None,
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Take items out of all answers of the predictors, within a second.

    They stay out, whatever is published or rolled back, until `dawnlist items restore`.

    Example: `dawnlist items withdraw 22423 85123A` or `dawnlist items withdraw --file recalled.txt`
    """
    from dawnlist.pipelines.items.id_files import collect_item_ids
    from dawnlist.store.client import connect_store
    from dawnlist.store.withdrawals import find_unknown_ids, withdraw_items

    ids = collect_item_ids(item_ids or [], file)
    with option_parsing.reach_store(redis, home) as url, connect_store(url) as client:
        changed = withdraw_items(client, namespace, ids)
        unknown_ids = find_unknown_ids(client, namespace, ids)
    typer.echo(f"{changed:,} items withdrawn, {len(ids) - changed:,} were withdrawn before")
    if unknown_ids:
        examples = ", ".join(unknown_ids[:5])
        typer.echo(
            f"{len(unknown_ids):,} of them are not in the active version: {examples}; check the ids"
        )


@items_app.command("restore", cls=IdCommand)
def restore_command(
    item_ids: IdsArgument = None,
    file: FileOption = None,
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Let answers have withdrawn items again, within a second.

    A version whose run left an item out does not get it back; the next run does.

    Example: `dawnlist items restore 22423`
    """
    from dawnlist.pipelines.items.id_files import collect_item_ids
    from dawnlist.store.client import connect_store
    from dawnlist.store.withdrawals import restore_items

    ids = collect_item_ids(item_ids or [], file)
    with option_parsing.reach_store(redis, home) as url, connect_store(url) as client:
        changed = restore_items(client, namespace, ids)
    typer.echo(f"{changed:,} items restored, {len(ids) - changed:,} were not withdrawn")


@items_app.command("withdrawn")
def withdrawn_command(
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
    format_: FormatOption = "table",
) -> None:
    """List the items that `dawnlist items withdraw` withdrew, and since when.

    Example: `dawnlist items withdrawn --format json`
    """
    from dawnlist.store.client import connect_store
    from dawnlist.store.withdrawals import read_withdrawals

    option_parsing.refuse_unknown_format(format_)
    with option_parsing.reach_store(redis, home) as url, connect_store(url) as client:
        withdrawals = read_withdrawals(client, namespace)
    if format_ == "json":
        typer.echo(json.dumps(withdrawals, indent=1, ensure_ascii=False))
        return
    if not withdrawals:
        typer.echo(f"no item is withdrawn in namespace {namespace!r}")
    for item_id, since in withdrawals.items():
        typer.echo(f"{since}  {item_id}")
