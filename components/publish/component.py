"""The publish step."""

from kfp.dsl import Dataset, Input, Metrics, Output

from components.image import component


@component
def publish(
    lists: Input[Dataset], metrics: Output[Metrics], redis: str, lake: str, namespace: str, as_of: str, run: str
):
    """Write a version to the store and switch to it at once; then name its model champion."""
    from pathlib import Path

    from components.lake import Lake
    from components.publish.publication import publish
    from components.registry import crown_published
    from components.runs import recorded
    from components.toplists import TopLists

    with recorded(lake, namespace, as_of, run, "publish") as record:
        record.update(publish(Path(lists.path), redis, namespace, run, as_of))
        crown_published(Lake.open(lake, namespace), TopLists.load(Path(lists.path)).meta, record)
    metrics.metadata.update({name: record[name] for name in ("version", "users", "items", "bytes")})
