"""The daily pipeline: its parameters, its steps, and what each step gets from the others."""

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
from dawnlist.pipelines.placement import Placement


def build_daily_pipeline(placement: Placement) -> dsl.base_component.BaseComponent:
    """Build the pipeline with its steps placed on nodes. Compile it, or call it under kfp.local."""

    @dsl.pipeline(name="dawnlist-daily")
    def daily(
        source: str,
        lake: str,
        redis: str,
        as_of: str = "",
        namespace: str = "default",
        settings: str = "",
        window_days: int = 365,
        search: str = "around_champion",
        factors: list[float] = [32, 64],  # noqa: B006 - kfp reads the default; nothing changes it
        regularization: list[float] = [30.0, 100.0],  # noqa: B006
        alpha: list[float] = [1.0, 10.0],  # noqa: B006
        alpha0: list[float] = [1.0],  # noqa: B006
        nu: list[float] = [0.5],  # noqa: B006
        half_life: list[float] = [14.0, 60.0],  # noqa: B006
        popularity_share: list[float] = [0.0, 0.5, 1.5, 5.0],  # noqa: B006
        popularity_half_life: list[float] = [0.5, 1.0, 5.0],  # noqa: B006
        repeat_share: list[float] = [0.0, 0.3, 1.0, 3.0],  # noqa: B006
        repeat_half_life: list[float] = [20.0, 60.0, 180.0],  # noqa: B006
        content_share: list[float] = [0.0, 0.03, 0.1, 0.3],  # noqa: B006
        content_pairs: list[float] = [10.0, 100.0],  # noqa: B006
        iterations: int = 10,
        metric: str = "ndcg",
        k: int = 20,
        seed: int = 7,
        force: str = "",
    ) -> None:
        """Train on the shop's interactions up to yesterday, and publish recommendations for today.

        Args:
            source: Where interactions come from: postgresql://USER@HOST/DB (without a password), a folder or a file.
            lake: Where all data is kept: gs://BUCKET/PATH, s3://BUCKET/PATH or a folder.
            redis: The store that the predictor reads, e.g. redis://HOST:6379/0, without a password.
            as_of: End of the day to learn from, ISO-8601 with a zone, e.g. 2026-01-31T03:00:00Z; empty: when the run
                begins.
            namespace: The shop's name. It prefixes every path and key, so that shops can share a lake and a store.
            settings: URI of the shop's settings (YAML): columns, bot rules, gate limits, engines. Empty for defaults.
            window_days: Days of history to learn from, and to fetch when the lake is empty.
            search: full tries the whole grid; around_champion the live configuration and its neighbours in the grid,
                or the whole grid when no ALS model is live; off only the live configuration.
            factors: Lengths of the vectors to try, e.g. [64, 128].
            regularization: Regularizations to try; higher means smoother.
            alpha: Confidence weights to try: how much one interaction counts over none.
            alpha0: Confidences of pairs without an interaction to try.
            nu: Exponents to try for how regularization grows with a user's or an item's interactions; 0 for no growth.
            half_life: Half-lives of an interaction to try, in days; 0 means it never fades.
            popularity_share: Shares of decayed popularity to try in the scores of the best trials; 0 is always tried.
            popularity_half_life: Half-lives of that popularity to try, in days.
            repeat_share: Shares to try of how often a user met an item before; 0 is tried too,
                unless lists.repeats of the settings is on.
            repeat_half_life: Half-lives to try of what a user met, in days, for repeats.
            content_share: Shares of text similarity to try in the scores of the best trials; 0 is always tried.
            content_pairs: Numbers of items to try: after a user has met so many, half of the content share is left.
            iterations: Sweeps over users and items in each fit.
            metric: What the search and the gate compare: ndcg, recall, map, mrr or hit_rate.
            k: Length of a list.
            seed: Seed of the random start; the same seed and rows give the same model on a CPU.
            force: A reason to publish the challenger even if the gate rejects it; empty leaves it to the gate.
        """
        day = {"lake": lake, "namespace": namespace, "as_of": as_of}
        day["run"] = dsl.PIPELINE_JOB_ID_PLACEHOLDER
        search_options = {
            "factors": factors,
            "regularization": regularization,
            "alpha": alpha,
            "alpha0": alpha0,
            "nu": nu,
            "half_life": half_life,
            "popularity_share": popularity_share,
            "popularity_half_life": popularity_half_life,
            "repeat_share": repeat_share,
            "repeat_half_life": repeat_half_life,
            "content_share": content_share,
            "content_pairs": content_pairs,
            "iterations": iterations,
            "seed": seed,
            "search": search,
            "metric": metric,
            "k": k,
        }
        report = notify(
            source=source,
            redis=redis,
            settings=settings,
            window_days=window_days,
            force=force,
            **search_options,
            **day,
        )
        # The report is sent at the end of every run, also of one that fails.
        with dsl.ExitHandler(report):
            fetched = fetch(source=source, settings=settings, window_days=window_days, **day)
            cleaned = clean(landed=fetched.outputs["landed"], settings=settings, **day)
            interactions = cleaned.outputs["interactions"]
            filtered = filter_bots(
                interactions=interactions, settings=settings, window_days=window_days, **day
            )
            split = dataset(
                interactions=interactions,
                verdicts=filtered.outputs["verdicts"],
                window_days=window_days,
                redis=redis,
                settings=settings,
                **day,
            )
            splits = split.outputs["splits"]
            fit_inputs = {"splits": splits, "device": placement.device, "settings": settings, **day}
            tune_inputs = {**fit_inputs, **search_options}
            tuned = tune(**tune_inputs)
            shards = create_search_shards(tune_inputs, placement.tune_shards)
            tuned.after(*shards[-placement.tune_shards :])
            trial = tuned.outputs["trial"]
            trained = train(trial=trial, **fit_inputs)
            challenger = trained.outputs["model"]
            evaluated = evaluate(splits=splits, model=challenger, metric=metric, k=k, **day)
            evaluation = evaluated.outputs["evaluation"]
            gated = gate(evaluation=evaluation, settings=settings, force=force, **day)
            verdict = gated.outputs["verdict"]
            with dsl.If(gated.outputs["Output"] == "true", name="gate-passed"):
                refitted = refit(
                    trial=trial,
                    challenger=challenger,
                    evaluation=evaluation,
                    verdict=verdict,
                    **fit_inputs,
                )
                recommended = recommend(
                    splits=splits,
                    model=refitted.outputs["model"],
                    evaluation=evaluation,
                    verdict=verdict,
                    k=k,
                    redis=redis,
                    settings=settings,
                    **day,
                )
                published = publish(lists=recommended.outputs["lists"], redis=redis, **day)
        placement.place(report, fetched, cleaned, filtered, split, tuned, *shards)
        placement.place(trained, evaluated, gated, refitted, recommended, published)

    return daily


def create_search_shards(tune_inputs: dict[str, Any], shards: int) -> list[dsl.PipelineTask]:
    """Create the tasks that share a search: `shards` tasks for each rung, or none for 0.

    Each rung starts after the one before it. The tasks leave their trials in the lake.
    """
    tasks: list[dsl.PipelineTask] = []
    if shards == 0:
        return tasks
    # The tasks are listed one by one, because kfp's backend has a bug with loops inside an exit
    # handler.
    for rung in range(MAX_RUNGS):
        previous_rung = tasks[-shards:]
        for shard in range(shards):
            task = tune(**tune_inputs, rung=rung, shard=shard, shards=shards)
            tasks.append(task.after(*previous_rung))
    return tasks
