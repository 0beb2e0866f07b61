"""The recurring run of a shop: one stands, and is what was asked for, however often one asks."""

from dataclasses import dataclass
from typing import Any

from dawnlist.pipelines.kubeflow.client import Client, quiet
from dawnlist.pipelines.kubeflow.submission import Version, pages, where


@dataclass(frozen=True)
class Wanted:
    """A recurring run as it shall be."""

    experiment_id: str
    name: str
    version: Version
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


def traits(found: Any) -> dict[str, Any]:
    """All that a recurring run which stands is compared by; what the API leaves out is None."""
    reference, cron = found.pipeline_version_reference, found.trigger and found.trigger.cron_schedule
    return {
        "schedule": cron and cron.cron,
        "version": reference and reference.pipeline_version_id,
        **{f"parameter {name}": value for name, value in parameters(found).items()},
        "service account": found.service_account,
        "catch-up": not found.no_catchup,
        "runs at once": int(found.max_concurrency or 0),
        "enabled": found.mode == "ENABLE",
    }


def parameters(found: Any) -> dict[str, Any]:
    """The values that a recurring run gives its runs."""
    return dict((found.runtime_config and found.runtime_config.parameters) or {})


def standing(client: Client, experiment_id: str, name: str) -> list[Any]:
    """The recurring runs of that name, which need not be one, the oldest first."""
    named = where("display_name", name)
    found = pages(
        lambda token: client.list_recurring_runs(
            token, page_size=100, sort_by="created_at", experiment_id=experiment_id, filter=named
        ),
        "recurring_runs",
    )
    return sorted(found, key=lambda one: (one.created_at, one.recurring_run_id))


def settle(client: Client, wanted: Wanted) -> list[dict[str, tuple[Any, Any]]]:
    """Leave one recurring run of that name, as it is wanted; returns how each that stood before was different.

    A new one is made before the old are deleted: killed between the two, both stand, a day is done twice, and the
    next call puts it right. The other way round none would stand, and nobody would call. Two calls at once that want
    the same keep the same one, the oldest; of two that want different things, who deletes last is told (RuntimeError).
    """
    before = standing(client, wanted.experiment_id, wanted.name)
    made = [] if any(same(found, wanted) for found in before) else [_created(client, wanted)]
    after = standing(client, wanted.experiment_id, wanted.name)
    kept = next((found for found in after if same(found, wanted)), None)
    if kept is None:
        others = [differences(traits(one), wanted) for one in made]
        remove(client, made)  # or each call would leave one more
        raise RuntimeError(f"the API has not kept {wanted.name!r} as it was asked to: {others}; what stood stands")
    remove(client, [found for found in after if found is not kept])
    left = standing(client, wanted.experiment_id, wanted.name)
    if kept.recurring_run_id not in [found.recurring_run_id for found in left]:
        raise RuntimeError(f"somebody else schedules {wanted.name!r} at the same time: run the command again")
    return [_told(client, found, wanted) for found in before]


def same(found: Any, wanted: Wanted) -> bool:
    """Whether a recurring run is as wanted."""
    return not differences(traits(found), wanted)


def differences(stood: dict[str, Any], wanted: Wanted) -> dict[str, tuple[Any, Any]]:
    """Trait -> (as it stood, as it is wanted), of those that differ; without an account the API's choice stands."""
    traits = wanted.traits
    names = [name for name in {**stood, **traits} if name != "service account" or wanted.account]
    return {name: (stood.get(name), traits.get(name)) for name in names if stood.get(name) != traits.get(name)}


def _told(client: Client, found: Any, wanted: Wanted) -> dict[str, tuple[Any, Any]]:
    """The differences with the names of versions, where their ids differ."""
    told = differences(traits(found), wanted)
    if "version" in told:
        told["version"] = (version_of(client, found), wanted.version.name)
    return told


def version_of(client: Client, found: Any) -> str | None:
    """The name of the version that a recurring run runs; None when it is gone, or was never one."""
    reference = found.pipeline_version_reference
    if reference is None:
        return None
    try:
        version = client.get_pipeline_version(reference.pipeline_id, reference.pipeline_version_id)
    except LookupError:
        return None
    return str(version.display_name)


def remove(client: Client, found: list[Any]) -> None:
    """Delete recurring runs; one that somebody else has deleted is no error."""
    for one in found:
        try:
            client.delete_recurring_run(one.recurring_run_id)
        except LookupError:
            continue


def _created(client: Client, wanted: Wanted) -> Any:
    with quiet():
        return client.create_recurring_run(
            wanted.experiment_id, wanted.name, cron_expression=wanted.schedule, params=wanted.parameters,
            pipeline_id=wanted.version.pipeline, version_id=wanted.version.id, max_concurrency=wanted.concurrency,
            no_catchup=not wanted.catch_up, service_account=wanted.account or None,
        )  # fmt: skip
