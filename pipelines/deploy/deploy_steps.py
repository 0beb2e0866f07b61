"""What `dawnlist deploy` does, and shows of it: what lacks, what changes, what is up."""

import time

from rich.markup import escape

from dawnlist.pipelines.deploy.cluster import KubernetesCluster, format_object_name
from dawnlist.pipelines.deploy.leftovers import find_leftovers
from dawnlist.pipelines.deploy.manifest_apply import (
    ApplyStep,
    apply_objects,
    describe_missing_secrets,
    dry_run_objects,
    find_missing_namespaces,
)
from dawnlist.pipelines.deploy.manifests import KubernetesObject
from dawnlist.pipelines.deploy.rollout import (
    SETTLE_SECONDS,
    RolloutState,
    explain_not_ready,
    wait_for_rollout,
)
from dawnlist.pipelines.terminal import err, out
from dawnlist.urls import replace_unprintable


def warn_about_missing_secrets(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> None:
    """A line for each secret that is not there, or lacks keys."""
    for line in describe_missing_secrets(cluster, documents):
        err.print(f"[yellow]![/] {escape(line)}", soft_wrap=True)


def apply_manifests(
    cluster: KubernetesCluster, documents: list[KubernetesObject], dry_run: bool, force: bool
) -> bool:
    """Try all objects, then apply all, and print what changed; returns whether anything did.

    ValueError when one was refused: then none is applied. A namespace that is not there is the exception: what goes
    into it can't be tried before it is made.
    """
    created = [] if dry_run else find_missing_namespaces(cluster, documents)
    for namespace in created:
        cluster.apply(namespace, dry=False, force=force)
    steps, refusals = dry_run_objects(cluster, documents, force)
    if refusals:
        for line in refusals:
            err.print(f"[red]✗[/] {escape(line)}", soft_wrap=True)
        but = f" but {', '.join(map(format_object_name, created))}" if created else ""
        raise ValueError(
            f"{len(refusals)} of {len(documents)} objects refused: nothing is applied{but}"
        )
    names = {format_object_name(namespace) for namespace in created}
    counts = {"created": 0, "changed": 0, "unchanged": 0}
    for step in steps if dry_run else apply_objects(cluster, steps, force):
        counts[_show_change(step, format_object_name(step.document) in names)] += 1
    total = ", ".join(f"{count} {what}" for what, count in counts.items())
    out.print(
        f"{cluster.host}: {total}{' (dry run: nothing was changed)' if dry_run else ''}",
        soft_wrap=True,
    )
    return bool(counts["created"] or counts["changed"])


def _show_change(step: ApplyStep, created: bool) -> str:
    """Print what becomes of an object; returns the word for it."""
    changes = step.changes
    word = "created" if created or step.before is None else "changed" if changes else "unchanged"
    unchecked = "" if step.checked else " (unchecked: its namespace is not there yet)"
    style = {"created": "green", "changed": "yellow", "unchanged": "dim"}[word]
    out.print(
        f"{escape(replace_unprintable(format_object_name(step.document))):<48} [{style}]{word}[/]{unchecked}",
        soft_wrap=True,
    )
    for line in changes:
        out.print(f"    {escape(line)}", soft_wrap=True)
    return word


def report_leftovers(
    cluster: KubernetesCluster, documents: list[KubernetesObject], prune: bool
) -> None:
    """Name what an earlier deploy has left behind, or delete it; last, since pods on their way out may need it."""
    for found in list(find_leftovers(cluster, documents)):
        if prune:
            cluster.delete(found)
        word = (
            "[red]deleted[/]"
            if prune
            else "[yellow]left behind[/]: not among the manifests; --prune deletes it"
        )
        out.print(
            f"{escape(replace_unprintable(format_object_name(found))):<48} {word}", soft_wrap=True
        )


def wait_for_manifests(
    cluster: KubernetesCluster, documents: list[KubernetesObject], timeout: int, changed: bool
) -> None:
    """Wait until all is up, with a line for each step of the way; TimeoutError, after what keeps it, when it is not."""
    start = time.monotonic()

    def show(document: KubernetesObject, state: RolloutState) -> None:
        mark = "[green]✓[/]" if state.done else "[red]✗[/]" if state.stuck else "…"
        after = time.monotonic() - start
        err.print(
            f"{mark} {after:5.0f} s  {escape(replace_unprintable(format_object_name(document)))}: {escape(state.message)}",
            soft_wrap=True,
        )

    hanging = wait_for_rollout(
        cluster, documents, timeout, min(SETTLE_SECONDS, timeout / 2) if changed else 0, show
    )
    for document in hanging:
        for line in explain_not_ready(cluster, document):
            err.print(f"    {escape(line)}", soft_wrap=True)
    if hanging:
        names = ", ".join(map(format_object_name, hanging))
        raise TimeoutError(
            f"{names} not ready after {time.monotonic() - start:.0f} s: what keeps it stands above"
        )
