"""The dataset step."""

from kfp.dsl import Dataset, Input, Metrics, Output

from dawnlist.components.image import component


@component
def dataset(
    interactions: Input[Dataset],
    verdicts: Input[Dataset],
    splits: Output[Dataset],
    dataset_metrics: Output[Metrics],
    window_days: int,
    redis: str,
    settings: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Cut the window in time into train, validation and holdout.

    The last two are as long as it takes to judge gate.min_users users.
    """
    from dawnlist.records.run_records import record_step, resolve_as_of

    moment = resolve_as_of(lake, namespace, as_of, run)
    with record_step(lake, namespace, moment, run, "dataset") as record:
        import json
        from pathlib import Path

        import pyarrow.parquet as pq

        from dawnlist.components.dataset.split_pairs import build_splits
        from dawnlist.lake.lake import Lake
        from dawnlist.records.lineage import select_finite_figures, write_lineage
        from dawnlist.records.registry import reconcile_champion
        from dawnlist.settings import Settings

        opened_lake = Lake.open(lake, namespace)
        record["store"] = reconcile_champion(opened_lake, redis, namespace)
        version = json.loads(Path(interactions.path).read_text())["interactions_version"]
        shop_settings = Settings.load(settings)
        built_splits, report = build_splits(
            opened_lake,
            version,
            pq.read_table(verdicts.path),
            moment,
            int(window_days),
            shop_settings.gate.min_users,
            shop_settings.lists.repeats,
            shop_settings.source.events,
        )
        built_splits.save(Path(splits.path))
        record.update(report)
        write_lineage(
            [splits],
            [interactions],
            lake,
            namespace,
            moment,
            run,
            train_end=report["cuts"]["train_end"],
        )
    dataset_metrics.metadata.update(select_finite_figures(report))
