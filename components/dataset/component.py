"""The dataset step."""

from kfp.dsl import Dataset, Input, Metrics, Output

from dawnlist.components.image import component


@component
def dataset(
    interactions: Input[Dataset],
    verdicts: Input[Dataset],
    splits: Output[Dataset],
    metrics: Output[Metrics],
    window_days: int,
    redis: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Cut the window in time: train, validation and holdout, which begins where the live model's knowledge ends."""
    from dawnlist.records.runs import day_of, recorded

    as_of = day_of(lake, namespace, as_of, run)
    with recorded(lake, namespace, as_of, run, "dataset") as record:
        import json
        from pathlib import Path

        import pyarrow.parquet as pq

        from dawnlist.components.dataset.pairs import build
        from dawnlist.lake.lake import Lake
        from dawnlist.records.lineage import describe, figures
        from dawnlist.records.registry import reconcile

        opened = Lake.open(lake, namespace)
        record["store"] = reconcile(opened, redis, namespace)
        version = json.loads(Path(interactions.path).read_text())["interactions_version"]
        cut, report = build(opened, version, pq.read_table(verdicts.path), as_of, int(window_days))
        cut.save(Path(splits.path))
        record.update(report)
        describe([splits], [interactions], lake, namespace, as_of, run, train_end=report["cuts"]["train_end"])
    metrics.metadata.update(figures(report))
