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
    from dawnlist.records.runs import day_of, recorded

    as_of = day_of(lake, namespace, as_of, run)
    with recorded(lake, namespace, as_of, run, "recommend") as record:
        import json
        from pathlib import Path

        from dawnlist.components.recommend.lists import about, recommend
        from dawnlist.lake.lake import Lake
        from dawnlist.model.factor_model import FactorModel
        from dawnlist.model.splits import Splits
        from dawnlist.records.lineage import describe
        from dawnlist.settings import Settings

        scored, decided = (json.loads(Path(artifact.path).read_text()) for artifact in (evaluation, verdict))
        fitted = FactorModel.load(Path(model.path))
        weights = Settings.load(settings).source.weights
        meta = about(scored, decided, model.metadata["name_in_lake"], weights, as_of, run)
        top = recommend(Lake.open(lake, namespace), Splits.load(Path(splits.path)), fitted, meta, int(k))
        top.save(Path(lists.path))
        record.update(top.meta, most_shown=top.most_shown(10))
        describe([lists], [splits, model], lake, namespace, as_of, run, winner=meta["winner"])
