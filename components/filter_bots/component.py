"""The filter_bots step."""

from kfp.dsl import HTML, Dataset, Input, Markdown, Metrics, Output

from dawnlist.components.image import component


@component
def filter_bots(
    interactions: Input[Dataset],
    verdicts: Output[Dataset],
    drops: Output[HTML],
    summary: Output[Markdown],
    metrics: Output[Metrics],
    settings: str,
    window_days: int,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Judge crawlers, bots and staff, rule by rule."""
    from dawnlist.records.runs import day_of, recorded

    as_of = day_of(lake, namespace, as_of, run)
    with recorded(lake, namespace, as_of, run, "filter_bots") as record:
        import json
        from pathlib import Path

        import pyarrow.parquet as pq

        from dawnlist.components.filter_bots.history import before
        from dawnlist.components.filter_bots.report import html, markdown
        from dawnlist.components.filter_bots.verdicts import judge
        from dawnlist.cuts import parse_as_of, window
        from dawnlist.lake.lake import Lake
        from dawnlist.records.ablations import newest
        from dawnlist.records.lineage import describe, figures
        from dawnlist.settings import Settings

        version = json.loads(Path(interactions.path).read_text())["interactions_version"]
        opened, days = Lake.open(lake, namespace), window(parse_as_of(as_of), int(window_days))
        table, report = judge(opened, version, days, Settings.load(settings))
        record.update(report | {"before": before(opened, as_of)})
        pq.write_table(table, verdicts.path)
        Path(drops.path).write_text(html(record, newest(opened, as_of)))
        Path(summary.path).write_text(markdown(record, newest(opened, as_of)))
        describe([verdicts, drops, summary], [interactions], lake, namespace, as_of, run)
    metrics.metadata.update(figures(report))
