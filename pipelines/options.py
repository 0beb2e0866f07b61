"""Options that several commands share, described once."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_HOME = Path(".dawnlist")

HomeOption = Annotated[
    Path, typer.Option(help="Folder of the embedded parts: lake, store, artifacts and logs.")
]
NamespaceOption = Annotated[
    str, typer.Option(help="The shop's name: a prefix on every path and key.")
]
RedisOption = Annotated[
    str,
    typer.Option(help="URL of the store, e.g. `redis://HOST:6379/0`; `embedded` is a Valkey under --home. "
                      "The password comes from DAWNLIST_REDIS_PASSWORD."),
]  # fmt: skip
LakeOption = Annotated[
    str, typer.Option(help="Folder, `gs://` or `s3://` URI of the lake; default: HOME/lake.")
]
SettingsOption = Annotated[
    str, typer.Option("--settings", help="The shop's settings, a YAML file.")
]
SourceOption = Annotated[
    str,
    typer.Option("--source",
                 help="Where interactions come from: `sqlite:///FILE`, `postgresql://USER@HOST/DB`, `mysql://…`, "
                      "`mssql://…` (password in DAWNLIST_SOURCE_PASSWORD); a folder, a file or a mapping file "
                      "(CSV, JSON lines, Parquet, MovieLens, Amazon; also `gs://` and `s3://`): docs/SOURCES.md."),
]  # fmt: skip


FormatOption = Annotated[
    str, typer.Option("--format", help="`table` for people, `json` for programs.")
]
