"""The daily pipeline, on one screen."""

from typing import Any

from kfp import dsl

from dawnlist.components.clean.component import clean
from dawnlist.components.dataset.component import dataset
from dawnlist.components.evaluate.component import evaluate
from dawnlist.components.fetch.component import fetch
from dawnlist.components.filter_bots.component import filter_bots
from dawnlist.components.gate.component import gate
from dawnlist.components.notify.component import notify
from dawnlist.components.publish.component import publish
from dawnlist.components.recommend.component import recommend
from dawnlist.components.refit.component import refit
from dawnlist.components.train.component import train
from dawnlist.components.tune.component import tune
from dawnlist.components.tune.halving import MAX_RUNGS
from dawnlist.cuts import CURRENT_TIME_MACRO
from dawnlist.pipelines.placement import Placement


def build_daily_pipeline(placement: Placement) -> dsl.base_component.BaseComponent:
    """The DAG with its image, resources and nodes; compile it, or call it under kfp.local."""
    device, run = placement.device, dsl.PIPELINE_JOB_ID_PLACEHOLDER

    @dsl.pipeline(name="dawnlist-daily")
    def daily(
        source: str,
        lake: str,
        redis: str,
        as_of: str = CURRENT_TIME_MACRO,
        namespace: str = "default",
        settings: str = "",
        window_days: int = 365,
        search: str = "around_champion",
        factors: list[float] = [32, 64],  # noqa: B006 - kfp reads the default, nobody changes it
        regularization: list[float] = [30.0, 100.0],  # noqa: B006
        alpha: list[float] = [1.0, 10.0],  # noqa: B006
        alpha0: list[float] = [1.0],  # noqa: B006
        nu: list[float] = [0.5],  # noqa: B006
        half_life: list[float] = [14.0, 60.0],  # noqa: B006
        popularity_share: list[float] = [0.0, 0.1, 0.3, 1.0, 3.0],  # noqa: B006
        popularity_half_life: list[float] = [0.5, 3.0, 14.0],  # noqa: B006
        content_share: list[float] = [0.0, 0.03, 0.1, 0.3],  # noqa: B006
        content_pairs: list[float] = [10.0, 100.0],  # noqa: B006
        iterations: int = 10,
        metric: str = "ndcg",
        k: int = 20,
        seed: int = 7,
        force: str = "",
    ) -> None:
        """Yesterday's clicks become today's recommendations.

        Args:
            source: Where interactions come from: postgresql://USER@HOST/DB (no password in it), a folder or a file.
            lake: Where everything is kept: gs://BUCKET/PATH, s3://BUCKET/PATH or a folder.
            redis: The store that the predictor reads, redis://HOST:6379/0. No password in it.
            as_of: The end of the day to learn from, ISO-8601 with a zone, e.g. 2026-01-31T03:00:00Z; as it stands, now.
            namespace: The shop's name: a prefix on every path and key, so that shops can share a lake and a store.
            settings: URI of the shop's settings (YAML): columns, bot rules, gate limits, engines. Empty for defaults.
            window_days: Days of history to learn from, and to fetch when the lake is empty.
            search: full tries the whole grid; around_champion the live configuration and its neighbours in the grid,
                and the whole grid when no ALS is live; off tries nothing else than the live one.
            factors: Lengths of the vectors to try, e.g. [64, 128].
            regularization: Regularizations to try; higher means smoother.
            alpha: Confidence weights to try: how much one interaction counts over none.
            alpha0: Confidences to try of pairs that were never seen.
            nu: Exponents to try of how regularization grows with what a user or item did; 0 means not at all.
            half_life: Half-lives of an interaction to try, in days; 0 means it never fades.
            popularity_share: Shares of decayed popularity to try in the scores of the best trials; 0 always is.
            popularity_half_life: Half-lives of that popularity to try, in days.
            content_share: Shares of what items' words say to try in the scores of the best trials; 0 always is.
            content_pairs: After how many items met half of that share is left, to try.
            iterations: Sweeps of each fit.
            metric: What the search and the gate compare: ndcg, recall, map, mrr or hit_rate.
            k: Length of a list.
            seed: Of the random start; the same seed and rows give the same model on a CPU.
            force: The reason why the challenger goes live whatever the gate's rules say; it is written down. Empty: no.
        """
        day = {"lake": lake, "namespace": namespace, "as_of": as_of, "run": run}
        sought = {
            "factors": factors, "regularization": regularization, "alpha": alpha, "alpha0": alpha0, "nu": nu,
            "half_life": half_life, "popularity_share": popularity_share,
            "popularity_half_life": popularity_half_life, "content_share": content_share,
            "content_pairs": content_pairs, "iterations": iterations, "seed": seed, "search": search,
            "metric": metric, "k": k,
        }  # fmt: skip
        told = notify(source=source, redis=redis, settings=settings, window_days=window_days, force=force, **sought,
                      **day)  # fmt: skip
        with dsl.ExitHandler(told):
            landed = fetch(source=source, settings=settings, window_days=window_days, **day)
            rows = clean(landed=landed.outputs["landed"], settings=settings, **day)
            judged = filter_bots(
                interactions=rows.outputs["interactions"],
                settings=settings,
                window_days=window_days,
                **day,
            )
            cut = dataset(
                interactions=rows.outputs["interactions"],
                verdicts=judged.outputs["verdicts"],
                window_days=window_days,
                redis=redis,
                **day,
            )
            splits = cut.outputs["splits"]
            searched = {"splits": splits, "device": device, "settings": settings, **sought, **day}
            tuned = tune(**searched)
            shares = create_search_shards(searched, placement.tune_shards)
            tuned.after(*shares[-placement.tune_shards :])
            trial = tuned.outputs["trial"]
            trained = train(splits=splits, trial=trial, device=device, settings=settings, **day)
            scored = evaluate(
                splits=splits, model=trained.outputs["model"], metric=metric, k=k, **day
            )
            evaluation = scored.outputs["evaluation"]
            gated = gate(evaluation=evaluation, settings=settings, force=force, **day)
            verdict = gated.outputs["verdict"]
            with dsl.If(gated.outputs["Output"] == "true", name="gate-passed"):
                winner = refit(
                    splits=splits, trial=trial, challenger=trained.outputs["model"], evaluation=evaluation,
                    verdict=verdict, device=device, settings=settings, **day,
                )  # fmt: skip
                top = recommend(
                    splits=splits, model=winner.outputs["model"], evaluation=evaluation, verdict=verdict, k=k,
                    settings=settings, **day,
                )  # fmt: skip
                live = publish(lists=top.outputs["lists"], redis=redis, **day)
        steps = (told, landed, rows, judged, cut, tuned, trained, scored, gated, winner, top, live)
        placement.place(*steps, *shares)

    return daily


def create_search_shards(searched: dict[str, Any], shards: int) -> list[dsl.PipelineTask]:
    """Tasks that do a search's rungs in shares, each rung after the one before; they leave what they find in the lake.

    A static list: loops inside an exit handler are a bug of the backend.
    """
    tasks: list[dsl.PipelineTask] = []
    for rung in range(MAX_RUNGS if shards else 0):
        before = tasks[-shards:]
        tasks += [
            tune(**searched, rung=rung, shard=shard, shards=shards).after(*before)
            for shard in range(shards)
        ]
    return tasks
