"""Read and apply objects on a Kubernetes cluster, with the official client and one-line errors."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config  # type: ignore[import-untyped]
from kubernetes.dynamic import DynamicClient  # type: ignore[import-untyped]
from kubernetes.dynamic.exceptions import DynamicApiError, ResourceNotFoundError  # type: ignore[import-untyped]

from dawnlist.pipelines.deploy.manifests import KubernetesObject
from dawnlist.pipelines.deploy.webhooks import (
    WebhookUnavailableError,
    describe_failed_webhook,
    find_failed_webhook,
)
from dawnlist.urls import format_error

FIELD_MANAGER = "dawnlist"
"""The field manager that Kubernetes records as the owner of the fields that we apply."""
KUBERNETES_REQUEST_SECONDS = 30
"""The time limit of a request. Admission webhooks may take up to 30 seconds; without a limit the
client would wait for ever."""
POD_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class NoKubeconfigError(ValueError):
    """There is no kubeconfig that can be used, and this is no pod of a cluster."""


class TimeLimitedClient(client.ApiClient):  # type: ignore[misc]
    """A client that gives every request a time limit."""

    def __init__(self, settings: client.Configuration, seconds: float) -> None:
        super().__init__(settings)
        self.seconds = seconds

    def call_api(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request, with the default time limit if the caller gives none."""
        if not kwargs.get("_request_timeout"):
            kwargs["_request_timeout"] = self.seconds
        return super().call_api(*args, **kwargs)


@dataclass(frozen=True)
class KubernetesCluster:
    """A cluster, and the namespace for objects that name none.

    The methods raise PermissionError, ValueError, ConnectionError or TimeoutError, with one line that
    says what to do.
    """

    host: str
    namespace: str
    dynamic: Any
    """A kubernetes.dynamic.DynamicClient, which has no type hints."""

    def has_kind(self, document: KubernetesObject) -> bool:
        """Say whether the cluster knows the object's kind, in that version."""
        with self._translate_errors(format_object_name(document)):
            try:
                self._resource(document)
            except ResourceNotFoundError:
                return False
        return True

    def namespace_of(self, document: KubernetesObject) -> str | None:
        """Return the namespace of an object; None for a kind that is not in any namespace."""
        if not self._resource(document).namespaced:
            return None
        return str(document["metadata"].get("namespace") or self.namespace)

    def find(self, document: KubernetesObject) -> KubernetesObject | None:
        """Read the object of that kind and name from the cluster; None if there is none."""
        with self._translate_errors(format_object_name(document)):
            try:
                name, namespace = document["metadata"]["name"], self.namespace_of(document)
                return _to_object(self._resource(document).get(name=name, namespace=namespace))
            except DynamicApiError as error:
                if error.status == 404:
                    return None
                raise

    def list_objects(
        self, version: str, kind: str, namespace: str | None, **selectors: str
    ) -> list[KubernetesObject]:
        """List the objects of a kind by `label_selector` or `field_selector`.

        The list is empty for a user who may apply objects, but may not list them.
        """
        resource_kind = {"apiVersion": version, "kind": kind}
        try:
            with self._translate_errors(f"{kind}s of {namespace}"):
                answer = self._resource(resource_kind).get(namespace=namespace, **selectors)
                return list(_to_object(answer).get("items") or [])
        except PermissionError:
            return []

    def apply(self, document: KubernetesObject, dry: bool, force: bool) -> KubernetesObject:
        """Apply an object's fields by server-side apply, and return the object.

        Args:
            document: The fields to apply.
            dry: Let the server compute the object without changing anything.
            force: Take over fields that other field managers have set.
        """
        options = {"dry_run": "All"} if dry else {}
        with self._translate_errors(format_object_name(document)):
            answer = self._resource(document).server_side_apply(
                body=document,
                namespace=self.namespace_of(document),
                field_manager=FIELD_MANAGER,
                force_conflicts=force,
                **options,
            )
            return _to_object(answer)

    def delete(self, document: KubernetesObject) -> None:
        """Delete an object and what it owns."""
        with self._translate_errors(format_object_name(document)):
            self._resource(document).delete(
                name=document["metadata"]["name"],
                namespace=self.namespace_of(document),
                propagation_policy="Background",
            )

    def _translate_errors(self, subject: str) -> AbstractContextManager[None]:
        return translate_kubernetes_errors(self.host, subject)

    def _resource(self, document: KubernetesObject) -> Any:
        """Return the client's resource for the object's kind."""
        group, _, version = document["apiVersion"].rpartition("/")
        api = {"prefix": "apis", "group": group} if group else {"prefix": "api"}
        return self.dynamic.resources.get(**api, api_version=version, kind=document["kind"])


