"""Set, compare and delete the recurring run of a shop, so that never more than one is left."""

from dataclasses import dataclass
from typing import Any

from dawnlist.pipelines.kubeflow.client import KfpClient, silence_sdk
from dawnlist.pipelines.kubeflow.submission import PipelineVersion, build_equals_filter, iter_pages


@dataclass(frozen=True)
class RecurringRunSpec:
    """The recurring run that a shop should have."""

    experiment_id: str
    name: str
    version: PipelineVersion
    schedule: str
    """Six fields, in UTC."""
    parameters: dict[str, Any]
    """The parameters of each run, by name."""
    account: str
    """The pods' service account; empty for the API's choice."""
    concurrency: int = 1
    """How many runs may run at the same time."""

    @property
    def traits(self) -> dict[str, Any]:
        """The values that recurring runs are compared by, named as `read_traits` names them."""
        return {
            "schedule": self.schedule,
            "version": self.version.id,
            **_name_parameter_traits(self.parameters),
            "service account": self.account,
            "catch-up": False,
            "runs at once": self.concurrency,
            "enabled": True,
        }


def read_traits(run: Any) -> dict[str, Any]:
    """Read the values that a recurring run at the API is compared by. What is missing is None."""
    version = run.pipeline_version_reference
    trigger = run.trigger and run.trigger.cron_schedule
    return {
        "schedule": trigger and trigger.cron,
        "version": version and version.pipeline_version_id,
        **_name_parameter_traits(read_run_parameters(run)),
        "service account": run.service_account,
        "catch-up": not run.no_catchup,
        "runs at once": int(run.max_concurrency or 0),
        "enabled": run.mode == "ENABLE",
    }


def _name_parameter_traits(parameters: dict[str, Any]) -> dict[str, Any]:
    return {f"parameter {name}": value for name, value in parameters.items()}


def read_run_parameters(run: Any) -> dict[str, Any]:
    """Read the parameters of a run, or those that a recurring run gives its runs."""
    if not run.runtime_config:
        return {}
    return dict(run.runtime_config.parameters or {})


def find_recurring_runs(client: KfpClient, experiment_id: str, name: str) -> list[Any]:
    """Find all recurring runs of a name, the oldest first. The API allows several."""
    name_filter = build_equals_filter("display_name", name)

    def list_page(token: str) -> Any:
        return client.list_recurring_runs(
            token,
            page_size=100,
            sort_by="created_at",
            experiment_id=experiment_id,
            filter=name_filter,
        )

    runs = iter_pages(list_page, "recurring_runs")
    return sorted(runs, key=lambda run: (run.created_at, run.recurring_run_id))


def ensure_recurring_run(
    client: KfpClient, spec: RecurringRunSpec
) -> list[dict[str, tuple[Any, Any]]]:
    """Leave exactly one recurring run of the name, as specified.

    A new one is created before the old ones are deleted. If the command is killed in between, both
    exist and a day is run twice, until the next call deletes the old one. In the other order none
    would exist, and nobody would notice.

    Two calls at the same time with the same spec keep the same recurring run, the oldest. Of two
    calls with different specs, the one that deletes last raises RuntimeError.

    Returns:
        For each recurring run of the name that existed before, its traits that were different.

    Raises:
        RuntimeError: The API did not store the recurring run as specified, or somebody else has
            deleted it.
    """
    before = find_recurring_runs(client, spec.experiment_id, spec.name)
    created = []
    if _find_match(before, spec) is None:
        created = [_create_recurring_run(client, spec)]
    after = find_recurring_runs(client, spec.experiment_id, spec.name)
    kept = _find_match(after, spec)
    if kept is None:
        differences = [compare_traits(read_traits(run), spec) for run in created]
        # Without this, each call would leave one more.
        delete_recurring_runs(client, created)
        raise RuntimeError(
            f"the API did not store {spec.name!r} as requested (stored, requested): {differences}; "
            "the schedule is as it was before"
        )
    delete_recurring_runs(client, [run for run in after if run is not kept])
    remaining = find_recurring_runs(client, spec.experiment_id, spec.name)
    if kept.recurring_run_id not in [run.recurring_run_id for run in remaining]:
        raise RuntimeError(
            f"somebody else schedules {spec.name!r} at the same time: run the command again"
        )
    return [_describe_differences(client, run, spec) for run in before]


def _find_match(runs: list[Any], spec: RecurringRunSpec) -> Any:
    """Return the first recurring run that is as specified, or None."""
    for run in runs:
        if matches_spec(run, spec):
            return run
    return None


def matches_spec(run: Any, spec: RecurringRunSpec) -> bool:
    """Say whether a recurring run is as specified."""
    return not compare_traits(read_traits(run), spec)


def compare_traits(traits: dict[str, Any], spec: RecurringRunSpec) -> dict[str, tuple[Any, Any]]:
    """Compare a recurring run with the spec.

    Returns:
        The traits that differ: name -> (of the run, of the spec). Without an account in the spec,
        any account is as specified.
    """
    specified = spec.traits
    differences = {}
    for name in {**traits, **specified}:
        if name == "service account" and not spec.account:
            continue
        before, after = traits.get(name), specified.get(name)
        if before != after:
            differences[name] = (before, after)
    return differences


def _describe_differences(
    client: KfpClient, run: Any, spec: RecurringRunSpec
) -> dict[str, tuple[Any, Any]]:
    """Compare a recurring run with the spec, with the names of versions instead of their ids."""
    differences = compare_traits(read_traits(run), spec)
    if "version" in differences:
        differences["version"] = (read_version_name(client, run), spec.version.name)
    return differences


def read_version_name(client: KfpClient, run: Any) -> str | None:
    """Read the name of the version that a recurring run runs; None when there is none."""
    version = read_version(client, run)
    return None if version is None else str(version.display_name)


def read_version(client: KfpClient, run: Any) -> Any:
    """Read the version that a recurring run runs.

    None when the version has been deleted, or when the recurring run has none.
    """
    reference = run.pipeline_version_reference
    if reference is None:
        return None
    try:
        return client.get_pipeline_version(reference.pipeline_id, reference.pipeline_version_id)
    except LookupError:
        return None


def delete_recurring_runs(client: KfpClient, runs: list[Any]) -> None:
    """Delete recurring runs. One that somebody else has deleted is not an error."""
    for run in runs:
        try:
            client.delete_recurring_run(run.recurring_run_id)
        except LookupError:
            continue


def _create_recurring_run(client: KfpClient, spec: RecurringRunSpec) -> Any:
    with silence_sdk():
        return client.create_recurring_run(
            spec.experiment_id,
            spec.name,
            cron_expression=spec.schedule,
            params=spec.parameters,
            pipeline_id=spec.version.pipeline_id,
            version_id=spec.version.id,
            max_concurrency=spec.concurrency,
            no_catchup=True,
            service_account=spec.account or None,
        )
