"""The commands `crawl` and `query`, which look into the lake."""

import json
from typing import Annotated

import typer

from dawnlist.pipelines.option_parsing import EMBEDDED_STORE, open_lake, refuse_unknown_format
from dawnlist.pipelines.options import (
    DEFAULT_HOME,
    FormatOption,
    HomeOption,
    LakeOption,
    NamespaceOption,
    OutputOption,
    RedisOption,
    RowFormatOption,
    RowLimitOption,
    SettingsOption,
)


def crawl_command(
    format_: FormatOption = "table",
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    settings: SettingsOption = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Show what is in the lake, and what changed since the last crawl.

    This covers columns, types, nulls, ranges and partitions. The command fails when a column
    is missing that every event needs.

    Example: `dawnlist crawl --format json`
    """
    refuse_unknown_format(format_)
    from dawnlist.pipelines.pandas_block import block_pandas_import

    block_pandas_import()
    from dawnlist.explore.lake_catalogue import crawl_lake, save_catalogue
    from dawnlist.pipelines.query_tables import show_catalogue
    from dawnlist.settings import Settings

    source = Settings.load(settings).source
    opened = open_lake(lake, namespace, home)
    catalogue = crawl_lake(opened, source)
    if format_ == "json":
        typer.echo(json.dumps(catalogue, indent=1))
    else:
        show_catalogue(catalogue)
    is_new = save_catalogue(opened, catalogue, source)
    if format_ == "table":
        outcome = "kept as" if is_new else "nothing new since"
        typer.echo(f"{outcome} catalogue {catalogue['number']} of {catalogue['crawled']}")


def query_command(
    sql: Annotated[
        str,
        typer.Argument(
            help="One statement that reads: SELECT, WITH, DESCRIBE, SUMMARIZE, SHOW, EXPLAIN."
        ),
    ],
    format_: RowFormatOption = "",
    limit: RowLimitOption = None,
    output: OutputOption = None,
    as_of_version: Annotated[
        int | None, typer.Option(min=0, help="Read `interactions` as of this version.")
    ] = None,
    redis: RedisOption = EMBEDDED_STORE,
    lake: LakeOption = "",
    namespace: NamespaceOption = "default",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Query the lake in SQL.

    The tables are interactions, quarantine, items and users, and of the landing zone
    landing.interactions, landing.items, … The table lists has the users' lists of the active
    version, with user_id, rank, item_id, title and score; it comes from the store.

    Example: `dawnlist query "select event_date, count(*) from interactions group by all order by all"`
    """
    from dawnlist.pipelines.pandas_block import block_pandas_import

    block_pandas_import()
    from dawnlist.explore.lake_sql import open_query_stream
    from dawnlist.pipelines import output_files
    from dawnlist.pipelines.export.list_table import open_list_tables

    row_format = output_files.choose_row_format(format_, output)
    limit = output_files.choose_row_limit(limit, row_format)
    versions = {}
    if as_of_version is not None:
        versions["interactions"] = as_of_version
    query_limit = limit or None
    if query_limit and row_format == "table":
        # One row more than the table shows tells whether there are more.
        query_limit += 1
    opened = open_lake(lake, namespace, home)
    with (
        open_list_tables(sql, opened, namespace, redis, home) as lists,
        open_query_stream(opened, sql, versions, query_limit, lists) as reader,
    ):
        if row_format == "table":
            from dawnlist.pipelines.query_tables import show_rows

            show_rows(reader, limit)
        else:
            output_files.write_rows(reader, row_format, output)
