"""The train step."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

from dawnlist.components.image import component


@component
def train(
    splits: Input[Dataset],
    trial: Input[Artifact],
    model: Output[Model],
    train_metrics: Output[Metrics],
    device: str,
    settings: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Fit the challenger, which is the winning trial, and the live configuration, on all rows before the holdout."""
    from dawnlist.records.run_records import record_step, resolve_as_of

    moment = resolve_as_of(lake, namespace, as_of, run)
    with record_step(lake, namespace, moment, run, "train") as record:
        import json
        from pathlib import Path

        from dawnlist.als.engine import FitEngine
        from dawnlist.components.train.arms import fit_arms, name_models
        from dawnlist.lake.lake import Lake
        from dawnlist.model.config import ALSConfig
        from dawnlist.model.splits import Splits
        from dawnlist.records.lineage import select_finite_figures, write_lineage
        from dawnlist.settings import Settings

        config = ALSConfig.from_dict(json.loads(Path(trial.path).read_text())).as_dict()
        cut = Splits.load(Path(splits.path))
        engine = FitEngine.from_settings(Settings.load(settings).engines, device)
        opened = Lake.open(lake, namespace)
        record.update(fit_arms(opened, cut, config, engine, Path(model.path)))
        labels = name_models(record)
        write_lineage([model], [splits], lake, namespace, moment, run, **labels)
    train_metrics.metadata.update(select_finite_figures(record, "users", "items", "interactions"))
