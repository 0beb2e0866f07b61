"""The exit code of a run that succeeded and published nothing."""

from typing import Final

import typer

from dawnlist.lake.lake import Lake
from dawnlist.records.run_records import (
    StepRecord,
    find_step_report,
    index_run_days,
    read_step_records,
)

NOT_PUBLISHED_CODE: Final = 3


def check_publication(records: list[StepRecord]) -> int:
    """Return the exit code of a run that succeeded, and say so when it published nothing."""
    if find_step_report(records, "publish").get("published") is True:
        return 0
    typer.echo("dawnlist: nothing was published (--require-published)", err=True)
    return NOT_PUBLISHED_CODE


def check_publication_in_lake(lake: Lake, run: str) -> int:
    """Do the same for a run of which only the id is known, by its record in the lake."""
    day = index_run_days(lake).get(run)
    if day is None:
        return check_publication([])
    return check_publication(read_step_records(lake, day, run))
