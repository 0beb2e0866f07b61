"""Print what the commands on the store's versions found."""

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from dawnlist.dataclass_json import to_json
from dawnlist.pipelines.terminal import out, print_line
from dawnlist.records.winner_names import describe_winner, name_winner
from dawnlist.store.layout import NothingPublishedError

if TYPE_CHECKING:
    from dawnlist.store.version_reports import ListedVersion, VersionHold


METRICS_ADVICE = (
    "a difference between them does not say which model is better. The gate of each run compares "
    "the models on the same users and days; see the run's report."
)
"""What follows from metrics of different days."""


def show_versions(
    versions: "list[ListedVersion]", hold: "VersionHold | None", namespace: str
) -> None:
    """Print the versions of a namespace as a table, and the hold that a rollback has set."""
    if versions:
        out.print(_build_versions_table(versions))
        measured_days = {version.as_of for version in versions if version.metrics}
        if len(measured_days) > 1:
            print_line(
                "Each metric was measured just before the version's own as of, so they are of "
                f"different days: {METRICS_ADVICE}"
            )
    else:
        print_line(
            f"nothing has been published in namespace {namespace!r}: check --redis, --home and "
            "--namespace, or run the pipeline"
        )
    if versions and not any(version.active for version in versions):
        print_line(str(NothingPublishedError(namespace, [each.version for each in versions])))
    if hold:
        out.print(_describe_hold(hold))


def _describe_hold(hold: "VersionHold") -> str:
    since = f"version {hold.version} is held since {hold.since}"
    if hold.replaced is not None:
        since += f", when it replaced version {hold.replaced}"
    return f"{since}: nothing else goes live until `dawnlist release`"


def _build_versions_table(versions: "list[ListedVersion]") -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("version", "as of", "winner", "users", "items", "MB", "metric", ""):
        table.add_column(heading, no_wrap=heading not in ("winner", "metric"))
    for version in versions:
        state = "active" if version.active else ""
        table.add_row(*map(escape, _build_version_cells(version)), state)
    return table


def _build_version_cells(version: "ListedVersion") -> list[str]:
    megabytes = (version.bytes + version.history_bytes) / 1e6
    return [
        str(version.version),
        version.as_of,
        name_winner(to_json(version)),
        f"{version.users:,}",
        f"{version.items:,}",
        f"{megabytes:,.1f}",
        _format_first_metric(version.metrics or {}),
    ]


def _format_first_metric(metrics: dict[str, Any]) -> str:
    """Format NDCG, or the first metric of a version that has no NDCG."""
    names = [name for name in metrics if name.startswith("ndcg")] or list(metrics)
    if not names:
        return ""
    return f"{names[0]} {_format_value(metrics[names[0]])}"


def show_diff(diff: dict[str, Any]) -> None:
    """Print how two versions differ."""
    before, after = diff["before"], diff["after"]
    _print_version("before", before)
    _print_version("after", after)
    churn = "no list to compare"
    if diff["churn"] is not None:
        churn = f"{diff['churn']:.1%} of a list is replaced"
    out.print(
        f"lists   {churn}; {diff['common']:,} users in both, {diff['gone']:,} gone, {diff['new']:,} new"
    )
    for title in ("metrics", "parameters"):
        if not diff[title]:
            out.print(f"{title}: the same")
            continue
        table = Table(title, box=None, pad_edge=False)
        table.add_column(f"version {before['version']}")
        table.add_column(f"version {after['version']}")
        for name, values in diff[title].items():
            table.add_row(name, *[escape(_format_value(value)) for value in values])
        out.print(table)
        if title == "metrics" and before["as_of"] != after["as_of"]:
            print_line(
                f"the metrics are of different days, just before {before['as_of']} and "
                f"{after['as_of']}: {METRICS_ADVICE}"
            )


def _print_version(title: str, version: dict[str, Any]) -> None:
    winner = escape(describe_winner(version))
    out.print(
        f"{title:<7} version {version['version']} of {version['as_of']}: {winner}, "
        f"{version['users']:,} users, {version['items']:,} items"
    )


def _format_value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return str(value)