def connect_to_kubernetes(
    context: str, namespace: str, seconds: float | None = None
) -> KubernetesCluster:
    """Connect to the cluster that kubectl uses, or to the one that this pod runs in.

    Args:
        context: The kubeconfig context; empty for the current one.
        namespace: The namespace for objects that name none; empty for that of the context.
        seconds: The time limit of a request, if it is not KUBERNETES_REQUEST_SECONDS.

    Raises:
        NoKubeconfigError: There is no usable kubeconfig.
        ConnectionError: The cluster does not answer.
        PermissionError: The cluster refuses the credentials.
    """
    settings = client.Configuration()
    if seconds is None:
        seconds = KUBERNETES_REQUEST_SECONDS
    try:
        default_namespace = _load_kube_config(settings, context)
    except (config.ConfigException, OSError) as error:
        raise NoKubeconfigError(
            f"no cluster to talk to: {format_error(error).rstrip('.')}; give --kube-context or KUBECONFIG, "
            "as for kubectl"
        ) from None
    # The client would retry for a long time, and print a warning each time.
    settings.retries = 0
    # By default the kinds of the cluster are cached in a shared folder. A kind that has been
    # installed since would be missing, so each connection gets a cache of its own.
    with (
        tempfile.TemporaryDirectory() as folder,
        translate_kubernetes_errors(settings.host, "the cluster"),
    ):
        cache_file = f"{folder}/discovery.json"
        try:
            dynamic = DynamicClient(TimeLimitedClient(settings, seconds), cache_file=cache_file)
        except (AttributeError, TypeError):
            raise ConnectionError(
                f"{settings.host} answers, but not as a Kubernetes API: a proxy or its login page is in between"
            ) from None
    return KubernetesCluster(settings.host, namespace or default_namespace, dynamic)


def _load_kube_config(settings: client.Configuration, context: str) -> str:
    """Fill `settings` from KUBECONFIG or ~/.kube/config, else from the pod's service account.

    Returns:
        The namespace that the context or the service account names.
    """
    # The client reads KUBECONFIG only once, when it is imported.
    variable = os.environ.get("KUBECONFIG")
    file = variable or "~/.kube/config"
    has_kubeconfig = context or variable or Path(file).expanduser().exists()
    if not has_kubeconfig:
        config.load_incluster_config(settings)
        return POD_NAMESPACE_FILE.read_text().strip()
    config.load_kube_config(file, context or None, settings)
    contexts, chosen = config.list_kube_config_contexts(file)
    for candidate in contexts:
        if candidate["name"] == context:
            chosen = candidate
            break
    return str(chosen["context"].get("namespace") or "default")


def format_object_name(document: KubernetesObject) -> str:
    """Format an object's kind and name for messages, such as 'configmap/settings'."""
    if "metadata" not in document:
        return str(document["kind"])
    return f"{document['kind'].lower()}/{document['metadata']['name']}"


@contextmanager
def translate_kubernetes_errors(host: str, subject: str) -> Iterator[None]:
    """Turn the client's errors into built-in exceptions that say what to do.

    Args:
        host: The URL of the cluster, for the message.
        subject: What is read or applied, such as an object's name, for the message.
    """
    try:
        yield
    except DynamicApiError as error:
        raise _explain_refusal(error, host, subject) from None
    except urllib3.exceptions.HTTPError as error:
        reason = getattr(error, "reason", None) or error
        raise _explain_no_answer(reason, host, subject) from None


def _explain_no_answer(reason: Exception, host: str, subject: str) -> Exception:
    if isinstance(reason, urllib3.exceptions.SSLError):
        return ConnectionError(
            f"{host} is not trusted ({format_error(reason)}): check that the kubeconfig is that of this cluster"
        )
    if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
        return TimeoutError(
            f"{host} has not answered in {KUBERNETES_REQUEST_SECONDS} s ({subject}): try again"
        )
    cause = format_error(reason.args[-1]).rpartition(": ")[2]
    return ConnectionError(
        f"{host} does not answer ({cause}): check that it is running, and that it is the cluster you mean "
        "(kubectl config get-contexts)"
    )


def _explain_refusal(error: Any, host: str, subject: str) -> Exception:
    status = _read_error_status(error)
    message = status.get("message") or error.reason or "no reason given"
    reason = format_error(message).rstrip(".")
    if error.status == 401:
        return PermissionError(
            f"{host} does not accept your credentials (401): log in again, or choose another --kube-context"
        )
    if error.status == 403:
        return PermissionError(f"{subject}: {reason} (403): ask for a role that allows it")
    if error.status == 409:
        return ValueError(f"{subject}: {_describe_conflict(status, reason)}")
    if error.status in (400, 404, 422):
        text = f"{subject} is refused ({error.status}): {reason}"
        if "immutable" in reason or "updates to" in reason:
            text += (
                f"; the existing object can't be changed to that: kubectl delete {subject}, "
                "then deploy again"
            )
        return ValueError(text)
    webhook = find_failed_webhook(reason)
    if webhook:
        return WebhookUnavailableError(describe_failed_webhook(subject, webhook, reason))
    return ConnectionError(
        f"{subject}: the cluster has an error of its own ({error.status}): {reason}; try again"
    )


def _read_error_status(error: Any) -> KubernetesObject:
    """Read the `Status` object of an error. It is empty when a proxy answers with a web page."""
    try:
        status = json.loads(error.body)
    except (TypeError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def _describe_conflict(status: KubernetesObject, reason: str) -> str:
    """Name the fields of an object that other field managers have set, and those managers."""
    conflicts = []
    for cause in (status.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "FieldManagerConflict":
            field = cause.get("field", "").removeprefix(".")
            owner = cause.get("message", "").removeprefix("conflict with ")
            conflicts.append(f"{field} ({owner})")
    if not conflicts:
        return f"{reason} (409): somebody else changed it at the same moment; deploy again"
    fields = format_error("; ".join(conflicts))
    return (
        f"others hold fields of it, {fields}: remove these fields from the overlay, or take them over "
        "with --force-conflicts"
    )


def _to_object(instance: Any) -> KubernetesObject:
    """Return an answer as a dict. ConnectionError for a web page."""
    if isinstance(instance, str):
        raise ConnectionError("an answer is not JSON: a proxy or its login page is in between")
    tree: KubernetesObject = instance.to_dict()
    return tree
