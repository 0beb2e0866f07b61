"""The recommend step."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output

from dawnlist.components.image import component


@component
def recommend(
    splits: Input[Dataset],
    model: Input[Model],
    evaluation: Input[Artifact],
    verdict: Input[Artifact],
    lists: Output[Dataset],
    k: int,
    settings: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """The top lists of all users, seen items left out, and popular lists for everyone else."""
    from dawnlist.records.run_records import record_step, resolve_as_of

    as_of = resolve_as_of(lake, namespace, as_of, run)
    with record_step(lake, namespace, as_of, run, "recommend") as record:
        import json
        from pathlib import Path

        from dawnlist.components.recommend.top_lists import build_list_metadata, build_top_lists
        from dawnlist.lake.lake import Lake
        from dawnlist.model.factor_model import FactorModel
        from dawnlist.model.splits import Splits
        from dawnlist.records.lineage import write_lineage
        from dawnlist.settings import Settings

        scored, decided = (
            json.loads(Path(artifact.path).read_text()) for artifact in (evaluation, verdict)
        )
        fitted = FactorModel.load(Path(model.path))
        weights = Settings.load(settings).source.weights
        meta = build_list_metadata(
            scored, decided, model.metadata["name_in_lake"], weights, as_of, run
        )
        top = build_top_lists(
            Lake.open(lake, namespace), Splits.load(Path(splits.path)), fitted, meta, int(k)
        )
        top.save(Path(lists.path))
        record.update(top.meta, most_shown=top.most_shown(10))
        write_lineage([lists], [splits, model], lake, namespace, as_of, run, winner=meta["winner"])
