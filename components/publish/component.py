"""The publish step."""

from kfp.dsl import Dataset, Input, Metrics, Output

from dawnlist.components.image import component


@component
def publish(
    lists: Input[Dataset],
    publish_metrics: Output[Metrics],
    redis: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Write a version to the store and switch to it at once; then its model is the champion.

    A run that is not newer than what is live changes nothing; its record says so.
    """
    from dawnlist.records.run_records import record_step, resolve_as_of

    moment = resolve_as_of(lake, namespace, as_of, run)
    with record_step(lake, namespace, moment, run, "publish") as record:
        from pathlib import Path

        from dawnlist.components.publish.publication import publish_top_lists
        from dawnlist.lake.lake import Lake
        from dawnlist.records.lineage import select_finite_figures

        opened_lake = Lake.open(lake, namespace)
        report = publish_top_lists(Path(lists.path), opened_lake, redis, namespace, run, moment)
        record.update(report.as_dict())
    publish_metrics.metadata.update(
        select_finite_figures(record, "version", "users", "items", "bytes")
    )
