"""Command-line options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_HOME = Path(".dawnlist")

HomeOption = Annotated[
    Path, typer.Option(help="Folder for the embedded lake and store, artifacts and logs.")
]
NamespaceOption = Annotated[
    str, typer.Option(help="The shop's name. It prefixes every path and key.")
]
RedisOption = Annotated[
    str,
    typer.Option(
        help="URL of the store, e.g. `redis://HOST:6379/0`; `embedded` starts a Valkey under --home. "
        "The password comes from DAWNLIST_REDIS_PASSWORD."
    ),
]
LakeOption = Annotated[
    str, typer.Option(help="Folder, `gs://` or `s3://` URI of the lake; default: HOME/lake.")
]
SettingsOption = Annotated[
    str, typer.Option("--settings", help="YAML file with the shop's settings.")
]
SourceOption = Annotated[
    str,
    typer.Option(
        "--source",
        help="Where interactions come from: `sqlite:///FILE`, `postgresql://USER@HOST/DB`, "
        "`mysql://…`, `mssql://…` (password in DAWNLIST_SOURCE_PASSWORD); a folder, a file or a "
        "mapping file (CSV, JSON lines, Parquet, MovieLens, Amazon; also `gs://` and `s3://`): "
        "docs/SOURCES.md.",
    ),
]
ForceOption = Annotated[
    str | None,
    typer.Option(
        help="Publish the challenger even if a rule of the gate rejects it. Give the reason; it is "
        "recorded."
    ),
]
FormatOption = Annotated[
    str, typer.Option("--format", help="`table` for people, `json` for programs.")
]
RowFormatOption = Annotated[
    str,
    typer.Option(
        "--format",
        help="`table`, `csv`, `json` or `parquet`; default: the suffix of --output, else `table`.",
    ),
]
RowLimitOption = Annotated[
    int | None,
    typer.Option(
        min=0, help="Show at most this many rows; 0 shows all. Default: 100 in a table, else all."
    ),
]
OutputOption = Annotated[Path | None, typer.Option(help="File to write; default: standard output.")]
ListLengthOption = Annotated[
    int, typer.Option("--k", "-k", min=1, metavar="<int>", help="Length of a list, 1 or more.")
]
RequirePublishedOption = Annotated[
    bool,
    typer.Option(
        "--require-published",
        help="Exit with code 3 when the run succeeds but publishes nothing, e.g. because the gate "
        "rejects the challenger.",
    ),
]
