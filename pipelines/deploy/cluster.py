"""A Kubernetes cluster, asked by the official client: one object at a time, and every refusal in one line."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config  # type: ignore[import-untyped]
from kubernetes.dynamic import DynamicClient  # type: ignore[import-untyped]
from kubernetes.dynamic.exceptions import DynamicApiError, ResourceNotFoundError  # type: ignore[import-untyped]

from dawnlist.pipelines.deploy.manifests import KubernetesObject
from dawnlist.urls import format_error

FIELD_MANAGER = "dawnlist"
"""As whom fields are applied: a field belongs to who applied it last."""
KUBERNETES_REQUEST_SECONDS = 30
"""For one request: admission webhooks have 30 at most, and the client alone would wait for ever."""
POD_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class TimeLimitedClient(client.ApiClient):  # type: ignore[misc]
    """The client with a time limit for requests that bring none."""

    def call_api(self, *words: Any, **more: Any) -> Any:
        """As the client's own."""
        return super().call_api(
            *words,
            **{
                **more,
                "_request_timeout": more.get("_request_timeout") or KUBERNETES_REQUEST_SECONDS,
            },
        )


@dataclass(frozen=True)
class KubernetesCluster:
    """A cluster, and the namespace for objects that name none."""

    host: str
    namespace: str
    dynamic: Any
    """kubernetes.dynamic.DynamicClient, which the package leaves untyped."""

    def has_kind(self, document: KubernetesObject) -> bool:
        """Whether the cluster has the object's kind, in that version."""
        with self.asked(format_object_name(document)):
            try:
                self._resource(document)
            except ResourceNotFoundError:
                return False
        return True

    def namespace_of(self, document: KubernetesObject) -> str | None:
        """Where the object goes; None for one that is of the whole cluster."""
        if not self._resource(document).namespaced:
            return None
        return str(document["metadata"].get("namespace") or self.namespace)

    def find(self, document: KubernetesObject) -> KubernetesObject | None:
        """The object of that kind and name as it stands, or None."""
        with self.asked(format_object_name(document)):
            try:
                place = {
                    "name": document["metadata"]["name"],
                    "namespace": self.namespace_of(document),
                }
                return _to_object(self._resource(document).get(**place))
            except DynamicApiError as error:
                if error.status == 404:
                    return None
                raise

    def list_objects(
        self, version: str, kind: str, namespace: str | None, **selectors: str
    ) -> list[KubernetesObject]:
        """Objects of a kind, by `label_selector` or `field_selector`; none for one who may not list them."""
        try:
            with self.asked(f"{kind}s of {namespace}"):
                found = self._resource({"apiVersion": version, "kind": kind}).get(
                    namespace=namespace, **selectors
                )
                return list(_to_object(found).get("items") or [])
        except PermissionError:  # who may apply need not be one who may list
            return []

    def apply(self, document: KubernetesObject, dry: bool, force: bool) -> KubernetesObject:
        """Apply an object's fields on the server, or (`dry`) let it say what would come of it."""
        how = {"dry_run": "All"} if dry else {}
        with self.asked(format_object_name(document)):
            place = {
                "namespace": self.namespace_of(document),
                "field_manager": FIELD_MANAGER,
                "force_conflicts": force,
            }
            return _to_object(
                self._resource(document).server_side_apply(body=document, **place, **how)
            )

    def delete(self, document: KubernetesObject) -> None:
        """Delete an object and what it owns."""
        with self.asked(format_object_name(document)):
            place = {"name": document["metadata"]["name"], "namespace": self.namespace_of(document)}
            self._resource(document).delete(**place, propagation_policy="Background")

    @contextmanager
    def asked(self, what: str) -> Iterator[None]:
        """Within it the client's errors become one line each, built in."""
        with translate_kubernetes_errors(self.host, what):
            yield

    def _resource(self, document: KubernetesObject) -> Any:
        group, _, version = document["apiVersion"].rpartition("/")
        place = {"prefix": "apis", "group": group} if group else {"prefix": "api"}
        return self.dynamic.resources.get(**place, api_version=version, kind=document["kind"])


