"""How a shop stands: its last runs at the API, the next one, and what is live by the lake and the store."""

from datetime import UTC, datetime
from typing import Any

from dawnlist.cuts import iso, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.pipelines.kubeflow import cron, recurring, submission
from dawnlist.pipelines.kubeflow.client import Client
from dawnlist.records.runs import DAYS


def status(
    client: Client, name: str, experiment: str, namespace: str, lake: str, redis: str, last: int
) -> dict[str, Any]:
    """`runs`, the newest first, `schedule`, and, if asked for, `champion` by the lake and `live` by the store."""
    opened = Lake.open(lake, namespace) if lake else None
    into = submission.experiment(client, experiment)
    found = client.list_runs(experiment_id=into, sort_by="created_at desc", page_size=last).runs if into else None
    standing = recurring.standing(client, into, name) if into else []
    days = _days(opened) if opened and found else {}
    return {
        "runs": [_run(client, one, opened, days.get(one.run_id)) for one in found or []],
        "schedule": [_schedule(one) for one in standing],
        **({"champion": _champion(opened)} if opened else {}),
        **({"live": _live(redis, namespace)} if redis else {}),
    }


def _run(client: Client, found: Any, lake: Lake | None, day: str | None) -> dict[str, Any]:
    """One run; what failed comes from the run record, else from the API, which seldom knows why."""
    over = submission.is_over(found)
    told = {
        "run": found.run_id,
        "name": found.display_name,
        "state": found.state or "UNKNOWN",
        "started": iso(found.created_at),
        "seconds": (found.finished_at - found.created_at).total_seconds() if over and found.finished_at else None,
        "as_of": iso(parse_as_of(day)) if day else _as_of(found),
        "error": found.error.message if found.error else None,
        "link": client.link("runs", "details", found.run_id),
    }
    if lake and day and over and found.state != "SUCCEEDED":
        told["error"] = _why(lake, day, found.run_id) or told["error"]
    return told


def _as_of(found: Any) -> str | None:
    """The day that a run was given; None when the API server was left to say it."""
    given = str(recurring.parameters(found).get("as_of", ""))
    return given if given and "[[" not in given else None


def _why(lake: Lake, day: str, run: str) -> str | None:
    """The first step of a run that did not succeed, and why, by the run record."""
    from dawnlist.records.runs import records

    for record in records(lake, day, run):
        if record["state"] == "failed":
            return f"{record['step']}: {record['error']['message']}"
        if record["state"] == "started":
            return f"{record['step']} was killed: it started at {record['started']} and never ended"
    return None


def _days(lake: Lake) -> dict[str, str]:
    """Run -> the day it was for, by the newest days of the run record."""
    return {run: day for day in lake.names("runs")[-DAYS:] for run in lake.names("runs", day)}


def _schedule(found: Any) -> dict[str, Any]:
    """A recurring run: when, in words, and the next time, if it is enabled."""
    traits = recurring.traits(found)
    when, ours = traits["schedule"], _ours(traits["schedule"])
    due = cron.due(when, datetime.now(UTC), 1) if ours and traits["enabled"] else []
    return {
        "id": found.recurring_run_id,
        "schedule": when,
        "words": cron.in_words(when) if ours else None,
        "enabled": traits["enabled"],
        "next": iso(due[0]) if due else None,
    }


def _ours(schedule: str | None) -> bool:
    """Whether a schedule is of the form that `dawnlist schedule` gives it; others come from the UI."""
    try:
        return bool(schedule) and cron.six_fields(schedule or "") == schedule
    except ValueError:
        return False


def _champion(lake: Lake) -> dict[str, Any] | None:
    from dawnlist.records import registry

    found = registry.champion(lake)
    if found is None:
        return None
    return {**{name: found[name] for name in ("version", "as_of", "winner", "metrics")}, **_age(found)}


def _live(redis: str, namespace: str) -> dict[str, Any] | None:
    from dawnlist.store import versions
    from dawnlist.store.client import connect

    with connect(redis) as client:
        found, held = versions.active(client, namespace), versions.hold(client, namespace)
    if found is None:
        return None
    return {"version": found["version"], "as_of": found["as_of"], "held": held is not None, **_age(found)}


def _age(found: dict[str, Any]) -> dict[str, float]:
    return {"hours": round((datetime.now(UTC) - parse_as_of(found["as_of"])).total_seconds() / 3600, 1)}
