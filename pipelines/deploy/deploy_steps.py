"""Do the steps of `dawnlist deploy`, and print what each of them does."""

import time
from enum import StrEnum
from typing import NoReturn

from rich.markup import escape

from dawnlist.pipelines.deploy.cluster import KubernetesCluster, format_object_name
from dawnlist.pipelines.deploy.leftovers import find_leftovers
from dawnlist.pipelines.deploy.manifest_apply import (
    ApplyStep,
    apply_objects,
    dry_run_objects,
    find_missing_namespaces,
)
from dawnlist.pipelines.deploy.manifests import KubernetesObject
from dawnlist.pipelines.deploy.object_store import choose_object_store
from dawnlist.pipelines.deploy.profile_check import describe_profile_faults
from dawnlist.pipelines.deploy.rollout import SETTLE_SECONDS, wait_for_rollout
from dawnlist.pipelines.deploy.rollout_reasons import explain_not_ready
from dawnlist.pipelines.deploy.rollout_states import RolloutState
from dawnlist.pipelines.deploy.secrets_check import describe_missing_secrets
from dawnlist.pipelines.deploy.webhooks import WebhookPatience
from dawnlist.pipelines.terminal import err, out
from dawnlist.urls import replace_unprintable


class Change(StrEnum):
    """What applying an object does to it."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


CHANGE_STYLES = {Change.CREATED: "green", Change.CHANGED: "yellow", Change.UNCHANGED: "dim"}


def warn_about_missing_objects(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> None:
    """Print a line for each thing that a profile lacks, and for each secret that lacks keys."""
    for describe in (describe_profile_faults, describe_missing_secrets):
        for line in describe(cluster, documents):
            err.print(f"[yellow]![/] {escape(line)}", soft_wrap=True)


def point_at_object_store(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> list[KubernetesObject]:
    """Return the objects with the endpoint that Kubeflow Pipelines has, and print a line about it."""
    choice = choose_object_store(cluster, documents)
    if choice.message:
        mark = "·" if choice.expected else "[yellow]![/]"
        err.print(f"{mark} {escape(choice.message)}", soft_wrap=True)
    return choice.documents


def apply_manifests(
    cluster: KubernetesCluster, documents: list[KubernetesObject], dry_run: bool, force: bool
) -> bool:
    """Try all objects, then apply all, and print what changed.

    Missing namespaces are the exception: they are applied first, because nothing in them can be
    tried before they exist.

    Returns:
        Whether anything changed, or in a dry run would change.

    Raises:
        ValueError: The cluster refused an object, so none was applied.
    """
    new_namespaces = [] if dry_run else find_missing_namespaces(cluster, documents)
    for namespace in new_namespaces:
        cluster.apply(namespace, dry=False, force=force)
    patience = WebhookPatience(_announce_wait)
    steps, refusals = dry_run_objects(cluster, documents, force, patience)
    if refusals:
        _raise_refusals(refusals, len(documents), new_namespaces)
    new_names = {format_object_name(namespace) for namespace in new_namespaces}
    counts = dict.fromkeys(Change, 0)
    for step in steps if dry_run else apply_objects(cluster, steps, force, patience):
        namespace_is_new = format_object_name(step.document) in new_names
        change = classify_change(step, namespace_is_new)
        show_change(step, change)
        counts[change] += 1
    totals = ", ".join(f"{count} {change}" for change, count in counts.items())
    note = " (dry run: nothing was changed)" if dry_run else ""
    out.print(f"{cluster.host}: {totals}{note}", soft_wrap=True)
    return bool(counts[Change.CREATED] or counts[Change.CHANGED])


def _announce_wait(message: str) -> None:
    err.print(f"… {escape(message)}", soft_wrap=True)


def _raise_refusals(
    refusals: list[str], object_count: int, new_namespaces: list[KubernetesObject]
) -> NoReturn:
    for line in refusals:
        err.print(f"[red]✗[/] {escape(line)}", soft_wrap=True)
    exception = ""
    if new_namespaces:
        exception = f" but {', '.join(map(format_object_name, new_namespaces))}"
    raise ValueError(
        f"{len(refusals)} of {object_count} objects refused: nothing is applied{exception}"
    )


def classify_change(step: ApplyStep, namespace_is_new: bool) -> Change:
    """Say whether applying the object creates it, changes it, or leaves it as it is."""
    if namespace_is_new or step.before is None:
        return Change.CREATED
    if step.changes:
        return Change.CHANGED
    return Change.UNCHANGED


def show_change(step: ApplyStep, change: Change) -> None:
    style = CHANGE_STYLES[change]
    note = "" if step.checked else " (unchecked: its namespace is not there yet)"
    out.print(f"{_pad_name(step.document)} [{style}]{change}[/]{note}", soft_wrap=True)
    for line in step.changes:
        out.print(f"    {escape(line)}", soft_wrap=True)


def _pad_name(document: KubernetesObject) -> str:
    return f"{_escape_name(document):<48}"


def _escape_name(document: KubernetesObject) -> str:
    return escape(replace_unprintable(format_object_name(document)))


def report_leftovers(
    cluster: KubernetesCluster, documents: list[KubernetesObject], prune: bool
) -> None:
    """Print the objects that an earlier deploy has left behind, or delete them.

    This is the last step, because pods that are being replaced may still need these objects.
    """
    outcome = "[yellow]left behind[/]: not among the manifests; --prune deletes it"
    if prune:
        outcome = "[red]deleted[/]"
    for leftover in list(find_leftovers(cluster, documents)):
        if prune:
            cluster.delete(leftover)
        out.print(f"{_pad_name(leftover)} {outcome}", soft_wrap=True)


def wait_for_manifests(
    cluster: KubernetesCluster, documents: list[KubernetesObject], timeout: int, changed: bool
) -> None:
    """Wait until all objects are ready, and print a line for each change of their states.

    Args:
        cluster: The cluster.
        documents: The applied objects.
        timeout: How many seconds to wait.
        changed: Whether applying them changed anything.

    Raises:
        TimeoutError: Some objects are not ready. The reasons have been printed.
    """
    start = time.monotonic()

    def show(document: KubernetesObject, state: RolloutState) -> None:
        seconds = time.monotonic() - start
        name, message = _escape_name(document), escape(state.message)
        err.print(f"{_choose_mark(state)} {seconds:5.0f} s  {name}: {message}", soft_wrap=True)

    settle = min(SETTLE_SECONDS, timeout / 2) if changed else 0
    not_ready = wait_for_rollout(cluster, documents, timeout, settle, show)
    if not not_ready:
        return
    for document in not_ready:
        for line in explain_not_ready(cluster, document):
            err.print(f"    {escape(line)}", soft_wrap=True)
    names = ", ".join(map(format_object_name, not_ready))
    seconds = time.monotonic() - start
    raise TimeoutError(f"{names} not ready after {seconds:.0f} s: the reasons are printed above")


def _choose_mark(state: RolloutState) -> str:
    if state.done:
        return "[green]✓[/]"
    if state.stuck:
        return "[red]✗[/]"
    return "…"
