"""The daily pipeline, on one screen."""

from kfp import dsl

from components.clean.component import clean
from components.dataset.component import dataset
from components.evaluate.component import evaluate
from components.fetch.component import fetch
from components.filter_bots.component import filter_bots
from components.gate.component import gate
from components.notify.component import notify
from components.publish.component import publish
from components.recommend.component import recommend
from components.refit.component import refit
from components.train.component import train
from components.tune.component import tune
from pipelines.placement import Placement


def daily_pipeline(placement: Placement) -> dsl.base_component.BaseComponent:
    """The DAG with its image, resources and nodes; compile it, or call it under kfp.local."""
    device, run = placement.device, dsl.PIPELINE_JOB_ID_PLACEHOLDER

    @dsl.pipeline(name="dawnlist-daily")
    def daily(
        source: str,
        lake: str,
        redis: str,
        as_of: str,
        namespace: str = "default",
        settings: str = "",
        window_days: int = 365,
        factors: list[float] = [32, 64],  # noqa: B006 - kfp reads the default, nobody changes it
        regularization: list[float] = [30.0],  # noqa: B006
        alpha: list[float] = [1.0, 10.0],  # noqa: B006
        half_life: list[float] = [14.0, 60.0],  # noqa: B006
        iterations: int = 10,
        metric: str = "ndcg",
        k: int = 20,
        seed: int = 7,
    ) -> None:
        """Yesterday's clicks become today's recommendations.

        Args:
            source: Where interactions come from: postgresql://USER@HOST/DB (no password in it), a folder or a file.
            lake: Where everything is kept: gs://BUCKET/PATH, s3://BUCKET/PATH or a folder.
            redis: The store that the predictor reads, redis://HOST:6379/0. No password in it.
            as_of: The end of the day to learn from, ISO-8601 with a zone, e.g. 2026-01-31T03:00:00Z.
            namespace: The shop's name: a prefix on every path and key, so that shops can share a lake and a store.
            settings: URI of the shop's settings (YAML): columns, bot rules, gate limits, engines. Empty for defaults.
            window_days: Days of history to learn from, and to fetch when the lake is empty.
            factors: Lengths of the vectors to try, e.g. [64, 128].
            regularization: Regularizations to try; higher means smoother.
            alpha: Confidence weights to try: how much one interaction counts over none.
            half_life: Half-lives of an interaction to try, in days; 0 means it never fades.
            iterations: Sweeps of each fit.
            metric: What the search and the gate compare: ndcg, recall or map.
            k: Length of a list.
            seed: Of the random start; the same seed and rows give the same model on a CPU.
        """
        day = {"lake": lake, "namespace": namespace, "as_of": as_of, "run": run}
        told = notify(**day)
        with dsl.ExitHandler(told):
            landed = fetch(source=source, settings=settings, window_days=window_days, **day)
            rows = clean(landed=landed.outputs["landed"], settings=settings, **day)
            judged = filter_bots(
                interactions=rows.outputs["interactions"], settings=settings, window_days=window_days, **day
            )
            cut = dataset(
                interactions=rows.outputs["interactions"],
                verdicts=judged.outputs["verdicts"],
                window_days=window_days,
                **day,
            )
            splits = cut.outputs["splits"]
            tuned = tune(
                splits=splits, factors=factors, regularization=regularization, alpha=alpha, half_life=half_life,
                iterations=iterations, seed=seed, metric=metric, k=k, device=device, settings=settings, **day,
            )  # fmt: skip
            trial = tuned.outputs["trial"]
            trained = train(splits=splits, trial=trial, device=device, settings=settings, **day)
            scored = evaluate(splits=splits, model=trained.outputs["model"], metric=metric, k=k, **day)
            evaluation = scored.outputs["evaluation"]
            gated = gate(evaluation=evaluation, settings=settings, **day)
            verdict = gated.outputs["verdict"]
            with dsl.If(gated.outputs["Output"] == "true", name="gate-passed"):
                winner = refit(
                    splits=splits, trial=trial, evaluation=evaluation, verdict=verdict, device=device,
                    settings=settings, **day,
                )  # fmt: skip
                top = recommend(
                    splits=splits, model=winner.outputs["model"], evaluation=evaluation, verdict=verdict, k=k, **day
                )
                live = publish(lists=top.outputs["lists"], redis=redis, **day)
        steps = (told, landed, rows, judged, cut, tuned, trained, scored, gated, winner, top, live)
        placement.place(*steps)

    return daily
