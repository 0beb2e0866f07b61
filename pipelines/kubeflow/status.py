"""How a shop stands: its last runs at the API, the next one, and what is live by the lake and the store."""

from datetime import UTC, datetime
from typing import Any

from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.pipelines.kubeflow import recurring_runs, schedules, submission
from dawnlist.pipelines.kubeflow.client import KfpClient
from dawnlist.records.run_records import RUN_SEARCH_DAYS


def read_shop_status(
    client: KfpClient, name: str, experiment: str, namespace: str, lake: str, redis: str, last: int
) -> dict[str, Any]:
    """`runs`, the newest first, `schedule`, and, if asked for, `champion` by the lake and `live` by the store."""
    opened = Lake.open(lake, namespace) if lake else None
    into = submission.find_experiment(client, experiment)
    found = (
        client.list_runs(experiment_id=into, sort_by="created_at desc", page_size=last).runs
        if into
        else None
    )
    standing = recurring_runs.find_recurring_runs(client, into, name) if into else []
    days = _index_run_days(opened) if opened and found else {}
    return {
        "runs": [_describe_run(client, one, opened, days.get(one.run_id)) for one in found or []],
        "schedule": [_describe_recurring_run(one) for one in standing],
        **({"champion": _describe_champion(opened)} if opened else {}),
        **({"live": _describe_live_version(redis, namespace)} if redis else {}),
    }


def _describe_run(
    client: KfpClient, found: Any, lake: Lake | None, day: str | None
) -> dict[str, Any]:
    """One run; what failed comes from the run record, else from the API, which seldom knows why."""
    over = submission.is_over(found)
    told = {
        "run": found.run_id,
        "name": found.display_name,
        "state": found.state or "UNKNOWN",
        "started": format_iso(found.created_at),
        "seconds": (found.finished_at - found.created_at).total_seconds()
        if over and found.finished_at
        else None,
        "as_of": format_iso(parse_as_of(day)) if day else _read_as_of(found),
        "error": found.error.message if found.error else None,
        "link": client.ui_link("runs", "details", found.run_id),
    }
    if lake and day and over and found.state != "SUCCEEDED":
        told["error"] = _find_failure(lake, day, found.run_id) or told["error"]
    return told


def _read_as_of(found: Any) -> str | None:
    """The day that a run was given; None when the API server was left to say it."""
    given = str(recurring_runs.read_run_parameters(found).get("as_of", ""))
    return given if given and "[[" not in given else None


def _find_failure(lake: Lake, day: str, run: str) -> str | None:
    """The first step of a run that did not succeed, and why, by the run record."""
    from dawnlist.records.run_records import read_step_records

    for record in read_step_records(lake, day, run):
        if record["state"] == "failed":
            return f"{record['step']}: {record['error']['message']}"
        if record["state"] == "started":
            return f"{record['step']} was killed: it started at {record['started']} and never ended"
    return None


def _index_run_days(lake: Lake) -> dict[str, str]:
    """Run -> the day it was for, by the newest days of the run record."""
    return {
        run: day for day in lake.names("runs")[-RUN_SEARCH_DAYS:] for run in lake.names("runs", day)
    }


def _describe_recurring_run(found: Any) -> dict[str, Any]:
    """A recurring run: when, in words, and the next time, if it is enabled."""
    traits = recurring_runs.read_traits(found)
    when, ours = traits["schedule"], _is_dawnlist_schedule(traits["schedule"])
    due = (
        schedules.compute_due_times(when, datetime.now(UTC), 1)
        if ours and traits["enabled"]
        else []
    )
    return {
        "id": found.recurring_run_id,
        "schedule": when,
        "words": schedules.describe_schedule(when) if ours else None,
        "enabled": traits["enabled"],
        "next": format_iso(due[0]) if due else None,
    }


def _is_dawnlist_schedule(schedule: str | None) -> bool:
    """Whether a schedule is of the form that `dawnlist schedule` gives it; others come from the UI."""
    try:
        return bool(schedule) and schedules.parse_schedule(schedule or "") == schedule
    except ValueError:
        return False


def _describe_champion(lake: Lake) -> dict[str, Any] | None:
    from dawnlist.records import registry

    found = registry.read_champion(lake)
    if found is None:
        return None
    return {
        **{name: found[name] for name in ("version", "as_of", "winner", "metrics")},
        **_measure_age(found),
    }


def _describe_live_version(redis: str, namespace: str) -> dict[str, Any] | None:
    from dawnlist.store import versions
    from dawnlist.store.client import connect_store

    with connect_store(redis) as client:
        found, held = (
            versions.read_active_version(client, namespace),
            versions.read_hold(client, namespace),
        )
    if found is None:
        return None
    return {
        "version": found["version"],
        "as_of": found["as_of"],
        "held": held is not None,
        **_measure_age(found),
    }


def _measure_age(found: dict[str, Any]) -> dict[str, float]:
    return {
        "hours": round((datetime.now(UTC) - parse_as_of(found["as_of"])).total_seconds() / 3600, 1)
    }
