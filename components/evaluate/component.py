"""The evaluate step."""

from typing import Any

from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

from dawnlist.components.image import component


@component
def evaluate(
    splits: Input[Dataset],
    model: Input[Model],
    evaluation: Output[Artifact],
    evaluate_metrics: Output[Metrics],
    search: dict[str, Any],
    k: int,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Score challenger, incumbent, item-kNN and popularity on one holdout that none of them has seen.

    The version that is live is scored, too, unless it has seen the holdout.
    """
    from dawnlist.records.run_records import record_step, resolve_as_of

    moment = resolve_as_of(lake, namespace, as_of, run)
    with record_step(lake, namespace, moment, run, "evaluate") as record:
        import json
        from pathlib import Path

        from dawnlist.components.evaluate.evaluation import (
            drop_user_values,
            evaluate_models,
            flatten_evaluation,
        )
        from dawnlist.components.evaluate.live_models import load_incumbent, load_live_model
        from dawnlist.lake.lake import Lake
        from dawnlist.model.factor_model import FactorModel
        from dawnlist.model.splits import Splits
        from dawnlist.records.lineage import select_finite_figures, write_lineage
        from dawnlist.records.run_parameters import parse_search

        opened = Lake.open(lake, namespace)
        cut = Splits.load(Path(splits.path))
        challenger = FactorModel.load(Path(model.path))
        incumbent = load_incumbent(opened, model.metadata["incumbent_in_lake"])
        result = evaluate_models(
            cut,
            challenger,
            incumbent,
            parse_search(search).metric,
            int(k),
            opened,
            load_live_model(opened, cut),
        )
        record.update(drop_user_values(result).as_dict())
        Path(evaluation.path).write_text(json.dumps(result.as_dict()))
        write_lineage([evaluation], [splits, model], lake, namespace, moment, run)
    evaluate_metrics.metadata.update(select_finite_figures(flatten_evaluation(result)))
