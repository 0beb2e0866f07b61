"""The command `dawnlist deploy`, which applies manifests to a cluster by server-side apply."""

from typing import Annotated

import typer


def deploy_command(
    manifests: Annotated[
        str,
        typer.Argument(
            help="An overlay's folder, a file of manifests, or `-` for standard input. Not needed "
            "with --fix-retries."
        ),
    ] = "",
    kube_context: Annotated[
        str,
        typer.Option(help="The kubeconfig context of the cluster; default: kubectl's current one."),
    ] = "",
    namespace: Annotated[
        str,
        typer.Option(
            "--namespace",
            "-n",
            help="Namespace for objects that name none; default: that of the context.",
        ),
    ] = "",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Ask the server what would change, and change nothing."),
    ] = False,
    force_conflicts: Annotated[
        bool,
        typer.Option(
            "--force-conflicts", help="Take over fields that other field managers have set."
        ),
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Delete what an earlier deploy of these manifests applied and they no longer name.",
        ),
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait until the applied objects are ready.")] = True,
    timeout: Annotated[int, typer.Option(min=1, help="Seconds to wait.")] = 600,
    fix_retries: Annotated[
        bool,
        typer.Option(
            "--fix-retries",
            help="Correct how Kubeflow's workflow controller repeats failed steps; asks first.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Apply manifests to a Kubernetes cluster, print what changed, and wait until it is ready.

    Example: `dawnlist deploy manifests/overlays/gke-gpu --dry-run`
    """
    if not manifests and not fix_retries:
        raise ValueError(
            "nothing to deploy: give an overlay's folder, such as manifests/overlays/local"
        )
    from dawnlist.pipelines.deploy import deploy_steps, retry_steps
    from dawnlist.pipelines.deploy.cluster import connect_to_kubernetes
    from dawnlist.pipelines.deploy.leftovers import add_set_label
    from dawnlist.pipelines.deploy.manifest_apply import (
        refuse_missing_namespaces,
        refuse_other_namespaces,
        refuse_unknown_kinds,
    )
    from dawnlist.pipelines.deploy.manifests import read_manifests

    documents = []
    if manifests:
        documents = add_set_label(read_manifests(manifests), manifests)
    refuse_other_namespaces(documents, namespace)
    cluster = connect_to_kubernetes(kube_context, namespace)
    if fix_retries:
        retry_steps.fix_retries(cluster, dry_run, yes)
    else:
        retry_steps.warn_about_retries(cluster)
    if not documents:
        return
    refuse_unknown_kinds(cluster, documents)
    refuse_missing_namespaces(cluster, documents)
    documents = deploy_steps.point_at_object_store(cluster, documents)
    deploy_steps.warn_about_missing_objects(cluster, documents)
    changed = deploy_steps.apply_manifests(cluster, documents, dry_run, force_conflicts)
    if wait and not dry_run:
        deploy_steps.wait_for_manifests(cluster, documents, timeout, changed)
    deploy_steps.report_leftovers(cluster, documents, prune and not dry_run)
