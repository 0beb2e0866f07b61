"""The evaluate step."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

from components.image import component


@component
def evaluate(
    splits: Input[Dataset],
    model: Input[Model],
    evaluation: Output[Artifact],
    metrics: Output[Metrics],
    metric: str,
    k: int,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Score challenger, incumbent and popularity on one holdout that none of them has seen."""
    from components.runs import recorded

    with recorded(lake, namespace, as_of, run, "evaluate") as record:
        import json
        from pathlib import Path

        from components.evaluate.arms import evaluate, flat
        from components.lake import Lake
        from components.model import FactorModel
        from components.registry import incumbent_model
        from components.splits import Splits

        champion = incumbent_model(Lake.open(lake, namespace), as_of)
        challenger = FactorModel.load(Path(model.path))
        record.update(evaluate(Splits.load(Path(splits.path)), challenger, champion, metric, int(k)))
        Path(evaluation.path).write_text(json.dumps(record))
    metrics.metadata.update(flat(record))
