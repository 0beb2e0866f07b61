"""What `dawnlist deploy` does, and shows of it: what lacks, what changes, what is up."""

import time

from rich.markup import escape

from dawnlist.pipelines.deploy.applying import Step, applied, missing_namespaces, missing_secrets, tried
from dawnlist.pipelines.deploy.cluster import Cluster, label
from dawnlist.pipelines.deploy.leftovers import leftovers
from dawnlist.pipelines.deploy.rendered import Tree
from dawnlist.pipelines.deploy.rollout import SETTLE, State, wait, why
from dawnlist.pipelines.terminal import err, out
from dawnlist.urls import printable


def warn_of_secrets(cluster: Cluster, documents: list[Tree]) -> None:
    """A line for each secret that is not there, or lacks keys."""
    for line in missing_secrets(cluster, documents):
        err.print(f"[yellow]![/] {escape(line)}", soft_wrap=True)


def apply(cluster: Cluster, documents: list[Tree], dry_run: bool, force: bool) -> bool:
    """Try all objects, then apply all, and print what changed; returns whether anything did.

    ValueError when one was refused: then none is applied. A namespace that is not there is the exception: what goes
    into it can't be tried before it is made.
    """
    created = [] if dry_run else missing_namespaces(cluster, documents)
    for namespace in created:
        cluster.apply(namespace, dry=False, force=force)
    steps, refusals = tried(cluster, documents, force)
    if refusals:
        for line in refusals:
            err.print(f"[red]✗[/] {escape(line)}", soft_wrap=True)
        but = f" but {', '.join(map(label, created))}" if created else ""
        raise ValueError(f"{len(refusals)} of {len(documents)} objects refused: nothing is applied{but}")
    names = {label(namespace) for namespace in created}
    counts = {"created": 0, "changed": 0, "unchanged": 0}
    for step in steps if dry_run else applied(cluster, steps, force):
        counts[_show(step, label(step.document) in names)] += 1
    total = ", ".join(f"{count} {what}" for what, count in counts.items())
    out.print(f"{cluster.host}: {total}{' (dry run: nothing was changed)' if dry_run else ''}", soft_wrap=True)
    return bool(counts["created"] or counts["changed"])


def _show(step: Step, created: bool) -> str:
    """Print what becomes of an object; returns the word for it."""
    changes = step.changes
    word = "created" if created or step.before is None else "changed" if changes else "unchanged"
    unchecked = "" if step.checked else " (unchecked: its namespace is not there yet)"
    style = {"created": "green", "changed": "yellow", "unchanged": "dim"}[word]
    out.print(f"{escape(printable(label(step.document))):<48} [{style}]{word}[/]{unchecked}", soft_wrap=True)
    for line in changes:
        out.print(f"    {escape(line)}", soft_wrap=True)
    return word


def clear(cluster: Cluster, documents: list[Tree], prune: bool) -> None:
    """Name what an earlier deploy has left behind, or delete it; last, since pods on their way out may need it."""
    for found in list(leftovers(cluster, documents)):
        if prune:
            cluster.delete(found)
        word = "[red]deleted[/]" if prune else "[yellow]left behind[/]: not among the manifests; --prune deletes it"
        out.print(f"{escape(printable(label(found))):<48} {word}", soft_wrap=True)


def follow(cluster: Cluster, documents: list[Tree], timeout: int, changed: bool) -> None:
    """Wait until all is up, with a line for each step of the way; TimeoutError, after what keeps it, when it is not."""
    start = time.monotonic()

    def show(document: Tree, state: State) -> None:
        mark = "[green]✓[/]" if state.done else "[red]✗[/]" if state.stuck else "…"
        after = time.monotonic() - start
        err.print(f"{mark} {after:5.0f} s  {escape(printable(label(document)))}: {escape(state.words)}", soft_wrap=True)

    hanging = wait(cluster, documents, timeout, min(SETTLE, timeout / 2) if changed else 0, show)
    for document in hanging:
        for line in why(cluster, document):
            err.print(f"    {escape(line)}", soft_wrap=True)
    if hanging:
        names = ", ".join(map(label, hanging))
        raise TimeoutError(f"{names} not ready after {time.monotonic() - start:.0f} s: what keeps it stands above")
