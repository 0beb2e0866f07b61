"""The refit step."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output

from dawnlist.components.image import component


@component
def refit(
    splits: Input[Dataset],
    trial: Input[Artifact],
    challenger: Input[Model],
    evaluation: Input[Artifact],
    verdict: Input[Artifact],
    model: Output[Model],
    device: str,
    settings: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Fit the winner once more, on all rows up to as_of, from the challenger on; only this model is published."""
    from dawnlist.records.run_records import record_step, resolve_as_of

    moment = resolve_as_of(lake, namespace, as_of, run)
    with record_step(lake, namespace, moment, run, "refit") as record:
        import json
        from pathlib import Path

        from dawnlist.als.engine import FitEngine
        from dawnlist.components.refit.winner import select_winning_config
        from dawnlist.components.train.fitting import fit_stage
        from dawnlist.dataclass_json import from_json
        from dawnlist.lake.lake import Lake
        from dawnlist.model.evaluation import Evaluation
        from dawnlist.model.factor_model import FactorModel
        from dawnlist.model.splits import Splits
        from dawnlist.records.challengers import WarmStart
        from dawnlist.records.lineage import write_lineage
        from dawnlist.records.verdict import Verdict
        from dawnlist.settings import Settings

        config = select_winning_config(
            from_json(Verdict, json.loads(Path(verdict.path).read_text())).winner,
            json.loads(Path(trial.path).read_text()),
            Evaluation.from_dict(json.loads(Path(evaluation.path).read_text())).popularity_window,
        )
        cut = Splits.load(Path(splits.path))
        engine = FitEngine.from_settings(Settings.load(settings).engines, device)
        challenger_model = FactorModel.load(Path(challenger.path))
        start = WarmStart(challenger.metadata["name_in_lake"], challenger_model)
        opened = Lake.open(lake, namespace)
        record.update(fit_stage(opened, cut, "refit", config, engine, Path(model.path), start))
        labels = {**record["config"], "name_in_lake": record["model"]}
        write_lineage([model], [splits], lake, namespace, moment, run, **labels)
