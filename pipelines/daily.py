"""The daily pipeline: its parameters, its steps, and what each step gets from the others."""

from typing import Any

from kfp import dsl

from dawnlist.components.fetch.component import fetch
from dawnlist.components.notify.component import notify
from dawnlist.components.train.component import train
from dawnlist.pipelines.daily_tasks import DailyTasks
from dawnlist.pipelines.placement import Placement
from dawnlist.records.run_parameters import PIPELINE_DEFAULTS


def build_daily_pipeline(placement: Placement) -> dsl.base_component.BaseComponent:
    """Build the pipeline with its steps placed on nodes. Compile it, or call it under kfp.local."""

    deadline = dsl.PipelineConfig(active_deadline_seconds=placement.deadline_seconds)

    # Kubeflow's form of a new run lists the parameters by name, without their descriptions. So
    # the names say what a parameter is, and begin with what people change most often.
    @dsl.pipeline(name="dawnlist-daily", pipeline_config=deadline)
    def daily(
        shop_lake: str,
        shop_source: str,
        shop_store: str,
        as_of: str = PIPELINE_DEFAULTS["as_of"],
        force_publish: str = PIPELINE_DEFAULTS["force_publish"],
        history_days: int = PIPELINE_DEFAULTS["history_days"],
        list_length: int = PIPELINE_DEFAULTS["list_length"],
        search: dict[str, Any] = PIPELINE_DEFAULTS["search"],
        shop: str = PIPELINE_DEFAULTS["shop"],
        shop_settings: str = PIPELINE_DEFAULTS["shop_settings"],
    ) -> None:
        """Train on the shop's interactions up to yesterday, and publish recommendations for today.

        Args:
            as_of: End of the day to learn from, ISO-8601 with a zone, e.g. 2026-01-31T03:00:00Z; or now.
            force_publish: A reason to publish the challenger even if the gate rejects it; no leaves it to the gate.
            history_days: Days of history to learn from, and to fetch when the lake is empty.
            list_length: Number of items in a user's list.
            search: What the search for the best model tries. It may give a part of its entries; the others have their
                defaults. search_mode: full tries the whole grid; around_champion the live configuration and its
                neighbours in the grid, or the whole grid when no ALS model is live; off only the live configuration.
                metric: what the search and the gate compare: ndcg, recall, map, mrr or hit_rate. iterations: sweeps
                over users and items in each fit. seed: of the random start; the same seed and rows give the same model
                on a CPU. The others are the values to try of each hyper-parameter (docs/MODEL.md).
            shop: The shop's name. It prefixes every path and key, so that shops can share a lake and a store.
            shop_lake: Where all data is kept: gs://BUCKET/PATH, s3://BUCKET/PATH or a folder.
            shop_settings: URI of the shop's settings (YAML): columns, bot rules, gate limits, engines. The file
                /settings/settings.yaml comes from the config map dawnlist-settings; without it all have their defaults.
            shop_source: Where interactions come from: postgresql://USER@HOST/DB (without a password), a folder or a
                file.
            shop_store: The store that the predictor reads, e.g. redis://HOST:6379/0, without a password.
        """
        report = notify(
            run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            as_of=as_of,
            force_publish=force_publish,
            history_days=history_days,
            list_length=list_length,
            search=search,
            shop=shop,
            shop_lake=shop_lake,
            shop_settings=shop_settings,
            shop_source=shop_source,
            shop_store=shop_store,
        )
        day = {"lake": shop_lake, "namespace": shop, "as_of": as_of}
        day["run"] = dsl.PIPELINE_JOB_ID_PLACEHOLDER
        tasks = DailyTasks(
            placement,
            day,
            settings=shop_settings,
            window_days=history_days,
            redis=shop_store,
            k=list_length,
            search=search,
            force=force_publish,
        )
        tasks.add(report)
        # The report is sent at the end of every run, also of one that fails.
        with dsl.ExitHandler(report, name="daily"):
            fetched = tasks.add(
                fetch(
                    source=shop_source,
                    settings=shop_settings,
                    window_days=history_days,
                    search=search,
                    force=force_publish,
                    **day,
                )
            )
            splits = tasks.add_splits(fetched.outputs["landed"])
            fit_inputs = {"splits": splits, "device": placement.device, "settings": shop_settings}
            fit_inputs |= day
            trial = tasks.add_search(fit_inputs)
            trained = tasks.add(train(trial=trial, **fit_inputs))
            challenger = trained.outputs["model"]
            judgement = tasks.add_judgement(splits, challenger)
            with dsl.If(judgement.passed == "true", name="gate-passed"):
                tasks.add_publication(trial, challenger, judgement, fit_inputs)

    return daily
