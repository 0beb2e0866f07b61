"""The recurring run of a shop: one stands, and is what was asked for, however often one asks."""

from dataclasses import dataclass
from typing import Any

from dawnlist.pipelines.kubeflow.client import KfpClient, silence_sdk
from dawnlist.pipelines.kubeflow.submission import PipelineVersion, build_equals_filter, iter_pages


@dataclass(frozen=True)
class RecurringRunSpec:
    """A recurring run as it shall be."""

    experiment_id: str
    name: str
    version: PipelineVersion
    schedule: str
    """Six fields, UTC."""
    parameters: dict[str, Any]
    account: str
    catch_up: bool
    concurrency: int = 1

    @property
    def traits(self) -> dict[str, Any]:
        """All that a recurring run is compared by; see traits()."""
        return {
            "schedule": self.schedule,
            "version": self.version.id,
            **{f"parameter {name}": value for name, value in self.parameters.items()},
            "service account": self.account,
            "catch-up": self.catch_up,
            "runs at once": self.concurrency,
            "enabled": True,
        }


def read_traits(found: Any) -> dict[str, Any]:
    """All that a recurring run which stands is compared by; what the API leaves out is None."""
    reference, cron = (
        found.pipeline_version_reference,
        found.trigger and found.trigger.cron_schedule,
    )
    return {
        "schedule": cron and cron.cron,
        "version": reference and reference.pipeline_version_id,
        **{f"parameter {name}": value for name, value in read_run_parameters(found).items()},
        "service account": found.service_account,
        "catch-up": not found.no_catchup,
        "runs at once": int(found.max_concurrency or 0),
        "enabled": found.mode == "ENABLE",
    }


def read_run_parameters(found: Any) -> dict[str, Any]:
    """The values that a recurring run gives its runs."""
    return dict((found.runtime_config and found.runtime_config.parameters) or {})


def find_recurring_runs(client: KfpClient, experiment_id: str, name: str) -> list[Any]:
    """The recurring runs of that name, which need not be one, the oldest first."""
    named = build_equals_filter("display_name", name)
    found = iter_pages(
        lambda token: client.list_recurring_runs(
            token, page_size=100, sort_by="created_at", experiment_id=experiment_id, filter=named
        ),
        "recurring_runs",
    )
    return sorted(found, key=lambda one: (one.created_at, one.recurring_run_id))


def ensure_recurring_run(
    client: KfpClient, wanted: RecurringRunSpec
) -> list[dict[str, tuple[Any, Any]]]:
    """Leave one recurring run of that name, as it is wanted; returns how each that stood before was different.

    A new one is made before the old are deleted: killed between the two, both stand, a day is done twice, and the
    next call puts it right. The other way round none would stand, and nobody would call. Two calls at once that want
    the same keep the same one, the oldest; of two that want different things, who deletes last is told (RuntimeError).
    """
    before = find_recurring_runs(client, wanted.experiment_id, wanted.name)
    made = (
        []
        if any(matches_spec(found, wanted) for found in before)
        else [_create_recurring_run(client, wanted)]
    )
    after = find_recurring_runs(client, wanted.experiment_id, wanted.name)
    kept = next((found for found in after if matches_spec(found, wanted)), None)
    if kept is None:
        others = [compare_traits(read_traits(one), wanted) for one in made]
        delete_recurring_runs(client, made)  # or each call would leave one more
        raise RuntimeError(
            f"the API has not kept {wanted.name!r} as it was asked to: {others}; what stood stands"
        )
    delete_recurring_runs(client, [found for found in after if found is not kept])
    left = find_recurring_runs(client, wanted.experiment_id, wanted.name)
    if kept.recurring_run_id not in [found.recurring_run_id for found in left]:
        raise RuntimeError(
            f"somebody else schedules {wanted.name!r} at the same time: run the command again"
        )
    return [_describe_differences(client, found, wanted) for found in before]


def matches_spec(found: Any, wanted: RecurringRunSpec) -> bool:
    """Whether a recurring run is as wanted."""
    return not compare_traits(read_traits(found), wanted)


def compare_traits(stood: dict[str, Any], wanted: RecurringRunSpec) -> dict[str, tuple[Any, Any]]:
    """Trait -> (as it stood, as it is wanted), of those that differ; without an account the API's choice stands."""
    traits = wanted.traits
    names = [name for name in {**stood, **traits} if name != "service account" or wanted.account]
    return {
        name: (stood.get(name), traits.get(name))
        for name in names
        if stood.get(name) != traits.get(name)
    }


def _describe_differences(
    client: KfpClient, found: Any, wanted: RecurringRunSpec
) -> dict[str, tuple[Any, Any]]:
    """The differences with the names of versions, where their ids differ."""
    told = compare_traits(read_traits(found), wanted)
    if "version" in told:
        told["version"] = (read_version_name(client, found), wanted.version.name)
    return told


def read_version_name(client: KfpClient, found: Any) -> str | None:
    """The name of the version that a recurring run runs; None when it is gone, or was never one."""
    reference = found.pipeline_version_reference
    if reference is None:
        return None
    try:
        version = client.get_pipeline_version(reference.pipeline_id, reference.pipeline_version_id)
    except LookupError:
        return None
    return str(version.display_name)


def delete_recurring_runs(client: KfpClient, found: list[Any]) -> None:
    """Delete recurring runs; one that somebody else has deleted is no error."""
    for one in found:
        try:
            client.delete_recurring_run(one.recurring_run_id)
        except LookupError:
            continue


def _create_recurring_run(client: KfpClient, wanted: RecurringRunSpec) -> Any:
    with silence_sdk():
        return client.create_recurring_run(
            wanted.experiment_id, wanted.name, cron_expression=wanted.schedule, params=wanted.parameters,
            pipeline_id=wanted.version.pipeline_id, version_id=wanted.version.id, max_concurrency=wanted.concurrency,
            no_catchup=not wanted.catch_up, service_account=wanted.account or None,
        )  # fmt: skip
