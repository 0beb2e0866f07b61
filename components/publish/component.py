"""The publish step."""

from kfp.dsl import Dataset, Input, Metrics, Output

from components.image import component


@component
def publish(
    lists: Input[Dataset], metrics: Output[Metrics], redis: str, lake: str, namespace: str, as_of: str, run: str
) -> None:
    """Write a version to the store and switch to it at once; then name its model champion."""
    from components.runs import recorded

    with recorded(lake, namespace, as_of, run, "publish") as record:
        from pathlib import Path

        from components import registry
        from components.lake import Lake
        from components.publish.publication import publish
        from components.toplists import TopLists

        record.update(publish(Path(lists.path), redis, namespace, run, as_of))
        registry.record(Lake.open(lake, namespace), record["version"], TopLists.load(Path(lists.path)).meta)
    metrics.metadata.update({name: record[name] for name in ("version", "users", "items", "bytes")})
