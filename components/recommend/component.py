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
    redis: str,
    settings: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Rank the top lists of all users, without seen items, and popular lists for everyone else."""
    from dawnlist.records.run_records import record_step, resolve_as_of

    moment = resolve_as_of(lake, namespace, as_of, run)
    with record_step(lake, namespace, moment, run, "recommend") as record:
        import json
        from pathlib import Path

        from dawnlist.components.recommend.top_lists import build_list_metadata, build_top_lists
        from dawnlist.components.recommend.withdrawn_items import (
            find_withdrawn_items,
            read_store_withdrawals,
        )
        from dawnlist.dataclass_json import from_json
        from dawnlist.lake.lake import Lake
        from dawnlist.model.evaluation import Evaluation
        from dawnlist.model.factor_model import FactorModel
        from dawnlist.model.splits import Splits
        from dawnlist.records.lineage import write_lineage
        from dawnlist.records.verdict import Verdict
        from dawnlist.settings import Settings

        opened_lake = Lake.open(lake, namespace)
        shop_settings = Settings.load(settings)
        loaded_splits = Splits.load(Path(splits.path))
        list_metadata = build_list_metadata(
            Evaluation.from_dict(json.loads(Path(evaluation.path).read_text())),
            from_json(Verdict, json.loads(Path(verdict.path).read_text())),
            loaded_splits.about["incumbent"],
            model.metadata,
            shop_settings.source.wanted_weights,
            moment,
            run,
        )
        withdrawn = find_withdrawn_items(
            opened_lake,
            loaded_splits,
            shop_settings.items,
            read_store_withdrawals(redis, namespace),
        )
        top_lists = build_top_lists(
            opened_lake,
            loaded_splits,
            FactorModel.load(Path(model.path)),
            list_metadata,
            int(k),
            withdrawn,
            shop_settings.items.columns,
            shop_settings.source.events,
        )
        top_lists.save(Path(lists.path))
        record.update(top_lists.meta, most_shown=top_lists.most_shown(10))
        write_lineage(
            [lists],
            [splits, model],
            lake,
            namespace,
            moment,
            run,
            winner=list_metadata["winner"],
        )