def connect_to_kubernetes(context: str, namespace: str) -> KubernetesCluster:
    """The cluster that kubectl would ask, or the one around this pod. One line when it does not answer."""
    settings = client.Configuration()
    try:
        default = _load_kube_config(settings, context)
    except (config.ConfigException, OSError) as error:
        raise ValueError(
            f"no cluster to talk to: {format_error(error).rstrip('.')}; give --kube-context or KUBECONFIG, as for kubectl"
        ) from None
    settings.retries = 0  # its retries have no end that anybody sees, and warn on the way
    # discovery is cached in a file of everybody's folder: a kind that was installed since would be missed
    with (
        tempfile.TemporaryDirectory() as folder,
        translate_kubernetes_errors(settings.host, "the cluster"),
    ):
        try:
            dynamic = DynamicClient(
                TimeLimitedClient(settings), cache_file=f"{folder}/discovery.json"
            )
        except (AttributeError, TypeError):
            raise ConnectionError(
                f"{settings.host} answers, but not as a Kubernetes API: a proxy, or its page to log in, is in between"
            ) from None
    return KubernetesCluster(settings.host, namespace or default, dynamic)


def _load_kube_config(settings: client.Configuration, context: str) -> str:
    """Fill `settings` as the client does: from KUBECONFIG or ~/.kube/config, else from the pod's service account.

    Returns the namespace that they name.
    """
    given = os.environ.get("KUBECONFIG")  # which the client reads when it is imported
    file = given or "~/.kube/config"
    if not (context or given or Path(file).expanduser().exists()):
        config.load_incluster_config(settings)
        return POD_NAMESPACE_FILE.read_text().strip()
    config.load_kube_config(file, context or None, settings)
    contexts, active = config.list_kube_config_contexts(file)
    chosen = next((one for one in contexts if one["name"] == context), active)
    return str(chosen["context"].get("namespace") or "default")


def format_object_name(document: KubernetesObject) -> str:
    """How messages name an object."""
    return (
        f"{document['kind'].lower()}/{document['metadata']['name']}"
        if "metadata" in document
        else document["kind"]
    )


@contextmanager
def translate_kubernetes_errors(host: str, what: str) -> Iterator[None]:
    """Turn what the client raises into a built-in exception that says who refused what, and what to do."""
    try:
        yield
    except DynamicApiError as error:
        raise _explain_refusal(error, host, what) from None
    except urllib3.exceptions.HTTPError as error:
        raise _explain_no_answer(getattr(error, "reason", None) or error, host, what) from None


def _explain_no_answer(reason: Exception, host: str, what: str) -> Exception:
    if isinstance(reason, urllib3.exceptions.SSLError):
        return ConnectionError(
            f"{host} is not trusted ({format_error(reason)}): is the kubeconfig that of this cluster?"
        )
    if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
        return TimeoutError(
            f"{host} has not answered in {KUBERNETES_REQUEST_SECONDS} s ({what}): try again"
        )
    short = format_error(reason.args[-1]).rpartition(": ")[2]
    return ConnectionError(
        f"{host} does not answer ({short}): is it up, and is it the cluster you mean (kubectl config get-contexts)?"
    )


def _explain_refusal(error: Any, host: str, what: str) -> Exception:
    status = _read_error_status(error)
    said = format_error(status.get("message") or error.reason or "no reason given").rstrip(".")
    if error.status == 401:
        return PermissionError(
            f"{host} does not know who asks (401): log in again, or choose another --kube-context"
        )
    if error.status == 403:
        return PermissionError(f"{what}: {said} (403): ask for a role that may")
    if error.status == 409:
        return ValueError(f"{what}: {_describe_conflict(status, said)}")
    if error.status in (400, 404, 422):
        immutable = "immutable" in said or "updates to" in said
        mend = (
            f"; what stands can't become that: kubectl delete {what}, then deploy again"
            if immutable
            else ""
        )
        return ValueError(f"{what} is refused ({error.status}): {said}{mend}")
    return ConnectionError(
        f"{what}: the cluster has a trouble of its own ({error.status}): {said}; try again"
    )


def _read_error_status(error: Any) -> KubernetesObject:
    """The `Status` object of an error, or nothing: what is in between answers by pages."""
    try:
        status = json.loads(error.body)
    except (TypeError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def _describe_conflict(status: KubernetesObject, said: str) -> str:
    causes = (status.get("details") or {}).get("causes") or []
    owners = [cause for cause in causes if cause.get("reason") == "FieldManagerConflict"]
    if not owners:
        return f"{said} (409): somebody else changed it at the same moment; deploy again"
    fields = "; ".join(
        f"{cause.get('field', '').removeprefix('.')} ({cause.get('message', '').removeprefix('conflict with ')})"
        for cause in owners
    )
    return f"others hold fields of it, {format_error(fields)}: take these out of the overlay, or over with --force-conflicts"


def _to_object(instance: Any) -> KubernetesObject:
    """The answer as a dict; ConnectionError for a page where an object was due."""
    if isinstance(instance, str):
        raise ConnectionError("an answer is no JSON: a proxy, or its page to log in, is in between")
    tree: KubernetesObject = instance.to_dict()
    return tree
