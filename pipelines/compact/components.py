"""Components for small shops, whose short steps run in one pod. Each calls the steps' own functions.

They can be called within a step only, where the steps' names are plain functions
(dawnlist.components.image).

A step keeps its name in the run record, so reports, metrics and failures are the same as with a pod
for each step.
"""

from typing import Any

from kfp.dsl import HTML, Artifact, Dataset, Input, Markdown, Metrics, Model, Output

from dawnlist.components.image import component


@component
def clean_to_dataset(
    landed: Input[Artifact],
    interactions: Output[Dataset],
    profile: Output[HTML],
    clean_metrics: Output[Metrics],
    verdicts: Output[Dataset],
    drops: Output[HTML],
    summary: Output[Markdown],
    filter_bots_metrics: Output[Metrics],
    splits: Output[Dataset],
    dataset_metrics: Output[Metrics],
    window_days: int,
    redis: str,
    settings: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Run the steps clean, filter_bots and dataset."""
    from dawnlist.components.clean.component import clean
    from dawnlist.components.dataset.component import dataset
    from dawnlist.components.filter_bots.component import filter_bots

    day = {"settings": settings, "lake": lake, "namespace": namespace, "as_of": as_of, "run": run}
    clean(landed, interactions, profile, clean_metrics, **day)
    filter_bots(
        interactions,
        verdicts,
        drops,
        summary,
        filter_bots_metrics,
        window_days=window_days,
        **day,
    )
    dataset(
        interactions, verdicts, splits, dataset_metrics, window_days=window_days, redis=redis, **day
    )


@component
def evaluate_and_gate(
    splits: Input[Dataset],
    model: Input[Model],
    evaluation: Output[Artifact],
    evaluate_metrics: Output[Metrics],
    verdict: Output[Artifact],
    summary: Output[Markdown],
    page: Output[HTML],
    gate_metrics: Output[Metrics],
    search: dict[str, Any],
    k: int,
    settings: str,
    force: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> str:
    """Run the steps evaluate and gate. Returns what gate returns."""
    from dawnlist.components.evaluate.component import evaluate
    from dawnlist.components.gate.component import gate

    day = {"lake": lake, "namespace": namespace, "as_of": as_of, "run": run}
    evaluate(splits, model, evaluation, evaluate_metrics, search, k, **day)
    passed: str = gate(evaluation, verdict, summary, page, gate_metrics, settings, force, **day)
    return passed


@component
def refit_to_publish(
    splits: Input[Dataset],
    trial: Input[Artifact],
    challenger: Input[Model],
    evaluation: Input[Artifact],
    verdict: Input[Artifact],
    model: Output[Model],
    lists: Output[Dataset],
    publish_metrics: Output[Metrics],
    device: str,
    k: int,
    redis: str,
    settings: str,
    lake: str,
    namespace: str,
    as_of: str,
    run: str,
) -> None:
    """Run the steps refit, recommend and publish."""
    from dawnlist.components.publish.component import publish
    from dawnlist.components.recommend.component import recommend
    from dawnlist.components.refit.component import refit

    day = {"lake": lake, "namespace": namespace, "as_of": as_of, "run": run}
    refit(splits, trial, challenger, evaluation, verdict, model, device, settings, **day)
    recommend(splits, model, evaluation, verdict, lists, k, redis, settings, **day)
    publish(lists, publish_metrics, redis, **day)
