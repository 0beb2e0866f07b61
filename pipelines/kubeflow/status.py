"""Read the status of a shop: its last runs, the next one, and which version is live."""

from datetime import UTC, datetime
from typing import Any

from dawnlist.cuts import format_iso, is_current_time, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.pipelines.kubeflow import recurring_runs, schedules, submission
from dawnlist.pipelines.kubeflow.client import KfpClient
from dawnlist.pipelines.kubeflow.run_activity import read_activity
from dawnlist.pipelines.kubeflow.waiting_pods import RunPods
from dawnlist.pipelines.step_failures import describe_failure
from dawnlist.records.run_records import index_run_days


def read_shop_status(
    client: KfpClient | None,
    name: str,
    experiment: str,
    namespace: str,
    lake: str,
    redis: str,
    last: int,
) -> dict[str, Any]:
    """Read the status of a shop.

    Args:
        client: The client of the API; None where no cluster can be reached.
        name: The name of the shop's recurring run.
        experiment: The name of the experiment of the shop's runs.
        namespace: The shop's name.
        lake: The lake's URI; empty to leave the lake out.
        redis: The store's URL; empty to leave the store out.
        last: The number of runs to read.

    Returns:
        A dict with `runs`, the newest first, and `schedule`, the recurring runs; both are None
        without a client. With a lake also
        `champion`, what is live by the lake; with a store also `live`, what is live by the store.
    """
    opened = Lake.open(lake, namespace) if lake else None
    status: dict[str, Any] = {"runs": None, "schedule": None}
    if client:
        status = _read_cluster_status(client, name, experiment, opened, last)
    if opened:
        status["champion"] = _describe_champion(opened)
    if redis:
        status["live"] = _describe_live_version(redis, namespace)
    return status


def _read_cluster_status(
    client: KfpClient, name: str, experiment: str, lake: Lake | None, last: int
) -> dict[str, Any]:
    """Read what Kubeflow knows of a shop: its runs and its schedule."""
    status: dict[str, Any] = {"runs": [], "schedule": []}
    experiment_id = submission.find_experiment(client, experiment)
    if experiment_id:
        status["runs"] = _read_runs(client, experiment_id, lake, last)
        for recurring_run in recurring_runs.find_recurring_runs(client, experiment_id, name):
            status["schedule"].append(_describe_recurring_run(recurring_run))
    return status


def _read_runs(
    client: KfpClient, experiment_id: str, lake: Lake | None, last: int
) -> list[dict[str, Any]]:
    page = client.list_runs(experiment_id=experiment_id, sort_by="created_at desc", page_size=last)
    runs = page.runs or []
    days = index_run_days(lake) if lake and runs else {}
    pods = RunPods(client.space)
    return [_describe_run(client, run, lake, days.get(run.run_id), pods) for run in runs]


def _describe_run(
    client: KfpClient, run: Any, lake: Lake | None, day: datetime | None, pods: RunPods
) -> dict[str, Any]:
    """Describe one run.

    The reason of a failure comes from the run record, or else from the API, which seldom knows it.
    """
    has_ended = submission.is_over(run)
    seconds = None
    if has_ended and run.finished_at:
        seconds = (run.finished_at - run.created_at).total_seconds()
    error = run.error.message if run.error else None
    if lake and day and has_ended and run.state != "SUCCEEDED":
        error = describe_failure(lake, day, run.run_id) or error
    return {
        "run": run.run_id,
        "name": run.display_name,
        "state": run.state or "UNKNOWN",
        "started": format_iso(run.created_at),
        "seconds": seconds,
        "as_of": format_iso(day) if day else _read_as_of(run),
        "error": error,
        "link": client.ui_link("runs", "details", run.run_id),
        **read_activity(client, run, pods),
    }


def _read_as_of(run: Any) -> str | None:
    """Return the as_of that a run was given; None when it takes its own time."""
    as_of = str(recurring_runs.read_run_parameters(run).get("as_of", ""))
    if is_current_time(as_of):
        return None
    return as_of


def _describe_recurring_run(recurring_run: Any) -> dict[str, Any]:
    """Describe a recurring run. A schedule set in the UI may have no words and no next time."""
    traits = recurring_runs.read_traits(recurring_run)
    schedule = traits["schedule"]
    words, next_time = None, None
    if _is_dawnlist_schedule(schedule):
        words = schedules.describe_schedule(schedule)
        if traits["enabled"]:
            next_time = _find_next_time(schedule)
    return {
        "id": recurring_run.recurring_run_id,
        "schedule": schedule,
        "words": words,
        "enabled": traits["enabled"],
        "next": next_time,
    }


def _is_dawnlist_schedule(schedule: str | None) -> bool:
    """Say whether a schedule has the form that `dawnlist schedule` gives it."""
    if not schedule:
        return False
    try:
        return schedules.parse_schedule(schedule) == schedule
    except ValueError:
        return False


def _find_next_time(schedule: str) -> str | None:
    due_times = schedules.compute_due_times(schedule, datetime.now(UTC), 1)
    return format_iso(due_times[0]) if due_times else None


def _describe_champion(lake: Lake) -> dict[str, Any] | None:
    from dawnlist.records import registry
    from dawnlist.records.winner_names import get_configured_day, get_engine

    champion = registry.read_champion(lake)
    if champion is None:
        return None
    return {
        "version": champion["version"],
        "as_of": champion["as_of"],
        "winner": champion["winner"],
        "engine": get_engine(champion),
        "configured": get_configured_day(champion),
        "metrics": champion["metrics"],
        "hours": _measure_age(parse_as_of(champion["as_of"])),
    }


def _describe_live_version(redis: str, namespace: str) -> dict[str, Any] | None:
    from dawnlist.store import versions
    from dawnlist.store.client import connect_store

    with connect_store(redis) as client:
        live = versions.read_active_version(client, namespace)
        hold = versions.read_hold(client, namespace)
    if live is None:
        return None
    return {
        "version": live.version,
        "as_of": live.as_of,
        "held": hold is not None,
        "hours": _measure_age(parse_as_of(live.as_of)),
    }


def _measure_age(as_of: datetime) -> float:
    """Compute the hours since the end of a version's last day."""
    age = datetime.now(UTC) - as_of
    return round(age.total_seconds() / 3600, 1)
