"""The tune step."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Output

from components.image import component


@component
def tune(
    splits: Input[Dataset],
    trial: Output[Artifact],
    metrics: Output[Metrics],
    factors: list[float],
    regularization: list[float],
    alpha: list[float],
    half_life: list[float],
    iterations: int,
    seed: int,
    metric: str,
    k: int,
    device: str,
    settings: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Search the grid on the validation cut."""
    from components.runs import recorded

    with recorded(lake, namespace, as_of, run, "tune") as record:
        import json
        from pathlib import Path

        from components.lake import Lake
        from components.settings import Settings
        from components.splits import Splits
        from components.tune.search import grid, search

        engines = Settings.load(settings).engines
        configs = grid(factors, regularization, alpha, half_life, int(iterations), int(seed), engines.train)
        opened, cut = Lake.open(lake, namespace), Splits.load(Path(splits.path))
        trials = search(opened, cut, configs, metric, int(k), device, spark=engines.spark)
        record.update(trials=trials, metric=metric, k=int(k))
        Path(trial.path).write_text(json.dumps(trials[0]))
    metrics.metadata.update({name: value for name, value in trials[0].items() if name not in ("engine", "solver")})
