"""The fetch step."""

from typing import Any

from kfp.dsl import Artifact, Output

from dawnlist.components.image import component


@component
def fetch(
    landed: Output[Artifact],
    source: str,
    settings: str,
    window_days: int,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
    search: dict[str, Any] = {},  # noqa: B006 - kfp reads the default; nothing changes it
    force: str = "no",
) -> None:
    """Land the rows that arrived since the last fetch, and the items and users whole.

    As the first step it also checks what later steps take, so that a mistake ends the run at once.
    """
    from dawnlist.records.run_records import record_step, resolve_as_of

    moment = resolve_as_of(lake, namespace, as_of, run)
    with record_step(lake, namespace, moment, run, "fetch") as record:
        import json
        from pathlib import Path

        from dawnlist.components.fetch.landing import fetch_source
        from dawnlist.lake.lake import Lake
        from dawnlist.records.lineage import write_lineage
        from dawnlist.records.run_parameters import parse_force_reason, parse_search
        from dawnlist.settings import Settings

        parse_search(search)
        parse_force_reason(force)
        opened_lake = Lake.open(lake, namespace)
        source_settings = Settings.load(settings).source
        record.update(fetch_source(opened_lake, source, source_settings, moment, run, window_days))
        Path(landed.path).write_text(json.dumps(record))
        start, end = record["window"]
        write_lineage(
            [landed],
            [],
            lake,
            namespace,
            moment,
            run,
            window_start=start,
            window_end=end,
            **record["rows"],
        )
