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
    """Fit the winner's configuration on all rows up to as_of, from its model before the holdout on.

    Only this model is published.
    """
    from dawnlist.records.run_records import record_step, resolve_as_of

    moment = resolve_as_of(lake, namespace, as_of, run)
    with record_step(lake, namespace, moment, run, "refit") as record:
        import json
        from pathlib import Path

        from dawnlist.als.engine import FitEngine
        from dawnlist.components.refit.winner import load_warm_start, select_winning_config
        from dawnlist.components.train.fitting import fit_stage
        from dawnlist.dataclass_json import from_json
        from dawnlist.lake.lake import Lake
        from dawnlist.model.evaluation import Evaluation
        from dawnlist.model.splits import Splits
        from dawnlist.records.lineage import write_lineage
        from dawnlist.records.live_config import read_published_config
        from dawnlist.records.verdict import Verdict
        from dawnlist.settings import Settings

        opened = Lake.open(lake, namespace)
        cut = Splits.load(Path(splits.path))
        winner = from_json(Verdict, json.loads(Path(verdict.path).read_text())).winner
        config = select_winning_config(
            winner,
            json.loads(Path(trial.path).read_text()),
            Evaluation.from_dict(json.loads(Path(evaluation.path).read_text())).popularity_window,
            read_published_config(opened, cut.about["incumbent"]),
        )
        engine = FitEngine.from_settings(Settings.load(settings).engines, device)
        start = load_warm_start(opened, winner, challenger.metadata)
        record.update(fit_stage(opened, cut, "refit", config, engine, Path(model.path), start))
        labels = {**record["config"], "name_in_lake": record["model"]}
        write_lineage([model], [splits], lake, namespace, moment, run, **labels)
