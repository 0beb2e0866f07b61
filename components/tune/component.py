"""The tune step."""

from typing import Any

from kfp.dsl import Artifact, Dataset, Input, Metrics, Output

from dawnlist.components.image import component


@component
def tune(
    splits: Input[Dataset],
    trial: Output[Artifact],
    tune_metrics: Output[Metrics],
    search: dict[str, Any],
    k: int,
    device: str,
    settings: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
    rung: int = 0,
    shard: int = 0,
    shards: int = 0,
) -> None:
    """Search the grid on the validation cut; with shards only this one's part of one rung, which stays in the lake."""
    from dawnlist.records.run_records import record_step, resolve_as_of

    moment = resolve_as_of(lake, namespace, as_of, run)
    step = f"tune-{rung + 1}-{shard + 1}" if shards else "tune"
    with record_step(lake, namespace, moment, run, step) as record:
        import json
        from pathlib import Path

        from dawnlist.als.engine import FitEngine
        from dawnlist.components.tune.contest import RungShard
        from dawnlist.components.tune.daily_search import run_daily_search
        from dawnlist.components.tune.grid import Grid
        from dawnlist.lake.lake import Lake
        from dawnlist.model.splits import Splits
        from dawnlist.records.lineage import select_finite_figures, write_lineage
        from dawnlist.records.run_parameters import parse_search
        from dawnlist.settings import Settings

        shop_settings = Settings.load(settings)
        options = parse_search(search)
        rung_shard = RungShard(int(rung), int(shard), int(shards)) if shards else None
        record.update(
            run_daily_search(
                Lake.open(lake, namespace),
                Splits.load(Path(splits.path)),
                Grid.from_options(options, shop_settings.engines.train),
                options.mode,
                options.metric,
                int(k),
                FitEngine.from_settings(shop_settings.engines, device),
                run,
                rung_shard,
                shop_settings.gate.min_users,
            )
        )
        # A shard of a rung returns no trials.
        best = record["trials"][0] if record["trials"] else {}
        Path(trial.path).write_text(json.dumps(best))
        write_lineage([trial], [splits], lake, namespace, moment, run)
    tune_metrics.metadata.update(select_finite_figures(best))
