"""The filter_bots step."""

from kfp.dsl import HTML, Dataset, Input, Markdown, Metrics, Output

from dawnlist.components.image import component


@component
def filter_bots(
    interactions: Input[Dataset],
    verdicts: Output[Dataset],
    drops: Output[HTML],
    summary: Output[Markdown],
    filter_bots_metrics: Output[Metrics],
    settings: str,
    window_days: int,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Judge crawlers, bots and staff, rule by rule."""
    from dawnlist.records.run_records import record_step, resolve_as_of

    moment = resolve_as_of(lake, namespace, as_of, run)
    with record_step(lake, namespace, moment, run, "filter_bots") as record:
        import json
        from pathlib import Path

        import pyarrow.parquet as pq

        from dawnlist.components.filter_bots.previous_report import read_previous_report
        from dawnlist.components.filter_bots.report import write_drop_reports
        from dawnlist.components.filter_bots.verdicts import judge_interactions
        from dawnlist.cuts import compute_window
        from dawnlist.lake.lake import Lake
        from dawnlist.records.ablations import find_newest_ablation
        from dawnlist.records.lineage import select_finite_figures, write_lineage
        from dawnlist.settings import Settings

        version = json.loads(Path(interactions.path).read_text())["interactions_version"]
        opened = Lake.open(lake, namespace)
        window = compute_window(moment, int(window_days))
        table, report = judge_interactions(opened, version, window, Settings.load(settings))
        record.update(report | {"before": read_previous_report(opened, moment)})
        pq.write_table(table, verdicts.path)
        write_drop_reports(
            record, find_newest_ablation(opened, moment), Path(drops.path), Path(summary.path)
        )
        write_lineage([verdicts, drops, summary], [interactions], lake, namespace, moment, run)
    filter_bots_metrics.metadata.update(select_finite_figures(report))
