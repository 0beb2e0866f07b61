"""Choose the address of the object store of Kubeflow Pipelines, which differs between its versions.

Kubeflow Pipelines 2.16 and newer have the Service seaweedfs with port 9000. In 2.15 that Service
lacks this port, and older versions have no such Service: there it is minio-service.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from dawnlist.pipelines.deploy.cluster import KubernetesCluster
from dawnlist.pipelines.deploy.manifests import KubernetesObject

ENDPOINT_VARIABLE: Final = "AWS_ENDPOINT_URL"
"""The key of a config map that says where the lake's S3 is."""
STORE_SERVICES: Final = ("seaweedfs", "minio-service")
"""The Services of the store, the one of the newest version first."""
STORE_PORT: Final = 9000


@dataclass(frozen=True)
class StoreAddress:
    """The address of a store of Kubeflow Pipelines, in the parts of its URL."""

    scheme: str
    service: str
    namespace: str
    domain: str
    """What follows the namespace, such as '.svc.cluster.local'; may be empty."""

    def format_url(self, service: str) -> str:
        """Format the URL of another Service in the same namespace."""
        return f"{self.scheme}://{service}.{self.namespace}{self.domain}:{STORE_PORT}"


@dataclass(frozen=True)
class StoreChoice:
    """Which store the manifests get."""

    documents: list[KubernetesObject]
    """The objects to apply, with the chosen address."""
    message: str = ""
    """What was chosen and why; empty if the manifests name no store of Kubeflow Pipelines."""
    expected: bool = True
    """Whether the manifests named the Service that is there."""


def choose_object_store(
    cluster: KubernetesCluster, documents: list[KubernetesObject]
) -> StoreChoice:
    """Replace the lake's endpoint by the one that the cluster's Kubeflow Pipelines has.

    Manifests that name another store, such as a bucket of the cloud, are left as they are.
    """
    config_map, address = _find_store_address(documents)
    if config_map is None or address is None:
        return StoreChoice(documents)
    endpoint = address.format_url(address.service)
    try:
        service = _find_store_service(cluster, address.namespace)
    except PermissionError as error:
        return StoreChoice(documents, f"the lake's store is {endpoint}, unchecked: {error}", False)
    if not service:
        return StoreChoice(documents, _describe_missing_store(endpoint, address.namespace), False)
    if service == address.service:
        place = f"Service {service} of namespace {address.namespace}"
        return StoreChoice(documents, f"the lake's store is {endpoint}: {place}")
    chosen = address.format_url(service)
    message = (
        f"the lake's store is {chosen}: namespace {address.namespace} has no Service "
        f"{address.service} with port {STORE_PORT}, which the manifests name"
    )
    return StoreChoice(_replace_endpoint(documents, config_map, chosen), message, False)


def _describe_missing_store(endpoint: str, namespace: str) -> str:
    services = " or ".join(STORE_SERVICES)
    return (
        f"the lake's store is {endpoint}, but namespace {namespace} has no Service {services} with "
        f"port {STORE_PORT}: install Kubeflow Pipelines first, or name your store in the overlay"
    )


def _find_store_address(
    documents: list[KubernetesObject],
) -> tuple[KubernetesObject | None, StoreAddress | None]:
    """Find the config map that names a store of Kubeflow Pipelines, and the store's address."""
    for document in documents:
        if document["kind"] != "ConfigMap":
            continue
        endpoint = (document.get("data") or {}).get(ENDPOINT_VARIABLE)
        if endpoint:
            return document, _parse_store_address(endpoint)
    return None, None


def _parse_store_address(endpoint: str) -> StoreAddress | None:
    """Split an endpoint such as http://seaweedfs.kubeflow:9000; None for any other store."""
    url = urlsplit(endpoint)
    service, _, place = (url.hostname or "").partition(".")
    namespace, dot, domain = place.partition(".")
    if service not in STORE_SERVICES or not namespace or url.port != STORE_PORT:
        return None
    return StoreAddress(url.scheme, service, namespace, dot + domain)


def _find_store_service(cluster: KubernetesCluster, namespace: str) -> str:
    """Return the newest of the store's Services that has the port; empty if there is none."""
    for name in STORE_SERVICES:
        metadata = {"name": name, "namespace": namespace}
        service = cluster.find({"apiVersion": "v1", "kind": "Service", "metadata": metadata})
        ports = ((service or {}).get("spec") or {}).get("ports") or []
        if any(port["port"] == STORE_PORT for port in ports):
            return name
    return ""


def _replace_endpoint(
    documents: list[KubernetesObject], config_map: KubernetesObject, endpoint: str
) -> list[KubernetesObject]:
    changed = {**config_map, "data": {**config_map["data"], ENDPOINT_VARIABLE: endpoint}}
    replaced = []
    for document in documents:
        if document is config_map:
            document = changed
        replaced.append(document)
    return replaced
