"""The command `check`."""

import json
from typing import Annotated

import typer

from dawnlist.pipelines.option_parsing import refuse_unknown_format
from dawnlist.pipelines.options import FormatOption, SettingsOption, SourceOption


def check_command(
    source: SourceOption,
    settings: SettingsOption = "",
    rows: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many rows of each table are looked at.")
    ] = 1_000,
    format_: FormatOption = "table",
) -> None:
    """Look at a source with the shop's settings, before a run reads a year of it.

    The first rows go through the same code as in a run, in a temporary folder. The command shows
    the columns and what each is read as, the names of events, the first rows as they will be
    cleaned, why rows would be rejected, and whether the time column has an index. It fails if a
    column is missing.

    Example: `dawnlist check --source postgresql://reader@db/shop --settings shop.yaml`
    """
    refuse_unknown_format(format_)
    from dawnlist.pipelines.check.output import print_source_check
    from dawnlist.pipelines.check.source_check import check_source
    from dawnlist.settings import Settings

    shop_settings = Settings.load(settings)
    check = check_source(source, shop_settings, rows)
    if format_ == "json":
        typer.echo(json.dumps(check.as_dict(), indent=1, ensure_ascii=False))
        return
    print_source_check(check, shop_settings.source.weights, shop_settings.source.events)
