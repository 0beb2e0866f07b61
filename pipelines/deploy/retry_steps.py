"""Warn about the retries of Kubeflow's workflow controller, or correct them, and print the change."""

import sys

import typer
from rich.markup import escape

from dawnlist.pipelines.deploy.cluster import KubernetesCluster
from dawnlist.pipelines.deploy.deploy_steps import Change, classify_change, show_change
from dawnlist.pipelines.deploy.kfp_retries import (
    CONTROLLER_CONFIG_MAP,
    KUBEFLOW_NAMESPACE,
    build_retry_fix,
    find_retry_fault,
    read_controller_config,
)
from dawnlist.pipelines.deploy.manifest_apply import ApplyStep
from dawnlist.pipelines.terminal import err, out


def warn_about_retries(cluster: KubernetesCluster) -> None:
    """Print a line when Kubeflow's controller does not repeat failed steps as packages say."""
    fault = find_retry_fault(cluster)
    if fault:
        err.print(f"[yellow]![/] {escape(fault)}", soft_wrap=True)


def fix_retries(cluster: KubernetesCluster, dry_run: bool, confirmed: bool) -> None:
    """Correct the retries in the settings of Kubeflow's workflow controller, and print the change.

    Args:
        cluster: The cluster.
        dry_run: Whether to show the change only.
        confirmed: Whether to change the settings without a question.

    Raises:
        LookupError: The cluster has no such settings.
        ValueError: The settings can't be read, or nobody can be asked.
        PermissionError: You may not read or change the settings.
    """
    config_map = read_controller_config(cluster)
    if config_map is None:
        raise LookupError(
            f"no {CONTROLLER_CONFIG_MAP} in namespace {KUBEFLOW_NAMESPACE} of {cluster.host}: "
            "install Kubeflow Pipelines first, or choose another --kube-context"
        )
    fix = build_retry_fix(config_map)
    # Kubeflow's own manifests hold the field, so it has to be taken over.
    step = ApplyStep(fix, config_map, cluster.apply(fix, dry=True, force=True))
    change = classify_change(step, namespace_is_new=False)
    show_change(step, change)
    if dry_run or change == Change.UNCHANGED:
        return
    if not confirmed and not _ask_to_fix_retries():
        out.print("nothing was changed")
        return
    cluster.apply(fix, dry=False, force=True)
    out.print(
        "changed, for all pipelines of this Kubeflow: it holds for runs that start from now on"
    )


def _ask_to_fix_retries() -> bool:
    if not sys.stdin.isatty():
        raise ValueError("nothing was changed: --fix-retries asks first, so add --yes to it")
    question = "Change it? All pipelines of this Kubeflow will repeat failed steps in this way"
    return typer.confirm(question, err=True)
