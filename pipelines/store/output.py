"""What the commands about versions say."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from dawnlist.pipelines.terminal import out


def show_versions(
    versions: list[dict[str, Any]], hold: dict[str, Any] | None, namespace: str
) -> None:
    """Print the versions of a namespace as a table, and the hold."""
    if not versions:
        out.print(
            f"nothing has been published in namespace {namespace!r}: check --redis, --home and --namespace, or run the "
            "pipeline",
            soft_wrap=True,
        )
    else:
        table = Table(box=None, pad_edge=False)
        for name in ("version", "as of", "winner", "users", "items", "MB", "metric", ""):
            table.add_column(name, no_wrap=name != "metric")
        for found in versions:
            table.add_row(
                *map(escape, _build_version_cells(found)), "active" if found["active"] else ""
            )
        out.print(table)
    if hold:
        out.print(
            f"version {hold['version']} is held since {hold['since']}, when it took the place of {hold['replaced']}: "
            "nothing else goes live until `dawnlist release`"
        )


def show_diff(found: dict[str, Any]) -> None:
    """Print how two versions differ."""
    before, after = found["before"], found["after"]
    for title, version in (("before", before), ("after", after)):
        out.print(
            f"{title:<7} version {version['version']} of {version['as_of']}: {escape(str(version['winner']))}, "
            f"{version['users']:,} users, {version['items']:,} items"
        )
    churn = (
        "no list to compare"
        if found["churn"] is None
        else f"{found['churn']:.1%} of a list is replaced"
    )
    out.print(
        f"lists   {churn}; {found['common']:,} users in both, {found['gone']:,} gone, {found['new']:,} new"
    )
    for title in ("metrics", "parameters"):
        table = Table(
            title,
            f"version {before['version']}",
            f"version {after['version']}",
            box=None,
            pad_edge=False,
        )
        for name, values in found[title].items():
            table.add_row(name, *(escape(_format_value(value)) for value in values))
        out.print(table if found[title] else f"{title}: the same")


def _build_version_cells(version: dict[str, Any]) -> list[str]:
    size = (version["bytes"] + version["history_bytes"]) / 1e6
    metrics = version.get("metrics") or {}
    first = min(metrics.items(), key=lambda item: not item[0].startswith("ndcg"), default=None)
    named = [str(version[name]) for name in ("version", "as_of", "winner")]
    metric = f"{first[0]} {_format_value(first[1])}" if first else ""
    return [*named, f"{version['users']:,}", f"{version['items']:,}", f"{size:,.1f}", metric]


def _format_value(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
