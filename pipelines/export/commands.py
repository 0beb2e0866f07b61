"""The commands `dawnlist export …`."""

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

export_app = typer.Typer(no_args_is_help=True, help="Write what a version holds to files.")


@export_app.command("lists")
def export_lists_command(
    to: Annotated[
        str, typer.Option("--to", help="Folder, or `gs://` or `s3://` address, of the files.")
    ],
    file_format: Annotated[
        str, typer.Option("--file-format", help="`parquet`, `csv` or `jsonl`.")
    ] = "parquet",
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="The longest list.")] = 20,
    users: Annotated[
        str,
        typer.Option(
            "--users", help="A query over the lake that selects `user_id`: only their lists."
        ),
    ] = "",
    redis: RedisOption = option_parsing.EMBEDDED_STORE,
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
    format_: FormatOption = "table",
) -> None:
    """Write the lists of all users, with titles and scores, for mail tools and others.

    These are the lists that the predictor answers from: of the active version, without withdrawn
    items. The ids of users come from the lake. Each file holds some 65,000 users; an export that
    was interrupted continues when it is started again. `--users` limits it to a segment.

    Example: `dawnlist export lists --to lists --file-format csv`
    """
    from dawnlist.lake.lake import Lake
    from dawnlist.pipelines.export.list_export import ListExport
    from dawnlist.pipelines.export.list_files import (
        LIST_FORMATS,
        name_segment,
        read_segment_user_ids,
        read_user_ids,
        write_lists,
    )
    from dawnlist.store.client import connect_store

    option_parsing.refuse_unknown_format(format_)
    if file_format not in LIST_FORMATS:
        raise ValueError(f"--file-format is {file_format!r}: give one of {', '.join(LIST_FORMATS)}")
    opened = Lake.open(option_parsing.choose_lake_uri(lake, home), namespace)
    user_ids = read_segment_user_ids(opened, users) if users else read_user_ids(opened)
    parts = []
    with option_parsing.provide_store_url(redis, home) as url, connect_store(url) as client:
        export = ListExport(client, namespace, user_ids, k)
        segment = name_segment(users)
        for part in write_lists(export, to, file_format, segment):  # type: ignore[arg-type]
            parts.append(part)
            if format_ == "table":
                outcome = f"{part.rows:,} rows of {part.users:,} users"
                if not part.is_new:
                    outcome = "there already"
                typer.echo(f"{part.name}: {outcome}")
    # The users outside a segment are left out on purpose.
    unnamed = 0 if users else sum(part.unnamed_users for part in parts)
    if format_ == "json":
        summary = {
            "version": export.meta["version"],
            "token": export.meta["token"],
            "users": sum(part.users for part in parts),
            "rows": sum(part.rows for part in parts),
            "unnamed_users": unnamed,
            "files": [part.name for part in parts],
        }
        typer.echo(json.dumps(summary, indent=1))
    elif unnamed:
        typer.echo(f"{unnamed:,} users are not in the lake, so their lists were left out")
