"""Create the tasks of a daily run and pass the outputs of one to the next."""

from dataclasses import dataclass
from typing import Any

from kfp import dsl

from dawnlist.components.clean.component import clean
from dawnlist.components.dataset.component import dataset
from dawnlist.components.evaluate.component import evaluate
from dawnlist.components.filter_bots.component import filter_bots
from dawnlist.components.gate.component import gate
from dawnlist.components.publish.component import publish
from dawnlist.components.recommend.component import recommend
from dawnlist.components.refit.component import refit
from dawnlist.components.tune.component import tune
from dawnlist.components.tune.halving import MAX_RUNGS
from dawnlist.pipelines.compact.components import (
    clean_to_dataset,
    evaluate_and_gate,
    refit_to_publish,
)
from dawnlist.pipelines.placement import Placement

Channel = Any
"""An output of a task, or a parameter of the pipeline, which has a value only in a run."""


@dataclass(frozen=True)
class Judgement:
    """What the steps evaluate and gate leave."""

    evaluation: Channel
    verdict: Channel
    passed: Channel
    """The text "true" when something new goes live, else "false"."""


@dataclass(frozen=True)
class DailyTasks:
    """Creates the tasks of a run. With a compact placement some tasks run several steps."""

    placement: Placement
    day: dict[str, Channel]
    """The inputs lake, namespace, as_of and run."""
    settings: Channel
    window_days: Channel
    redis: Channel
    k: Channel
    search: Channel
    force: Channel

    def add(self, task: dsl.PipelineTask) -> dsl.PipelineTask:
        """Place a new task on a node, and return it."""
        self.placement.place(task)
        return task

    def add_splits(self, landed: Channel) -> Channel:
        """Add the steps from clean to dataset, and return the splits."""
        history = {"window_days": self.window_days, "settings": self.settings, **self.day}
        if self.placement.compact:
            task = self.add(clean_to_dataset(landed=landed, redis=self.redis, **history))
            return task.outputs["splits"]
        cleaned = self.add(clean(landed=landed, settings=self.settings, **self.day))
        interactions = cleaned.outputs["interactions"]
        filtered = self.add(filter_bots(interactions=interactions, **history))
        verdicts = filtered.outputs["verdicts"]
        split = self.add(
            dataset(interactions=interactions, verdicts=verdicts, redis=self.redis, **history)
        )
        return split.outputs["splits"]

    def add_search(self, fit_inputs: dict[str, Channel]) -> Channel:
        """Add the step tune, and return the best trial."""
        inputs = {"search": self.search, "k": self.k, **fit_inputs}
        tuned = self.add(tune(**inputs))
        shards = self._add_search_shards(inputs)
        tuned.after(*shards[-self.placement.tune_shards :])
        return tuned.outputs["trial"]

    def _add_search_shards(self, tune_inputs: dict[str, Channel]) -> list[dsl.PipelineTask]:
        """Add the tasks that share a search: `tune_shards` tasks for each rung, or none for 0.

        Each rung starts after the one before it. The tasks leave their trials in the lake.
        """
        tasks: list[dsl.PipelineTask] = []
        shards = self.placement.tune_shards
        if shards == 0:
            return tasks
        # The tasks are listed one by one, because kfp's backend has a bug with loops inside an exit
        # handler.
        for rung in range(MAX_RUNGS):
            previous_rung = tasks[-shards:]
            for shard in range(shards):
                task = self.add(tune(**tune_inputs, rung=rung, shard=shard, shards=shards))
                tasks.append(task.after(*previous_rung))
        return tasks

    def add_judgement(self, splits: Channel, challenger: Channel) -> Judgement:
        """Add the steps evaluate and gate."""
        evaluate_inputs = {
            "splits": splits,
            "model": challenger,
            "search": self.search,
            "k": self.k,
        }
        gate_inputs = {"settings": self.settings, "force": self.force, **self.day}
        if self.placement.compact:
            judged = self.add(evaluate_and_gate(**evaluate_inputs, **gate_inputs))
            evaluation = judged.outputs["evaluation"]
        else:
            evaluated = self.add(evaluate(**evaluate_inputs, **self.day))
            evaluation = evaluated.outputs["evaluation"]
            judged = self.add(gate(evaluation=evaluation, **gate_inputs))
        return Judgement(evaluation, judged.outputs["verdict"], judged.outputs["Output"])

    def add_publication(
        self,
        trial: Channel,
        challenger: Channel,
        judgement: Judgement,
        fit_inputs: dict[str, Channel],
    ) -> None:
        """Add the steps from refit to publish."""
        judged = {"evaluation": judgement.evaluation, "verdict": judgement.verdict}
        refit_inputs = {"trial": trial, "challenger": challenger, **judged, **fit_inputs}
        if self.placement.compact:
            self.add(refit_to_publish(k=self.k, redis=self.redis, **refit_inputs))
            return
        refitted = self.add(refit(**refit_inputs))
        recommended = self.add(
            recommend(
                splits=fit_inputs["splits"],
                model=refitted.outputs["model"],
                k=self.k,
                redis=self.redis,
                settings=self.settings,
                **judged,
                **self.day,
            )
        )
        self.add(publish(lists=recommended.outputs["lists"], redis=self.redis, **self.day))
